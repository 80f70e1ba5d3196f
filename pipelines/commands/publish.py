"""`avs-data publish`."""

from dataclasses import asdict

import click

from pipelines.commands import options
from shards.command_line import Command


@click.command(
    cls=Command, kept="what is sent stays at {to}, where it is no version yet; the same command goes on"
)
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
@click.option(
    "--judgements",
    metavar="PARQUET",
    default="",
    help="What `judge export` wrote of DATASET, for the card.  [default: DATASET.judgements.parquet, where it is]",
)
@options.WORKERS
@options.SCHEDULER
@options.DRY_RUN
@options.JSON
def command(
    dataset: str,
    version: str,
    to: str,
    licences: str,
    reference_only: str | None,
    held_out: tuple[str, ...],
    corpora: str | None,
    judgements: str,
    workers: int,
    scheduler: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Publish DATASET (a folder) as an immutable version, with card, changelog, croissant.json and attribution.

    The dataset is verified first as by `verify --deep`, a version that is there already by its hashes; afterwards
    everything is read back and hashed. What an earlier version has is copied in the store, not sent. A stopped publish
    resumes where it was. The newest version's name is in URL/latest.json. With --dry-run everything is checked and what
    would be sent is told. A dataset whose training hears a video of a --held-out list is refused.

    \b
    Examples:
      avs-data publish out/avs --version 1.0.0 --to s3://bucket/avs
      avs-data publish out/avs --version 1.0.0 --to hf://datasets/ORG/NAME --licences cc0,cc-by
    """
    from pipelines.commands import sharing
    from shards import terminal
    from shards.display import Display

    names = tuple(sorted({name.strip().lower() for name in licences.split(",") if name.strip()}))
    steps = (
        "Verifying",
        "Writing the documents",
        *(() if dry_run else ("Reusing", "Uploading", "Reading again")),
    )
    with Display(f"Publish {dataset} as {version} at {to}", dict.fromkeys(steps, "bytes")) as display:
        display.show("Verifying")
        from pipelines.publish.edition import Profile
        from pipelines.publish.release import Options, publish
        from pipelines.publish.version import Version

        profile = Profile(names, (reference_only,) if reference_only else ())
        asked = Options(Version.parse(version), to, profile, held_out, corpora, judgements, workers, dry_run)
        report = publish(dataset, asked, display.show, sharing.pool(scheduler, dataset))
    sent = report.sent
    if as_json:
        files = {"files": len(report.publication.files), "bytes": report.publication.bytes}
        changed = {"since": report.diff.a, "changes": report.diff.counts()} if report.diff else None
        terminal.out_json(
            {"url": report.url, "state": report.state, **files, **asdict(sent), "changed": changed}
        )
        return
    terminal.out(
        f"{report.url}: {report.state}; {len(report.publication.files)} files, {report.publication.bytes:,} bytes: "
        f"{sent.uploaded:,} {'to upload' if dry_run else 'uploaded'}, {sent.reused:,} reused, "
        f"{sent.present:,} there already"
    )
    if report.diff:
        told = ", ".join(f"{sum(counts.values()):,} {kind}" for kind, counts in report.diff.counts().items())
        terminal.out(
            f"since {report.diff.a}: {told or 'no sample changed'}; {report.diff.unchanged:,} unchanged"
        )
