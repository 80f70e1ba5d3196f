"""How well proposals agree with a truth: precision of accept, coverage of the truth's `same` links.

A truth is a CSV with the columns `vggsound_label,source,visual_label,relation`. For each label that it names it
lists every visual label that is the thing that sounds (`same`) and those near enough not to count either way
(`related`); `none`, with empty source and visual label, says that there is no `same` at all.
"""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.matching.proposals import Row
from shards.text import read_text

RELATIONS = ("same", "related", "none")
Pair = tuple[str, str]  # source, visual label


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


def read_truth(url: str) -> dict[str, dict[Pair, str]]:
    """Label -> (source, visual label) -> `same` or `related`. Raises ValueError on an unknown relation."""
    truth: dict[str, dict[Pair, str]] = {}
    for row in csv.DictReader(io.StringIO(read_text(url), newline="")):
        if row["relation"] not in RELATIONS:
            raise ValueError(
                f"{url}: {row['relation']!r} is no relation: write one of {', '.join(RELATIONS)}"
            )
        links = truth.setdefault(row["vggsound_label"], {})
        if row["relation"] != "none":
            links[row["source"], row["visual_label"]] = row["relation"]
    return truth


def evaluate(truth: dict[str, dict[Pair, str]], rows: Iterable[Row], matched: int) -> Figures:
    """Compares the rows of `matched` labels with a truth about some of them."""
    decided: dict[str, dict[Pair, str]] = {}
    reviews = 0
    for row in rows:
        decided.setdefault(row.vggsound_label, {})[row.source, row.visual_label] = row.decision
        reviews += row.decision == "review"
    same = accepted = reviewed = wrong = 0
    for label, links in truth.items():
        found = decided.get(label, {})
        for pair, relation in links.items():
            if relation == "same":
                same += 1
                accepted += found.get(pair) == "accept"
                reviewed += found.get(pair) == "review"
        wrong += sum(decision == "accept" and pair not in links for pair, decision in found.items())
    return Figures(len(truth), same, accepted, reviewed, wrong, reviews, matched)
