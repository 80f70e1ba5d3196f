"""How much there is to do: counted from corpora, or from the corpora's published sizes."""

import csv
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.build import index
from pipelines.build.match import match
from pipelines.planning.rates import Bytes, Kept
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
    matched_masks: float  # in the label map
    mask_files: float  # of those, masks in a file of their own
    photos: float  # with a matched mask
    candidates: float  # pairs of a photo and a category, up to the recipe's cap of each category
    matched_clips: float
    photo_bytes: float = 0
    clip_bytes: float = 0

    @property
    def masks(self) -> float:
        return self.lvis_masks + self.open_images_masks

    def samples(self, kept: Kept) -> float:
        return self.candidates * kept.samples * kept.paired

    def scaled(self, factor: float) -> "Workload":
        """The same mixture, `factor` times as much."""
        means = ("photo_bytes", "clip_bytes")
        return replace(
            self, **{f.name: getattr(self, f.name) * factor for f in fields(self) if f.name not in means}
        )

    def known(self, sizes: Bytes) -> Bytes:
        """`sizes` with the corpora's own means where they were counted."""
        return replace(sizes, photo=self.photo_bytes or sizes.photo, clip=self.clip_bytes or sizes.clip)


def published(label_map: LabelMap, per_class_cap: int = 0) -> Workload:
    """What the categories of a label map have in the published corpora (published.toml, published.csv).

    Args:
        per_class_cap: samples of one category at most; 0: no cap.
    """
    facts = tomllib.loads((HERE / "published.toml").read_text())
    with open(HERE / "published.csv", newline="") as file:
        counts = {(row["source"], row["source_id"]): int(row["count"]) for row in csv.DictReader(file)}
    linked = {
        source: [
            link.source_id for link in label_map.links if link.source == source and label_map.is_used(link)
        ]
        for source in ("lvis", "open_images", "vggsound")
    }
    lvis, open_images = facts["lvis"], facts["open_images"]
    pairs = sum(counts.get(("lvis", label), 0) for label in linked["lvis"])
    all_pairs = sum(count for (source, _), count in counts.items() if source == "lvis")
    lvis_masks = pairs * lvis["masks"] / all_pairs
    masks_per_class = open_images["masks"] / open_images["classes"]
    masks = len(linked["open_images"]) * masks_per_class
    per_category: dict[str, float] = defaultdict(float)
    for link in filter(label_map.is_used, label_map.links):
        if link.source == "open_images":
            per_category[link.category] += masks_per_class / open_images["masks_per_pair"]
        elif link.source == "lvis":
            per_category[link.category] += counts.get((link.source, link.source_id), 0)
    return Workload(
        lvis_masks=lvis["masks"],
        open_images_masks=open_images["masks"],
        clips=facts["vggsound"]["clips"],
        annotation_bytes=sum(each["annotation_bytes"] for each in facts.values()),
        matched_masks=lvis_masks + masks,
        mask_files=masks,
        photos=min(pairs, lvis["photos"]) + min(masks / open_images["masks_per_pair"], open_images["photos"]),
        candidates=_capped(per_category.values(), per_class_cap),
        matched_clips=sum(counts.get(("vggsound", label), 0) for label in linked["vggsound"]),
    )


def counted(
    corpora: str,
    label_map: LabelMap,
    progress: Callable[[index.Progress], None] | None = None,
    per_class_cap: int = 0,
) -> Workload:
    """What the corpora below a folder or URL have: reads all annotations, and the sizes of a few files.

    Args:
        per_class_cap: samples of one category at most; 0: no cap.

    Raises:
        CorpusError: no corpus there, or one that cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = index.index(corpora, folder, progress)
        masks = _matched(found.masks, label_map, "mask_id", "label_id",
                         ["image_id", "image_path", "category", "mask_path"])  # fmt: skip
        clips = _matched(found.clips, label_map, "clip_id", "label", ["clip_path"])
    listed = {corpus: float(count.kept) for corpus, count in found.counts.items()}
    sources = index.sources(corpora)
    return Workload(
        lvis_masks=listed.get("lvis", 0),
        open_images_masks=listed.get("open_images", 0),
        clips=listed.get("vggsound", 0),
        annotation_bytes=sum(storage.size(storage.join(corpora, source.path)) for source in sources),
        matched_masks=len(masks),
        mask_files=len(masks) - masks["mask_path"].null_count,
        photos=len(pc.unique(masks["image_id"])),
        candidates=_capped(
            Counter(masks.group_by(["image_id", "category"]).aggregate([])["category"].to_pylist()).values(),
            per_class_cap,
        ),
        matched_clips=len(clips),
        photo_bytes=_mean_size(corpora, masks["image_path"]),
        clip_bytes=_mean_size(corpora, clips["clip_path"]),
    )


def _capped(pairs: Iterable[float], per_class_cap: int) -> float:
    return sum(min(number, per_class_cap or number) for number in pairs)


def _matched(url: str, label_map: LabelMap, item: str, label_id: str, columns: list[str]) -> pa.Table:
    needed = sorted({*columns, item, label_id, "label", "corpus"} - {"category"})
    parts: list[pa.Table] = []
    with storage.open_read(url) as file:
        for batch in pq.ParquetFile(file).iter_batches(columns=needed):
            kept = match(pa.Table.from_batches([batch]), label_map, item=item, label_id=label_id).kept
            parts.append(kept.select(columns))
    return (
        pa.concat_tables(parts) if parts else pa.table({name: pa.array([], pa.string()) for name in columns})
    )


def _mean_size(corpora: str, paths: Any) -> float:
    """Mean bytes of up to SIZED of the files that are there, evenly spread; 0 where none is."""
    there = pc.unique(paths.drop_null()).to_pylist()
    chosen = there[:: max(1, len(there) // SIZED)]
    return sum(storage.size(storage.join(corpora, path)) for path in chosen) / len(chosen) if chosen else 0.0
