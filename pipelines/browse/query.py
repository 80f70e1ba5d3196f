"""What an address asks of a dataset: which samples, in which order, from where."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

FACETS = (  # name in an address, title
    ("category", "Category"),
    ("split", "Split"),
    ("kind", "Kind"),
    ("photos", "Photos of"),
    ("sounds", "Sounds of"),
    ("label", "Label of the sound"),
    ("photo_licence", "Licence of the photo"),
    ("sound_licence", "Licence of the sound"),
)
RANGES = (  # name in an address, title, unit
    ("area", "Area of the mask", "% of the photo"),
    ("length", "Length of the sound", "s"),
)
ORDERS = {
    "": "as stored",
    "area": "smallest mask first",
    "-area": "largest mask first",
    "length": "shortest sound first",
    "-length": "longest sound first",
}
ASKED_LETTERS = 200


@dataclass(frozen=True)
class Query:
    """
    Attributes:
        chosen: facet -> the values that are let through, any of them; a facet that is not there lets all through.
        ranges: area (percent) or length (seconds) -> (least, most), inclusive.
        asked: an id that the samples have.
        order: of ORDERS. start: place of the first sample to show.
    """

    chosen: tuple[tuple[str, tuple[str, ...]], ...] = ()
    ranges: tuple[tuple[str, tuple[float, float]], ...] = ()
    asked: str = ""
    order: str = ""
    start: int = field(default=0, compare=False)

    @classmethod
    def read(cls, given: Sequence[tuple[str, str]]) -> "Query":
        """From the pairs of a query string; what it does not know, or cannot read as a number, asks nothing."""
        values: dict[str, list[str]] = {}
        for name, value in given:
            values.setdefault(name, []).append(value)
        ranges = {
            name: (
                _number(values.get(f"{name}_min"), -math.inf),
                _number(values.get(f"{name}_max"), math.inf),
            )
            for name, _, _ in RANGES
        }
        order = values.get("order", [""])[0]
        start = values.get("start", ["0"])[0]
        return cls(
            tuple((name, tuple(sorted(set(values[name])))) for name, _ in FACETS if name in values),
            tuple((name, span) for name, span in ranges.items() if span != (-math.inf, math.inf)),
            values.get("q", [""])[0].strip()[:ASKED_LETTERS],
            order if order in ORDERS else "",
            int(start) if start.isascii() and start.isdigit() and len(start) < 10 else 0,
        )

    def of(self, facet: str) -> tuple[str, ...]:
        return dict(self.chosen).get(facet, ())

    def span(self, name: str) -> tuple[str, str]:
        """Least and most as they are written into a form; empty where there is no bound."""
        return tuple(  # type: ignore[return-value]
            f"{end:g}" if math.isfinite(end) else ""
            for end in dict(self.ranges).get(name, (-math.inf, math.inf))
        )

    def without(self, facet: str) -> "Query":
        """The same without what it asks of a facet or range."""
        return replace(
            self,
            chosen=tuple((name, values) for name, values in self.chosen if name != facet),
            ranges=tuple((name, span) for name, span in self.ranges if name != facet),
            start=0,
        )

    def toggled(self, facet: str, value: str) -> "Query":
        """The same with a value let through, too, or no more."""
        values = tuple(sorted({*self.of(facet)} ^ {value}))
        rest = self.without(facet)
        return replace(rest, chosen=(*rest.chosen, (facet, values))) if values else rest

    def text(self, **more: object) -> str:
        """The query string, '' or with its '?'."""
        pairs = [(name, value) for name, values in self.chosen for value in values]
        for name, _ in self.ranges:
            low, high = self.span(name)
            pairs += [(f"{name}_min", low)] if low else []
            pairs += [(f"{name}_max", high)] if high else []
        pairs += [("q", self.asked)] if self.asked else []
        pairs += [("order", self.order)] if self.order else []
        pairs += [(name, str(value)) for name, value in more.items()]
        return f"?{urlencode(pairs)}" if pairs else ""


def _number(given: Sequence[str] | None, otherwise: float) -> float:
    try:
        value = float((given or [""])[0].replace(",", "."))
    except ValueError:
        return otherwise
    return value if math.isfinite(value) else otherwise


def values(params: Mapping[str, str], name: str, most: int = ASKED_LETTERS) -> str:
    return params.get(name, "")[:most]
