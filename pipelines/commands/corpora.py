"""`avs-data corpora`: which corpora there are, and where their files go."""

import click


@click.command()
@click.option(
    "--corpora", metavar="DIR", help="Folder or URL: say of each corpus which annotation files are there."
)
def command(corpora: str | None) -> None:
    """List every corpus that can be built from, with its files below the corpora folder.

    Those marked `usual` are fetched and matched where nobody names corpora; a recipe names others with
    corpora = ["lvis", ...]. A package adds a corpus with the entry point group avs_data.corpora.

    Example: avs-data corpora --corpora corpora
    """
    from pipelines.corpora import registry

    for corpus in registry.corpora().values():
        about = ", ".join(
            [
                corpus.kind,
                *(["usual"] if corpus.usual else []),
                "can be fetched" if corpus.fetching else "brought by you",
                f"annotations {corpus.annotation_licence or 'of unknown licence'}",
            ]
        )
        click.echo(f"{click.style(corpus.name, bold=True)}  {corpus.title}: {about}")
        for line in corpus.layout.splitlines():
            click.echo(f"    {line}")
        if corpora:
            found = [source.path for source in corpus.sources(corpora)]
            click.echo(f"  found: {', '.join(found) or 'nothing'}")
