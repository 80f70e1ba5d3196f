"""Stage match: labels to categories through the label map."""

import pyarrow as pa
import pyarrow.compute as pc

from label_maps import LabelMap
from pipelines.build.outcome import Outcome
from shards.rejections import Reason
from shards.tables import REJECTIONS


def match(table: pa.Table, label_map: LabelMap, *, item: str, label_id: str) -> Outcome:
    """Add `category` to masks or clips; a label that the map does not link is rejected.

    Args:
        item: the column with the row's id. label_id: the column with the id that the label map knows.
    """
    by_source: dict[str, dict[str, str]] = {}
    for link in label_map.links:
        by_source.setdefault(link.source, {})[link.source_id] = link.category
    categories = pa.nulls(len(table), pa.string())
    for corpus in pc.unique(table["corpus"]).to_pylist():
        links = by_source.get(corpus, {})
        known = pa.array(links.keys(), pa.string())
        found = pc.take(pa.array(links.values(), pa.string()), pc.index_in(table[label_id], known))
        categories = pc.if_else(pc.equal(table["corpus"], corpus), found, categories)
    kept = pc.is_valid(categories)
    lost = table.filter(pc.invert(kept))
    rejected = pa.table(
        {
            "stage": pa.repeat("match", len(lost)),
            "unit": pa.nulls(len(lost), pa.string()),
            "item": lost[item],
            "reason": pa.repeat(Reason.LABEL_NOT_IN_MAP.value, len(lost)),
            "detail": lost["label"],
            "category": pa.nulls(len(lost), pa.string()),
        },
        schema=REJECTIONS,
    )
    return Outcome(table.append_column("category", categories).filter(kept), rejected)
