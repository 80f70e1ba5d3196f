"""Stages measure and select: annotations to run lengths, and the instances of one image to samples."""

from functools import partial
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from label_maps import LabelMap
from pipelines.build.outcome import Outcome
from pipelines.media import images, masks
from pipelines.recipes.recipe import HUMAN, SAM, Select
from shards import format, storage
from shards.guard import guarded
from shards.rejections import Reason, Rejected, rejection

_IMAGE = {
    "corpus": pa.string(),
    "image_id": pa.string(),
    "image_path": pa.string(),
    "image_stamp": pa.string(),  # size and time of the file: a changed photo is written again
    "image_url": pa.string(),
    "photo_keys": pa.list_(pa.string()),
    "width": pa.int32(),
    "height": pa.int32(),
    "licence": pa.string(),
    "licence_url": pa.string(),
    "author": pa.string(),
    "category": pa.string(),
}

# One row a mask. `counts`: COCO run lengths at the image's size; null where the mask has a fault.
MEASURED = pa.schema(
    {
        **_IMAGE,
        "mask_id": pa.string(),
        "mask_source": pa.string(),  # human | sam
        "label_id": pa.string(),
        "label": pa.string(),
        "counts": pa.binary(),
        "area_px": pa.int64(),
        "exhaustive": pa.bool_(),  # whether every object of the category is annotated; null: the corpus does not tell
        "fault": pa.string(),  # a Reason; null: none
        "fault_detail": pa.string(),
        "unmarked": pa.string(),  # why an object of the category has no mask in the index; null: none lacks one
    }
)

# One row a sample: what a shard needs to know of its image and mask.
CANDIDATES = pa.schema(
    {
        **_IMAGE,
        "key": pa.string(),
        "sample_id": pa.string(),
        "mask_ids": pa.list_(pa.string()),
        "own_mask_ids": pa.list_(
            pa.string()
        ),  # without those of the category's kinds, which are counted there
        "label_corpora": pa.list_(
            pa.string()
        ),  # whose each label is: more than one where two describe the photo
        "label_ids": pa.list_(pa.string()),
        "labels": pa.list_(pa.string()),  # what its corpus calls each of them
        "counts": pa.binary(),
        "area_px": pa.int64(),
        "area_fraction": pa.float64(),
        "bbox_x": pa.int32(),
        "bbox_y": pa.int32(),
        "bbox_w": pa.int32(),
        "bbox_h": pa.int32(),
        "exhaustive": pa.bool_(),
        "mask_source": pa.string(),  # human | sam | human+sam
    }
)

# And of recipes of scenes, the run lengths of each mask of `mask_ids`.
WITH_INSTANCES = CANDIDATES.append(pa.field("instances", pa.list_(pa.binary())))

Look = tuple[int, int, str]  # a photo's width and height in pixels, and its stamp
_ROWS = 2_048  # turned into Python objects at a time: decides memory, never the output


def tell_exhaustive(table: pa.Table, label_map: LabelMap) -> pa.Table:
    """Add `exhaustive` to categorized masks: false where any label of the category or its kinds is not exhaustive."""
    links = {(link.source, link.source_id): _and_wider(link.category, label_map) for link in label_map.links}
    rows = table.select(["corpus", "category", "not_exhaustive_label_ids"]).to_pylist()
    told = [
        None
        if row["not_exhaustive_label_ids"] is None
        else all(
            row["category"] not in links.get((row["corpus"], label), ())
            for label in row["not_exhaustive_label_ids"]
        )
        for row in rows
    ]
    return table.append_column("exhaustive", pa.array(told, pa.bool_()))


def _and_wider(category: str, label_map: LabelMap) -> tuple[str, ...]:
    """The categories whose union an object belongs to: a man is a person, too."""
    return (category, *label_map.kinds.above(category))


