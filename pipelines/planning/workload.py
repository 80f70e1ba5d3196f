"""How much there is to do: counted from corpora, or from the corpora's published sizes."""

import csv
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from label_maps import LabelMap
from pipelines.build import index
from pipelines.build.categorize import categorize_clips, categorize_masks
from pipelines.build.merge import name_photographs
from pipelines.build.outcome import Outcome
from pipelines.corpora import registry
from pipelines.recipes.recipe import HUMAN
from shards import storage, tables

HERE = Path(__file__).parent
_MASK_COLUMNS = [
    "mask_id", "corpus", "label_id", "label", "image_id", "image_path", "mask_path", "mask_source",
    "photo_keys",
]  # fmt: skip
_CLIP_COLUMNS = ["clip_id", "corpus", "label_ids", "labels", "clip_path"]
SIZED = 200  # photos and clips whose size is looked up


@dataclass(frozen=True)
class Workload:
    """Numbers of items, and mean bytes of a photo and of a media file (0: not known)."""

    listed: dict[str, float]  # corpus -> masks or clips
    masks: float  # listed
    clips: float
    annotation_bytes: float
    categorized_masks: float  # in the label map
    mask_files: float  # of those, masks in a file of their own
    photos_of: dict[str, float]  # corpus -> photos with a categorized mask; what two share is counted for one
    candidates: dict[str, float]  # category -> photos with a categorized mask of it
    clips_in: dict[str, dict[str, float]]  # corpus -> category -> categorized clips
    photo_bytes: float = 0
    clip_bytes: float = 0

    @property
    def photos(self) -> float:
        return sum(self.photos_of.values())

    @property
    def clips_of(self) -> dict[str, float]:
        """Corpus -> categorized clips."""
        return {name: sum(count.values()) for name, count in self.clips_in.items()}

    @property
    def categorized_clips(self) -> float:
        return sum(self.clips_of.values())

    def by_category(self) -> dict[str, dict[str, Any]]:
        """Of each category that has photos and clips: `photos`, and `clips` by corpus."""
        found: dict[str, dict[str, Any]] = {
            category: {
                "photos": round(count),
                "clips": {name: round(of[category]) for name, of in self.clips_in.items() if category in of},
            }
            for category, count in sorted(self.candidates.items())
        }
        return {category: has for category, has in found.items() if has["photos"] and has["clips"]}

    def scaled(self, factor: float) -> "Workload":
        """The same mixture, `factor` times as much."""

        def grown(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: grown(count) for name, count in value.items()}
            return value * factor

        names = [f.name for f in fields(self) if f.name not in ("photo_bytes", "clip_bytes")]
        return replace(self, **{name: grown(getattr(self, name)) for name in names})


@cache
def facts() -> dict[str, Any]:
    """published.toml: by corpus."""
    return tomllib.loads((HERE / "published.toml").read_text())


def published(label_map: LabelMap, names: Iterable[str] = ()) -> Workload:
    """What the categories of a label map have in the published corpora (published.toml, published.csv).

    Args:
        names: of the corpora to count; none: those that are taken where nobody names any.
    """
    wanted = set(names) or {*registry.names("images", usual=True), *registry.names("sounds", usual=True)}
    label_map = label_map.of_sources(wanted)
    sizes = {name: about for name, about in facts().items() if name in wanted}
    with open(HERE / "published.csv", newline="") as file:
        counts = {(row["source"], row["source_id"]): int(row["count"]) for row in csv.DictReader(file)}
    pairs: Counter[str] = Counter()  # corpus -> (photo, label)
    clips: dict[str, Counter[str]] = defaultdict(Counter)
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(lambda: defaultdict(float))
    spaces = registry.shared_id_spaces(sizes)
    for link in filter(label_map.is_used, label_map.links):
        if link.source not in sizes:
            continue
        about, count = sizes[link.source], counts.get((link.source, link.source_id), 0)
        if label_map.is_sound(link):
            count = about["clips"] // about["labels"] if "labels" in about else count
            clips[link.source][link.category] += count
            continue
        if "classes" in about:  # no counts per class: each has the mean
            count = about["masks"] / about["classes"] / about["masks_per_pair"]
        pairs[link.source] += count
        found[link.category, spaces.get(link.source, link.source)][link.source] += count
    # Of corpora that share photos, all are taken to be among those of the one that has most: LVIS's are COCO's.
    candidates: dict[str, float] = defaultdict(float)
    for (category, _), by_corpus in found.items():
        candidates[category] += max(by_corpus.values())
    photos = {name: min(count, sizes[name]["photos"]) for name, count in pairs.items()}
    for space in set(spaces.values()):
        smaller = sorted((name for name in photos if spaces.get(name) == space), key=photos.__getitem__)
        largest = smaller.pop() if smaller else ""
        if smaller:
            photos[largest] = max(0.0, photos[largest] - sum(photos[name] for name in smaller))
    masks = {name: pairs[name] * _masks_per_pair(name, sizes[name], counts) for name in pairs}
    listed = {name: float(about.get("masks") or about["clips"]) for name, about in sizes.items()}
    return Workload(
        listed=listed,
        masks=sum(about.get("masks", 0) for about in sizes.values()),
        clips=sum(about.get("clips", 0) for about in sizes.values()),
        annotation_bytes=sum(each["annotation_bytes"] for each in sizes.values()),
        categorized_masks=sum(masks.values()),
        mask_files=sum(count for name, count in masks.items() if sizes[name].get("mask_files")),
        photos_of=photos,
        candidates=dict(candidates),
        clips_in={name: dict(count) for name, count in clips.items()},
    )


