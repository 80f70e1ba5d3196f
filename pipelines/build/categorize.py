"""Stage categorize: labels to categories, through the label map."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import label_maps
from label_maps import SOURCES, LabelMap, Link
from pipelines.build.outcome import Outcome
from pipelines.corpora import labels as corpus_labels
from pipelines.recipes.recipe import Labels
from shards.rejections import Reason, rejection
from shards.tables import REJECTIONS


def label_map_of(labels: Labels, corpora: str = "") -> LabelMap:
    """A recipe's label map, cut to the categories that the recipe names.

    Args:
        corpora: a folder or URL, whose files must mean by the map's ids what the map means.

    Raises:
        LabelMapError, CategoryError, FileNotFoundError: no such map or category.
        CorpusError: no corpus there, or one that means other things.
    """
    whole = replace(label_maps.load(labels.map), narrower_sounds=labels.narrower_sounds)
    if corpora:
        corpus_labels.check(corpus_labels.declared(corpora), whole)
    return whole.restricted(labels.categories) if labels.categories else whole


def categorize(
    table: pa.Table,
    label_map: LabelMap,
    *,
    item: str,
    label_id: str,
    taken_down: Mapping[str, str] | None = None,
) -> Outcome:
    """Add `category` to masks or clips; rejected are labels that the map does not link, or not for any sample.

    Args:
        item: the column with the row's id. label_id: the column with the id that the label map knows.
        taken_down: photographs (any name) and videos that stay out -> why.
    """
    categories, idle = pa.nulls(len(table), pa.string()), pa.nulls(len(table), pa.string())
    for corpus in pc.unique(table["corpus"]).to_pylist():
        links = [link for link in label_map.links if link.source == corpus]
        found = pc.index_in(table[label_id], pa.array([link.source_id for link in links], pa.string()))
        here = pc.equal(table["corpus"], corpus)
        category = pa.array([link.category for link in links], pa.string())
        reason = pa.array([_why_unused(link, label_map) for link in links], pa.string())
        categories = pc.if_else(here, pc.take(category, found), categories)
        idle = pc.if_else(here, pc.take(reason, found), idle)
    kept = pc.and_(pc.is_valid(categories), pc.is_null(idle))
    dropped = pc.invert(kept)
    lost, idle = table.filter(dropped), pc.filter(idle, dropped)
    reasons = pc.if_else(pc.is_valid(idle), Reason.NARROWER_SOUND.value, Reason.LABEL_NOT_IN_MAP.value)
    rejected = pa.table(
        {
            "stage": pa.repeat("categorize", len(lost)),
            "unit": pa.nulls(len(lost), pa.string()),
            "item": lost[item],
            "reason": reasons,
            "detail": pc.coalesce(idle, lost["label"]),
            "category": pc.filter(categories, dropped),
        },
        schema=REJECTIONS,
    )
    matched = table.append_column("category", categories).filter(kept)
    if not taken_down:
        return Outcome(matched, rejected)
    named = {item, "category", "image_id", "photo_keys", "video_id"} & set(matched.column_names)
    rows = matched.select(sorted(named)).to_pylist()
    why = [_taken(row, taken_down) for row in rows]
    out = [
        rejection("categorize", row[item], Reason.TAKEN_DOWN, said, row["category"])
        for row, said in zip(rows, why, strict=True)
        if said is not None
    ]
    stays = matched.filter(pa.array([said is None for said in why], pa.bool_()))
    return Outcome(stays, pa.concat_tables([rejected, pa.Table.from_pylist(out, schema=REJECTIONS)]))


def _taken(row: Mapping[str, Any], taken_down: Mapping[str, str]) -> str | None:
    names = (row.get("image_id"), row.get("video_id"), *(row.get("photo_keys") or ()))
    return next((f"{name}: {taken_down[name]}" for name in names if name in taken_down), None)


def _why_unused(link: Link, label_map: LabelMap) -> str | None:
    """Why no sample can have a label of the map; None: samples may."""
    if label_map.is_used(link):
        return None
    kept = "labels.narrower_sounds = true keeps it"
    if SOURCES[link.source] == "audio":
        return f"{link.label}: narrower than the masks that could show it; {kept}"
    return f"{link.label}: all sounds of {link.category} are narrower than its masks; {kept}"
