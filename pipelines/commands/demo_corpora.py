"""`avs-data demo-corpora`."""

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.demo import write_demo_corpora


@click.command()
@click.argument("folder")
@click.option(
    "--images", type=click.IntRange(20), default=240, show_default=True, help="Drawn photos in all."
)
@click.option(
    "--clips", type=click.IntRange(3), default=12, show_default=True, help="Clips of each category."
)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Another seed gives other pictures and sounds."
)
def command(folder: str, images: int, clips: int, seed: int) -> None:
    """Write generated corpora below FOLDER: lvis/, open_images/ and vggsound/ in their official layouts.

    Twelve categories of drawn objects with exact masks, and a sound for each. A few items are wrong on purpose, so that
    a build has something to reject. The same options give the same bytes.
    """
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Drawing photos", total=None)
        write_demo_corpora(
            folder, seed, images, clips, lambda done, total: bar.update(task, completed=done, total=total)
        )
    click.echo(f"{folder}: {images} photos, {clips} clips of each category")