def measure(table: pa.Table, corpora: str, rules: Select) -> Outcome:
    """Matched masks to MEASURED: open each photo's header once, bring each mask to run lengths.

    A photo that cannot be used takes its masks with it. A fault of a single mask travels on, because under the
    policy `union` it spoils its neighbours too: `select` decides.
    """
    measured: list[pa.RecordBatch] = []
    rejections: list[dict[str, str | None]] = []
    looks: dict[str, Look | Rejected] = {}
    for batch in table.to_batches(_ROWS):
        rows = batch.to_pylist()
        unseen = {row["image_id"]: row for row in rows if row["image_id"] not in looks}
        found = storage.together(corpora, partial(_look, corpora=corpora, rules=rules), unseen.values())
        looks.update(zip(unseen, found, strict=True))
        seen = ((row, looks[row["image_id"]]) for row in rows)
        kept = []
        for row, made in zip(
            rows,
            storage.together(corpora, lambda both: _measured(*both, corpora, rules), seen),
            strict=True,
        ):
            if isinstance(made, Rejected):
                rejections.append(
                    rejection("measure", row["mask_id"], made.reason, made.detail, row["category"])
                )
            else:
                kept.append(made)
        measured.append(pa.RecordBatch.from_pylist(kept, schema=MEASURED))
    return Outcome.of(pa.Table.from_batches(measured, MEASURED), rejections)


def _look(row: dict[str, Any], corpora: str, rules: Select) -> Look | Rejected:
    return guarded(row["image_id"], lambda: _image(row, corpora, rules))


def _measured(
    row: dict[str, Any], image: Look | Rejected, corpora: str, rules: Select
) -> dict[str, Any] | Rejected:
    """A mask as a row of MEASURED, or why it is dropped."""
    if isinstance(image, Rejected):
        return image
    width, height, stamp = image
    measured = {name: row.get(name) for name in MEASURED.names}
    measured.update(width=width, height=height, image_stamp=stamp, mask_source=row["mask_source"] or HUMAN)
    rle = guarded(row["mask_id"], lambda: _rle(row, corpora, width, height, rules))
    if isinstance(rle, Rejected):
        measured.update(fault=rle.reason.value, fault_detail=rle.detail)
        return measured
    measured.update(counts=rle["counts"], area_px=masks.area_px(rle))
    if not measured["area_px"]:  # nothing is left unmarked by leaving it out
        return Rejected(Reason.MASK_EMPTY, "polygons smaller than a pixel")
    return measured


def _image(row: dict[str, Any], corpora: str, rules: Select) -> Look:
    if rules.image_licences and row["licence"] not in rules.image_licences:
        raise Rejected(Reason.LICENCE, f"{row['licence']}; allowed: {', '.join(rules.image_licences)}")
    if row["image_path"] is None:
        raise Rejected(Reason.IMAGE_MISSING, row["image_url"] or row["image_id"])
    url = storage.join(corpora, row["image_path"])
    width, height = images.header(url, min_side_px=rules.min_side_px, max_pixels=rules.max_image_pixels)
    if row["width"] is not None and (row["width"], row["height"]) != (width, height):
        raise Rejected(
            Reason.IMAGE_SIZE_MISMATCH, f"{width} x {height}; annotated at {row['width']} x {row['height']}"
        )
    return width, height, storage.stamp(url)


def _rle(row: dict[str, Any], corpora: str, width: int, height: int, rules: Select) -> masks.Rle:
    for flag, allowed, reason in (
        ("is_crowd", rules.crowd, Reason.CROWD),
        ("is_group_of", rules.group_of, Reason.GROUP_OF),
        ("is_depiction", rules.depiction, Reason.DEPICTION),
    ):
        if row[flag] and not allowed:
            raise Rejected(
                reason, f"{flag}; the recipe keeps none (select.{flag.removeprefix('is_')} = false)"
            )
    if row["mask_source"] == SAM:
        for score, least in (("predicted_iou", rules.min_predicted_iou), ("stability", rules.min_stability)):
            if not (row[score] or 0) >= least:  # NaN is not
                raise Rejected(Reason.MASK_UNSURE, f"{score} {row[score]}; at least {least:g}")
    if row["segmentation"] is not None:
        return masks.from_coco(row["segmentation"], width, height)
    if row["mask_path"] is None:
        raise Rejected(Reason.MASK_MISSING, row["mask_id"])
    url = storage.join(corpora, row["mask_path"])
    content = images.read(url, Reason.MASK_MISSING, Reason.MASK_UNREADABLE)
    rle = masks.from_image(content, width, height, rules.max_image_pixels)
    if row.get("box"):
        masks.expect_inside(rle, row["box"])
    return rle


