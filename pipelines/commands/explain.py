"""`avs-data explain`."""

import json
from dataclasses import asdict

import click
from rich.console import Console

from pipelines.publish.explain import explain
from shards.manifest import DatasetError
from shards.reader import Dataset


class _TakesIds(click.Command):
    """A command with flags alone, to which everything else is an argument: ids of videos may begin with a dash."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        flags = {name for parameter in self.get_params(ctx) for name in parameter.opts if name[0] == "-"}
        given = [argument for argument in args[:end] if argument in flags]
        others = [argument for argument in args[:end] if argument not in flags]
        return super().parse_args(ctx, [*given, "--", *others, *args[end + 1 :]])


@click.command(cls=_TakesIds)
@click.argument("dataset")
@click.argument("item", metavar="KEY")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(dataset: str, item: str, as_json: bool) -> None:
    """Tell the whole story of one sample of DATASET (a folder or URL), or why an item was dropped.

    KEY is a sample's key or its first digits, or a sample, image, mask, clip or video id (it may begin with a dash).
    Shown are the sources with author and licence, the label map's links and who decided them, every rule passed, the
    split and pairing worked out again from their hashes, and the place of every byte.

    \b
    avs-data explain out/avs lvis:358083
    avs-data explain out/avs -3Bn-Nt_8aG_000030
    """
    try:
        stories = explain(Dataset(dataset), item)
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([asdict(story) for story in stories], indent=1, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    for story in stories:
        console.print(story.title, style="bold", markup=False)
        for section, facts in story.sections.items():
            console.print(f"  {section}", style="cyan")
            for name, fact in facts.items():
                console.print(f"    {name}: {'unknown' if fact is None else fact}", markup=False)
