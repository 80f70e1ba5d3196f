"""What the templates show of a dataset, as plain records: a grid with its filters, a card, a sample."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

import label_maps
from pipelines.browse.catalogue import Catalogue
from pipelines.browse.media import Broken, Media
from pipelines.browse.query import FACETS, RANGES, Query
from pipelines.browse.sounds import Heard
from pipelines.corpora import registry
from pipelines.media.overlays import TINTS, caption
from pipelines.pages.errors import PageError
from pipelines.publish.explain import Story, sample_story
from shards import storage
from shards.errors import AvsError

PAGE = 48  # cards
MOST_VALUES = 400  # of a facet, that a page lists
NEIGHBOURS, CLIPS = 12, 40
BINS = 24

Words = tuple[tuple[str, int | None], ...]  # each with the number of its colour, None where none shows it


@dataclass(frozen=True)
class Card:
    """A sample in a grid. fault: why its record cannot be read."""

    key: str
    words: Words
    about: str
    fault: str = ""

    @property
    def name(self) -> str:
        return ", ".join(words for words, _ in self.words).replace("_", " ")


@dataclass(frozen=True)
class Value:
    """One value of a facet. query: what is asked when it is chosen, or no more."""

    value: str
    title: str
    count: int
    chosen: bool
    query: Query


@dataclass(frozen=True)
class FacetView:
    name: str
    title: str
    values: list[Value]
    more: int  # values that are not listed


@dataclass(frozen=True)
class RangeView:
    """bars: height in [0, 1] and what it counts, of BINS bins of equal width on the scale."""

    name: str
    title: str
    unit: str
    least: str
    most: str
    bars: list[tuple[float, str]]


@dataclass(frozen=True)
class Grid:
    query: Query
    total: int
    start: int
    cards: list[Card]
    after: int | None  # where the next page starts

    @property
    def before(self) -> int | None:
        return max(0, self.start - PAGE) if self.start else None


@dataclass(frozen=True)
class Clip:
    """A clip of the pool. same: the sample hears it as it is."""

    key: str
    id: str
    about: str
    same: bool


@dataclass(frozen=True)
class SourceView:
    """One thing that is heard: its category, or the label of its clip where the sound is the clip as it is."""

    words: str
    tint: int | None
    about: str
    clip_key: str  # empty where there is no clip to hear apart


@dataclass(frozen=True)
class Neighbours:
    title: str
    cards: list[Card]
    total: int


@dataclass(frozen=True)
class SampleView:
    """A sample's page. What could not be read is None, and `faults` says why, by part."""

    card: Card
    query: Query
    place: int | None  # in what the query lets through, from 1
    total: int
    before: str | None  # key
    after: str | None
    size: tuple[int, int]
    heard: Heard | None
    story: Story | None
    sources: list[SourceView]
    clips: list[Clip]
    clips_total: int
    neighbours: list[Neighbours]
    faults: dict[str, str]


