"""Everything that an edition has beside its shards and tables, made from the dataset and the version before."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.publish import attribution, availability, card, changelog, croissant, records
from pipelines.publish.diff import Diff, diff
from pipelines.publish.edition import File, Profile
from pipelines.publish.profiles import AnyDataset
from pipelines.stats import write_stats
from shards import storage, text
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
) -> tuple[list[File], Diff | None]:
    """The documents, and what changed since the version before.

    Args:
        files: the edition's shards and tables.
        url: where the version will be.
        corpora: where `avs-data fetch` put the sources; its ledger becomes the availability snapshot.
    """
    rows, corpora_counts = [], Counter[str]()
    for _, record in records.records(dataset, dataset.table()):
        rows += attribution.rows(record)
        corpora_counts[record["image"]["corpus"]] += 1
    found = {attribution.ATTRIBUTION: attribution.table(rows)}
    alive = availability.snapshot(corpora) if corpora else None
    if alive:
        found[availability.AVAILABILITY] = alive
    found[STATISTICS] = _statistics(dataset, profile)
    if takedowns:
        found[TAKEDOWNS] = dump(takedowns)
    licences = dataset.table(columns=["image_licence", "audio_licence"])
    facts = card.Facts(
        manifest=dataset.manifest,
        version=version,
        url=url,
        profile=profile,
        image_licences=card.counted(licences["image_licence"].to_pylist()),
        audio_licences=card.counted(licences["audio_licence"].to_pylist()),
        kinds=card.counted(dataset.table(columns=["kind"])["kind"].to_pylist())
        if dataset.manifest.targets
        else {},
        corpora=dict(sorted(corpora_counts.items())),
        bytes=sum(file.bytes for file in files),
        has_availability=alive is not None,
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
    found["CITATION.cff"] = card.citation(facts).encode()
    made = [File.of(path, content) for path, content in sorted(found.items())]
    described = croissant.croissant(facts, [*files, *made])
    return [*made, File.of(croissant.CROISSANT, described)], changed


def _statistics(dataset: Dataset, profile: Profile) -> bytes:
    """The page of `avs-data stats`; of an edition that leaves media out it shows no samples."""
    with tempfile.TemporaryDirectory(prefix="avs-stats-") as folder:
        pictured = 0 if profile.reference_only else PICTURED
        page = write_stats(dataset.url, storage.join(folder, "stats"), pictured, lambda *_: None)
        return storage.read_bytes(page)
