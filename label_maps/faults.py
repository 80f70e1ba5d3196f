"""What can be wrong with a label map. Every fault says where, which value, which rule and what to do."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from label_maps.kinds import NO_KINDS, Kinds
from label_maps.links import COLUMNS, RELATIONS, SIDES, SOURCES, Link, Source

_SNAKE_CASE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MID = re.compile(r"/[mgt]/[0-9a-z_]+")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SOURCE_ID = {
    "number": (re.compile(r"[1-9][0-9]*"), "the category's id, a whole number from 1"),
    "number from 0": (re.compile(r"0|[1-9][0-9]*"), "the label's number, from 0"),
    "mid": (_MID, "a MID such as /m/0bt9lr"),
}
Row = tuple[int, Link]  # row number and link
_SYNSET = re.compile(r"\S+\.[nvasr]\.\d\d")


@dataclass(frozen=True)
class BrokenRule:
    """One broken rule. `row` counts as a spreadsheet does (the header is 1); 0 is the file as a whole."""

    row: int
    column: str
    value: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        where = f"row {self.row}" if self.row else "file"
        return f"{where}, {self.column} {self.value!r}: {self.rule}; {self.remedy}"


def parse(data: bytes) -> tuple[list[Row], list[BrokenRule]]:
    """The rows that a CSV file holds, in its order, and what keeps others from being read.

    Only the shape of the file is looked at here (text, columns, completeness); `check` judges the content.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        bad = data[error.start : error.start + 8].hex(" ")
        return [], [BrokenRule(0, "bytes", bad, f"byte {error.start} is not UTF-8", "save the file as UTF-8")]
    faults: list[BrokenRule] = []
    if not text.endswith("\n"):
        rule = "the file ends with a line end; without one it may be cut short"
        faults.append(
            BrokenRule(0, "end", text[-40:], rule, "restore the missing rows, or end the last line")
        )
    rows: list[Row] = []
    number = 0
    try:
        for number, values in enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), start=1):
            if number == 1:
                if tuple(values) != COLUMNS:
                    rule = f"the header is {','.join(COLUMNS)}"
                    remedy = "name and order the columns so"
                    return [], [*faults, BrokenRule(1, "header", ",".join(values), rule, remedy)]
            elif len(values) != len(COLUMNS):
                rule = f"a row has {len(COLUMNS)} values and this one has {len(values)}"
                faults.append(
                    BrokenRule(number, "row", ",".join(values), rule, "quote values that hold a comma")
                )
            else:
                rows.append((number, Link(*values)))
    except csv.Error as error:
        remedy = "close the quote, or restore the rows that were cut off"
        faults.append(BrokenRule(number + 1, "row", "", f"not readable as CSV ({error})", remedy))
    return rows, faults


def check(
    rows: Sequence[Row],
    *,
    ordered: bool = True,
    whole: bool = True,
    kinds: Kinds = NO_KINDS,
    sources: Mapping[str, Source] = SOURCES,
) -> list[BrokenRule]:
    """Every broken rule of rows in file order, sorted by row number.

    Args:
        ordered: also ask that the rows are sorted, so that diffs stay small.
        whole: also ask that every category has both sides; not to be asked where rows could not be read.
        kinds: of the map; with `whole` they are checked too.
        sources: those that its rows may name.
    """
    faults: list[BrokenRule] = []
    for number, link in rows:
        faults += _check_fields(number, link, sources)
    faults += _check_duplicates(rows)
    if whole and not rows:
        faults.append(
            BrokenRule(0, "rows", "none", "a map has at least one link", "add rows below the header")
        )
    if whole:
        faults += _check_kinds(rows, kinds, sources)
        faults += _check_both_sides(rows, kinds, sources)
    if ordered:
        faults += _check_order(rows)
    return sorted(faults, key=lambda fault: fault.row)


def _check_fields(row: int, link: Link, sources: Mapping[str, Source]) -> Iterator[BrokenRule]:
    for column in COLUMNS:
        value = getattr(link, column)
        if value != value.strip() or not value.isprintable():
            rule = "no spaces at the ends, no line breaks or control characters"
            yield BrokenRule(row, column, value, rule, f"write {' '.join(value.split())!r}")
        if not value and column not in ("synset", "note"):
            yield BrokenRule(row, column, value, "must not be empty", f"fill in the {column}")
    if link.category and not _SNAKE_CASE.fullmatch(link.category):
        name = re.sub(r"[^a-z0-9]+", "_", link.category.lower()).strip("_")
        rule = "a category is snake_case: a-z, 0-9 and single underscores, a letter first"
        yield BrokenRule(row, "category", link.category, rule, f"rename it, for instance to {name!r}")
    if link.source and link.source not in sources:
        remedy = "use one of these, or name it in [sources] of the map's TOML"
        yield BrokenRule(row, "source", link.source, f"a source is one of {', '.join(sources)}", remedy)
    if link.relation and link.relation not in RELATIONS:
        rule = f"a relation is one of {', '.join(RELATIONS)}"
        yield BrokenRule(row, "relation", link.relation, rule, "use one of these")
    if link.decided_on and not _is_date(link.decided_on):
        rule = "a decision's date is a calendar day written YYYY-MM-DD"
        yield BrokenRule(row, "decided_on", link.decided_on, rule, "write the day of the decision")
    if link.source in sources:
        yield from _check_ids(row, link, sources[link.source])


