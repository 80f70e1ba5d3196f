"""The lexicon: the tables of knowledge/ under the keys that wording gives them."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.matching.knowledge import Relation, rows
from pipelines.matching.wording import key, name_key, singular, stems, tokens


@dataclass(frozen=True)
class Verb:
    """A verb form found in a label."""

    base: str
    classes: frozenset[str]  # sound | handle | work; empty: a verb that the table does not know
    domains: frozenset[str] = frozenset()  # of those who do it; empty: anything may


@dataclass(frozen=True)
class Lexicon:
    """Look-ups by key. `nouns` maps to relations whose `thing` is a key too."""

    nouns: dict[str, list[Relation]]
    verbs: dict[str, Verb]
    acts: dict[str, list[tuple[str, bool]]]  # act -> (thing, close)
    act_words: frozenset[str]
    parts: dict[str, set[str]]  # part -> domains of the wholes it belongs to
    domains: dict[str, str]  # class word -> domain
    groups: dict[tuple[str, str], str]  # (group of sounds, domain) -> expected | foreign
    general: frozenset[str]  # class words too wide, or with too many senses, to be accepted by name
    unreal: frozenset[str]  # words that say that a thing is none: toy, synthetic

    def key(self, words: Iterable[str]) -> str:
        return key(tuple(singular(word) for word in words))

    def verb(self, words: tuple[str, ...]) -> Verb | None:
        """The verb that the words are a form of, if the table has it: `pant hooting` -> `pant hoot`."""
        for stem in stems(words[-1]):
            found = self.verbs.get(key((*words[:-1], stem)))
            if found:
                return found
        return None

    def opaque(self, name: str) -> bool:
        """Whether the last word of the name misleads."""
        return any(relation.kind == "opaque" for relation in self.nouns.get(name, ()))


def build() -> Lexicon:
    nouns: dict[str, list[Relation]] = {}
    for row in rows("nouns"):
        word, thing, close = name_key(row["word"]), name_key(row["thing"]), row["strength"] == "close"
        nouns.setdefault(word, []).append(Relation(row["relation"], thing, close))
        if thing:
            nouns.setdefault(thing, [])
        if row["relation"] == "same_as":
            nouns.setdefault(thing, []).append(Relation("same_as", word, close))
    verbs: dict[str, Verb] = {}
    for row in rows("verbs"):
        base = key(tokens(row["word"]))
        before = verbs.get(base, Verb(base, frozenset()))
        domains = before.domains | ({row["domain"]} - {""})
        verbs[base] = Verb(base, before.classes | {row["class"]}, domains)
    acts: dict[str, list[tuple[str, bool]]] = {}
    for row in rows("acts"):
        acts.setdefault(key(tokens(row["act"])), []).append((row["thing"], row["strength"] == "close"))
    parts: dict[str, set[str]] = {}
    for row in rows("parts"):
        parts.setdefault(name_key(row["part"]), set()).add(row["domain"])
    return Lexicon(
        nouns,
        verbs,
        acts,
        frozenset(word for row in rows("acts") for word in tokens(row["act"])),
        parts,
        {name_key(row["word"]): row["domain"] for row in rows("domains")},
        {(row["group"], row["domain"]): row["fit"] for row in rows("groups")},
        frozenset(name_key(row["word"]) for row in rows("general")),
        frozenset(row["word"] for row in rows("unreal")),
    )
