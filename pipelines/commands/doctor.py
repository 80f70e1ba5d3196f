"""`avs-data doctor`."""

import sys

import click
from rich.console import Console
from rich.table import Table

from pipelines.commands.fetch import COOKIES
from pipelines.fetch import doctor, options
from pipelines.recipes import recipe


@click.command()
@click.option("--corpora", default=".", show_default=True, help="Folder or URL that a fetch would write to.")
@click.option("--recipe", "recipe_file", help="Check the sources that this recipe's [fetch] names.")
@COOKIES
def command(corpora: str, recipe_file: str | None, cookies: tuple[str, ...]) -> None:
    """Check that this machine can fetch: write access, disk, DNS, decoders, yt-dlp's age, cookie files.

    Ends with 1 where something needs doing. Downloads nothing.
    """
    try:
        settings = options.parse(
            recipe.load(recipe_file).fetch if recipe_file else {}, recipe_file or "defaults"
        )
    except recipe.RecipeError as error:
        raise click.ClickException(str(error)) from error
    findings = doctor.examine(corpora, settings, cookies)
    table = Table()
    for name in ("", "check", "seen", "what to do"):
        table.add_column(name)
    for finding in findings:
        mark = "[red]✗[/]" if finding.remedy else "[green]✓[/]"
        table.add_row(mark, finding.check, finding.seen, finding.remedy)
    Console().print(table)
    sys.exit(1 if any(finding.remedy for finding in findings) else 0)
