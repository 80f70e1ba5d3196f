"""`avs-data takedown`."""

import click

from pipelines.commands import options


@click.command()
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
def command(dataset: str, images: tuple[str, ...], videos: tuple[str, ...], reason: str, out: str) -> None:
    """Write DATASET (a folder, or the URL of a published version) to OUT without some photos or videos.

    Only the shards that held them are written again. A sample whose clip goes hears another clip of its split and
    category, and goes where there is none. Publish OUT as the next patch version; later versions that bring the
    photo or video back are refused.

    Example: avs-data takedown out/avs --video 3Bn-Nt_8aG4 --reason "the owner asked" --out out/avs-1.1.1
    """
    from pipelines.publish.takedown import takedown
    from shards.reader import Dataset

    if not images and not videos:
        raise click.UsageError("name at least one --image or --video")
    made = takedown(Dataset(dataset), out, images, videos, reason)
    for sample_id in made.dropped:
        click.echo(f"removed    {sample_id}")
    for sample_id in made.repaired:
        click.echo(f"re-paired  {sample_id}")
    click.echo(
        f"{out}: {len(made.dropped)} removed, {len(made.repaired)} re-paired, {len(made.rewritten)} shard(s) rewritten"
    )
