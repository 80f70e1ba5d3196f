"""`avs-data demo-corpora`: generated corpora to try everything on."""

import click

from pipelines.commands import options
from shards.command_line import Command

STAGES = ("LVIS photos", "Open Images photos", "VGGSound clips", "COCO photos", "Other clips")


@click.command(cls=Command, kept="the folders in {out} that are complete stay; the same command goes on")
@options.OUT
@click.option(
    "--images", type=click.IntRange(min=1), default=240, show_default=True, help="Usable photos in all."
)
@click.option(
    "--clips-per-category",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Usable clips of each category.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@options.WORKERS
def command(out: str, images: int, clips_per_category: int, seed: int, workers: int) -> None:
    """Write small generated corpora in the official layouts to the local folder OUT.

    Drawn photos of a dozen categories with exact masks in the layouts of LVIS v1, Open Images and
    COCO, and synthesised clips in those of VGGSound, AudioSet, FSD50K and ESC-50, and a folder of
    your own. One item of each fault is among them: missing,
    truncated, empty, tiny, crowd, group, depiction, non-commercial, silent, short, duplicate.

    OUT is new, empty, or a folder this command wrote before; what is complete stays, what was
    left unfinished is written anew.

    Example: avs-data demo-corpora --out out/demo-corpora
    """
    from shards import terminal
    from shards.display import Display

    stages = {name: name.split()[-1] for name in STAGES}
    with Display(f"Draw corpora into {out}", stages) as display:
        from pipelines.demo.corpora import write_demo_corpora

        written = write_demo_corpora(
            out, seed, images, clips_per_category, workers=workers, progress=display.show
        )
    terminal.say(f"{'Wrote' if written else 'Nothing to do: the same corpora are in'} {out}")
    terminal.say(f"Next: avs-data build demo --corpora {out} --out DATASET")
