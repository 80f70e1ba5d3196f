"""Stage categorize: labels to categories, through the label map."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

import label_maps
from label_maps import LabelMap, Link
from pipelines.build.outcome import Outcome
from pipelines.corpora import labels as corpus_labels
from pipelines.corpora import registry
from pipelines.recipes.recipe import HUMAN, Labels
from shards.rejections import Reason, Rejected, rejection
from shards.tables import REJECTIONS


def label_map_of(labels: Labels, corpora: str = "", names: Iterable[str] = ()) -> LabelMap:
    """A recipe's label map, cut to the categories that the recipe names.

    Args:
        corpora: a folder or URL, whose files must mean by the map's ids what the map means; what the map links of
            corpora that are not there counts for nothing, unless they are usual ones.
        names: of the corpora that are used; none: all.

    Raises:
        LabelMapError, CategoryError, FileNotFoundError: no such map or category.
        CorpusError: no corpus there, or one that means other things.
    """
    whole = replace(label_maps.load(labels.map), narrower_sounds=labels.narrower_sounds)
    if corpora:
        corpus_labels.check(corpus_labels.declared(corpora, names), whole)
        read = [one.name for one in registry.chosen(names) if one.usual or one.sources(corpora)]
        whole = whole.of_sources(read)
    return whole.restricted(labels.categories) if labels.categories else whole


def categorize_masks(
    table: pa.Table,
    label_map: LabelMap,
    taken_down: Mapping[str, str] | None = None,
    mask_sources: tuple[str, ...] = (HUMAN,),
) -> Outcome:
    """Add `category` to masks; rejected are labels that the map does not link, or not for any sample.

    So are masks that the recipe does not take: a build of people's masks is the same whether a model drew more or not.

    Args:
        taken_down: photographs (any name) and videos that stay out -> why.
    """
    categories, idle = pa.nulls(len(table), pa.string()), pa.nulls(len(table), pa.string())
    for corpus in pc.unique(table["corpus"]).to_pylist():
        links = [link for link in label_map.links if link.source == corpus]
        found = pc.index_in(table["label_id"], pa.array([link.source_id for link in links], pa.string()))
        here = pc.equal(table["corpus"], corpus)
        category = pa.array([link.category for link in links], pa.string())
        reason = pa.array([_why_unused(link, label_map) for link in links], pa.string())
        categories = pc.if_else(here, pc.take(category, found), categories)
        idle = pc.if_else(here, pc.take(reason, found), idle)
    drawn = pc.coalesce(table["mask_source"], HUMAN)
    taken = pc.is_in(drawn, pa.array(mask_sources, pa.string()))
    kept = pc.and_(pc.and_(pc.is_valid(categories), pc.is_null(idle)), taken)
    dropped = pc.invert(kept)
    lost, idle, taken = table.filter(dropped), pc.filter(idle, dropped), pc.filter(taken, dropped)
    reasons = pc.if_else(pc.is_valid(idle), Reason.NARROWER_SOUND.value, Reason.LABEL_NOT_IN_MAP.value)
    reasons = pc.if_else(taken, reasons, Reason.MASK_SOURCE.value)
    allowed = pc.binary_join_element_wise(
        pc.filter(drawn, dropped), f"; allowed: {', '.join(mask_sources)} (select.mask_sources)", ""
    )
    rejected = pa.table(
        {
            "stage": pa.repeat("categorize", len(lost)),
            "unit": pa.nulls(len(lost), pa.string()),
            "item": lost["mask_id"],
            "reason": reasons,
            "detail": pc.if_else(taken, pc.coalesce(idle, lost["label"]), allowed),
            "category": pc.filter(categories, dropped),
        },
        schema=REJECTIONS,
    )
    kept_masks = table.append_column("category", categories).filter(kept)
    return _without_taken(Outcome(kept_masks, rejected), "mask_id", taken_down)


def _without_taken(found: Outcome, item: str, taken_down: Mapping[str, str] | None) -> Outcome:
    if not taken_down:
        return found
    named = {item, "category", "image_id", "photo_keys", "video_id"} & set(found.kept.column_names)
    rows = found.kept.select(sorted(named)).to_pylist()
    why = [_taken(row, taken_down) for row in rows]
    out = [
        rejection("categorize", row[item], Reason.TAKEN_DOWN, said, row["category"])
        for row, said in zip(rows, why, strict=True)
        if said is not None
    ]
    stays = found.kept.filter(pa.array([said is None for said in why], pa.bool_()))
    more = pa.Table.from_pylist(out, schema=REJECTIONS)
    return Outcome(stays, pa.concat_tables([found.rejected, more]))


def _taken(row: Mapping[str, Any], taken_down: Mapping[str, str]) -> str | None:
    names = (row.get("image_id"), row.get("video_id"), *(row.get("photo_keys") or ()))
    return next((f"{name}: {taken_down[name]}" for name in names if name in taken_down), None)


def categorize_clips(
    table: pa.Table, label_map: LabelMap, taken_down: Mapping[str, str] | None = None
) -> Outcome:
    """Add to clips `label_id` and `label`, of all their labels the one that says most, and its `category`.

    A clip whose labels name several categories is of the one that is a kind of all the others. Where none is, two
    things may be heard, and it is a clip of neither. `taken_down` as of `categorize_masks`.
    """
    links = {(link.source, link.source_id): link for link in label_map.links if label_map.is_sound(link)}
    rows = table.select(["clip_id", "corpus", "label_ids", "labels"]).to_pylist()
    made = [_of_labels(row, links, label_map) for row in rows]
    rejections = [
        rejection("categorize", row["clip_id"], found.reason, found.detail, category)
        for row, (found, category) in zip(rows, made, strict=True)
        if isinstance(found, Rejected)
    ]
    kept = [(found, category) for found, category in made if not isinstance(found, Rejected)]
    table = table.filter(pa.array([not isinstance(found, Rejected) for found, _ in made], pa.bool_()))
    for name, values in (
        ("label_id", [label_id for (label_id, _), _ in kept]),
        ("label", [label for (_, label), _ in kept]),
        ("category", [category for _, category in kept]),
    ):
        table = table.append_column(name, pa.array(values, pa.string()))
    return _without_taken(Outcome.of(table, rejections), "clip_id", taken_down)


def _of_labels(
    row: dict[str, Any], links: dict[tuple[str, str], Link], label_map: LabelMap
) -> tuple[tuple[str, str] | Rejected, str | None]:
    """The label of a clip (id, name) and its category; or why it has none, with the category where one is known."""
    called = dict(zip(row["label_ids"], row["labels"], strict=True))
    found = [link for label_id in called if (link := links.get((row["corpus"], label_id)))]
    if not found:
        return Rejected(Reason.LABEL_NOT_IN_MAP, ", ".join(name or "" for name in called.values())), None
    categories = {link.category for link in found}
    narrowest = [one for one in categories if categories <= {one, *label_map.kinds.above(one)}]
    if not narrowest:
        heard = " and ".join(sorted(categories))
        return Rejected(Reason.SEVERAL_SOUNDS, f"its labels name {heard}: one of them is needed"), None
    said = [link for link in found if link.category == narrowest[0]]
    link = min(said, key=lambda link: len(label_map.heard(link)))  # of equals the first
    if why := _why_unused(link, label_map):
        return Rejected(Reason.NARROWER_SOUND, why), link.category
    return (link.source_id, called[link.source_id]), link.category


def _why_unused(link: Link, label_map: LabelMap) -> str | None:
    """Why no sample can have a label of the map; None: samples may."""
    if label_map.is_used(link):
        return None
    kept = "labels.narrower_sounds = true keeps it"
    if label_map.is_sound(link):
        return f"{link.label}: narrower than the masks that could show it; {kept}"
    return f"{link.label}: all sounds of {link.category} are narrower than its masks; {kept}"
