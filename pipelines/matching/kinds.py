"""Kinds: the visual labels that lie below a name, by what English, LVIS and Open Images say of them."""

from collections.abc import Iterator

from pipelines.matching.lexicon import Lexicon
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.wording import name_key, tokens

_DEPTH = 3
FAMILY = 3  # kinds in one source, at most, that a narrow name without a visual label of its own means each
_ENGLISH = ("kind_of", "form_of")
MOST = 12  # kinds of one thing in one source; of a wide name (percussion) all or, where there are more, none


class Kinds:
    """`below(name)` is a pure function of the vocabulary and the tables."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon) -> None:
        self._index = index
        self._lexicon = lexicon
        self._below: dict[str, dict[str, str]] = {}  # key -> keys right below it, each with how that is known
        for narrow, wide, how in self._steps():
            if narrow != wide:
                self._below.setdefault(wide, {}).setdefault(narrow, how)

    def below(self, name: str) -> list[tuple[int, str]]:
        """(visual label, how it is known to be a kind of the name): near ones before far ones, then those on most
        photos; at most MOST of a source, and none of a source that has more below a name that is general.
        """
        index, found = self._index, dict[int, tuple[int, str]]()
        own = {index.domains[named.number] for named in index.named.get(name, ())} - {""}
        seen, level = {name}, {name: ""}
        for depth in range(_DEPTH):
            level = {
                narrow: how if level[wide] in ("", "same_as", "form_of") else level[wide]
                for wide in level
                for narrow, how in self._below.get(wide, {}).items()
                if narrow not in seen
            }
            seen.update(level)
            for key, how in level.items():
                for named in index.named.get(key, ()):
                    if named.rank < 2 and (not own or index.domains[named.number] in own | {""}):
                        found.setdefault(named.number, (depth, how))
        by_source: dict[str, list[int]] = {}
        for number in found:
            by_source.setdefault(index.visual[number].source, []).append(number)
        kept: list[int] = []
        for numbers in by_source.values():
            if len(numbers) <= MOST or name not in self._lexicon.general:
                kept += sorted(numbers, key=lambda one: (found[one][0], *self._place(one)))[:MOST]
        return [
            (one, found[one][1]) for one in sorted(kept, key=lambda one: (found[one][0], *self._place(one)))
        ]

    def family(self, name: str) -> frozenset[int]:
        """The kinds of a name that no visual label bears and that is so narrow that each of them is meant (brass
        instrument: cornet, tuba; trumpet, trombone, horn); none of a name that English has more than MOST words below,
        or a source more than FAMILY kinds.
        """
        if name in self._index.named or len(self._words_below(name)) > MOST:
            return frozenset()
        below = self.below(name)
        sources = [self._index.visual[number].source for number, _ in below]
        few = all(sources.count(source) <= FAMILY for source in set(sources))
        return frozenset(number for number, how in below if few and how in _ENGLISH)

    def _words_below(self, name: str) -> set[str]:
        """All that English knows as kinds and forms of the name."""
        found, level = set[str](), {name}
        while level:
            level = {
                narrow
                for wide in level
                for narrow, how in self._below.get(wide, {}).items()
                if how in _ENGLISH
            } - found
            found |= level
        return found

    def _place(self, number: int) -> tuple[int, str]:
        label = self._index.visual[number]
        return -label.photos, label.name

    def _steps(self) -> Iterator[tuple[str, str, str]]:
        """(narrower key, wider key, how it is known)."""
        lexicon = self._lexicon
        for word, relations in lexicon.nouns.items():
            for relation in relations:
                if relation.kind in ("kind_of", "form_of") and relation.close:
                    yield word, relation.thing, relation.kind
                elif relation.kind == "same_as" and word not in self._index.named:
                    yield relation.thing, word, "same_as"
        for label, keys in zip(self._index.visual, self._index.keys, strict=True):
            name, words = keys[0], tokens(label.names[0])
            told = lexicon.opaque(name) or any(
                relation.kind in ("kind_of", "form_of") and relation.close
                for relation in lexicon.nouns.get(name, ())
            )
            heads = [(name_key(" ".join(words[start:])), "head") for start in range(1, len(words))]
            for wide, how in (*self._index.wider.get(name, ()), *heads):
                if how == "hierarchy" or not (told or wide in lexicon.general or self._differ(name, wide)):
                    yield name, wide, how

    def _differ(self, narrow: str, wide: str) -> bool:
        """Whether the two names are not known to be of one domain."""
        one, other = (
            {self._index.domains[named.number] for named in self._index.named.get(name, ())} - {""}
            for name in (narrow, wide)
        )
        return bool(other) and not one & other
