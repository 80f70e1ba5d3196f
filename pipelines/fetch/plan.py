"""What a recipe's categories need, from the annotation tables: photos, masks with their archives, clips."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from label_maps import LabelMap
from pipelines.build.categorize import categorize_clips, categorize_masks
from pipelines.build.outcome import Outcome
from pipelines.corpora import registry
from pipelines.corpora.corpus import Need
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.options import Clips, FetchOptions
from pipelines.recipes.recipe import Select
from shards import storage, tables
from shards.text import read_rows, read_text

_MASK_COLUMNS = [
    "mask_id", "corpus", "image_id", "image_path", "image_url", "photo_keys", "label_id", "label", "mask_path",
    "mask_source", "annotation_split", "licence", "is_crowd", "is_group_of", "is_depiction",
]  # fmt: skip
_CLIP_COLUMNS = [
    "clip_id", "corpus", "video_id", "start_s", "label_ids", "labels", "clip_path", "licence", "official_split",
]  # fmt: skip


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
    maker = _Maker(options)
    wanted = [registry.get(name) for name in options.corpora]
    of_kind = {kind: [one.name for one in wanted if one.kind == kind] for kind in ("images", "sounds")}
    drawn = partial(categorize_masks, label_map=label_map, mask_sources=select.mask_sources)
    for row in _rows(masks, _MASK_COLUMNS, of_kind["images"], drawn):
        if not _dropped(row, select):
            maker.add(row)
    excluded = _excluded(options.clips, corpora)
    for row in _rows(clips, _CLIP_COLUMNS, of_kind["sounds"], partial(categorize_clips, label_map=label_map)):
        if not (select.audio_licences and row["licence"] not in select.audio_licences):
            maker.add(row, excluded)
    return FetchPlan(
        tuple(sorted(maker.items(), key=lambda item: item.name)), maker.own, tuple(maker.listed_out)
    )


def _rows(
    path: str, columns: list[str], names: list[str], matched: Callable[[pa.Table], Outcome]
) -> Iterator[dict[str, Any]]:
    """Rows of some corpora that the label map knows, with their category."""
    with storage.open_read(path) as file:
        for batch in tables.parquet(file).iter_batches(columns=columns, use_threads=False):
            table = pa.Table.from_batches([batch])
            yield from matched(
                table.filter(pc.is_in(table["corpus"], value_set=pa.array(names, pa.string())))
            ).kept.to_pylist()


def _dropped(row: Mapping[str, Any], select: Select) -> bool:
    """Whether the build would drop the mask whatever its pixels are."""
    return bool(
        (row["is_crowd"] and not select.crowd)
        or (row["is_group_of"] and not select.group_of)
        or (row["is_depiction"] and not select.depiction)
        or (select.image_licences and row["licence"] not in select.image_licences)
    )


class _Maker:
    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._categories: dict[str, set[str]] = defaultdict(set)
        self._found: dict[str, Need] = {}
        self._own: set[str] = set()
        self.listed_out: list[Item] = []

    @property
    def own(self) -> int:
        return len(self._own)

    def items(self) -> Iterator[Item]:
        """Each file once: what another corpus needs at a place where this one reads it, too, is that one's."""
        at = {need.path: name for name, need in self._found.items()}
        categories = {name: set(found) for name, found in self._categories.items()}
        for name, need in self._found.items():
            if need.also_at in at:
                categories[at[need.also_at]] |= self._categories[name]
        for name, need in self._found.items():
            if need.also_at not in at:
                yield _item(need, categories[name])

    def add(self, row: Mapping[str, Any], excluded: Container[str] = ()) -> None:
        """What a row of MASKS or CLIPS with a category needs; `excluded`: clips and videos to leave out."""
        fetching = registry.get(row["corpus"]).fetching
        for need in fetching.needs(row, self._options.addresses) if fetching else ():
            if need.kind == "clip" and (
                need.name.partition(":")[2] in excluded or row["video_id"] in excluded
            ):
                self.listed_out.append(_item(need, {row["category"]}))
            elif need.there is not None and need.there != need.path:
                self._own.add(need.name)
            else:
                self._categories[need.name].add(row["category"])
                self._found[need.name] = need


def _item(need: Need, categories: set[str]) -> Item:
    return Item(
        need.name,
        Kind(need.kind),
        need.url,
        need.path,
        tuple(sorted(categories)),
        need.photo_key,
        need.start_s,
    )


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
