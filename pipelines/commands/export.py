"""`avs-data export`."""

import click

from pipelines.commands import options


@click.command()
@options.DATASET
@click.option(
    "--format",
    "layout",
    type=click.Choice(["coco", "fiftyone", "vpo", "avss"]),
    required=True,
    help="The layout to write.",
)
@options.OUT
def command(dataset: str, layout: str, out: str) -> None:
    """Write DATASET (a folder or URL) in another tool's layout, sounds and licences with it.

    \b
    coco      OUT/annotations/instances_SPLIT.json, OUT/SPLIT/images/, OUT/SPLIT/audio/
    fiftyone  OUT/samples.json, metadata.json, data/, audio/; open it with
              fiftyone.Dataset.from_dir(OUT, dataset_type=fiftyone.types.FiftyOneDataset)
    vpo       OUT/VPO/VPO-MS/vpo_ms_data_stereo.csv, data/, mask/ (or VPO-SS, VPO-MSMI), OUT/vggsound_bench/:
              scenes of VPO's 21 classes, as its release has them
    avss      OUT/metadata.csv, label2idx.json, v1s/UID/{frames,labels_semantic,labels_rgb,audio.wav}: scenes
              with class masks, as AVSBench-semantic has them

    OUT is new or empty, or holds what a stopped export left.

    Example: avs-data export out/avs --format coco --out out/avs-coco
    """
    from pipelines.publish.exports import export
    from shards.reader import Dataset
    from shards.terminal import Bars

    with Bars() as bars:
        number, left_out = export(
            Dataset(dataset), layout, out, lambda done, total: bars.show("Writing samples", done, total)
        )
    for why, without in sorted(left_out.items()):
        click.echo(f"left out {without:,}: {why}", err=True)
    click.echo(f"{out}: {number:,} samples")
