"""The matcher: every audio label against the visual vocabulary."""

from collections.abc import Iterator

from pipelines.matching import lexicon as lexicons
from pipelines.matching.candidates import Evidence, Finder
from pipelines.matching.decide import Judge, Proposal
from pipelines.matching.ideas import Ideas
from pipelines.matching.phrases import Reader
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.vocabularies import AudioLabel, VisualLabel


class Matcher:
    """Holds the indexed visual vocabulary; `propose` is a pure function of the label."""

    def __init__(self, visual: tuple[VisualLabel, ...], ideas: Ideas | None = None) -> None:
        ideas = ideas or Ideas()
        lexicon = lexicons.build(ideas)
        self.visual = visual
        self.index = VisualIndex(visual, lexicon, ideas)
        self.reader = Reader(self.index, lexicon, ideas)
        self._finder = Finder(self.index, lexicon, ideas)
        self._judge = Judge(self.index, lexicon, ideas.senses)

    def propose(self, label: AudioLabel) -> list[Proposal]:
        """Proposals for one sound, best first, each visual label at most once."""
        reading = self.reader.read(label.label)
        found = [evidence for mention in reading.mentions for evidence in self._finder.find(mention)]
        return self._judge.decide(label, reading, found)
