"""Everything that an edition has beside its shards and tables, made from the dataset and the version before."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.judge import results
from pipelines.judge.quality import Quality
from pipelines.judge.results import Results
from pipelines.publish import attribution, availability, card, changelog, citation, croissant, records
from pipelines.publish.diff import Diff, diff
from pipelines.publish.edition import File, Profile
from pipelines.publish.facts import Facts, counted
from pipelines.publish.profiles import AnyDataset
from pipelines.stats import write_stats
from pipelines.stats.report import SHEET
from shards import storage, text
from shards.manifest import HeldOutList
from shards.reader import Dataset
from shards.takedowns import TAKEDOWNS, Takedown, dump

CHANGELOG = "CHANGELOG.md"
STATISTICS = "statistics.html"
PICTURED = 24  # samples on the statistics page


@dataclass(frozen=True)
class Before:
    """The version that comes before: its number, and the URL of its files."""

    version: str
    url: str


def documents(
    dataset: Dataset,
    files: Sequence[File],
    *,
    version: str,
    url: str,
    profile: Profile,
    before: Before | None,
    takedowns: Sequence[Takedown],
    corpora: str | None,
    checked: Sequence[HeldOutList],
    judged: tuple[Quality, Results] | None,
) -> tuple[list[File], Diff | None]:
    """The documents, and what changed since the version before.

    Args:
        files: the edition's shards and tables.
        url: where the version will be.
        corpora: where `avs-data fetch` put the sources; its ledger becomes the availability snapshot.
        checked: lists of videos none of which its training hears, as was found before it was published.
        judged: what people who looked at samples of it found.
    """
    rows = [
        row for _, record in records.records(dataset, dataset.table()) for row in attribution.rows(record)
    ]
    photos = list({row["key"]: row for row in rows}.values())  # one row a sample
    clips = [row for row in rows if row["clip_id"]]
    found = {attribution.ATTRIBUTION: attribution.table(rows)}
    alive = availability.snapshot(corpora) if corpora else None
    if alive:
        found[availability.AVAILABILITY] = alive
    quality = judged[0] if judged else None
    found |= _statistics(dataset, profile, quality)
    if judged:
        found[results.PUBLISHED] = results.dump(judged[1])
    if takedowns:
        found[TAKEDOWNS] = dump(takedowns)
    facts = Facts(
        manifest=dataset.manifest,
        version=version,
        url=url,
        profile=profile,
        kinds=counted(dataset.table(columns=["kind"])["kind"].to_pylist())
        if dataset.manifest.targets
        else {},
        mask_sources=counted(dataset.table(columns=["mask_source"])["mask_source"].to_pylist())
        if dataset.manifest.mask_sources
        else {},
        image_licences=counted([row["image_licence"] for row in photos]),
        audio_licences=counted([row["audio_licence"] for row in clips]),
        image_corpora=counted([row["mask_corpus"] for row in photos]),
        audio_corpora=counted([row["clip_id"].partition(":")[0] for row in clips]),
        known={
            name: sum(row[name] is not None for row in (photos if name.startswith("image") else clips))
            for name in ("image_author", "image_page", "image_url", "audio_author", "audio_url")
        },
        clips=len(clips),
        picture=SHEET if SHEET in found else "",
        bytes=sum(file.bytes for file in files),
        has_availability=alive is not None,
        checked=tuple(checked),
        quality=quality,
    )
    changed, old = None, ""
    if before:
        changed = diff(AnyDataset(before.url), dataset, before.version, version)
        found["diff.json"] = (json.dumps(changed.plain(), indent=1, ensure_ascii=False) + "\n").encode()
        log = storage.join(before.url, CHANGELOG)
        old = text.read_text(log) if storage.exists(log) else ""
    section = changelog.entry(version, changed, facts.samples, len(facts.categories))
    found[CHANGELOG] = changelog.prepend(section, old).encode()
    found["README.md"] = card.card(facts).encode()
    found[card.LICENCES] = card.licences(facts).encode()
    found["CITATION.cff"] = citation.citation(facts).encode()
    made = [File.of(path, content) for path, content in sorted(found.items())]
    described = croissant.croissant(facts, [*files, *made])
    return [*made, File.of(croissant.CROISSANT, described)], changed


def _statistics(dataset: Dataset, profile: Profile, quality: Quality | None) -> dict[str, bytes]:
    """The page of `avs-data stats` and its picture; an edition that leaves media out shows no samples."""
    with tempfile.TemporaryDirectory(prefix="avs-stats-") as folder:
        pictured = 0 if profile.reference_only else PICTURED
        page = write_stats(dataset.url, storage.join(folder, "stats"), pictured, lambda *_: None, quality)
        found = {STATISTICS: storage.read_bytes(page)}
        if pictured:
            found[SHEET] = storage.read_bytes(storage.join(folder, "stats", SHEET))
        return found