def unmarked_objects(
    table: pa.Table, label_map: LabelMap, mask_sources: tuple[str, ...] = (HUMAN,)
) -> pa.Table:
    """The index's UNMARKED as rows of MEASURED, to travel with the masks of their photos.

    mask_sources: that the recipe takes; what one of them drew is marked.

    An object of a kind is one of the wider categories, too. `category` is null where the label is not certain: such a
    row is about every category of its photo. Labels that the map does not link are about none.
    """
    marks = pc.is_in(table["mask_source"], pa.array(mask_sources, pa.string()))
    table = table.filter(pc.invert(marks))
    links = {(link.source, link.source_id): _and_wider(link.category, label_map) for link in label_map.links}
    labels = zip(table["corpus"].to_pylist(), table["label_id"].to_pylist(), strict=True)
    belongs = [
        (None,) if label_id is None else links.get((corpus, label_id), ()) for corpus, label_id in labels
    ]
    rows = [row for row, categories in enumerate(belongs) for _ in categories]
    categories = pa.array([category for found in belongs for category in found], pa.string())
    found = table.take(pa.array(rows, pa.int64())).append_column("category", categories)
    why = pc.if_else(
        pc.equal(found["reason"], Reason.MASK_MISSING.value),
        pc.binary_join_element_wise(
            found["item"], pc.coalesce(found["label"], found["label_id"]), " has a box without a mask: "
        ),
        pc.binary_join_element_wise(found["item"], found["reason"], " was rejected: "),
    )
    columns = {"image_id": found["image_id"], "category": found["category"], "unmarked": why}
    return pa.table(
        [columns.get(field.name, pa.nulls(len(found), field.type)) for field in MEASURED], schema=MEASURED
    )


def tell_unmarked(table: pa.Table) -> pa.Table:
    """MEASURED masks, all of an image together with its unmarked objects, to the masks alone, which know of them."""
    is_mask = pc.is_valid(table["mask_id"])
    lacks = table.filter(pc.invert(is_mask)).select(["image_id", "category", "unmarked"])
    table = table.filter(is_mask)
    if not len(lacks):
        return table
    first: dict[tuple[str, str | None], str] = {}
    for row in lacks.sort_by("unmarked").to_pylist():
        first.setdefault((row["image_id"], row["category"]), row["unmarked"])
    rows = zip(table["image_id"].to_pylist(), table["category"].to_pylist(), strict=True)
    told = [first.get((image_id, category)) or first.get((image_id, None)) for image_id, category in rows]
    return table.set_column(table.schema.get_field_index("unmarked"), "unmarked", pa.array(told, pa.string()))


def select(table: pa.Table, rules: Select, label_map: LabelMap, schema: pa.Schema = CANDIDATES) -> Outcome:
    """MEASURED masks, all of an image together, to CANDIDATES; a kept mask is named in one `own_mask_ids`.

    Args:
        schema: CANDIDATES or WITH_INSTANCES.
    """
    if rules.instances != "instance":
        table = _with_kinds(table, label_map)
    table = table.sort_by([(name, "ascending") for name in ("image_id", "category", "mask_id")])
    masks_in_order = (row for batch in table.to_batches(_ROWS) for row in batch.to_pylist())
    candidates: list[pa.RecordBatch] = []
    kept: list[dict[str, Any]] = []
    rejections: list[dict[str, str | None]] = []

    def reject(rows: list[dict[str, Any]], reason: Reason, detail: str) -> None:
        rejections.extend(
            rejection("select", row["mask_id"], reason, detail, row["category"])
            for row in rows
            if not row.get("of_kind")  # told under its own category
        )

    for _, group in groupby(masks_in_order, lambda row: (row["image_id"], row["category"])):
        rows = list(group)
        faulty = [row for row in rows if row["fault"]]
        rows = [row for row in rows if not row["fault"]]
        for row in faulty:
            reject([row], Reason(row["fault"]), row["fault_detail"])
        if rules.instances == "union":
            lack = _lack(rows, faulty, rules)
            if lack:
                reject(rows, *lack)
                continue
            chosen = [rows]
        elif rules.instances == "single":
            rows.sort(key=lambda row: (-row["area_px"], row["mask_id"]))
            reject(rows[1:], Reason.NOT_THE_LARGEST, f"{rows[0]['mask_id']} is larger" if rows else "")
            chosen = [rows[:1]]
        else:
            chosen = [[row] for row in rows]
        for members in filter(None, chosen):
            made = guarded(members[0]["mask_id"], partial(_candidate, members, rules))
            if isinstance(made, Rejected):
                reject(members, made.reason, made.detail)
            else:
                kept.append(made)
        if len(kept) >= _ROWS:
            candidates.append(pa.RecordBatch.from_pylist(kept, schema=schema))
            kept.clear()
    candidates.append(pa.RecordBatch.from_pylist(kept, schema=schema))
    return Outcome.of(pa.Table.from_batches(candidates), rejections)


