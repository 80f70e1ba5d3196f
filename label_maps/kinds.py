"""Kinds: categories that are narrower than another, and where the sounds of the wider and the narrower are heard."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Kinds:
    """A man is a kind of person. What a person sounds may come from a man; what a man sounds, not from every person.

    Attributes:
        wider: a kind -> the category that it is a kind of.
        heard_over: a sound (`Link.source_id`) -> the only other categories that it is heard over; one that is not
            named here is heard over all kinds below its own.
    """

    wider: Mapping[str, str] = field(default_factory=dict)
    heard_over: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def above(self, category: str) -> tuple[str, ...]:
        """The categories that this one is a kind of, the nearest first."""
        return tuple(self._above(category))

    def _above(self, category: str) -> Iterator[str]:
        met = {category}
        while (
            category := self.wider.get(category, category)
        ) not in met:  # a circle is a fault, and ends here
            met.add(category)
            yield category

    def below(self, category: str) -> frozenset[str]:
        """Its kinds, their kinds, and so on."""
        return self._below.get(category, frozenset())

    @cached_property
    def _below(self) -> Mapping[str, frozenset[str]]:
        found: dict[str, set[str]] = {}
        for kind in self.wider:
            for wider in self.above(kind):
                found.setdefault(wider, set()).add(kind)
        return {wider: frozenset(kinds) for wider, kinds in found.items()}

    def reached(self, category: str, sound: str, narrower_sounds: bool) -> frozenset[str]:
        """The categories that a sound of `category` is heard over: its own and the kinds below that make it.

        Args:
            narrower_sounds: those that it is a kind of, too.
        """
        others = self.below(category) | frozenset(self.above(category) if narrower_sounds else ())
        if sound in self.heard_over:
            named = set(self.heard_over[sound])
            others = frozenset(other for other in others if not named.isdisjoint((other, *self.above(other))))
        return others | {category}

    def to_bytes(self) -> bytes:
        """One canonical text for equal kinds; empty where there are none."""
        if not self.wider:
            return b""
        heard_over = {sound: sorted(named) for sound, named in self.heard_over.items()}
        tables = {"kind_of": dict(self.wider), "heard_over": heard_over}
        return json.dumps(tables, sort_keys=True, ensure_ascii=False).encode()


NO_KINDS = Kinds()
