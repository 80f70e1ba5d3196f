"""`avs-data export`."""

import click
from rich.console import Console
from rich.progress import Progress

from pipelines.publish.exports import LAYOUTS, export
from shards.manifest import DatasetError
from shards.reader import Dataset


@click.command()
@click.argument("dataset")
@click.option(
    "--format", "layout", type=click.Choice(sorted(LAYOUTS)), required=True, help="The layout to write."
)
@click.option("--out", required=True, help="A new folder.")
def command(dataset: str, layout: str, out: str) -> None:
    """Write DATASET (a folder or URL) in another tool's layout, sounds and licences with it.

    \b
    coco      OUT/annotations/instances_SPLIT.json, OUT/SPLIT/images/, OUT/SPLIT/audio/
    fiftyone  OUT/samples.json, metadata.json, data/, audio/; open it with
              fiftyone.Dataset.from_dir(OUT, dataset_type=fiftyone.types.FiftyOneDataset)
    """
    try:
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Writing samples", total=None)
            number = export(
                Dataset(dataset),
                layout,
                out,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
    except DatasetError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{out}: {number:,} samples")