class Views:
    def __init__(self, catalogue: Catalogue, media: Media, label_names: dict[str, str]) -> None:
        self.catalogue, self.media = catalogue, media
        self._labels = label_names

    def grid(self, query: Query) -> Grid:
        rows = self.catalogue.select(query)
        start = min(query.start, max(0, len(rows) - 1) // PAGE * PAGE)
        end = start + PAGE
        return Grid(query, len(rows), start, self.cards(rows[start:end]), end if end < len(rows) else None)

    def cards(self, rows: np.ndarray) -> list[Card]:
        return list(storage.together(self.catalogue.dataset.url, self.card, [int(row) for row in rows]))

    def card(self, row: int) -> Card:
        """Of scenes the record tells which source has which colour."""
        catalogue = self.catalogue
        key = catalogue.key(row)
        told = {
            name: facet.values[facet.codes[row]]
            for name, facet in catalogue.facets.items()
            if facet.rows is None
        }
        area, length = (float(catalogue.numbers[name][row]) for name in ("area", "length"))
        covered = f"{area:.{1 if area >= 1 else 2}f} %" if area else "no mask"
        about = f"{told['split']} · {covered} · {length:.1f} s"
        if not catalogue.scenes:
            return Card(key, ((told["category"], None),), about)
        try:
            return Card(key, _words(self.media.record(key)), about)
        except Broken as error:
            return Card(key, ((told["kind"], None),), about, str(error))

    def facets(self, query: Query) -> Iterator[FacetView]:
        """Each with the samples that the rest of the query lets through, per value; one of one value tells nothing."""
        for name, title in FACETS:
            facet = self.catalogue.facets.get(name)
            if facet is None or (len(facet.values) < 2 and not query.of(name)):
                continue
            counts = facet.counts(self.catalogue.mask(query.without(name)))
            chosen = set(query.of(name))
            found = sorted(
                (value not in chosen, -int(count), value)
                for value, count in zip(facet.values, counts, strict=True)
                if count or value in chosen
            )
            found = [(False, 0, value) for value in sorted(chosen - set(facet.values))] + found
            shown = [
                Value(value, self.title(name, value), -count, not other, query.toggled(name, value))
                for other, count, value in found[:MOST_VALUES]
            ]
            yield FacetView(name, title, shown, len(found) - len(shown))

    def title(self, facet: str, value: str) -> str:
        if facet in ("photos", "sounds"):
            return registry.title(value)
        if facet == "label":
            corpus, _, label = value.partition(":")
            return f"{self._labels.get(value, label)}, {registry.title(corpus)}"
        return value.replace("_", " ") if facet in ("category", "kind") else value

    def ranges(self, query: Query) -> Iterator[RangeView]:
        for name, title, unit in RANGES:
            values = self.catalogue.numbers[name][self.catalogue.mask(query.without(name))]
            edges = np.geomspace(0.01, 100, BINS + 1) if name == "area" else np.linspace(0, 10, BINS + 1)
            counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
            most = max(1, int(counts.max()))
            bars = [
                (int(count) / most, f"{low:.2g} to {high:.2g}: {count:,}")
                for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True)
            ]
            yield RangeView(name, title, unit, *query.span(name), bars)

    def sample(self, row: int, query: Query, alone: bool = False) -> SampleView:
        """Everything that is known of a sample; what is broken is told, not raised.

        Args:
            alone: without its neighbours and the clips of its pool.
        """
        catalogue, faults = self.catalogue, {}
        key = catalogue.key(row)
        rows = catalogue.select(query)
        place = np.flatnonzero(rows == row)
        if not len(place):  # the address was kept, and the filter changed
            query, rows, place = Query(), catalogue.select(Query()), np.array([row])
        at = int(place[0])
        heard, record, story, full = None, None, None, None
        try:
            full = catalogue.row(row)
            record = self.media.record(key)
            story = sample_story(catalogue.dataset, full, catalogue.pools)
        except (AvsError, OSError) as error:
            faults["record"] = str(error)
        try:
            heard = self.media.heard(key)
        except PageError as error:
            faults["sound"] = str(error)
        try:
            self.media.picture(key, "photo")
        except PageError as error:
            faults["photo"] = str(error)
        clips, number = ([], 0) if alone else self._clips(row, record)
        return SampleView(
            self.card(row),
            query,
            at + 1,
            len(rows),
            catalogue.key(int(rows[at - 1])) if at else None,
            catalogue.key(int(rows[at + 1])) if at + 1 < len(rows) else None,
            (full["width"], full["height"]) if full else (4, 3),
            heard,
            story,
            _sources(record) if record else [],
            clips,
            number,
            [] if alone else list(self._neighbours(row)),
            faults,
        )

    def _neighbours(self, row: int) -> Iterator[Neighbours]:
        ids = self.catalogue.ids.slice(row, 1).to_pylist()[0]
        clips = ids["clip_ids"] if self.catalogue.scenes else [ids["clip_id"]]
        seen = {row}
        for title, column, values in (
            ("The same photo", "image_id", [ids["image_id"]]),
            ("The same sound", "clip_ids", clips),
            ("Linked photos, in one split with it", "component", [ids["component"]]),
        ):
            found = [int(each) for each in self.catalogue.same(column, values) if each not in seen]
            if column != "clip_ids":
                seen.update(found)
            if found:
                yield Neighbours(title, self.cards(np.array(found[:NEIGHBOURS])), len(found))

    def _clips(self, row: int, record: dict[str, Any] | None) -> tuple[list[Clip], int]:
        """The clips that the photo may be heard with: those of the pool of its split and categories."""
        catalogue = self.catalogue
        facets = catalogue.facets
        split = facets["split"].values[facets["split"].codes[row]]
        category = facets["category"]
        names = (
            [category.values[category.codes[row]]]
            if category.rows is None
            else [category.values[code] for code in category.codes[category.rows == row]]
        )
        heard = {clip["audio"]["id"] for clip in _heard(record) if clip["audio"]} if record else set()
        ids = sorted({clip for name in names for clip in catalogue.pools.of(split, name)} - heard)
        number, shown = len(ids), sorted(heard) + ids[:CLIPS]
        pool = catalogue.pool
        at = pc.index_in(pa.array(shown, pa.string()), pool["clip_id"].combine_chunks())
        found = []
        for clip in pool.take(at.drop_null()).to_pylist():
            corpus = clip["clip_id"].partition(":")[0]
            label = self._labels.get(f"{corpus}:{clip['label']}", clip["label"])
            about = f"{label} · {clip['duration_s']:.1f} s"
            found.append(Clip(clip["key"], clip["clip_id"], about, clip["clip_id"] in heard))
        return found, number


