"""How much there is to do: counted from corpora, or from the corpora's published sizes."""

import csv
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.build import index
from pipelines.build.categorize import categorize
from shards import storage

HERE = Path(__file__).parent
SIZED = 200  # photos and clips whose size is looked up


@dataclass(frozen=True)
class Workload:
    """Numbers of items, and mean bytes of a photo and of a media file (0: not known)."""

    lvis_masks: float  # listed
    open_images_masks: float
    clips: float
    annotation_bytes: float
    categorized_masks: float  # in the label map
    mask_files: float  # of those, masks in a file of their own
    lvis_photos: float  # with a categorized mask
    open_images_photos: float
    candidates: dict[str, float]  # category -> photos with a categorized mask of it
    categorized_clips: float
    photo_bytes: float = 0
    clip_bytes: float = 0

    @property
    def photos(self) -> float:
        return self.lvis_photos + self.open_images_photos

    @property
    def masks(self) -> float:
        return self.lvis_masks + self.open_images_masks

    def scaled(self, factor: float) -> "Workload":
        """The same mixture, `factor` times as much."""
        alone = ("candidates", "photo_bytes", "clip_bytes")
        numbers = {f.name: getattr(self, f.name) * factor for f in fields(self) if f.name not in alone}
        candidates = {name: count * factor for name, count in self.candidates.items()}
        return replace(self, **numbers, candidates=candidates)


@cache
def facts() -> dict[str, Any]:
    """published.toml: by corpus."""
    return tomllib.loads((HERE / "published.toml").read_text())


def published(label_map: LabelMap) -> Workload:
    """What the categories of a label map have in the published corpora (published.toml, published.csv)."""
    sizes = facts()
    with open(HERE / "published.csv", newline="") as file:
        counts = {(row["source"], row["source_id"]): int(row["count"]) for row in csv.DictReader(file)}
    lvis, open_images = sizes["lvis"], sizes["open_images"]
    masks_of_class = open_images["masks"] / open_images["classes"]
    pairs = clips = 0
    masks = 0.0
    candidates: dict[str, float] = defaultdict(float)
    for link in filter(label_map.is_used, label_map.links):
        count = counts.get((link.source, link.source_id), 0)
        if link.source == "lvis":
            pairs += count
            candidates[link.category] += count
        elif link.source == "open_images":
            masks += masks_of_class
            candidates[link.category] += masks_of_class / open_images["masks_per_pair"]
        elif link.source == "vggsound":
            clips += count
    all_pairs = sum(count for (source, _), count in counts.items() if source == "lvis")
    lvis_masks = pairs * lvis["masks"] / all_pairs
    return Workload(
        lvis_masks=lvis["masks"],
        open_images_masks=open_images["masks"],
        clips=sizes["vggsound"]["clips"],
        annotation_bytes=sum(each["annotation_bytes"] for each in sizes.values()),
        categorized_masks=lvis_masks + masks,
        mask_files=masks,
        lvis_photos=min(pairs, lvis["photos"]),
        open_images_photos=min(masks / open_images["masks_per_pair"], open_images["photos"]),
        candidates=dict(candidates),
        categorized_clips=clips,
    )


def counted(
    corpora: str, label_map: LabelMap, progress: Callable[[index.Progress], None] | None = None
) -> Workload:
    """What the corpora below a folder or URL have: reads all annotations, and the sizes of a few files.

    Raises:
        CorpusError: no corpus there, or one that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = index.index(corpora, folder, progress)
        masks = _categorized(found.masks, label_map, "mask_id", "label_id",
                         ["image_id", "image_path", "category", "mask_path"])  # fmt: skip
        clips = _categorized(found.clips, label_map, "clip_id", "label", ["clip_path"])
    pairs = masks.group_by(["image_id", "category"]).aggregate([])
    photos = Counter(image.partition(":")[0] for image in pc.unique(masks["image_id"]).to_pylist())
    listed = {corpus: float(count.kept) for corpus, count in found.counts.items()}
    sources = index.sources(corpora)
    return Workload(
        lvis_masks=listed.get("lvis", 0),
        open_images_masks=listed.get("open_images", 0),
        clips=listed.get("vggsound", 0),
        annotation_bytes=sum(storage.size(storage.join(corpora, source.path)) for source in sources),
        categorized_masks=len(masks),
        mask_files=len(masks) - masks["mask_path"].null_count,
        lvis_photos=photos["lvis"],
        open_images_photos=photos["open_images"],
        candidates=dict(Counter(pairs["category"].to_pylist())),
        categorized_clips=len(clips),
        photo_bytes=_mean_size(corpora, masks["image_path"]),
        clip_bytes=_mean_size(corpora, clips["clip_path"]),
    )


def _categorized(url: str, label_map: LabelMap, item: str, label_id: str, columns: list[str]) -> pa.Table:
    needed = sorted({*columns, item, label_id, "label", "corpus"} - {"category"})
    parts: list[pa.Table] = []
    with storage.open_read(url) as file:
        for batch in pq.ParquetFile(file).iter_batches(columns=needed):
            kept = categorize(pa.Table.from_batches([batch]), label_map, item=item, label_id=label_id).kept
            parts.append(kept.select(columns))
    return (
        pa.concat_tables(parts) if parts else pa.table({name: pa.array([], pa.string()) for name in columns})
    )


def _mean_size(corpora: str, paths: Any) -> float:
    """Mean bytes of up to SIZED of the files that are there, evenly spread; 0 where none is."""
    there = pc.unique(paths.drop_null()).to_pylist()
    chosen = there[:: max(1, len(there) // SIZED)]
    return sum(storage.size(storage.join(corpora, path)) for path in chosen) / len(chosen) if chosen else 0.0
