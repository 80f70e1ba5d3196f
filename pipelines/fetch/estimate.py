"""What a fetch will take: items, bytes, hours and disk, before anything is downloaded."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from label_maps import LabelMap
from pipelines.build.index import Progress, index
from pipelines.corpora import registry
from pipelines.corpora.corpus import WEB
from pipelines.fetch import annotations, ledger, plan
from pipelines.fetch.causes import HOUR_S
from pipelines.fetch.http import Client
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.places import named, size_of
from pipelines.fetch.run import Due, due
from pipelines.fetch.store import Store
from pipelines.fetch.zips import GAP
from pipelines.planning import workload
from pipelines.recipes.recipe import Select
from shards import storage

# Means, to plan by: a mask PNG and a clip as they are stored (planning/rates.toml).
_MASK_BYTES = 3_400
_CLIP_BYTES = 180_000
_ARCHIVES = 16  # of a split's masks, by the first digit of the photo's id
_ENTRY_BYTES = 110  # of a zip's directory, a member
_DISK_RATE = (
    40e6  # bytes a second of an archive on this machine, all of whose clips are decoded (docs/performance.md)
)


@dataclass(frozen=True)
class Machine:
    """How this machine fetches: sessions at YouTube, Mbit/s."""

    sessions: int
    mbit_per_s: float

    def seconds(self, bytes: float) -> float:
        return bytes * 8 / (self.mbit_per_s * 1e6)


@dataclass(frozen=True)
class Estimate:
    """One line of a plan. `seconds` are of this kind alone; kinds of different hosts run at the same time.

    `archive_bytes`: of the archives out of which `bytes` are read. `places`: how many of `[fetch.media]` are looked
    into first; then `web_seconds` are what it takes at most where they have nothing.
    """

    what: str
    needed: int
    there: int
    lost: int
    to_fetch: int
    bytes: int
    seconds: float
    limited_by: str  # bandwidth | YouTube's budget | disk; "" where nothing is to fetch
    archive_bytes: int = 0
    places: int = 0
    web_seconds: float = 0.0


@dataclass(frozen=True)
class Forecast:
    """A whole fetch. `exact`: from annotation files, item by item; else from published sizes.

    `copied_bytes`, `copied_seconds`: of the clips to fetch, where they come from a copy instead of YouTube.
    `kept_bytes`: on disk when all is there; archives are not kept.
    """

    lines: tuple[Estimate, ...]
    exact: bool
    categories: int
    copied_bytes: int
    copied_seconds: float
    kept_bytes: int


def counted(
    corpora: str,
    label_map: LabelMap,
    options: FetchOptions,
    select: Select,
    machine: Machine,
    only: Sequence[str] = (),
    progress: Callable[[Progress], None] | None = None,
) -> Forecast:
    """From the annotation files in the folder `corpora`, which is only read."""
    with tempfile.TemporaryDirectory(prefix="avs-index-") as folder:
        tables = index(corpora, folder, progress)
        found = plan.plan(tables.masks, tables.clips, label_map, options, select, corpora)
    latest = {}
    if ledger.exists(corpora):
        with ledger.Ledger(corpora, read_only=True) as rows:
            latest = rows.latest()
    chosen = [item for item in found.items if not only or f"{item.kind.value}s" in only]
    todo = due(chosen, Store(corpora), latest)
    lines = estimate(chosen, todo, options, machine)
    categories = {category for item in found.items if item.kind is Kind.CLIP for category in item.categories}
    stored = sum(Store(corpora).sizes(one.path for one in annotations.files(options)).values())
    lines = [_with_places(line, options, corpora, machine) for line in lines]
    return _forecast(lines, machine, len(categories), stored, exact=True)


def published(
    label_map: LabelMap, options: FetchOptions, machine: Machine, only: Sequence[str] = (), corpora: str = "."
) -> Forecast:
    """From the published sizes of the corpora (planning/published.toml and .csv)."""
    facts, work = workload.facts(), workload.published(label_map, options.corpora)
    wanted = [kind for kind in ("annotations", "photos", "masks", "clips") if not only or kind in only]
    lines: list[Estimate] = []

    def add(
        kind: str, corpus: str, count: float, bytes: float, bound: str = "bandwidth", least_s: float = 0,
        archive_bytes: int = 0,
    ) -> None:  # fmt: skip
        if kind in wanted and corpus in options.corpora and count:
            seconds = machine.seconds(bytes)
            limited = bound if least_s > seconds else "bandwidth"
            line = Estimate(
                f"{corpus} {kind}",
                round(count),
                0,
                0,
                round(count),
                round(bytes),
                max(seconds, least_s),
                limited,
                archive_bytes,
            )
            lines.append(_with_places(line, options, corpora, machine))

    files = Counter(one.corpus for one in annotations.files(options))
    for corpus in options.corpora:
        about, fetching = facts[corpus], registry.get(corpus).fetching
        item_bytes, of_train = fetching.item_bytes if fetching else 0, _of_train(about, options)
        more = sum(
            about.get(f"{role}_bytes", 0) for role in ("boxes", "image_labels") if getattr(options, role)
        )
        add(
            "annotations",
            corpus,
            files[corpus],
            about.get("download_bytes", about["annotation_bytes"]) + more,
        )
        photos, clips = work.photos_of.get(corpus, 0.0) * of_train, work.clips_of.get(corpus, 0.0)
        add("photos", corpus, photos, photos * item_bytes)
        if about.get("mask_files") and work.mask_files:
            needed = round(work.mask_files / _ARCHIVES)
            sizes = {name: _archive_bytes(corpus, f"{name}-masks") for name in options.splits}
            shares = {name: size / sizes.get("train", size) for name, size in sizes.items()}
            read = sum(by_range(round(needed * shares[name]), size) for name, size in sizes.items())
            add("masks", corpus, work.mask_files * of_train, read * _ARCHIVES,
                archive_bytes=sum(sizes.values()) * _ARCHIVES)  # fmt: skip
        budget_s = HOUR_S * clips / (options.youtube.videos_per_hour * machine.sessions)
        add("clips", corpus, clips, clips * item_bytes, "YouTube's budget", budget_s)
    stored = sum(facts[corpus]["annotation_bytes"] for corpus in options.corpora)
    lines.sort(key=lambda line: line.what)
    in_use = [name for name, count in work.candidates.items() if count and name in label_map.hearing]
    return _forecast(lines, machine, len(in_use), stored, exact=False)


def _forecast(
    lines: Sequence[Estimate], machine: Machine, categories: int, annotation_bytes: float, *, exact: bool
) -> Forecast:
    kept = annotation_bytes + sum((line.there + line.to_fetch) * _stored_bytes(line.what) for line in lines)
    copied = sum(line.to_fetch for line in lines if line.what.endswith(" clips")) * _CLIP_BYTES
    return Forecast(tuple(lines), exact, categories, copied, machine.seconds(copied), round(kept))


def _stored_bytes(what: str) -> int:
    """Mean bytes of what a line of a plan counts, as it is stored."""
    corpus, kind = what.split(" ")
    fetching = registry.get(corpus).fetching
    return {
        "photos": fetching.item_bytes if fetching else 0,
        "masks": _MASK_BYTES,
        "clips": _CLIP_BYTES,
    }.get(kind, 0)


def _of_train(facts: dict[str, Any], options: FetchOptions) -> float:
    """How much the chosen splits have, as a multiple of train, whose counts are published."""
    return sum(
        1.0 if split == "train" else facts.get("of_train", {}).get(split, 0.0) for split in options.splits
    )


def estimate(items: Sequence[Item], due: Due, options: FetchOptions, machine: Machine) -> list[Estimate]:
    """Lines by corpus and kind.

    Bytes are means times counts, of masks what is read of their archives; seconds follow from bandwidth and budget.
    """
    needed = Counter(_what(item) for item in items)
    there = Counter(_what(item) for item in (*due.vouched, *due.unknown))
    lost = Counter(_what(item) for item in due.dead)
    lines = []
    for what, count in sorted(needed.items()):
        wanted = [item for item, _, _ in due.wanted if _what(item) == what]
        fetching, archived = registry.get(what.split(" ")[0]).fetching, 0
        size = len(wanted) * (fetching.item_bytes if fetching else 0)
        if wanted and wanted[0].kind is Kind.MASK:
            masks = Counter(item.url for item in wanted)
            sizes = {url: _archive_bytes(what.split(" ")[0], url) for url in masks}
            size, archived = sum(by_range(masks[url], sizes[url]) for url in masks), sum(sizes.values())
        seconds, bound = machine.seconds(size), "bandwidth" if wanted else ""
        if wanted and wanted[0].kind is Kind.CLIP:
            budget_s = HOUR_S * len(wanted) / (options.youtube.videos_per_hour * machine.sessions)
            if budget_s > seconds:
                seconds, bound = budget_s, "YouTube's budget"
        lines.append(
            Estimate(what, count, there[what], lost[what], len(wanted), size, seconds, bound, archived)
        )
    return lines


def by_range(needed: int, size: int) -> int:
    """Bytes that are read of a zip of `size` bytes for some of its masks, which lie in it at random.

    Its directory, the masks, and what lies between two of them where that is less than a request costs.
    """
    members = max(1, size // _MASK_BYTES)
    share = min(1.0, needed / members)
    along = sum(count * share * (1 - share) ** count for count in range(1, GAP // _MASK_BYTES + 1))
    return round(min(size, needed * _MASK_BYTES * (1 + along)) + members * _ENTRY_BYTES)


def _with_places(line: Estimate, options: FetchOptions, corpora: str, machine: Machine) -> Estimate:
    """A line of what is looked for in the places of `[fetch.media]` first."""
    corpus, kind = line.what.split(" ")
    if kind == "annotations" or options.places(corpus) == (WEB,) or not line.to_fetch:
        return line
    found = named(options, corpus, corpora)
    near = far = 0
    client = Client(stall_s=5.0)
    for one in found:
        size = size_of(one, client)
        near, far = (near + size, far) if storage.is_local(one.url) else (near, far + size)
    if not near + far and not all(one.folder for one in found):  # sizes that cannot be had
        far = line.bytes
    near_s, far_s = near / _DISK_RATE, machine.seconds(far)
    return replace(
        line, bytes=far, seconds=near_s + far_s, limited_by="disk" if near_s > far_s else "bandwidth",
        archive_bytes=near + far, places=len(found), web_seconds=line.seconds if WEB in options.places(corpus) else 0.0,
    )  # fmt: skip


def _archive_bytes(corpus: str, url: str) -> int:
    """The mean size of a mask archive of the split that its address names."""
    facts = workload.facts()[corpus]
    split = next((name for name in facts["of_train"] if f"{name}-masks" in url), "")
    return round(facts["masks"] * facts["of_train"].get(split, 1.0) * _MASK_BYTES / _ARCHIVES)


def _what(item: Item) -> str:
    return f"{item.name.partition(':')[0]} {item.kind.value}s"
