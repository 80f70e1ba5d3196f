"""The matcher: every audio label against the visual vocabulary."""

from pipelines.matching import lexicon as lexicons
from pipelines.matching.candidates import Evidence, Finder
from pipelines.matching.decide import Judge, Proposal
from pipelines.matching.ideas import Ideas
from pipelines.matching.gloss import Glosses
from pipelines.matching.phrases import Mention, Reader, Role
from pipelines.matching.visual_index import VisualIndex
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from pipelines.matching.wording import tokens


class Matcher:
    """Holds the indexed visual vocabulary; `propose` is a pure function of the label."""

    def __init__(self, visual: tuple[VisualLabel, ...], ideas: Ideas | None = None) -> None:
        ideas = ideas or Ideas()
        lexicon = lexicons.build(ideas)
        self.visual = visual
        self.index = VisualIndex(visual, lexicon, ideas)
        self.reader = Reader(self.index, lexicon, ideas)
        self._finder = Finder(self.index, lexicon, ideas)
        self._glosses = Glosses(visual) if ideas.gloss else None
        self._by_mid = {label.id: number for number, label in enumerate(visual) if ideas.mids and label.source == "open_images"}
        self._judge = Judge(self.index, lexicon, ideas.senses)

    def propose(self, label: AudioLabel) -> list[Proposal]:
        """Proposals for one sound, best first, each visual label at most once."""
        reading = self.reader.read(label.label)
        found = [evidence for mention in reading.mentions for evidence in self._finder.find(mention)]
        if self._glosses:
            known = {evidence.number for evidence in found}
            found += [evidence for evidence in self._glosses.find(label.label) if evidence.number not in known]
        if label.mid in self._by_mid:
            mention = Mention(tokens(label.label), Role.SOURCE)
            found.append(Evidence(self._by_mid[label.mid], mention, "mid", 1.0, f"both have the MID {label.mid}", True))
        return self._judge.decide(label, reading, found)
