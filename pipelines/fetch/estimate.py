"""What a fetch will take: items, bytes, hours and disk, before anything is downloaded."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from label_maps import LabelMap
from pipelines.build.index import Progress, index
from pipelines.corpora import registry
from pipelines.fetch import annotations, ledger, plan
from pipelines.fetch.causes import HOUR_S
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import FetchOptions
from pipelines.fetch.run import Due, due
from pipelines.fetch.store import Store
from pipelines.planning import workload
from pipelines.recipes.recipe import Select

# Means, to plan by: a mask PNG and a clip as they are stored (planning/rates.toml).
_MASK_BYTES = 3_400
_CLIP_BYTES = 180_000
_ARCHIVES = 16  # of a split's masks, by the first digit of the photo's id; each is downloaded in full
_FILES_AT_ONCE = 16


@dataclass(frozen=True)
class Place:
    """How this machine fetches: sessions at YouTube, Mbit/s."""

    sessions: int
    mbit_per_s: float

    def seconds(self, bytes: float) -> float:
        return bytes * 8 / (self.mbit_per_s * 1e6)


@dataclass(frozen=True)
class Estimate:
    """One line of a plan. `seconds` are of this kind alone; kinds of different hosts run at the same time."""

    what: str
    needed: int
    there: int
    lost: int
    to_fetch: int
    bytes: int
    seconds: float
    limited_by: str  # bandwidth | YouTube's budget; "" where nothing is to fetch


@dataclass(frozen=True)
class Forecast:
    """A whole fetch. `exact`: from annotation files, item by item; else from published sizes.

    `copied_bytes`, `copied_seconds`: of the clips to fetch, where they come from a copy instead of YouTube.
    `kept_bytes`, `peak_bytes`: on disk when all is there, and at most meanwhile.
    """

    lines: tuple[Estimate, ...]
    exact: bool
    categories: int
    copied_bytes: int
    copied_seconds: float
    kept_bytes: int
    peak_bytes: int


def counted(
    corpora: str,
    label_map: LabelMap,
    options: FetchOptions,
    select: Select,
    place: Place,
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
    lines = estimate(chosen, todo, options, place)
    categories = {category for item in found.items if item.kind is Kind.CLIP for category in item.categories}
    stored = sum(Store(corpora).sizes(one.path for one in annotations.files(options)).values())
    archived = list(_archived(todo).values())
    return _forecast(lines, place, len(categories), stored, archived, exact=True)


def published(label_map: LabelMap, options: FetchOptions, place: Place, only: Sequence[str] = ()) -> Forecast:
    """From the published sizes of the corpora (planning/published.toml and .csv)."""
    facts, work = workload.facts(), workload.published(label_map, options.corpora)
    wanted = [kind for kind in ("annotations", "photos", "masks", "clips") if not only or kind in only]
    lines: list[Estimate] = []

    def add(
        kind: str, corpus: str, count: float, bytes: float, bound: str = "bandwidth", least_s: float = 0
    ) -> None:
        if kind in wanted and corpus in options.corpora and count:
            seconds = place.seconds(bytes)
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
            )
            lines.append(line)

    files = Counter(one.corpus for one in annotations.files(options))
    archived: list[int] = []
    for corpus in options.corpora:
        about, fetching = facts[corpus], registry.get(corpus).fetching
        item_bytes, of_train = fetching.item_bytes if fetching else 0, _of_train(about, options)
        boxes = about.get("boxes_bytes", 0) if options.boxes else 0
        add(
            "annotations",
            corpus,
            files[corpus],
            about.get("download_bytes", about["annotation_bytes"]) + boxes,
        )
        photos, clips = work.photos_of.get(corpus, 0.0) * of_train, work.clips_of.get(corpus, 0.0)
        add("photos", corpus, photos, photos * item_bytes)
        if about.get("mask_files") and work.mask_files:
            archived = [
                _archive_bytes(corpus, f"{name}-masks") for name in options.splits for _ in range(_ARCHIVES)
            ]
            add("masks", corpus, work.mask_files * of_train, sum(archived))
        budget_s = HOUR_S * clips / (options.youtube.videos_per_hour * place.sessions)
        add("clips", corpus, clips, clips * item_bytes, "YouTube's budget", budget_s)
    stored = sum(facts[corpus]["annotation_bytes"] for corpus in options.corpora)
    lines.sort(key=lambda line: line.what)
    in_use = [name for name, count in work.candidates.items() if count and name in label_map.hearing]
    return _forecast(lines, place, len(in_use), stored, archived, exact=False)


def _forecast(
    lines: Sequence[Estimate], place: Place, categories: int, annotation_bytes: float, archived: list[int],
    *, exact: bool,
) -> Forecast:  # fmt: skip
    kept = annotation_bytes + sum((line.there + line.to_fetch) * _stored_bytes(line.what) for line in lines)
    copied = sum(line.to_fetch for line in lines if line.what.endswith(" clips")) * _CLIP_BYTES
    masks = any(line.what.endswith(" masks") and line.to_fetch for line in lines)
    at_once = sum(sorted(archived, reverse=True)[:_FILES_AT_ONCE]) if masks else 0
    return Forecast(
        tuple(lines), exact, categories, copied, place.seconds(copied), round(kept), round(kept + at_once)
    )


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


def estimate(items: Sequence[Item], due: Due, options: FetchOptions, place: Place) -> list[Estimate]:
    """Lines by corpus and kind.

    Bytes are means times counts, of masks those of their archives; seconds follow from the bandwidth and the budget.
    """
    needed = Counter(_what(item) for item in items)
    there = Counter(_what(item) for item in (*due.vouched, *due.unknown))
    lost = Counter(_what(item) for item in due.dead)
    lines = []
    for what, count in sorted(needed.items()):
        wanted = [item for item, _, _ in due.wanted if _what(item) == what]
        of_masks = bool(wanted) and wanted[0].kind is Kind.MASK
        size = (
            sum(_archived(due).values())
            if of_masks
            else len(wanted)
            * (fetching.item_bytes if (fetching := registry.get(what.split(" ")[0]).fetching) else 0)
        )
        seconds, bound = place.seconds(size), "bandwidth" if wanted else ""
        if wanted and wanted[0].kind is Kind.CLIP:
            budget_s = HOUR_S * len(wanted) / (options.youtube.videos_per_hour * place.sessions)
            if budget_s > seconds:
                seconds, bound = budget_s, "YouTube's budget"
        lines.append(Estimate(what, count, there[what], lost[what], len(wanted), size, seconds, bound))
    return lines


def archives(due: Due) -> list[str]:
    """Addresses of the mask archives that hold what is still needed."""
    return sorted({item.url for item, _, _ in due.wanted if item.kind is Kind.MASK})


def _archived(due: Due) -> dict[str, int]:
    """Bytes of those archives, by address."""
    masks = {item.url: item for item, _, _ in due.wanted if item.kind is Kind.MASK}
    return {url: _archive_bytes(_corpus(item), url) for url, item in masks.items()}


def _archive_bytes(corpus: str, url: str) -> int:
    """The mean size of a mask archive of the split that its address names."""
    facts = workload.facts()[corpus]
    split = next((name for name in facts["of_train"] if f"{name}-masks" in url), "")
    return round(facts["masks"] * facts["of_train"].get(split, 1.0) * _MASK_BYTES / _ARCHIVES)


def _corpus(item: Item) -> str:
    return item.name.partition(":")[0]


def _what(item: Item) -> str:
    return f"{_corpus(item)} {item.kind.value}s"
