"""Import proposals into a queue: what is asked, what is settled, in which order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from label_maps import LabelMap, Link
from pipelines.matching.gold import Truth
from pipelines.matching.proposals import LinkKey, Proposal
from pipelines.review import gold, schema
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import Answer, QueuedLink, now
from pipelines.review.rejected import RejectedLink
from shards import hashing


@dataclass(frozen=True)
class IntakeOptions:
    """
    Attributes:
        reviewers: votes that decide a link: 1, or 2 and a third where they differ. Holds for links new to
            the queue.
        gold_rate: gold links per link that is asked, in [0, 0.5].
        boundary: score at which the matcher is least sure; None: found from the proposals (`find_boundary`).
        trust_accepts: take the matcher's own accepts as decided, in its name.
        seed: of the choice and the places of gold.
    """

    reviewers: int = 1
    gold_rate: float = 0.1
    boundary: float | None = None
    trust_accepts: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.reviewers not in (1, 2):
            raise ReviewError(
                f"reviewers is {self.reviewers}; it is 1, or 2 (a third is asked where they differ)"
            )
        if not 0 <= self.gold_rate <= 0.5:
            raise ReviewError(f"gold rate is {self.gold_rate}; it lies in [0, 0.5]")


@dataclass(frozen=True)
class IntakeReport:
    """Rows of the file: new + unchanged + changed. `reopened`: changed ones that were decided. `settled`:
    new ones that the label map or its list of rejected links decides. `gold`: links of the queue with a known answer.
    """

    new: int
    unchanged: int
    changed: int
    reopened: int
    settled: int
    asked: int
    gold: int
    boundary: float


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


def import_proposals(
    queue: Queue,
    proposals: Sequence[Proposal],
    options: IntakeOptions,
    label_map: LabelMap | None = None,
    rejected: Sequence[RejectedLink] = (),
    truth: Truth | None = None,
) -> IntakeReport:
    """Bring the queue up to date with a proposals file, in one transaction: all of it or nothing.

    A link that is decided is not asked again, unless its evidence changed (visual label, score to three
    digits, method, decision or reason): then both proposals are shown. Links of the queue that the file does
    not mention stay.
    """
    counts = dict.fromkeys(("new", "unchanged", "changed", "reopened", "settled"), 0)
    settled = _settled(label_map, rejected)
    boundary = options.boundary if options.boundary is not None else find_boundary(proposals)
    with schema.transaction(queue.connection):
        for proposal in proposals:
            item = queue.find(proposal.key)
            if item is None:
                counts["new"] += 1
                counts["settled"] += _add(queue, proposal, options, settled, label_map)
            elif item.proposal.evidence == proposal.evidence:
                counts["unchanged"] += 1
            else:
                counts["changed"] += 1
                counts["reopened"] += _change(queue, item, proposal)
        if truth is not None:
            _seed_gold(queue, proposals, truth, options)
        if options.trust_accepts:
            _trust(queue, proposals)
        _rank(queue, boundary, options.seed)
        queue.set_meta("boundary", repr(boundary))
        asked, golden = queue.connection.execute(
            "SELECT count(*), count(gold) FROM items WHERE asked = 1"
        ).fetchone()
    return IntakeReport(**counts, asked=asked, gold=golden, boundary=boundary)


def add_target(
    queue: Queue, sound: tuple[str, str], source: str, visual_id: str, visual_label: str, reviewer: str
) -> QueuedLink:
    """The link to a target that a reviewer searched for: made, or asked after all where the matcher rejected
    it. `sound`: audio source and label.
    """
    proposal = Proposal(
        *sound, source, visual_label, visual_id, None, "person", "review", f"proposed by {reviewer}"
    )
    with schema.transaction(queue.connection):
        item = queue.find(proposal.key)
        if item is None:
            reviewers, rank = queue.connection.execute(
                "SELECT max(reviewers), max(rank) + 1 FROM items WHERE audio_source = ? AND audio_label = ?",
                sound,
            ).fetchone()
            if reviewers is None:
                raise ReviewError(f"{sound[1]!r} is not a sound of this queue")
            _insert(queue, proposal, reviewers, asked=True, rank=rank)
        elif not item.asked:
            queue.connection.execute(
                "UPDATE items SET asked = 1, revision = revision + 1 WHERE id = ?", (item.id,)
            )
        found = queue.find(proposal.key)
        assert found is not None
        return found


def _settled(label_map: LabelMap | None, rejected: Sequence[RejectedLink]) -> dict[LinkKey, RejectedLink]:
    return {link.key: link for link in rejected} if label_map is not None else {}


def _add(
    queue: Queue,
    proposal: Proposal,
    options: IntakeOptions,
    rejected: dict[LinkKey, RejectedLink],
    label_map: LabelMap | None,
) -> int:
    """Add a new link; 1 when the map or its list of rejected links has settled it."""
    refused = rejected.get(proposal.key)
    item = _insert(queue, proposal, options.reviewers, asked=proposal.decision != "reject", rank=0.0)
    audio = label_map.link(*item.sound) if label_map else None
    visual = label_map.link(proposal.source, proposal.visual_id) if label_map else None
    answer = answer_of_map(label_map, audio, visual) if label_map and audio and visual else None
    if refused or answer:
        queue.connection.execute("UPDATE items SET asked = 0 WHERE id = ?", (item.id,))
    if refused:
        queue.record(item, refused.decided_by, Answer("reject"), "map", refused.decided_on)
        return 1
    if answer and audio and visual:
        newer = max(audio, visual, key=lambda link: link.decided_on)
        queue.record(item, newer.decided_by, answer, "map", newer.decided_on)
        return 1
    return 0


def answer_of_map(label_map: LabelMap, audio: Link, visual: Link) -> Answer | None:
    """What a map says of two of its labels: of one category, or one a kind of the other; None: nothing."""
    kinds, pair = label_map.kinds, (audio.category, visual.category)
    if visual.category in label_map.reached(audio):
        return Answer("accept", visual.category, audio.relation)
    related = pair[0] in kinds.above(pair[1]) or pair[1] in kinds.above(pair[0])
    return Answer("reject") if related else None  # a narrower sound, or one that this kind does not make


def _insert(queue: Queue, proposal: Proposal, reviewers: int, asked: bool, rank: float) -> QueuedLink:
    cursor = queue.connection.execute(
        "INSERT INTO items (audio_source, audio_label, source, visual_id, proposal_id, reviewers, asked, rank) "
        "VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
        (*proposal.key, reviewers, int(asked), rank),
    )
    assert cursor.lastrowid is not None
    _propose(queue, cursor.lastrowid, proposal)
    return queue.item(cursor.lastrowid)


def _propose(queue: Queue, item_id: int, proposal: Proposal) -> None:
    cursor = queue.connection.execute(
        "INSERT INTO proposals (item_id, visual_label, score, method, decision, reason) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (
            item_id,
            *[getattr(proposal, name) for name in ("visual_label", "score", "method", "decision", "reason")],
        ),
    )
    queue.connection.execute("UPDATE items SET proposal_id = ? WHERE id = ?", (cursor.lastrowid, item_id))


def _change(queue: Queue, item: QueuedLink, proposal: Proposal) -> int:
    """Give a link its changed proposal; 1 when it was decided and is asked again."""
    _propose(queue, item.id, proposal)
    decided = item.outcome is not None and item.gold is None
    asked = item.asked or decided or proposal.decision != "reject"
    queue.connection.execute(
        "UPDATE items SET asked = ?, revision = revision + 1 WHERE id = ?", (int(asked), item.id)
    )
    queue.refresh(item.id)
    return int(decided)


def _seed_gold(queue: Queue, proposals: Sequence[Proposal], truth: Truth, options: IntakeOptions) -> None:
    """Mark gold until it has its share of the links asked; a link once gold stays gold."""
    voted = {row[0] for row in queue.connection.execute("SELECT item_id FROM effective")}
    items = list(queue.items())
    known = {item.key: item for item in items}
    have = sum(item.gold is not None for item in items)
    wanted = max(0, math.ceil(options.gold_rate * sum(item.asked for item in items)) - have)
    never = {item.key for item in items if item.id in voted or item.gold is not None}
    for key, answer in gold.choose(proposals, truth, wanted, options.seed, never).items():
        queue.connection.execute(
            "UPDATE items SET gold = ?, asked = 1, revision = revision + 1 WHERE id = ?",
            (answer, known[key].id),
        )


def _trust(queue: Queue, proposals: Sequence[Proposal]) -> None:
    """Decide the matcher's accepts in its name, where nobody has said anything yet."""
    answer = Answer("accept", note="the matcher's own accept, taken at import")
    for proposal in proposals:
        item = queue.find(proposal.key)
        if item and proposal.decision == "accept" and item.gold is None and not queue.decisions(item.id):
            queue.record(item, "matcher", answer, "matcher", now())


def _rank(queue: Queue, boundary: float, seed: int) -> None:
    """Most uncertain first: what the matcher sends to review, then its accepts, then its rejects; in each, the
    score nearest the boundary first; then by name. Gold stands among them at even distances, moved by a hash.
    """
    items = list(queue.items())
    tier = {"review": 0, "accept": 1, "reject": 2}

    def doubt(item: QueuedLink) -> tuple[int, float, LinkKey]:
        score = item.proposal.score
        return (tier[item.proposal.decision], 0.0 if score is None else abs(score - boundary), item.key)

    ordinary = sorted((item for item in items if item.gold is None), key=doubt)
    golden = sorted(
        (i for i in items if i.gold is not None), key=lambda i: hashing.unit(seed, "gold place", *i.key)
    )
    ranks = [(float(place), item.id) for place, item in enumerate(ordinary)]
    stride = sum(item.asked for item in ordinary) / max(1, len(golden))
    for place, item in enumerate(golden):
        ranks.append(((place + hashing.unit(seed, "gold offset", *item.key)) * stride - 0.5, item.id))
    queue.connection.executemany("UPDATE items SET rank = ? WHERE id = ?", ranks)
