"""`avs-data fetch doctor`."""

import sys
from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import FOUND_WRONG, NOTHING, Command


@click.command(cls=Command, kept=NOTHING)
@click.argument("recipe_name", metavar="[RECIPE]", required=False)
@options.CORPORA
@options.COOKIES
@options.JSON
def command(recipe_name: str | None, corpora: str, cookies: tuple[str, ...], as_json: bool) -> None:
    """Check that this machine can fetch to CORPORA: write access, disk, DNS, decoders, yt-dlp's age, cookie files.

    With RECIPE, the sources that its [fetch] names are checked, else the official ones. Exit code 1 where something
    needs doing. Downloads nothing.

    Example: avs-data fetch doctor avs_synthetic --corpora corpora
    """
    from rich.text import Text

    from pipelines.fetch import options as fetch_options
    from pipelines.recipes import recipe
    from shards import terminal
    from shards.display import Display

    settings = fetch_options.parse({}, "defaults")
    if recipe_name:
        settings = fetch_options.of_recipe(recipe.load(recipe_name), recipe_name)
    with Display(f"Check that this machine can fetch to {corpora}"):
        from pipelines.fetch import doctor

        findings = doctor.examine(corpora, settings, cookies)
    wrong = any(finding.remedy for finding in findings)
    if as_json:
        terminal.out_json([asdict(finding) for finding in findings])
        sys.exit(FOUND_WRONG if wrong else 0)
    table = terminal.Table("", "check", "seen", "what to do")
    for finding in findings:
        mark = Text("✗", style="red") if finding.remedy else Text("✓", style="green")
        table.add_row(mark, finding.check, finding.seen, finding.remedy)
    terminal.console().print(table)
    sys.exit(FOUND_WRONG if wrong else 0)
