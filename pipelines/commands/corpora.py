"""`avs-data corpora`: which corpora there are, and where their files go."""

from typing import Any

import click

from pipelines.commands import options
from shards.command_line import NOTHING, Command


@click.command(cls=Command, kept=NOTHING)
@click.option(
    "--corpora", metavar="DIR", help="Folder or URL: say of each corpus which annotation files are there."
)
@options.JSON
def command(corpora: str | None, as_json: bool) -> None:
    """List every corpus that can be built from, with its files below the corpora folder.

    Those marked `usual` are fetched and matched where nobody names corpora; a recipe names others with
    corpora = ["lvis", ...]. A package adds a corpus with the entry point group avs_data.corpora.

    Example: avs-data corpora --corpora corpora
    """
    from pipelines.corpora import registry
    from shards import terminal

    listed: list[dict[str, Any]] = [
        {
            "name": corpus.name,
            "title": corpus.title,
            "kind": corpus.kind,
            "usual": corpus.usual,
            "can_be_fetched": bool(corpus.fetching),
            "annotation_licence": corpus.annotation_licence or None,
            "layout": corpus.layout.splitlines(),
            "found": [source.path for source in corpus.sources(corpora)] if corpora else None,
        }
        for corpus in registry.corpora().values()
    ]
    if as_json:
        terminal.out_json(listed)
        return
    for corpus in listed:
        usual = ["usual"] if corpus["usual"] else []
        fetched = "can be fetched" if corpus["can_be_fetched"] else "brought by you"
        licence = f"annotations {corpus['annotation_licence'] or 'of unknown licence'}"
        about = ", ".join([corpus["kind"], *usual, fetched, licence])
        terminal.out(f"{corpus['name']}  {corpus['title']}: {about}", bold=True)
        terminal.out(*(f"    {line}" for line in corpus["layout"]))
        if corpora:
            terminal.out(f"  found: {', '.join(corpus['found']) or 'nothing'}")
