"""What a photo surely does not show: all that is annotated in it, and what its corpus has looked for in vain.

Categories are judged by families: a category with all that it is a kind of, and all kinds of those. A family may be
in a photo if anything of it is annotated there, or of its group (`label_maps/avs.toml`), or a label that the label map
does not link and that shares a word with one of its names.
"""

import re
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from label_maps import LabelMap
from pipelines.corpora import registry

# One row a label of an image, or the labels that it surely lacks; `photo_keys` where the row's table has them.
LABELS = pa.schema(
    {
        "image_id": pa.string(),
        "photo_keys": pa.list_(pa.string()),
        "corpus": pa.string(),
        "label_id": pa.string(),
        "label": pa.string(),
        "unknown": pa.bool_(),  # an object whose label is not certain
        "absent_label_ids": pa.list_(pa.string()),
        "not_exhaustive_label_ids": pa.list_(pa.string()),  # may be there more often than they are annotated
    }
)

# What is known of an image: families that are shown, words of shown labels that the map does not link, labels that are
# surely absent (CORPUS|ID), and whether there is something of which nobody knows what it is.
KNOWN = {
    "shown": pa.list_(pa.string()),
    "words": pa.list_(pa.string()),
    "absent": pa.list_(pa.string()),
    "unknown": pa.bool_(),
}
_WORD = re.compile(r"[a-z]{3,}")


def labels(table: pa.Table) -> pa.Table:
    """LABELS of the index's masks, unmarked objects or photos; no label twice an image."""
    rows, names = len(table), table.column_names
    columns = {
        name: table[name] if name in names else pa.nulls(rows, LABELS.field(name).type)
        for name in LABELS.names
    }
    named = "label_id" in names
    columns["unknown"] = pc.invert(pc.is_valid(columns["label"])) if named else pa.repeat(False, rows)
    found = pa.table(columns, schema=LABELS)
    if not named:
        return found
    ids = zip(*(found[name].to_pylist() for name in ("image_id", "label_id")), strict=True)
    first = {pair: place for place, pair in reversed(list(enumerate(ids)))}
    return found.take(pa.array(sorted(first.values()), pa.int64()))


class Families:
    """The families of a label map, what belongs to each, and what would show it.

    Args:
        label_map: all of it, whatever the recipe builds: what else is in a photo counts, too.
    """

    def __init__(self, label_map: LabelMap) -> None:
        self.label_map = label_map

    def of(self, category: str) -> str:
        """The widest category that this one is a kind of, by which its family is called."""
        return (category, *self.label_map.kinds.above(category))[-1]

    @cached_property
    def _visual(self) -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        for link in self.label_map.links:
            if not self.label_map.is_sound(link):
                found.setdefault(self.of(link.category), []).append((link.source, link.source_id))
        return found

    def unmarked(self, corpus: str, marked: set[str]) -> set[str]:
        """Labels (CORPUS|ID) of a corpus that marks all, but for those that it marks in a photo."""
        if not registry.get(corpus).marks_all:
            return set()
        return {
            f"{source}|{number}"
            for found in self._visual.values()
            for source, number in found
            if source == corpus and number not in marked
        }

    @cached_property
    def _names(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for link in self.label_map.links:
            named = [link.category] + ([] if self.label_map.is_sound(link) else [link.label])
            found.setdefault(self.of(link.category), set()).update(*map(words, named))
        return found

    def group(self, family: str) -> str:
        """The group of a family; one without a group is its own."""
        return self.label_map.groups.get(family, family)

    def looked_for(self, family: str, absent: frozenset[str]) -> bool:
        """Whether a corpus has looked for every label of a family in a photo, and found none."""
        by_corpus: dict[str, set[str]] = {}
        for source, number in self._visual.get(family, ()):
            by_corpus.setdefault(source, set()).add(f"{source}|{number}")
        return any(absent.issuperset(ids) for ids in by_corpus.values())

    def absent(self, categories: Iterable[str], known: dict[str, Any], verified: bool) -> list[str]:
        """Those of some categories that a photo surely does not show, sorted.

        Args:
            known: of KNOWN, as sets. verified: only what its corpus has looked for.
        """
        if known["unknown"]:
            return []
        groups = {self.group(family) for family in known["shown"]}
        found = []
        for category in sorted(categories):
            family = self.of(category)
            if self.group(family) in groups or not known["words"].isdisjoint(self._names.get(family, ())):
                continue
            if not verified or self.looked_for(family, known["absent"]):
                found.append(category)
        return found


def words(name: str) -> set[str]:
    """The words of a label's name, singular: `Dog_collars (leather)` has dog, collar and leather."""
    return {word.removesuffix("s") for word in _WORD.findall(name.lower())}


def known(table: pa.Table, families: Families) -> pa.Table:
    """All LABELS of some images to one row an image: `image_id`, `node` (the least of its names) and KNOWN."""
    found: dict[str, dict[str, Any]] = {}
    marked: dict[tuple[str, str], set[str]] = {}
    for row in table.to_pylist():
        image = found.setdefault(
            row["image_id"],
            {"node": row["image_id"], "shown": set(), "words": set(), "absent": set(), "unknown": False},
        )
        marked.setdefault((row["image_id"], row["corpus"]), set()).add(row["label_id"] or "")
        image["node"] = min([image["node"], *(row["photo_keys"] or ())])
        image["unknown"] |= row["unknown"]
        image["absent"].update(f"{row['corpus']}|{label}" for label in row["absent_label_ids"] or ())
        for label_id in (row["label_id"], *(row["not_exhaustive_label_ids"] or ())):
            link = families.label_map.link(row["corpus"], label_id or "")
            if link:
                image["shown"].add(families.of(link.category))
            elif row["label"]:
                image["words"] |= words(row["label"])
    for (image_id, corpus), label_ids in marked.items():
        found[image_id]["absent"] |= families.unmarked(corpus, label_ids)
    rows = [
        {
            "image_id": image_id,
            **{name: sorted(told) if isinstance(told, set) else told for name, told in image.items()},
        }
        for image_id, image in sorted(found.items())
    ]
    return pa.Table.from_pylist(
        rows, schema=pa.schema({"image_id": pa.string(), "node": pa.string(), **KNOWN})
    )
