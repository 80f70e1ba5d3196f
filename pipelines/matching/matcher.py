"""The matcher: every audio label against the visual vocabulary."""

from pipelines.matching import lexicon as lexicons
from pipelines.matching.candidates import Evidence, Finder
from pipelines.matching.decide import Judge, Proposal
from pipelines.matching.ideas import Ideas
from pipelines.matching.phrases import Mention, Reader, Role
from pipelines.matching.semantic import Semantics
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from pipelines.matching.wording import tokens


class Matcher:
    """Holds the indexed visual vocabulary; `propose` is a pure function of the label."""

    def __init__(self, visual: tuple[VisualLabel, ...], ideas: Ideas | None = None) -> None:
        """Raises semantic.SemanticExtraMissing where `ideas` ask for embeddings that are not installed."""
        ideas = ideas or Ideas()
        lexicon = lexicons.build(ideas)
        index = VisualIndex(visual, lexicon, ideas)
        self.visual = visual
        self._reader = Reader(index, lexicon, ideas)
        self._finder = Finder(index, lexicon, ideas)
        self._judge = Judge(index, lexicon, ideas.senses)
        self._semantics = Semantics(visual) if ideas.semantic else None
        self._mids = {
            label.id: number
            for number, label in enumerate(visual)
            if ideas.mids and label.source == "open_images"
        }

    def propose(self, label: AudioLabel) -> list[Proposal]:
        """Proposals for one sound, best first, each visual label at most once."""
        reading = self._reader.read(label.label)
        found = [evidence for mention in reading.mentions for evidence in self._finder.find(mention)]
        if label.mid in self._mids:
            mention = Mention(tokens(label.label), Role.SOURCE)
            why = f"both have the MID {label.mid}"
            found.insert(0, Evidence(self._mids[label.mid], mention, "mid", 1.0, why, direct=True))
        if self._semantics:
            known = {evidence.number for evidence in found}
            found += [evidence for evidence in self._semantics.find(label) if evidence.number not in known]
        return self._judge.decide(label, reading, found)
