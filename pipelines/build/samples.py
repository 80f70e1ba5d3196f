"""Stage shard: the photo, the mask, the sound and the record of every sample of one shard."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pyarrow as pa

from label_maps import LabelMap
from pipelines.build import decoded
from pipelines.build.code import code_versions
from pipelines.build.decoded import Decoded
from pipelines.build.outcome import Outcome
from pipelines.build.pool import label_link
from pipelines.media import images, masks
from pipelines.recipes.recipe import Recipe
from shards import parts, records, storage
from shards.reader import read_clip
from shards.records import ClipRecord, SampleRecord
from shards.rejections import Reason
from shards.writer import Content


def shard_samples(
    table: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap, decoded_url: str = ""
) -> Outcome:
    """Write one shard of paired samples; kept rows are `shards.tables.SAMPLES`. `decoded_url`: see `decoded.load`."""
    known = decoded.load(decoded_url)

    def encode(row: dict[str, Any]) -> parts.Encoded:
        source, photo = read_photo(row, corpora, known)
        mask = Content.of(masks.to_png({"size": [row["height"], row["width"]], "counts": row["counts"]}))
        place = {name.removeprefix("clip_"): row[name] for name in row if name.startswith("clip_")}
        sound, clip = read_clip(out, place)
        hashes = {"source": source.sha256, "photo": photo.sha256, "mask": mask.sha256}
        record = sample_record(row, recipe, label_map, clip, hashes)
        return record, {"flac": sound, "jpg": photo, "mask.png": mask}

    return Outcome.of(*parts.write(table, out, "shard", encode, code_versions()))


def read_photo(row: dict[str, Any], corpora: str, known: Decoded) -> tuple[Content, Content]:
    """A photo as its source has it, and as the shard holds it."""
    url = storage.join(corpora, row["image_path"])
    source = Content.of(images.read(url, Reason.IMAGE_MISSING, Reason.IMAGE_UNREADABLE))
    item = (row["image_id"], source.sha256)
    photo = images.checked(source.data, row["width"], row["height"], is_decoded=known.has(*item))
    known.add(*item)
    return source, source if photo is source.data else Content.of(photo)


LABEL_COLUMNS = ("label_corpora", "label_ids", "labels")
EXHAUSTIVE = {True: "yes", False: "no", None: ""}  # how KEY.json says it


def sample_record(
    row: dict[str, Any],
    recipe: Recipe,
    label_map: LabelMap,
    clip: ClipRecord,
    hashes: Mapping[str, str],
) -> SampleRecord:
    """`hashes`: of the source's photo, of the photo as the shard holds it, and of the mask."""
    return SampleRecord(
        key=row["key"],
        sample_id=row["sample_id"],
        split=row["split"],
        category=row["category"],
        component=row["component"],
        pairing=records.Pairing(seed=recipe.seed),
        image=image_record(row, label_map, zip(*(row[name] for name in LABEL_COLUMNS), strict=True), hashes),
        mask=records.Mask(
            ids=tuple(row["mask_ids"]),
            policy=recipe.select.instances,
            area_px=row["area_px"],
            area_fraction=row["area_fraction"],
            bbox=(row["bbox_x"], row["bbox_y"], row["bbox_w"], row["bbox_h"]),
            sha256=hashes["mask"],
            exhaustive=EXHAUSTIVE[row["exhaustive"]],
            source=mask_source([row["mask_source"]], recipe),
        ),
        audio=clip.audio,
    )


def mask_source(told: Iterable[str], recipe: Recipe) -> str | msgspec.UnsetType:
    """Who drew a sample's masks, where the recipe takes more than those of people."""
    if not recipe.takes_models:
        return msgspec.UNSET
    return "+".join(sorted({name for each in told for name in each.split("+")}))


def image_record(
    row: dict[str, Any],
    label_map: LabelMap,
    labels: Iterable[tuple[str, str, str]],
    hashes: Mapping[str, str],
) -> records.Image:
    """`labels`: corpus of each, its id and name there. `hashes`: of the source's photo, and as the shard holds it."""
    return records.Image(
        id=row["image_id"],
        corpus=row["corpus"],
        width=row["width"],
        height=row["height"],
        sha256=hashes["photo"],
        source_sha256=hashes["source"],
        licence=row["licence"] or "",
        licence_url=row["licence_url"] or "",
        author=row["author"] or "",
        url=row["image_url"] or "",
        photo_keys=tuple(sorted({row["image_id"], *row["photo_keys"]})),
        labels=tuple(label_link(label_map, *label) for label in labels),
    )
