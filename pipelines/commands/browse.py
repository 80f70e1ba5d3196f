"""`avs-data browse`: look at samples."""

import click

from pipelines.commands import options
from shards.command_line import NOTHING, Command


@click.command(cls=Command, kept=NOTHING)
@options.DATASET
@options.HOST
@options.PORT
@options.ALLOW_HOST
@click.option(
    "--no-token",
    is_flag=True,
    help="Let everybody in who reaches the address: all users and programs of this machine, and with another --host "
    "the whole network. They can see and hear the whole dataset.",
)
def command(dataset: str, host: str, port: int, allow_host: tuple[str, ...], no_token: bool) -> None:
    """Look at the samples of DATASET (a folder or a URL: s3://, gs://, hf://) in a browser: photo, mask and sound.

    Prints a link with a token. The page filters by category, split, kind, corpus, licence, area, length and label,
    finds any id, shows everything known of a sample, and what was dropped and why. Nothing is written.

    \b
    Examples:
      avs-data browse out/demo
      avs-data browse hf://datasets/NAME/DATASET --port 0
    """
    from pipelines.browse.app import build_app
    from pipelines.browse.catalogue import Catalogue
    from pipelines.pages.serving import serve
    from shards.reader import Dataset

    catalogue = Catalogue(Dataset(dataset))
    serve(
        lambda: build_app(catalogue),
        name="Samples",
        may="see and hear the whole dataset",
        host=host,
        port=port,
        allow_hosts=allow_host,
        with_token=not no_token,
    )
