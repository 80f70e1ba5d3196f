"""A link in words, for the terminal."""

from collections.abc import Sequence
from pathlib import Path

from pipelines.matching.proposals import Proposal
from pipelines.review import application, rejected
from pipelines.review.categories import candidate
from pipelines.review.impact import ImpactTable, impact
from pipelines.review.labels import label_text
from pipelines.review.queue import Queue
from pipelines.review.records import Decision, QueuedLink
from pipelines.review.rejected import Refusals


def impacts(queue: Queue, map_path: Path, items: Sequence[QueuedLink]) -> dict[int, str]:
    """What each link would add, by item id: `+412 triplets in `cow` (+412 images, +0 clips)`."""
    table = ImpactTable(queue)
    if not table.known:
        return dict.fromkeys((item.id for item in items), "unknown: import with --index to count it")
    with queue.reading():
        accepted, own = application.accepted_links(queue), application.own_links(queue)
        base = application.without_own(application.load_map(queue, map_path), own)
    return {item.id: str(impact(table, base, accepted, candidate(item))) for item in items}


def link(queue: Queue, map_path: Path, item: QueuedLink) -> str:
    """Everything about a link: what it means, what the matcher says, what it adds, every decision."""
    p = item.proposal
    text = label_text(queue, p.source, p.visual_id, p.visual_label)
    own = application.own_links(queue)
    refused = Refusals(r for r in rejected.read(rejected.path_for(map_path)) if r.key not in own).near(p.key)
    lines = [
        f"link {item.id}: {p.audio_label} ({p.audio_source}) = {p.visual_label} ({p.source} {p.visual_id})"
    ]
    for name, value in (
        ("synset", text.synset),
        ("also", ", ".join(text.synonyms)),
        ("means", text.definition),
        ("a kind of", " < ".join(text.parents)),
        ("matcher", _says(p)),
        ("before", _says(item.decided_proposal) if item.decided_proposal else ""),
        ("impact", impacts(queue, map_path, [item])[item.id]),
        ("refused", f"{refused.note} ({refused.decided_by}, {refused.decided_on})" if refused else ""),
        ("state", f"{item.state}; {item.reviewers} vote{'s' * (item.reviewers > 1)} decide it"),
    ):
        if value:
            lines.append(f"  {name:10}{value}")
    return "\n".join([*lines, *map(_decision, queue.decisions(item.id))])


def _says(p: Proposal) -> str:
    score = "" if p.score is None else f" {p.score:.3f}"
    return f"{p.decision}{score} by {p.method}: {p.reason}"


def _decision(d: Decision) -> str:
    what = f"undid decision {d.undoes}" if d.verdict == "undo" else d.verdict
    category = f"into {d.category}" if d.category else ""
    parts = (
        f"  decision {d.id}: {d.decided_at[:16]} {d.reviewer} {what}",
        category,
        d.note,
        "(undone)" * d.undone,
    )
    return " ".join(part for part in parts if part)
