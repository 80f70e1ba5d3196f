"""`avs-data explain`."""

from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import NOTHING, IdCommand


@click.command(cls=IdCommand, kept=NOTHING)
@options.DATASET
@click.argument("item", metavar="KEY")
@options.JSON
def command(dataset: str, item: str, as_json: bool) -> None:
    """Tell the whole story of one sample of DATASET (a folder or URL), or why an item was dropped.

    KEY is a sample's key or six or more of its first digits, or a sample, image, mask, clip or video id (it may begin
    with a dash). Shown are the sources with author and licence, the label map's links and who decided them, every rule
    passed, the split and pairing worked out again from their hashes, and the place of every byte.

    \b
    Examples:
      avs-data explain out/avs lvis:358083
      avs-data explain out/avs -3Bn-Nt_8aG_000030
    """
    from pipelines.publish.explain import explain
    from shards import terminal
    from shards.reader import Dataset

    stories = explain(Dataset(dataset), item)
    if as_json:
        terminal.out_json([asdict(story) for story in stories])
        return
    for story in stories:
        terminal.out(story.title, bold=True)
        for section, facts in story.sections.items():
            terminal.out(f"  {section}", fg="cyan")
            for name, fact in facts.items():
                terminal.out(f"    {name}: {'unknown' if fact is None else fact}")
