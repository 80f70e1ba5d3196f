"""The matcher: every audio label against the visual vocabulary."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pipelines.matching import lexicon as lexicons
from pipelines.matching.candidates import BELOW, STEP, Evidence, Finder
from pipelines.matching.decide import SOUNDING, Judge, Judged
from pipelines.matching.decisions import Decided, Decisions
from pipelines.matching.lexicon import Lexicon
from pipelines.matching.phrases import Mention, Reader, Reading, Role
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from pipelines.matching.wording import tokens

_INHERITED = 0.84  # trust at least in what a wider sound names for certain: its voice is as certain
_MOST_CHILDREN = 12  # things of one source that narrower sounds bring, as with kinds: all or none


class Matcher:
    """Holds the indexed visual vocabulary; `propose` is a pure function of the label."""

    def __init__(
        self,
        visual: tuple[VisualLabel, ...],
        lexicon: Lexicon | None = None,
        decided: Iterable[Decided] = (),
        semantic: bool = False,
    ) -> None:
        """`lexicon`: in place of the one that ships. Raises semantic.SemanticExtraMissing where `semantic` asks for
        embeddings that are not installed.
        """
        lexicon = lexicon or lexicons.build()
        index = VisualIndex(visual, lexicon)
        self.visual = visual
        self._reader = Reader(index, lexicon)
        self._finder = Finder(index, lexicon)
        self._judge = Judge(index, lexicon)
        self._lexicon = lexicon
        self._decisions = Decisions(decided, visual, self._reader, self._finder)
        self._semantics = None
        if semantic:
            from pipelines.matching.semantic import Semantics  # numpy, which nothing else here needs

            self._semantics = Semantics(visual)
        self._mids = {label.id: number for number, label in enumerate(visual) if label.id.startswith("/")}
        self._named: dict[tuple[str, str], tuple[Judged, ...]] = {}

    def read(self, label: AudioLabel) -> Reading:
        return self._reader.read(label.label, label.synonyms)

    def propose(self, label: AudioLabel) -> list[Judged]:
        """What can be said of one sound, best first, each visual label at most once."""
        reading = self.read(label)
        found = [evidence for mention in reading.mentions for evidence in self._finder.find(mention)]
        if label.id in self._mids:
            mention = Mention(tokens(label.label), Role.SOURCE)
            why = f"both have the MID {label.id}"
            found.insert(0, Evidence(self._mids[label.id], mention, "mid", 1.0, why, direct=True))
        found = self._as_wide(label, found)
        found += self._from_parents(label, reading)
        found += self._from_children(label)
        found += self._decisions.find(label, reading)
        if self._semantics:
            known = {evidence.number for evidence in found}
            found += [evidence for evidence in self._semantics.find(label) if evidence.number not in known]
        judged = self._judge.decide(label, reading, found)
        if label.definition and all(one.decision == "reject" for one in judged):
            defined = self._reader.makers(label.definition)
            found += [evidence for mention in defined for evidence in self._finder.find(mention)]
            judged = self._judge.decide(label, reading, found)
        return judged

    def _as_wide(self, label: AudioLabel, found: list[Evidence]) -> list[Evidence]:
        """Leaves a family to people where the vocabulary puts others below its name: a telephone below *Alarm*."""
        family = {one.number for one in found if one.method == "family"}
        below = [
            {one.number for one in self._things(child, label.group)} for child in label.children if family
        ]
        if all(things & family for things in below if things):
            return found
        trust = STEP["narrower"]
        return [
            replace(one, method="narrower", trust=trust) if one.method == "family" else one for one in found
        ]

    def _from_parents(self, label: AudioLabel, reading: Reading) -> Iterator[Evidence]:
        """What the nearest wider sound with a thing of its own names. A bare sound is the voice or act of what all the
        ways up lead to; all else goes to review.
        """
        if any(word in self._lexicon.unreal for word in tokens(label.label)):
            return
        named: dict[int, tuple[float, str]] = {}
        ways: list[set[int]] = []
        for chain in label.parents:
            known = ((name, self._things(name, label.group)) for name in chain)
            name, found = next((one for one in known if one[1]), ("", ()))
            ways.append({one.number for one in found})
            for one in found:
                score = max(one.score, _INHERITED)
                named[one.number] = max(named.get(one.number, (0.0, "")), (score, name))
        common = set.intersection(*ways) if ways else set()
        for number, (score, name) in named.items():
            mention = Mention(tokens(name), Role.PARENT, close=reading.bare and number in common)
            yield Evidence(number, mention, "parent", score, f"{label.label!r} stands below {name!r}")

    def _from_children(self, label: AudioLabel) -> Iterator[Evidence]:
        """What narrower sounds name."""
        by_source: dict[str, dict[int, str]] = {}
        for child in label.children:
            for one in self._things(child, label.group):
                by_source.setdefault(self.visual[one.number].source, {}).setdefault(one.number, child)
        for things in by_source.values():
            for number, child in things.items() if len(things) <= _MOST_CHILDREN else ():
                mention = Mention(tokens(child), Role.CHILD, close=False)
                yield Evidence(number, mention, "child", 0.9, f"{child!r} stands below {label.label!r}")

    def _things(self, text: str, group: str) -> tuple[Judged, ...]:
        """What a wording alone names for certain: what is accepted of it, without forms of what it names."""
        if (text, group) not in self._named:
            reading = self._reader.read(text)
            found = [evidence for mention in reading.mentions for evidence in self._finder.find(mention)]
            self._named[text, group] = tuple(
                one
                for one in self._judge.decide(AudioLabel(text, "", group=group), reading, found)
                if one.decision == "accept"
                and one.role in SOUNDING
                and one.method not in BELOW
                and not self._judge.too_wide(one.number)
            )
        return self._named[text, group]