def _check_ids(row: int, link: Link, source: Source) -> Iterator[BrokenRule]:
    pattern, rule = _SOURCE_ID.get(source.ids, (None, ""))
    if link.source_id and pattern and not pattern.fullmatch(link.source_id):
        rule = f"a source_id of {source.title} is {rule}"
        yield BrokenRule(row, "source_id", link.source_id, rule, "copy it from the source's own list")
    if source.ids == "label" and link.source_id != link.label:
        rule = f"a {source.title} label is its own id"
        yield BrokenRule(
            row, "source_id", link.source_id, rule, f"write the label {link.label!r} in both columns"
        )
    if source.synsets and not _SYNSET.fullmatch(link.synset):
        rule = f"a row of {source.title} names its WordNet synset, such as dog.n.01"
        yield BrokenRule(
            row, "synset", link.synset, rule, f"copy the synset from the categories of {source.title}"
        )
    if not source.synsets and link.synset:
        yield BrokenRule(row, "synset", link.synset, f"{source.title} has no synsets", "leave it empty")


def _check_duplicates(rows: Sequence[Row]) -> Iterator[BrokenRule]:
    first: dict[tuple[str, str], tuple[int, Link]] = {}
    for row, link in rows:
        earlier_row, earlier = first.setdefault((link.source, link.source_id), (row, link))
        if earlier_row != row:
            rule = (
                f"{link.source} {link.source_id!r} is already in {earlier.category!r}, row {earlier_row}: "
                "one label belongs to one category"
            )
            yield BrokenRule(row, "category", link.category, rule, "keep one of the two rows")


def _check_kinds(rows: Sequence[Row], kinds: Kinds, sources: Mapping[str, Source]) -> Iterator[BrokenRule]:
    categories = {link.category for _, link in rows}
    for kind, wider in sorted(kinds.wider.items()):
        for name in (kind, wider):
            if name not in categories:
                rule = f"{kind} = {wider!r}: both are categories that have links"
                yield BrokenRule(0, "kind_of", name, rule, "add its links, or correct the name")
        if wider == kind or kind in kinds.above(wider):
            rule = f"{kind} = {wider!r} makes a category a kind of itself"
            yield BrokenRule(0, "kind_of", kind, rule, "remove one step of the circle")
    heard = _of("audio", sources)
    sounds = {link.source_id: link.category for _, link in rows if link.source in heard}
    for sound, named in sorted(kinds.heard_over.items()):
        if sound not in sounds:
            yield BrokenRule(
                0, "heard_over", sound, "must be a sound of the map", "correct the label, or remove it"
            )
            continue
        category = sounds[sound]
        known = {*kinds.below(category), *kinds.above(category)}
        for other in sorted(set(named) - known):
            rule = f"{sound!r} is a sound of {category}: only its kinds and what it is a kind of may share it"
            remedy = f"name some of {', '.join(sorted(known)) or 'none'}, or leave the list empty"
            yield BrokenRule(0, "heard_over", other, rule, remedy)


def _of(side: str, sources: Mapping[str, Source]) -> list[str]:
    return [name for name, source in sources.items() if source.side == side]


def _check_both_sides(
    rows: Sequence[Row], kinds: Kinds, sources: Mapping[str, Source]
) -> Iterator[BrokenRule]:
    """Whatever has masks must be able to hear something, and whatever sounds to be seen: itself or through kinds."""
    sides = {side: _of(side, sources) for side in SIDES}
    visual = {link.category for _, link in rows if link.source in sides["visual"]}
    unsure = {link.category for _, link in rows if link.source not in sources}
    hearing, heard = set(unsure), set(unsure)
    first_row: dict[str, int] = {}
    for row, link in rows:
        first_row.setdefault(link.category, row)
        if link.source in sides["audio"]:
            reached = kinds.reached(link.category, link.source_id, narrower_sounds=True)
            hearing |= reached
            if reached & (visual | unsure):
                heard.add(link.category)
    for side, categories in (
        ("audio", set(first_row) - hearing),
        ("visual", set(first_row) - visual - heard),
    ):
        names = " or ".join(sides[side])
        for category in categories:
            rule = f"a category has at least one {side} link ({names}) and this one has none"
            if kinds.above(category) or kinds.below(category):
                rule += ", nor one that a category above or below it shares"
            yield BrokenRule(
                first_row[category], "category", category, rule, "add a link, or remove the category"
            )


def _check_order(rows: Sequence[Row]) -> Iterator[BrokenRule]:
    for (row_before, before), (row, link) in pairwise(rows):
        if link < before:
            rule = f"rows are sorted by category, source, source_id; this one belongs before row {row_before}"
            remedy = "run `python -m label_maps --sort FILE`"
            yield BrokenRule(row, "source_id", link.source_id, rule, remedy)
            return  # one row out of place says it; the remedy sorts them all


def _is_date(text: str) -> bool:
    try:
        return bool(_DATE.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False
