"""Gold links: known answers mixed into the queue to see how well reviewers do."""

import csv
import io
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from pipelines.review.proposals import LinkKey, Proposal, ReviewError
from shards import hashing
from shards.text import read_text

COLUMNS = ("vggsound_label", "source", "visual_label", "relation")
RELATIONS = ("same", "related", "none")


@dataclass(frozen=True)
class Truth:
    """For some audio labels, every visual label that is the same object, and those near enough not to
    count.
    """

    labels: frozenset[str]
    same: frozenset[tuple[str, str, str]]  # audio label, source, visual label in lower case
    related: frozenset[tuple[str, str, str]]

    def answer(self, proposal: Proposal) -> str | None:
        """`accept`, `reject`, or None where the truth does not tell."""
        key = (proposal.audio_label, proposal.source, proposal.visual_label.lower())
        if proposal.audio_label not in self.labels or key in self.related:
            return None
        return "accept" if key in self.same else "reject"


def read(url: str) -> Truth:
    """A gold file: vggsound_label, source, visual_label, relation (`same`, `related`; `none`: no visual
    label fits).
    """
    reader = csv.DictReader(io.StringIO(read_text(url), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ReviewError(
            f"{url}: the header is {reader.fieldnames}; a gold file starts with {','.join(COLUMNS)}"
        )
    labels = set()
    keys: dict[str, set[tuple[str, str, str]]] = defaultdict(set)
    for row in reader:
        if row["relation"] not in RELATIONS:
            raise ReviewError(
                f"{url}:{reader.line_num}: relation is {row['relation']!r}; "
                f"it is one of {', '.join(RELATIONS)}"
            )
        labels.add(row["vggsound_label"])
        keys[row["relation"]].add((row["vggsound_label"], row["source"], row["visual_label"].lower()))
    return Truth(frozenset(labels), frozenset(keys["same"]), frozenset(keys["related"]))


def choose(
    proposals: Iterable[Proposal], truth: Truth, wanted: int, seed: int, never: Collection[LinkKey]
) -> dict[LinkKey, str]:
    """`wanted` links to use as gold (fewer where the truth knows fewer), each with its answer.

    Half of them are accepts where there are enough of both, so that always saying yes does not score well.
    The choice is a hash of (seed, link): the order of the file does not change it.

    Args:
        never: links that somebody decided, or that are gold already.
    """
    answers = {p.key: answer for p in proposals if p.key not in never and (answer := truth.answer(p))}
    ordered = {
        verdict: sorted(
            (k for k in answers if answers[k] == verdict), key=lambda k: hashing.unit(seed, "gold", *k)
        )
        for verdict in ("accept", "reject")
    }
    accepts = min(len(ordered["accept"]), max((wanted + 1) // 2, wanted - len(ordered["reject"])))
    chosen = ordered["accept"][:accepts] + ordered["reject"][: wanted - accepts]
    return {key: answers[key] for key in chosen}
