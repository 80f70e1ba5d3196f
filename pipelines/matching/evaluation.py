"""How well proposals agree with a truth: precision of accept, coverage of the truth's `same` links."""

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.matching.gold import Truth
from pipelines.matching.proposals import Proposal


@dataclass(frozen=True)
class Figures:
    """Counts of one truth and the ratios made of them; a ratio of nothing is 1."""

    labels: int
    same: int  # links of the truth that are `same`
    accepted: int  # of those, accepted
    reviewed: int  # of those, in review
    wrong: int  # accepted, of a label in the truth, and in the truth neither `same` nor `related`
    reviews: int  # review rows of all labels matched, in the truth or not
    matched: int  # labels matched

    @property
    def precision(self) -> float:
        """Accepted pairs that are `same`, of those that are `same` or not in the truth: `related` is left out."""
        return self.accepted / (self.accepted + self.wrong) if self.accepted + self.wrong else 1.0

    @property
    def accept_coverage(self) -> float:
        return self.accepted / self.same if self.same else 1.0

    @property
    def review_coverage(self) -> float:
        """Of `same` links, those accepted or in review."""
        return (self.accepted + self.reviewed) / self.same if self.same else 1.0

    @property
    def reviews_per_label(self) -> float:
        return self.reviews / self.matched if self.matched else 0.0


def evaluate(truth: Truth, proposals: Iterable[Proposal], matched: int) -> Figures:
    """Compares the proposals for `matched` labels with a truth about some of them."""
    found = list(proposals)
    related = [
        (one.decision, truth.relation(one.audio_source, one.audio_label, one.source, one.visual_label))
        for one in found
    ]
    return Figures(
        labels=len(truth.links),
        same=sum(relation == "same" for known in truth.links.values() for relation in known.values()),
        accepted=related.count(("accept", "same")),
        reviewed=related.count(("review", "same")),
        wrong=related.count(("accept", "none")),
        reviews=sum(one.decision == "review" for one in found),
        matched=matched,
    )