def _with_kinds(table: pa.Table, label_map: LabelMap) -> pa.Table:
    """The masks, and each once more for every wider category that its image has masks of, as `of_kind`.

    Where an image shows a person and a man, a sound of persons may come from both, and both are marked. Where it shows
    a man alone, that is no sample of `person`: `man` hears the sounds of persons that men make.
    """
    pairs = list(zip(table["image_id"].to_pylist(), table["category"].to_pylist(), strict=True))
    seen = set(pairs)
    more = [
        (row, wider)
        for row, (image_id, category) in enumerate(pairs)
        for wider in label_map.kinds.above(category)
        if (image_id, wider) in seen
    ]
    again = table.take(pa.array([row for row, _ in more], pa.int64()))
    again = again.set_column(
        table.schema.get_field_index("category"),
        "category",
        pa.array([wider for _, wider in more], pa.string()),
    )
    return pa.concat_tables(
        [
            table.append_column("of_kind", pa.repeat(False, len(table))),
            again.append_column("of_kind", pa.repeat(True, len(again))),
        ]
    )


def _lack(
    rows: list[dict[str, Any]], faulty: list[dict[str, Any]], rules: Select
) -> tuple[Reason, str] | None:
    """Why the masks of a category in an image, joined, would leave an object unmarked."""
    told = [f"{row['mask_id']} was rejected: {row['fault']}" for row in faulty]
    told += sorted({row["unmarked"] for row in rows if row["unmarked"]})
    if told:
        return Reason.INCOMPLETE_UNION, told[0]
    if not rules.not_exhaustive and any(row["exhaustive"] is False for row in rows):
        return (
            Reason.NOT_EXHAUSTIVE,
            "the photo may show more than is annotated (select.not_exhaustive = true keeps it)",
        )
    return None


def _candidate(members: list[dict[str, Any]], rules: Select) -> dict[str, Any]:
    first = members[0]
    size = [first["height"], first["width"]]
    rle = masks.union([{"size": size, "counts": row["counts"]} for row in members])
    area_px = masks.area_px(rle)
    fraction = area_px / (size[0] * size[1])
    if fraction < rules.min_area_fraction:
        raise Rejected(
            Reason.MASK_TOO_SMALL, f"{fraction:.5f} of the image; at least {rules.min_area_fraction:g}"
        )
    if fraction > rules.max_area_fraction:
        raise Rejected(
            Reason.MASK_TOO_LARGE, f"{fraction:.5f} of the image; at most {rules.max_area_fraction:g}"
        )
    mask_id = first["mask_id"] if rules.instances == "instance" else None
    sample_id = format.sample_id(first["image_id"], first["category"], mask_id)
    x, y, w, h = masks.bbox(rle)
    labels = {row["label_id"]: row["label"] for row in reversed(members)}
    return {
        **{name: first[name] for name in _IMAGE},
        "key": format.key_of(sample_id),
        "sample_id": sample_id,
        "mask_ids": [row["mask_id"] for row in members],
        "own_mask_ids": [row["mask_id"] for row in members if not row.get("of_kind")],
        "label_corpora": [first["corpus"]] * len(labels),
        "label_ids": sorted(labels),
        "labels": [labels[label_id] for label_id in sorted(labels)],
        "counts": rle["counts"],
        "instances": [row["counts"] for row in members],
        "area_px": area_px,
        "area_fraction": fraction,
        "bbox_x": x,
        "bbox_y": y,
        "bbox_w": w,
        "bbox_h": h,
        "exhaustive": _all_annotated([row["exhaustive"] for row in members]),
        "mask_source": "+".join(sorted({row["mask_source"] for row in members})),
    }


def _all_annotated(told: list[bool | None]) -> bool | None:
    return False if False in told else None if None in told else True