def _masks_per_pair(name: str, about: dict[str, Any], counts: dict[tuple[str, str], int]) -> float:
    if "masks_per_pair" in about:
        return float(about["masks_per_pair"])
    return float(about["masks"] / sum(count for (source, _), count in counts.items() if source == name))


def counted(
    corpora: str,
    label_map: LabelMap,
    progress: Callable[[index.Progress], None] | None = None,
    names: Iterable[str] = (),
    mask_sources: tuple[str, ...] = (HUMAN,),
) -> Workload:
    """What the corpora below a folder or URL have: reads all annotations, and the sizes of a few files.

    Raises:
        CorpusError: no corpus there, or one that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = index.index(corpora, folder, progress, names)
        of_masks = partial(categorize_masks, mask_sources=mask_sources)
        masks = _categorized(found.masks, of_masks, label_map, _MASK_COLUMNS)
        clips = _categorized(found.clips, categorize_clips, label_map, _CLIP_COLUMNS)
    masks = name_photographs(masks, registry.shared_id_spaces(found.counts))
    pairs = masks.group_by(["photograph", "category"]).aggregate([])
    photos = masks.group_by("photograph").aggregate([("corpus", "max")])["corpus_max"]
    listed = {corpus: float(count.kept) for corpus, count in found.counts.items()}
    sources = index.sources(corpora, names)

    def rows(unit: str) -> float:
        return sum(count for corpus, count in listed.items() if index.unit(corpus) == unit)

    return Workload(
        listed=listed,
        masks=rows("masks"),
        clips=rows("clips"),
        annotation_bytes=sum(storage.size(storage.join(corpora, source.path)) for source in sources),
        categorized_masks=len(masks),
        mask_files=len(masks) - masks["mask_path"].null_count,
        photos_of={name: float(count) for name, count in Counter(photos.to_pylist()).items()},
        candidates=dict(Counter(pairs["category"].to_pylist())),
        clips_in={
            name: {
                category: float(count) for category, count in Counter(found["category"].to_pylist()).items()
            }
            for name in pc.unique(clips["corpus"]).to_pylist()
            for found in [clips.filter(pc.equal(clips["corpus"], name))]
        },
        photo_bytes=_mean_size(corpora, masks["image_path"]),
        clip_bytes=_mean_size(corpora, clips["clip_path"]),
    )


def _categorized(
    url: str, categorized: Callable[[pa.Table, LabelMap], Outcome], label_map: LabelMap, columns: list[str]
) -> pa.Table:
    """The rows of a table that the label map knows, with their category."""
    with storage.open_read(url) as file:
        table = tables.parquet(file)
        parts = [categorized(table.schema_arrow.empty_table().select(columns), label_map).kept]
        for batch in table.iter_batches(columns=columns, use_threads=False):
            parts.append(categorized(pa.Table.from_batches([batch]), label_map).kept)
    return pa.concat_tables(parts)


def _mean_size(corpora: str, paths: Any) -> float:
    """Mean bytes of up to SIZED of the files that are there, evenly spread; 0 where none is."""
    there = pc.unique(paths.drop_null()).to_pylist()
    chosen = there[:: max(1, len(there) // SIZED)]
    return sum(storage.size(storage.join(corpora, path)) for path in chosen) / len(chosen) if chosen else 0.0
