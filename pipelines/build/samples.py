"""Stage shard: the photo, the mask, the sound and the record of every sample of one shard."""

from typing import Any

import pyarrow as pa

from label_maps import LabelMap
from pipelines.build.code import code_versions
from pipelines.build.outcome import Outcome
from pipelines.build.pool import label_link
from pipelines.media import images, masks
from pipelines.recipes.recipe import Recipe
from shards import parts, records, storage
from shards.reader import read_clip
from shards.records import ClipRecord, SampleRecord
from shards.rejections import Reason, Rejected
from shards.writer import Content


def write_samples(table: pa.Table, corpora: str, out: str, recipe: Recipe, label_map: LabelMap) -> Outcome:
    """Write one shard of paired samples; kept rows are `shards.tables.SAMPLES`."""

    def encode(row: dict[str, Any]) -> parts.Encoded:
        photo = _photo(storage.join(corpora, row["image_path"]), row["width"], row["height"])
        mask = Content.of(masks.to_png({"size": [row["height"], row["width"]], "counts": row["counts"]}))
        place = {name.removeprefix("clip_"): row[name] for name in row if name.startswith("clip_")}
        sound, clip = read_clip(out, place)
        record = sample_record(row, recipe, label_map, clip, photo.sha256, mask.sha256)
        return record, {"flac": sound, "jpg": photo, "mask.png": mask}

    return Outcome.of(*parts.write(table, out, "shard", encode, code_versions()))


def _photo(url: str, width: int, height: int) -> Content:
    try:
        content = storage.read_bytes(url)
    except FileNotFoundError as error:
        raise Rejected(Reason.IMAGE_MISSING, "gone since it was measured") from error
    images.check(content, width, height)
    return Content.of(content)


def sample_record(
    row: dict[str, Any],
    recipe: Recipe,
    label_map: LabelMap,
    clip: ClipRecord,
    photo_sha256: str,
    mask_sha256: str,
) -> SampleRecord:
    return SampleRecord(
        key=row["key"],
        sample_id=row["sample_id"],
        split=row["split"],
        category=row["category"],
        component=row["component"],
        pairing=records.Pairing(seed=recipe.seed),
        image=records.Image(
            id=row["image_id"],
            corpus=row["corpus"],
            width=row["width"],
            height=row["height"],
            sha256=photo_sha256,
            licence=row["licence"] or "",
            licence_url=row["licence_url"] or "",
            author=row["author"] or "",
            url=row["image_url"] or "",
            photo_keys=tuple(sorted({row["image_id"], *row["photo_keys"]})),
            labels=tuple(
                label_link(label_map, row["corpus"], label_id, label)
                for label_id, label in zip(row["label_ids"], row["labels"], strict=True)
            ),
        ),
        mask=records.Mask(
            ids=tuple(row["mask_ids"]),
            policy=recipe.select.instances,
            area_px=row["area_px"],
            area_fraction=row["area_fraction"],
            bbox=(row["bbox_x"], row["bbox_y"], row["bbox_w"], row["bbox_h"]),
            sha256=mask_sha256,
        ),
        audio=clip.audio,
    )
