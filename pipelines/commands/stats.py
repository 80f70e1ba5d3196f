"""`avs-data stats`: a dataset at a glance."""

import shlex

import click

from pipelines.commands import options
from shards.command_line import Command


@click.command(cls=Command, kept="the page is not complete; the same command begins again")
@options.DATASET
@click.option(
    "--out", metavar="DIR", help="Folder or URL to write to, not inside DATASET.  [default: DATASET.stats]"
)
@click.option(
    "--samples",
    type=click.IntRange(0, 500),
    default=24,
    show_default=True,
    help="Samples on the contact sheet.",
)
def command(dataset: str, out: str | None, samples: int) -> None:
    """Write a page and plots about DATASET, a folder or URL that `avs-data build` has finished.

    \b
    OUT/index.html            one self-contained page: samples per class and split,
                              mask areas, clip lengths, the funnel, and samples to
                              look at and listen to
    OUT/contact_sheet.png     the same samples as one picture
    OUT/samples_per_class.png, mask_area.png, duration.png, funnel.png

    Media are read for the samples on the contact sheet only.

    Example: avs-data stats out/demo
    """
    from shards import terminal
    from shards.display import Display

    counted = {"Draw the plots": "plots", "Read the samples": "samples"}
    stages = {"Read the tables": "", **counted, "Write the page": ""}
    with Display(f"Draw {dataset}", stages) as display:
        display.show("Read the tables")
        from pipelines.judge.quality import beside
        from pipelines.stats import write_stats

        page = write_stats(dataset, out, samples, display.show, beside(dataset))
    terminal.out(page)
    terminal.say(f"To look at its samples: avs-data browse {shlex.quote(dataset)}")
