"""In which order a queue asks: the most uncertain and the most useful first, what adds nothing last or not at all."""

from collections.abc import Sequence

import numpy as np

from label_maps import LabelMap
from pipelines.matching.proposals import LinkKey, Proposal
from pipelines.review import application
from pipelines.review.categories import candidate
from pipelines.review.impact import ImpactTable, impact
from pipelines.review.queue import Queue
from pipelines.review.records import QueuedLink
from shards import hashing

_TIERS = {"review": 0, "accept": 1, "reject": 2}


def find_boundary(proposals: Sequence[Proposal]) -> float:
    """The score that best parts the matcher's accepts (at or above it) from its rejects (below it).

    Of several equally good cuts the middle one, halfway between its two neighbouring scores. 0.5 where the
    file holds no two verdicts to part.
    """
    scored = [p for p in proposals if p.score is not None and p.decision != "review"]
    if len({p.decision for p in scored}) < 2:
        return 0.5
    scores = np.array([p.score for p in scored], dtype=np.float64)
    accept = np.array([p.decision == "accept" for p in scored])
    values = np.unique(scores)
    cuts = np.concatenate([[values[0]], (values[1:] + values[:-1]) / 2])
    below = np.searchsorted(np.sort(scores[accept]), cuts)  # accepts that the cut would lose
    above = (~accept).sum() - np.searchsorted(np.sort(scores[~accept]), cuts)  # rejects that it would let in
    best = np.flatnonzero(below + above == (below + above).min())
    return float(cuts[best[len(best) // 2]])


def count(queue: Queue, label_map: LabelMap) -> None:
    """Write down what every open link that is wanted adds to the map and the links accepted so far (`adds`); inside the
    caller's transaction. A link that clashes may add anything: that is not known.
    """
    table = ImpactTable(queue)
    if not table.known:
        return
    accepted = application.accepted_links(queue)
    base = application.without_own(label_map, application.own_links(queue))
    found = []
    wanted = {row["id"] for row in queue.connection.execute("SELECT id FROM items WHERE wanted = 1")}
    for item in queue.items():
        if item.id in wanted and item.state in ("open", "third"):
            gain = impact(table, base, accepted, candidate(item))
            adds = None if gain.clash else 0 if gain.is_nothing else max(1, gain.added.triplets)
            found.append((adds, item.id))
    queue.connection.executemany("UPDATE items SET adds = ? WHERE id = ?", found)


def arrange(queue: Queue, boundary: float, seed: int, ask_all: bool) -> None:
    """Give every link its place; inside the caller's transaction.

    First come links that add something or are not counted, then those that clash, then (with `ask_all`, else they are
    not asked) those that add nothing. In each, what the matcher sends to review comes before its accepts, these before
    its rejects. There, a link's place is the sum of two: by how near its score is to the boundary, and by what it adds;
    then by name. Gold stands among them at even distances, moved by a hash.
    """
    items = list(queue.items())
    ordinary = [item for item in items if item.gold is None]
    golden = sorted(
        (i for i in items if i.gold is not None), key=lambda i: hashing.unit(seed, "gold place", *i.key)
    )
    doubt = _places([_distance(item, boundary) for item in ordinary])
    gain = _places([-(item.adds or 0) for item in ordinary])
    counted = any(item.adds is not None for item in ordinary)

    def place(number: int) -> tuple[int, int, int, LinkKey]:
        item = ordinary[number]
        group = 0 if item.adds or not counted else 1 if item.adds is None else 2
        return (group, _TIERS[item.proposal.decision], int(doubt[number] + gain[number]), item.key)

    ordered = [ordinary[number] for number in sorted(range(len(ordinary)), key=place)]
    if ask_all:
        queue.connection.execute("UPDATE items SET adds = NULL WHERE adds = 0")
    asked = sum(item.asked for item in ordinary)
    ranks = [(float(place), item.id) for place, item in enumerate(ordered)]
    stride = asked / max(1, len(golden))
    for number, item in enumerate(golden):
        ranks.append(((number + hashing.unit(seed, "gold offset", *item.key)) * stride - 0.5, item.id))
    queue.connection.executemany("UPDATE items SET rank = ? WHERE id = ?", ranks)


def _distance(item: QueuedLink, boundary: float) -> float:
    return 0.0 if item.proposal.score is None else abs(item.proposal.score - boundary)


def _places(values: Sequence[float]) -> np.ndarray:
    """(n,) int64: how many of the values are smaller."""
    return np.searchsorted(np.sort(values), values)
