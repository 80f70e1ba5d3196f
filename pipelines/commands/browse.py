"""`avs-data browse`: look at samples."""

import sys

import click

from pipelines.commands import options
from shards.command_line import FOUND_WRONG, NOTHING, Command

_MAY = "see and hear the whole dataset"


@click.command(cls=Command, kept=NOTHING)
@options.DATASET
@click.option(
    "--export",
    "folder",
    metavar="DIR",
    help="Write samples as HTML and media into this folder or URL, instead of serving them; opens from disk.",
)
@click.option(
    "--samples",
    type=click.IntRange(1, 1000),
    default=200,
    show_default=True,
    help="How many to export: picked by hash, spread over the categories.",
)
@options.served(_MAY)
def command(
    dataset: str,
    folder: str | None,
    samples: int,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    no_token: bool,
) -> None:
    """Look at the samples of DATASET (a folder or a URL: s3://, gs://, hf://) in a browser: photo, mask and sound.

    Prints a link with a token. The page filters by category, split, kind, corpus, licence, area, length and label,
    finds any id, shows everything known of a sample, and what was dropped and why. Nothing is written, but for
    --export.

    \b
    Examples:
      avs-data browse out/demo
      avs-data browse hf://datasets/NAME/DATASET --port 0
      avs-data browse out/demo --export out/demo.samples --samples 100
    """
    from pipelines.browse.app import build_app
    from pipelines.browse.catalogue import Catalogue
    from pipelines.browse.export import export
    from pipelines.pages.serving import serve
    from shards import terminal
    from shards.display import Display
    from shards.reader import Dataset

    catalogue = Catalogue(Dataset(dataset))
    if folder is not None:
        with Display(f"Export {dataset}", {"Writing samples": "samples"}) as display:
            page, broken = export(catalogue, folder, samples, display.show)
        terminal.out(page)
        if broken:
            terminal.warn(
                f"{broken} of its samples are broken, and shown as such: `avs-data verify --deep` says all of it"
            )
            sys.exit(FOUND_WRONG)
        return
    serve(
        lambda: build_app(catalogue),
        name="Samples",
        may=_MAY,
        host=host,
        port=port,
        allow_hosts=allow_host,
        with_token=not no_token,
    )
