"""What a recipe's categories need, from the annotation tables: photos, masks with their archives, clips."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from label_maps import LabelMap
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import Clips, FetchOptions
from pipelines.recipes.recipe import Select
from shards import storage
from shards.text import read_rows, read_text

_MASK_COLUMNS = [
    "mask_id", "corpus", "image_id", "image_path", "image_url", "photo_keys", "label_id", "mask_path",
    "annotation_split", "licence", "is_crowd", "is_group_of", "is_depiction",
]  # fmt: skip
_CLIP_COLUMNS = ["clip_id", "corpus", "video_id", "start_s", "label", "clip_path", "licence"]


@dataclass(frozen=True)
class FetchPlan:
    """`items`: by name. `own`: files that the user put under another name; they are used as they are, not fetched."""

    items: tuple[Item, ...]
    own: int
    listed_out: tuple[Item, ...]  # clips that the options' lists exclude


def plan(
    masks: str, clips: str, label_map: LabelMap, options: FetchOptions, select: Select, corpora: str
) -> FetchPlan:
    """Everything that the label map's categories can use and `select`'s rules on labels and licences do not drop.

    Args:
        masks, clips: Parquet files in the schemas MASKS and CLIPS.
        corpora: the folder in which the options' clip lists lie.
    """
    maker = _Maker(options, label_map)
    for row in _rows(masks, _MASK_COLUMNS, "label_id", maker.wanted("lvis", "open_images")):
        if row["corpus"] in options.corpora and not _dropped(row, select):
            maker.mask(row)
    excluded = _excluded(options.clips, corpora)
    for row in _rows(clips, _CLIP_COLUMNS, "label", maker.wanted("vggsound")):
        if row["corpus"] in options.corpora and not (
            select.audio_licences and row["licence"] not in select.audio_licences
        ):
            maker.clip(row, excluded)
    return FetchPlan(
        tuple(sorted(maker.items(), key=lambda item: item.name)), maker.own, tuple(maker.listed_out)
    )


def _rows(path: str, columns: list[str], key: str, wanted: set[str]) -> Iterator[dict[str, Any]]:
    with storage.open_read(path) as file:
        values = pa.array(sorted(wanted), pa.string())
        for batch in pq.ParquetFile(file).iter_batches(columns=columns, use_threads=False):
            yield from batch.filter(pc.is_in(batch.column(key), value_set=values)).to_pylist()


def _dropped(row: Mapping[str, Any], select: Select) -> bool:
    """Whether the build would drop the mask whatever its pixels are."""
    return bool(
        (row["is_crowd"] and not select.crowd)
        or (row["is_group_of"] and not select.group_of)
        or (row["is_depiction"] and not select.depiction)
        or (select.image_licences and row["licence"] not in select.image_licences)
    )


class _Maker:
    def __init__(self, options: FetchOptions, label_map: LabelMap) -> None:
        self._options, self._sources = options, options.sources
        self._category = {
            (link.source, link.source_id): link.category
            for link in label_map.links
            if label_map.is_used(link)
        }
        self._categories: dict[str, set[str]] = defaultdict(set)
        self._found: dict[str, tuple[Kind, str, str, str, float]] = {}
        self._own: set[str] = set()
        self.listed_out: list[Item] = []

    @property
    def own(self) -> int:
        return len(self._own)

    def wanted(self, *sources: str) -> set[str]:
        return {source_id for source, source_id in self._category if source in sources}

    def items(self) -> Iterator[Item]:
        for name, (kind, url, path, photo_key, start_s) in self._found.items():
            yield Item(name, kind, url, path, tuple(sorted(self._categories[name])), photo_key, start_s)

    def mask(self, row: Mapping[str, Any]) -> None:
        category = self._category.get((row["corpus"], row["label_id"]))
        if category is None:
            return
        image_id = row["image_id"].partition(":")[2]
        key = (row["photo_keys"] or [row["image_id"]])[0]
        if row["corpus"] == "lvis":
            folder, name = row["image_url"].rsplit("/", 2)[-2:]
            url, path = f"{self._sources.coco.rstrip('/')}/{folder}/{name}", f"lvis/images/{folder}/{name}"
        else:
            split, name = row["annotation_split"] or "train", f"{image_id}.jpg"
            url = f"{self._sources.open_images_photos.rstrip('/')}/{split}/{quote(name)}"
            path = f"open_images/images/{name}"
            stem = row["mask_id"].partition(":")[2]
            # a mask archive holds the masks of all photos whose id begins with its digit
            folder = f"{self._sources.open_images.rstrip('/')}/v5/{split}-masks"
            archive = f"{folder}/{split}-masks-{image_id[:1].lower()}.zip"
            self._add(
                row["mask_id"],
                Kind.MASK,
                archive,
                f"open_images/masks/{stem}.png",
                row["mask_path"],
                category,
            )
        self._add(row["image_id"], Kind.PHOTO, url, path, row["image_path"], category, key)

    def clip(self, row: Mapping[str, Any], excluded: set[str]) -> None:
        category = self._category.get((row["corpus"], row["label"]))
        if category is None:
            return
        name = row["clip_id"].partition(":")[2]
        url = self._sources.video.format(video_id=quote(row["video_id"], safe=""))
        path = f"vggsound/clips/{name}.flac"
        if {name, row["video_id"]} & excluded:
            self.listed_out.append(
                Item(row["clip_id"], Kind.CLIP, url, path, (category,), "", row["start_s"])
            )
            return
        self._add(row["clip_id"], Kind.CLIP, url, path, row["clip_path"], category, "", row["start_s"])

    def _add(
        self,
        name: str,
        kind: Kind,
        url: str,
        path: str,
        there: str | None,
        category: str,
        key: str = "",
        start_s: float = 0.0,
    ) -> None:
        if there is not None and there != path:
            self._own.add(name)
            return
        self._categories[name].add(category)
        self._found[name] = (kind, url, path, key, start_s)


def _excluded(options: Clips, corpora: str) -> set[str]:
    """Names of clips (`<video>_<start %06d>`) or videos that the lists exclude."""
    names: set[str] = set()
    for path in options.exclude:
        lines = csv.reader(io.StringIO(read_text(storage.join(corpora, path)), newline=""))
        names |= {row[0].strip() for row in lines if row}
    if options.modality_list:
        heard: dict[str, bool] = defaultdict(bool)
        for _, line in read_rows(storage.join(corpora, options.modality_list), ["video_id", "modality"]):
            still = line.get("static_image", "").lower() in ("true", "1", "yes")
            heard[line["video_id"]] |= line["modality"] in options.modalities and not still
        names |= {name for name, keep in heard.items() if not keep}
    return names
