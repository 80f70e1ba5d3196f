"""`avs-data export`."""

import click

from pipelines.commands import options
from shards.command_line import Command


@click.command(cls=Command, kept="what is written in {out} is not complete; the same command begins again")
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
    from shards import terminal
    from shards.display import Display

    with Display(
        f"Write {dataset} in the layout of {layout} into {out}", {"Write samples": "samples"}
    ) as display:
        from pipelines.publish.exports import export
        from shards.reader import Dataset

        number, left_out = export(
            Dataset(dataset), layout, out, lambda done, total: display.show("Write samples", done, total)
        )
    for why, without in sorted(left_out.items()):
        terminal.warn(f"left out {without:,}: {why}")
    terminal.out(f"{out}: {number:,} samples")
