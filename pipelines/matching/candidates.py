"""Candidates: the visual labels that a reading of a sound can mean, each with the evidence for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from rapidfuzz import fuzz, process

from pipelines.matching.kinds import Kinds
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.phrases import Mention, Role
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.wording import tokens

_HOPS = 2  # relations in a row; a third says little about the sound

# How far a step between names can be trusted, 1 being the name itself. Accepted from 0.8 on (decide.py), so one
# close step is accepted and most pairs of steps go to review.
STEP = {
    "name": 1.0,
    "synonym": 0.84,
    "bracketed synonym": 0.6,
    "same_as": 0.92,
    "word order": 0.9,
    "kind_of": 0.86,
    "form_of": 0.86,
    "part_of": 0.9,
    "has_part": 0.88,
    "similar_to": 0.5,
    "definition": 0.79,
    "hierarchy": 0.79,
    "bridge": 0.78,
    "form": 0.85,
    "family": 0.85,
    "narrower": 0.5,
    "head": 0.94,
    "spelling": 0.75,
}
_ALIKE = 86.0  # of 100; `bassoon` and `balloon` have 85.7
_SHORTEST_MISSPELT = 6  # letters
_LONGEST_REORDERED = 3  # words
BELOW = ("narrower", "form", "family")  # ways from a name down to its kinds
LOOSE = 0.58  # in place of the above where the table calls the relation loose
_KIND_BELOW_KIND = 0.002  # so that kinds stay in the order that Kinds gives them


@dataclass(frozen=True)
class Evidence:
    """Why one visual label may be the thing that a mention names."""

    number: int  # of the visual label
    mention: Mention
    method: str
    trust: float  # in [0, 1], of the way from the mention to the label; the mention's role is not in it
    why: str
    direct: bool = False  # the whole mention names it, no wider class
    refused: str = ""  # a reason that no score outweighs


@dataclass(frozen=True)
class _Name:
    """A name on the way from a mention."""

    key: str
    trust: float
    method: str
    why: str
    direct: bool


class Finder:
    """Finds candidates by name and by what the tables know of names."""

    def __init__(self, index: VisualIndex, lexicon: Lexicon) -> None:
        self._index = index
        self._lexicon = lexicon
        self._kinds = Kinds(index, lexicon)
        self._all_names = tuple(index.named)

    def find(self, mention: Mention) -> list[Evidence]:
        """The best evidence for each visual label that the mention leads to, refused ones among them."""
        best: dict[int, Evidence] = {}
        names = self._names(mention)
        for name in names:
            for named in self._index.named.get(name.key, ()):
                trust, method, why = name.trust, name.method, name.why
                if named.rank:
                    trust *= STEP["synonym" if named.rank == 1 else "bracketed synonym"]
                    method = "synonym" if method == "name" else method
                    why += f", a synonym of {self._index.visual[named.number].name!r}"
                found = Evidence(named.number, mention, method, trust, why, name.direct)
                if named.number not in best or best[named.number].trust < trust:
                    best[named.number] = found
        for narrower in self._narrower(mention, names):
            before = best.get(narrower.number)
            if before is None or (before.trust < narrower.trust and not before.direct):
                best[narrower.number] = narrower
        if mention.role is not Role.ACT and not best:
            for alike in self._alike(mention):
                best.setdefault(alike.number, alike)
        for refused in self._refused(mention):
            best.setdefault(refused.number, refused)
        return list(best.values())

    def names(self, mention: Mention) -> tuple[str, ...]:
        """Keys of the names that the mention itself has, no wider ones."""
        return tuple(name.key for name in self._names(mention) if name.direct)

    def _names(self, mention: Mention) -> list[_Name]:
        """Names the mention leads to, each by its most trusted way."""
        names: dict[str, _Name] = {}
        whole = self._lexicon.key(mention.words)
        self._keep(names, _Name(whole, 1.0, "name", f"{mention.text!r}", True))
        if mention.role is not Role.ACT:
            for words in self._reordered(mention.words):
                why = f"{' '.join(words)!r}, the same words"
                self._keep(
                    names, _Name(self._lexicon.key(words), STEP["word order"], "word order", why, True)
                )
            told = {one.thing: one.kind for one in self._lexicon.nouns.get(whole, ()) if one.close}
            for head in self._heads(mention.words):
                why, name = f"{' '.join(head)!r}, the head", self._lexicon.key(head)
                # a bass drum; a tubular bell is a chime
                trust = STEP["head"] if not told or name in told else LOOSE
                if told.get(name) != "same_as":
                    self._keep(names, _Name(name, trust, "head", why, False))
        exact_only = mention.role is Role.ACT  # acts.csv names what an act needs, not its kind
        frontier = list(names.values())
        for _ in range(_HOPS):
            steps = [step for name in frontier for step in self._steps(name)]
            reached = [step for step in steps if step.direct or not exact_only]
            frontier = [step for step in reached if self._keep(names, step)]
        return list(names.values())

    @staticmethod
    def _keep(names: dict[str, _Name], name: _Name) -> bool:
        if name.key in names and names[name.key].trust >= name.trust:
            return False
        names[name.key] = name
        return True

    def _reordered(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """The same words in the order of a visual label's name (`clock alarm`), where theirs is no name."""
        if 1 < len(words) <= _LONGEST_REORDERED and self._lexicon.key(words) not in self._index.named:
            for order in permutations(words):
                if self._lexicon.key(order) in self._index.named:
                    yield order

    def _heads(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Ends of a compound, longest first, up to one whose last word misleads (`sea lion`)."""
        for start in range(len(words)):
            if start:
                yield words[start:]
            if self._lexicon.opaque(self._lexicon.key(words[start:])):
                return

    def _steps(self, name: _Name) -> Iterator[_Name]:
        """Names one relation further on; behind a loose one come no more but other names."""
        loose = name.trust <= LOOSE
        for relation in self._lexicon.nouns.get(name.key, ()):
            if relation.kind != "opaque" and (relation.kind == "same_as" or not loose):
                step = STEP[relation.kind]
                trust = name.trust * (step if relation.close else min(LOOSE, step))
                direct = name.direct and relation.kind == "same_as"
                why = f"{name.why} {_SAYS[relation.kind]} {self._say(relation.thing)}"
                yield _Name(relation.thing, trust, relation.kind, why, direct)
        for wide, method in self._index.wider.get(name.key, ()) if not loose else ():
            if wide not in self._lexicon.general and self._same_domain(name.key, wide):
                why = f"{name.why} is a kind of {self._say(wide)} by its {method}"
                yield _Name(wide, name.trust * STEP[method], method, why, False)
        for named in self._index.named.get(name.key, ()):
            equals = self._index.equals[named.number]
            for other in equals if name.key in equals else ():
                if other != name.key:
                    why = f"{name.why} shares an LVIS synset with {self._say(other)}"
                    yield _Name(other, name.trust * STEP["bridge"], "bridge", why, False)

    def _narrower(self, mention: Mention, names: list[_Name]) -> Iterator[Evidence]:
        """Kinds of what the mention names, for people to look at: owl below bird. Forms of it (puppy below dog) are
        certain where the label names the thing alone, since what one act sounds like may be another matter.
        """
        if (
            mention.role in (Role.OBJECT, Role.PART, Role.CONTEXT, Role.GROUP, Role.QUALIFIER)
            or not mention.close
        ):
            return
        alone = mention.alone and mention.role is Role.SOURCE
        said: set[int] = set()
        for name in names:
            if name.direct:
                family = self._kinds.family(name.key) if alone else frozenset()
                for place, (number, how) in enumerate(self._kinds.below(name.key)):
                    if number not in said:
                        said.add(number)
                        why = f"{self._index.visual[number].name!r} is a kind of {mention.text!r} ({_KNOWN[how]})"
                        method = "form" if how == "form_of" and alone else "narrower"
                        method = "family" if number in family else method
                        trust = STEP[method] - place * _KIND_BELOW_KIND
                        yield Evidence(number, mention, method, trust, why)

    def _alike(self, mention: Mention) -> Iterator[Evidence]:
        """Labels with a name that is spelled nearly alike (rapidfuzz's ratio of edits, 0 to 100).

        A name that only goes on where the other ends is another word: `harmonic` and `harmonica`.
        """
        written = self._lexicon.key(mention.words)
        found = process.extract(written, self._all_names, scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=2)
        for name, ratio, _ in found if len(written) >= _SHORTEST_MISSPELT else ():
            if not name.startswith(written) and not written.startswith(name):
                for named in self._index.named[name]:
                    why = f"{mention.text!r} is spelled like {self._index.visual[named.number].name!r}"
                    yield Evidence(named.number, mention, "spelling", STEP["spelling"] * ratio / 100, why)

    def _say(self, name: str) -> str:
        """A key as a person writes it, where a visual label has it."""
        spelled = next(
            (self._index.visual[named.number].names[0] for named in self._index.named.get(name, ())), name
        )
        return repr(spelled.lower() if self._lexicon.key(tokens(spelled)) == name else name)

    def _same_domain(self, name: str, wide: str) -> bool:
        """Whether both names can be of one domain: a heart is a muscular organ, not the one that is played."""
        domains = [
            {self._index.domains[named.number] for named in self._index.named.get(key, ())}
            for key in (name, wide)
        ]
        return "" in domains[0] | domains[1] or not all(domains) or bool(domains[0] & domains[1])

    def _refused(self, mention: Mention) -> Iterator[Evidence]:
        """Labels whose name stands in the mention without being what it names."""
        words = mention.words
        heads = set(self._heads(words))
        for start in range(len(words)):
            for end in range(len(words), start, -1):
                piece = words[start:end]
                if len(piece) == len(words) or piece in heads:
                    continue
                for named in self._index.named.get(self._lexicon.key(piece), ()):
                    text = " ".join(piece)
                    reason = (
                        f"{text!r} only qualifies {' '.join(words[end:])!r} in {mention.text!r}"
                        if end < len(words)
                        else f"{text!r} is no kind of {mention.text!r}: the compound means something else"
                    )
                    yield Evidence(named.number, mention, "name", 0.3, f"{text!r}", refused=reason)


_SAYS = {
    "same_as": "is",
    "kind_of": "is a kind of",
    "form_of": "is a form of",
    "part_of": "is part of",
    "has_part": "are among others",
    "similar_to": "is near to",
}
_KNOWN = {
    "same_as": "English",
    "kind_of": "English",
    "form_of": "English",
    "definition": "its definition",
    "hierarchy": "the hierarchy",
    "head": "its name",
}
