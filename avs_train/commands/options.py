"""Arguments and options that several commands have: one spelling, one meaning."""

import click

DATA = click.option("--data", required=True, metavar="DATASET", help="Dataset: a folder or a URL.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
