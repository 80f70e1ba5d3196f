"""`avs-data publish`."""

import click

from pipelines.commands import options


@click.command()
@options.DATASET
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
@options.HELD_OUT
@click.option(
    "--corpora", metavar="DIR", help="The fetched corpora; their ledger becomes the availability snapshot."
)
@options.WORKERS
@options.DRY_RUN
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
    in the store, not sent. A stopped publish resumes where it was. The newest version's name is in URL/latest.json.
    With --dry-run everything is checked and what would be sent is told. A dataset whose training hears a video of a
    --held-out list is refused.

    \b
    Examples:
      avs-data publish out/avs --version 1.0.0 --to s3://bucket/avs
      avs-data publish out/avs --version 1.0.0 --to hf://datasets/ORG/NAME --licences cc0,cc-by
    """
    from pipelines.publish.edition import Profile
    from pipelines.publish.release import Options, publish
    from pipelines.publish.version import Version
    from shards.terminal import Bars

    names = tuple(sorted({name.strip().lower() for name in licences.split(",") if name.strip()}))
    profile = Profile(names, (reference_only,) if reference_only else ())
    asked = Options(Version.parse(version), to, profile, held_out, corpora, workers, dry_run)
    with Bars("bytes") as bars:
        report = publish(dataset, asked, bars.show)
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
