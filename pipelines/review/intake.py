"""Import proposals into a queue: what is asked, what is settled, in which order."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from label_maps import LabelMap, Link
from pipelines.matching.gold import Truth
from pipelines.matching.proposals import JUDGED, Proposal
from pipelines.review import application, gold, order, queue_file
from pipelines.review.errors import ReviewError
from pipelines.review.queue import Queue
from pipelines.review.records import Answer, QueuedLink, now
from pipelines.review.rejected import Refusals, RejectedLink


@dataclass(frozen=True)
class IntakeOptions:
    """
    Attributes:
        reviewers: votes that decide a link: 1, or 2 and a third where they differ. Holds for links new to
            the queue.
        gold_rate: gold links per link that is asked, in [0, 0.5].
        boundary: score at which the matcher is least sure; None: found from the proposals (`find_boundary`).
        trust_accepts: take the matcher's own accepts as decided, in its name.
        ask_all: also ask links that add nothing to a dataset, last.
        seed: of the choice and the places of gold.
    """

    reviewers: int = 1
    gold_rate: float = 0.1
    boundary: float | None = None
    trust_accepts: bool = False
    ask_all: bool = False
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
    links of nobody that the label map or its list of rejected links decides. `left_out`: links of the queue that are
    not asked because they add nothing. `gold`: those with a known answer.
    """

    new: int
    unchanged: int
    changed: int
    reopened: int
    settled: int
    asked: int
    left_out: int
    gold: int
    boundary: float


def import_proposals(
    queue: Queue,
    proposals: Sequence[Proposal],
    options: IntakeOptions,
    label_map: LabelMap | None = None,
    rejected: Sequence[RejectedLink] = (),
    truth: Truth | None = None,
) -> IntakeReport:
    """Bring the queue up to date with a proposals file, in one transaction: all of it or nothing.

    What the map or its list of rejected links decides is settled, where no reviewer said anything yet. A link that is
    decided is not asked again, unless its evidence changed (visual label, score to three
    digits, method, decision or reason): then both proposals are shown. Links of the queue that the file does
    not mention stay.
    """
    counts = dict.fromkeys(("new", "unchanged", "changed", "reopened", "settled"), 0)
    refusals = Refusals(rejected)
    boundary = options.boundary if options.boundary is not None else order.find_boundary(proposals)
    with queue_file.transaction(queue.connection):
        base = label_map and application.without_own(label_map, application.own_links(queue))
        for proposal in proposals:
            item = queue.find(proposal.key)
            if item is None:
                counts["new"] += 1
                item = _insert(
                    queue, proposal, options.reviewers, wanted=proposal.decision != "reject", rank=0.0
                )
            elif item.proposal.evidence == proposal.evidence:
                counts["unchanged"] += 1
            else:
                counts["changed"] += 1
                counts["reopened"] += _change(queue, item, proposal)
            settles = (
                proposal.method != JUDGED
            )  # samples of it were found bad: it is asked whatever the map says
            if settles and base is not None and item.gold is None and not queue.decisions(item.id):
                counts["settled"] += _settle(queue, queue.item(item.id), refusals, base)
        if label_map is not None:
            order.count(queue, label_map)
        if truth is not None:
            _seed_gold(queue, proposals, truth, options)
        if options.trust_accepts:
            _trust(queue, proposals)
            if label_map is not None:
                order.count(queue, label_map)
        order.arrange(queue, boundary, options.seed, options.ask_all)
        queue.set_meta(boundary=repr(boundary))
        asked, left_out, golden = queue.connection.execute(
            "SELECT count(*) FILTER (WHERE asked), count(*) FILTER (WHERE wanted AND NOT asked), count(gold) FROM items"
        ).fetchone()
    return IntakeReport(**counts, asked=asked, left_out=left_out, gold=golden, boundary=boundary)


def add_target(
    queue: Queue, sound: tuple[str, str], source: str, visual_id: str, visual_label: str, reviewer: str
) -> QueuedLink:
    """The link to a target that a reviewer searched for: made, or asked after all where the matcher rejected
    it. `sound`: audio source and label.
    """
    proposal = Proposal(
        *sound, source, visual_label, visual_id, None, "person", "review", f"proposed by {reviewer}"
    )
    with queue_file.transaction(queue.connection):
        item = queue.find(proposal.key)
        if item is None:
            reviewers, rank = queue.connection.execute(
                "SELECT max(reviewers), max(rank) + 1 FROM items WHERE audio_source = ? AND audio_label = ?",
                sound,
            ).fetchone()
            if reviewers is None:
                raise ReviewError(f"{sound[1]!r} is not a sound of this queue")
            _insert(queue, proposal, reviewers, wanted=True, rank=rank)
        elif not item.asked:
            queue.connection.execute(
                "UPDATE items SET wanted = 1, adds = NULL, revision = revision + 1 WHERE id = ?", (item.id,)
            )
        found = queue.find(proposal.key)
        assert found is not None
        return found


def _settle(queue: Queue, item: QueuedLink, refusals: Refusals, label_map: LabelMap) -> int:
    """Decide a link as the map or its list of rejected links has it; 1 when one of them does. A label belongs to one
    category: two that the map has in different ones are not the same thing.
    """
    audio, visual = label_map.link(*item.sound), label_map.link(*item.key[2:])
    if refused := refusals.find(item.key):
        answer, said = Answer("reject"), (refused.decided_by, refused.decided_on)
    elif audio and visual:
        newer = max(audio, visual, key=lambda link: link.decided_on)
        answer = answer_of_map(label_map, audio, visual) or Answer("reject")
        said = newer.decided_by, newer.decided_on
    else:
        return 0
    queue.connection.execute("UPDATE items SET wanted = 0 WHERE id = ?", (item.id,))
    queue.record(item, said[0], answer, "map", said[1])
    return 1


def answer_of_map(label_map: LabelMap, audio: Link, visual: Link) -> Answer | None:
    """What a map says of two of its labels: of one category, or one a kind of the other; None: nothing."""
    kinds, pair = label_map.kinds, (audio.category, visual.category)
    if visual.category in label_map.reached(audio):
        return Answer("accept", visual.category, audio.relation)
    related = pair[0] in kinds.above(pair[1]) or pair[1] in kinds.above(pair[0])
    return Answer("reject") if related else None  # a narrower sound, or one that this kind does not make


def _insert(queue: Queue, proposal: Proposal, reviewers: int, wanted: bool, rank: float) -> QueuedLink:
    cursor = queue.connection.execute(
        "INSERT INTO items (audio_source, audio_label, source, visual_id, proposal_id, reviewers, wanted, rank) "
        "VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
        (*proposal.key, reviewers, int(wanted), rank),
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
    wanted = decided or proposal.decision != "reject"
    queue.connection.execute(
        "UPDATE items SET wanted = max(wanted, ?), revision = revision + 1 WHERE id = ?",
        (int(wanted), item.id),
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
            "UPDATE items SET gold = ?, wanted = 1, revision = revision + 1 WHERE id = ?",
            (answer, known[key].id),
        )


def _trust(queue: Queue, proposals: Sequence[Proposal]) -> None:
    """Decide the matcher's accepts in its name, where nobody has said anything yet."""
    answer = Answer("accept", note="the matcher's own accept, taken at import")
    for proposal in proposals:
        item = queue.find(proposal.key)
        if item and proposal.decision == "accept" and item.gold is None and not queue.decisions(item.id):
            queue.record(item, "matcher", answer, "matcher", now())
