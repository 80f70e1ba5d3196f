"""`avs-data demo-corpora`: generated corpora to try everything on."""

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipelines.demo.corpora import CLIPS, IMAGES, DemoCorporaError, write_demo_corpora


@click.command()
@click.argument("directory", metavar="DIR")
@click.option(
    "--images", type=click.IntRange(min=1), default=IMAGES, show_default=True, help="Sound photos in all."
)
@click.option(
    "--clips-per-category",
    type=click.IntRange(min=1),
    default=CLIPS,
    show_default=True,
    help="Sound clips of each category.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="Processes.  [default: one a core]")
def command(directory: str, images: int, clips_per_category: int, seed: int, workers: int | None) -> None:
    """Write small generated corpora in the official layouts below DIR.

    Drawn photos of a dozen categories with exact masks in the layouts of LVIS v1 and Open
    Images, and synthesised clips in VGGSound's. One item of each fault is among them: missing,
    truncated, empty, tiny, crowd, group, depiction, non-commercial, silent, short, duplicate.

    DIR is new, empty, or a folder this command wrote before; what is there already and whole
    is left alone, what was left unfinished is written anew.

    Example: avs-data demo-corpora out/demo-corpora
    """
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done)

    try:
        with bar:
            written = write_demo_corpora(
                directory, seed, images, clips_per_category, workers=workers, progress=show
            )
    except (DemoCorporaError, OSError) as error:
        raise click.ClickException(str(error)) from error
    console.print(f"{'Wrote' if written else 'Nothing to do: the same corpora are in'} {directory}")
    click.echo(f"Next: avs-data build demo --corpora {directory} --out DATASET")
