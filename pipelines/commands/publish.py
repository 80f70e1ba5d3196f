"""`avs-data publish`."""

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from pipelines.publish.edition import Profile, PublishError
from pipelines.publish.release import Options, publish
from pipelines.publish.version import Version, VersionError
from shards.manifest import DatasetError


@click.command()
@click.argument("dataset")
@click.option("--version", required=True, help="MAJOR.MINOR.PATCH (semver), above every published one.")
@click.option("--to", required=True, metavar="URL", help="Folder, s3://, gs:// or hf://datasets/ORG/NAME.")
@click.option(
    "--licences",
    default="",
    help="Keep samples under these alone: cc0,cc-by,... (a name without version: any).",
)
@click.option(
    "--reference-only",
    type=click.Choice(["audio"]),
    help="Leave the sounds out: YouTube ids, times and hashes stay; `rehydrate` rebuilds the rest.",
)
@click.option(
    "--held-out",
    multiple=True,
    metavar="CSV",
    help="Refuse if training hears a video of this list's val or test.",
)
@click.option("--corpora", help="The fetched corpora; their ledger becomes the availability snapshot.")
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes that verify."
)
@click.option("--dry-run", is_flag=True, help="Check everything and say what would be sent; write nothing.")
def command(
    dataset: str,
    version: str,
    to: str,
    licences: str,
    reference_only: str | None,
    held_out: tuple[str, ...],
    corpora: str | None,
    workers: int,
    dry_run: bool,
) -> None:
    """Publish DATASET (a folder) as an immutable version, with card, changelog, croissant.json and attribution.

    The dataset is verified first; afterwards everything is read back and checked. What an earlier version has is copied
    in the store, not sent. A stopped publish goes on where it was. The newest version's name is in URL/latest.json.

    \b
    avs-data publish out/avs --version 1.0.0 --to s3://bucket/avs
    avs-data publish out/avs --version 1.0.0 --to hf://datasets/ORG/NAME --licences cc0,cc-by
    """
    names = tuple(sorted({name.strip().lower() for name in licences.split(",") if name.strip()}))
    profile = Profile(names, (reference_only,) if reference_only else ())
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    try:
        options = Options(Version.parse(version), to, profile, held_out, corpora, workers, dry_run)
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Opening", total=None)
            report = publish(
                dataset,
                options,
                lambda what, done, total: bar.update(task, description=what, completed=done, total=total),
            )
    except (PublishError, DatasetError, VersionError) as error:
        raise click.ClickException(str(error)) from error
    sent = report.sent
    click.echo(
        f"{report.url}: {report.state}; {len(report.publication.files)} files, {report.publication.bytes:,} bytes: "
        f"{sent.uploaded:,} {'to upload' if dry_run else 'uploaded'}, {sent.reused:,} reused, "
        f"{sent.present:,} there already"
    )
    if report.diff:
        told = ", ".join(f"{sum(counts.values()):,} {kind}" for kind, counts in report.diff.counts().items())
        click.echo(
            f"since {report.diff.a}: {told or 'no sample changed'}; {report.diff.unchanged:,} unchanged"
        )