def label_names(catalogue: Catalogue) -> dict[str, str]:
    """CORPUS:LABEL -> what the label map that ships calls it; a map that does not ship tells nothing."""
    with suppress(AvsError, OSError, ValueError):
        found = label_maps.load(catalogue.dataset.manifest.label_map["name"] or "avs")
        return {f"{link.source}:{link.source_id}": link.label.replace("_", " ") for link in found.links}
    return {}


def _heard(record: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = record.get("sources", [record] if "audio" in record else [])
    return found


def _words(record: dict[str, Any]) -> Words:
    return tuple((words, None if tint is None else TINTS.index(tint)) for words, tint in caption(record))


def _sources(record: dict[str, Any]) -> list[SourceView]:
    found = []
    if "audio" in record:
        audio = record["audio"]
        told = [audio["id"], audio["author"], audio["licence"]]
        found.append(SourceView(audio["label"]["name"], None, " · ".join(filter(None, told)), ""))
    for place, source in enumerate(record.get("sources", ())):
        audio = source["audio"]
        seen = f"{source['area_px']:,} px" if source["mask_ids"] else "not seen"
        at = f", pan {source['pan']:g}" if record["sound"]["channels"] == 2 else ""
        about = f"{seen}; {source['gain_db']:+.1f} dB{at}, from {source['crop_start_s']:g} s of the clip"
        tint = place % len(TINTS) if source["mask_ids"] else None
        name = source["category"] or (audio["label"]["name"] if audio else "noise")
        found.append(SourceView(name, tint, about, audio["key"] if audio else ""))
    return found


def chips(views: Views, query: Query) -> Iterator[tuple[str, Query]]:
    """What a query asks, in words, each with the query without it."""
    for name, values in query.chosen:
        title = dict(FACETS)[name]
        for value in values:
            yield f"{title}: {views.title(name, value)}", query.toggled(name, value)
    for name, title, unit in RANGES:
        low, high = query.span(name)
        if low or high:
            told = f"{low} to {high}" if low and high else f"from {low}" if low else f"to {high}"
            yield f"{title}: {told} {unit.partition(' ')[0]}", query.without(name)
    if query.asked:
        yield f"id {query.asked}", replace(query, asked="")
