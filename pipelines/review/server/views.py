"""What the templates show, as plain records: one link, the whole map, agreement and progress."""

from dataclasses import dataclass

from label_maps import LabelMap
from pipelines.matching.proposals import Proposal
from pipelines.review import agreement
from pipelines.review.categories import candidate
from pipelines.review.impact import Impact, impact
from pipelines.review.labels import LabelText, label_text
from pipelines.review.media import Example, examples
from pipelines.review.queue import Queue
from pipelines.review.records import Decision, Progress, QueuedLink
from pipelines.review.rejected import ANY, RejectedLink
from pipelines.review.server.snapshot import Snapshot

RECENT = 40


@dataclass(frozen=True)
class LinkView:
    """One link as one reviewer may see it: the votes of others stay hidden until they cannot sway anybody."""

    item: QueuedLink
    state: str
    text: LabelText
    clips: list[Example]
    photos: list[Example]
    clip_count: int
    image_count: int
    counted: bool
    impact: Impact
    refusal: RejectedLink | None
    notes: list[tuple[str, str]]
    votes: list[Decision]
    mine: int | None  # this reviewer's decision on it
    boundary: float

    @property
    def proposal(self) -> Proposal:
        return self.item.proposal


@dataclass(frozen=True)
class MapRow:
    """A row of the map view. status: `in the map`, `accepted` (not applied yet), `rejected`."""

    category: str
    source: str
    label: str
    about: str
    relation: str
    status: str
    decided_by: str
    decided_on: str
    note: str


@dataclass(frozen=True)
class ReviewerRow:
    name: str
    accepted: int
    rejected: int
    deferred: int


@dataclass(frozen=True)
class ProgressView:
    progress: Progress
    reviewers: list[ReviewerRow]
    pairs: list[agreement.Pair]
    gold: list[agreement.GoldScore]
    clashes: list[str]
    recent: list[tuple[Decision, QueuedLink]]


def link_view(queue: Queue, item: QueuedLink, reviewer: str, snapshot: Snapshot) -> LinkView:
    key = (item.key[2], item.key[3])
    votes = [d for d in queue.decisions(item.id) if not d.undone and d.verdict in ("accept", "reject")]
    mine = [d for d in votes if d.reviewer == reviewer and d.proposal_id == item.proposal_id]
    open_to_all = _votes_are_open(item)
    state = item.state
    if item.gold is not None:  # looks like any link that only this reviewer judges
        state = mine[-1].verdict if mine else "open"
    elif state == "open" and mine:
        state = "answered"
    gain = impact(snapshot.table, snapshot.base, snapshot.accepted, candidate(item))
    return LinkView(
        item,
        state,
        label_text(queue, *key, item.proposal.visual_label),
        examples(queue, "clip", *item.sound),
        examples(queue, "photo", *key),
        snapshot.table.of_label(item.sound),
        snapshot.table.of_label(key),
        snapshot.table.known,
        gain,
        snapshot.refusals.near(item.key),
        _notes(snapshot.base, {gain.category} if gain.clash is None else set(gain.clash.categories)),
        [d for d in votes if open_to_all or d.reviewer == reviewer],
        mine[-1].id if mine else None,
        float(queue.meta("boundary", "0.5")),
    )


def _notes(label_map: LabelMap, categories: set[str]) -> list[tuple[str, str]]:
    """What the map's rows of these categories say for the next reader: (labels, note), in the map's order."""
    labels: dict[str, list[str]] = {}
    for link in label_map.links:
        if link.note and link.category in categories:
            labels.setdefault(link.note, []).append(link.label.replace("_", " "))
    return [("; ".join(dict.fromkeys(names)), note) for note, names in labels.items()]


def map_rows(queue: Queue, snapshot: Snapshot) -> list[MapRow]:
    """The whole map, what would join it, and what was refused, by category and label."""
    texts = {
        (row[0], row[1]): row[2]
        for row in queue.connection.execute("SELECT source, source_id, definition FROM labels")
    }
    rows = {}
    for link in snapshot.label_map.links:
        about = texts.get((link.source, link.source_id)) or link.synset
        rows[(link.source, link.source_id)] = MapRow(
            link.category,
            link.source,
            link.label,
            about,
            link.relation,
            "in the map",
            link.decided_by,
            link.decided_on,
            link.note,
        )
    for accepted in snapshot.accepted:
        category = snapshot.resolution.category.get(accepted.item_id, "clash")
        for source, source_id in accepted.nodes:
            is_sound = (source, source_id) == accepted.sound
            label = accepted.audio_label if is_sound else accepted.visual_label
            relation = accepted.relation if is_sound else "same"
            rows.setdefault(
                (source, source_id),
                MapRow(
                    category,
                    source,
                    label,
                    texts.get((source, source_id), ""),
                    relation,
                    "accepted",
                    accepted.decided_by,
                    accepted.decided_on,
                    accepted.evidence,
                ),
            )
    refused = [
        MapRow(
            "",
            r.source,
            f"{r.audio_label} ≠ {'any label' if r.visual_id == ANY else r.visual_label}",
            "",
            "",
            "rejected",
            r.decided_by,
            r.decided_on,
            r.note,
        )
        for r in snapshot.refused
    ]
    return sorted(
        [*rows.values(), *refused], key=lambda row: (not row.category, row.category, row.source, row.label)
    )


def progress_view(queue: Queue, reviewer: str, snapshot: Snapshot) -> ProgressView:
    counts = queue.connection.execute(
        """SELECT reviewer, count(*) FILTER (WHERE verdict = 'accept'), count(*) FILTER (WHERE verdict =
        'reject'),
               count(*) FILTER (WHERE verdict = 'defer')
           FROM effective WHERE origin = 'person' GROUP BY reviewer ORDER BY count(*) DESC, reviewer"""
    )
    known = {item.id: item for item in queue.items()}
    recent = [
        (d, known[d.item_id])
        for d in queue.decisions(newest=400)
        if d.origin != "map"
        and (
            d.reviewer == reviewer
            or (d.verdict in ("accept", "reject") and _votes_are_open(known[d.item_id]))
        )
    ]
    return ProgressView(
        queue.progress(reviewer),
        [ReviewerRow(*row) for row in counts],
        agreement.pairs(queue),
        agreement.gold_scores(queue),
        list(dict.fromkeys(clash.text for clash in snapshot.resolution.clashes.values())),
        recent[:RECENT],
    )


def _votes_are_open(item: QueuedLink) -> bool:
    """Whether everybody may see who voted how: no vote on this link is still to be given blind."""
    return item.gold is None and (item.state in ("accept", "reject", "third") or item.reviewers == 1)
