"""`avs-data takedown`."""

from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import Command


@click.command(
    cls=Command, kept="the shards that are complete stay in {out}; the same command goes on from them"
)
@options.DATASET
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="ID",
    help="Photo, by image id or any of its names; may be repeated.",
)
@click.option("--video", "videos", multiple=True, metavar="ID", help="Video, by YouTube id; may be repeated.")
@click.option("--reason", required=True, help="Why; recorded with every item and published.")
@options.OUT
@options.JSON
def command(
    dataset: str, images: tuple[str, ...], videos: tuple[str, ...], reason: str, out: str, as_json: bool
) -> None:
    """Write DATASET (a folder, or the URL of a published version) to OUT without some photos or videos.

    Only the shards that held them are written again. A sample whose clip goes hears another clip of its split and
    category, and goes where there is none. Publish OUT as the next patch version; later versions that bring the
    photo or video back are refused.

    Example: avs-data takedown out/avs --video 3Bn-Nt_8aG4 --reason "the owner asked" --out out/avs-1.1.1
    """
    from shards import terminal
    from shards.display import Display

    if not images and not videos:
        raise click.UsageError("name at least one --image or --video")
    stages = {"Read the records": "samples", "Write shards": "shards"}
    title = f"Write {dataset} without {', '.join([*images, *videos])} into {out}"
    with Display(title, stages) as display:
        from pipelines.publish.takedown import takedown
        from shards.reader import Dataset

        made = takedown(Dataset(dataset), out, images, videos, reason, display.show)
    if as_json:
        terminal.out_json({"out": out, **asdict(made)})
        return
    terminal.out(*(f"removed    {sample_id}" for sample_id in made.dropped))
    terminal.out(*(f"removed    {clip_id}, from the pool" for clip_id in made.clips))
    terminal.out(*(f"re-paired  {sample_id}" for sample_id in made.repaired))
    terminal.out(
        f"{out}: {len(made.dropped)} sample(s) and {len(made.clips)} clip(s) removed, {len(made.repaired)} re-paired, "
        f"{len(made.rewritten)} shard(s) rewritten"
    )
