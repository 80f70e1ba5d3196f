"""Arguments and options that several commands have: one spelling, one meaning."""

import click

DATA = click.option("--data", required=True, metavar="DATASET", help="Dataset: a folder or a URL.")
OVERRIDES = click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
