"""The lexicon: the tables of knowledge/ under the keys that wording gives them, for a chosen set of ideas."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pipelines.matching import knowledge
from pipelines.matching.ideas import Ideas
from pipelines.matching.knowledge import Relation
from pipelines.matching.wording import exact, key, singular, stems, tokens


@dataclass(frozen=True)
class Verb:
    """A verb form found in a label."""

    base: str
    classes: frozenset[str]  # sound | handle | work; empty: a verb that the table does not know
    domain: str = ""


@dataclass(frozen=True)
class Lexicon:
    """Look-ups by key. `nouns` maps to relations whose `thing` is a key too."""

    nouns: dict[str, list[Relation]]
    verbs: dict[str, Verb]
    acts: dict[str, list[tuple[str, bool]]]
    act_words: frozenset[str]
    parts: dict[str, set[str]]
    domains: dict[str, str]
    groups: dict[tuple[str, str], str]
    general: frozenset[str]
    one: Callable[[str], str] = field(default=singular)  # a word to its singular

    def key(self, words: Iterable[str]) -> str:
        return key(tuple(self.one(word) for word in words))

    def name_key(self, text: str) -> str:
        return self.key(tokens(text))

    def verb(self, words: tuple[str, ...]) -> Verb | None:
        """The verb that the words are a form of, if the table has it: `pant hooting` -> `pant hoot`."""
        for stem in stems(words[-1]):
            found = self.verbs.get(key((*words[:-1], stem)))
            if found:
                return found
        return None


def build(ideas: Ideas) -> Lexicon:
    """The lexicon that these ideas use; a table whose idea is off is empty."""
    one = singular if ideas.plurals else exact

    def name(text: str) -> str:
        return key(tuple(one(word) for word in tokens(text)))

    nouns: dict[str, list[Relation]] = {}
    for word, relation in knowledge.nouns():
        if ideas.uses(relation):
            nouns.setdefault(name(word), []).append(
                Relation(relation.kind, name(relation.thing), relation.close)
            )
    verbs: dict[str, Verb] = {}
    for word, kind, domain in knowledge.verbs() if ideas.verbs else []:
        base = key(tokens(word))
        before = verbs.get(base, Verb(base, frozenset()))
        verbs[base] = Verb(base, before.classes | {kind}, before.domain or domain)
    acts: dict[str, list[tuple[str, bool]]] = {}
    for act, thing, close in knowledge.acts() if ideas.acts else []:
        acts.setdefault(key(tokens(act)), []).append((name(thing), close))
    act_words = frozenset(
        word for act, _, _ in (knowledge.acts() if ideas.acts else []) for word in tokens(act)
    )
    parts: dict[str, set[str]] = {}
    for part, domain in knowledge.parts() if ideas.parts else []:
        parts.setdefault(name(part), set()).add(domain)
    return Lexicon(
        nouns,
        verbs,
        acts,
        act_words,
        parts,
        {name(word): domain for word, domain in knowledge.domains()},
        {(group, domain): fit for group, domain, fit in knowledge.groups()},
        frozenset(name(word) for word in knowledge.general()),
        one,
    )
