"""Candidates: the visual labels that a reading of a sound can mean, each with the evidence for it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pipelines.matching.ideas import Ideas
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.phrases import Mention, Role
from pipelines.matching.visual_index import VisualIndex

_HOPS = 2  # relations in a row; a third says little about the sound

# How far a step between names can be trusted, 1 being the name itself. Accepted from 0.8 on (decide.py), so one
# close step is accepted and most pairs of steps go to review.
STEP = {
    "name": 1.0,
    "synonym": 0.84,
    "same_as": 0.92,
    "kind_of": 0.86,
    "has_part": 0.88,
    "similar_to": 0.5,
    "definition": 0.82,
    "hierarchy": 0.81,
    "bridge": 0.78,
    "head": 0.93,
}
LOOSE = 0.58  # in place of the above where the table calls the relation loose


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

    def __init__(self, index: VisualIndex, lexicon: Lexicon, ideas: Ideas) -> None:
        self._index = index
        self._lexicon = lexicon
        self._ideas = ideas

    def find(self, mention: Mention) -> list[Evidence]:
        """The best evidence for each visual label that the mention leads to, refused ones among them."""
        best: dict[int, Evidence] = {}
        for name in self._names(mention):
            for named in self._index.named.get(name.key, ()):
                trust, method, why = name.trust, name.method, name.why
                if named.rank:
                    trust *= STEP["synonym"]
                    method = "synonym" if method == "name" else method
                    why += f", a synonym of {self._index.visual[named.number].name!r}"
                found = Evidence(named.number, mention, method, trust, why, name.direct)
                if named.number not in best or best[named.number].trust < trust:
                    best[named.number] = found
        for refused in self._refused(mention):
            best.setdefault(refused.number, refused)
        return self._nearest(list(best.values()))

    def _names(self, mention: Mention) -> list[_Name]:
        """Names the mention leads to, each by its most trusted way."""
        names: dict[str, _Name] = {}
        whole = self._lexicon.key(mention.words)
        self._keep(names, _Name(whole, 1.0, "name", f"{mention.text!r}", True))
        if self._ideas.heads:
            for head in self._heads(mention.words):
                trust = STEP["head"]
                self._keep(names, _Name(self._lexicon.key(head), trust, "head", f"{' '.join(head)!r}, the head", False))
        frontier = list(names.values())
        for _ in range(_HOPS):
            reached = [step for name in frontier for step in self._steps(name)]
            frontier = [step for step in reached if self._keep(names, step)]
        return list(names.values())

    @staticmethod
    def _keep(names: dict[str, _Name], name: _Name) -> bool:
        if name.key in names and names[name.key].trust >= name.trust:
            return False
        names[name.key] = name
        return True

    def _heads(self, words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Ends of a compound, longest first, up to one whose last word misleads (`sea lion`)."""
        for start in range(len(words)):
            relations = self._lexicon.nouns.get(self._lexicon.key(words[start:]), ())
            if start:
                yield words[start:]
            if any(relation.kind == "opaque" for relation in relations):
                return

    def _steps(self, name: _Name) -> Iterator[_Name]:
        """Names one relation further on."""
        for relation in self._lexicon.nouns.get(name.key, ()):
            if relation.kind != "opaque":
                trust = name.trust * (STEP[relation.kind] if relation.close else min(LOOSE, STEP[relation.kind]))
                direct = name.direct and relation.kind == "same_as"
                yield _Name(relation.thing, trust, relation.kind, f"{name.why} {_SAYS[relation.kind]} {relation.thing!r}", direct)
        for wide, method in self._index.wider.get(name.key, ()):
            if wide not in self._lexicon.general:
                yield _Name(wide, name.trust * STEP[method], method, f"{name.why} is a kind of {wide!r} by its {method}", False)
        if self._ideas.synonyms:
            for named in self._index.named.get(name.key, ()):
                for other in self._index.keys[named.number]:
                    if other != name.key:
                        why = f"{name.why} shares an LVIS synset with {other!r}"
                        yield _Name(other, name.trust * STEP["bridge"], "bridge", why, False)

    def _refused(self, mention: Mention) -> Iterator[Evidence]:
        """Labels whose name stands in the mention without being what it names."""
        words = mention.words
        heads = set(self._heads(words)) if self._ideas.heads else set()
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

    def _nearest(self, found: list[Evidence]) -> list[Evidence]:
        """Refuses wider classes of a source that has the thing itself; people are the exception (see README)."""
        visual = self._index.visual
        direct: dict[str, Evidence] = {}
        for evidence in found:
            if evidence.direct and evidence.trust >= STEP["synonym"]:
                source = visual[evidence.number].source
                direct[source] = max(direct.get(source, evidence), evidence, key=lambda one: one.trust)
        result = []
        for evidence in found:
            nearer = direct.get(visual[evidence.number].source)
            wider = not evidence.direct and evidence.method != "has_part" and not evidence.refused
            if nearer and wider and self._index.keys[evidence.number][0] != "person":
                reason = f"{visual[nearer.number].name!r} of the same source is nearer"
                evidence = replace(evidence, refused=reason)
            result.append(evidence)
        return result


_SAYS = {"same_as": "is", "kind_of": "is a kind of", "has_part": "are among others", "similar_to": "is near to"}
