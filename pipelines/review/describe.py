"""A link in words, for the terminal."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.review import application, rejected
from pipelines.review.categories import candidate
from pipelines.review.impact import ImpactTable, impact
from pipelines.review.labels import label_text
from pipelines.review.queue import Queue
from pipelines.review.records import QueuedLink
from pipelines.review.rejected import Refusals


def impacts(queue: Queue, map_path: Path, items: Sequence[QueuedLink]) -> dict[int, str]:
    """What each link would add, by item id: `+412 triplets in `cow` (+412 photos, +0 clips)`."""
    table = ImpactTable(queue)
    if not table.known:
        return dict.fromkeys((item.id for item in items), "unknown: import with --index to count it")
    with queue.reading():
        accepted, own = application.accepted_links(queue), application.own_links(queue)
        base = application.without_own(application.load_map(queue, map_path), own)
    return {item.id: str(impact(table, base, accepted, candidate(item))) for item in items}


def row(item: QueuedLink) -> dict[str, Any]:
    """A link as `list --json` tells it."""
    return {
        "link": item.id,
        **asdict(item.proposal),
        "state": item.state,
        "changed": item.changed,
        "adds": item.adds,
    }


def link(queue: Queue, map_path: Path, item: QueuedLink) -> dict[str, Any]:
    """Everything about a link, as `show --json` tells it: what it means, what it adds, every decision."""
    p = item.proposal
    text = label_text(queue, p.source, p.visual_id, p.visual_label)
    own = application.own_links(queue)
    refused = Refusals(r for r in rejected.read(rejected.path_for(map_path)) if r.key not in own).near(p.key)
    return row(item) | {
        "votes": item.reviewers,
        "label": asdict(text),
        "impact": impacts(queue, map_path, [item])[item.id],
        "decided_proposal": asdict(item.decided_proposal) if item.decided_proposal else None,
        "refused": asdict(refused) if refused else None,
        "decisions": [asdict(each) for each in queue.decisions(item.id)],
    }


def lines(found: dict[str, Any]) -> list[str]:
    """`link` in words."""
    label, before, refused = found["label"], found["decided_proposal"], found["refused"]
    facts = {
        "synset": label["synset"],
        "also": ", ".join(label["synonyms"]),
        "means": label["definition"],
        "a kind of": " < ".join(label["parents"]),
        "matcher": _says(found),
        "before": _says(before) if before else "",
        "impact": found["impact"],
        "refused": f"{refused['note']} ({refused['decided_by']}, {refused['decided_on']})" if refused else "",
        "state": f"{found['state']}; {found['votes']} vote{'s' * (found['votes'] > 1)} decide it",
    }
    heard, seen = "{audio_label} ({audio_source})", "{visual_label} ({source} {visual_id})"
    return [
        f"link {found['link']}: {heard} = {seen}".format(**found),
        *(f"  {name:10}{value}" for name, value in facts.items() if value),
        *map(_decision, found["decisions"]),
    ]


def _says(proposal: dict[str, Any]) -> str:
    score = "" if proposal["score"] is None else f" {proposal['score']:.3f}"
    return f"{proposal['decision']}{score} by {proposal['method']}: {proposal['reason']}"


def _decision(d: dict[str, Any]) -> str:
    parts = (
        f"  decision {d['id']}: {d['decided_at'][:16]} {d['reviewer']}",
        f"undid decision {d['undoes']}" if d["verdict"] == "undo" else d["verdict"],
        f"into {d['category']}" if d["category"] else "",
        d["note"],
        "(undone)" * d["undone"],
    )
    return " ".join(part for part in parts if part)
