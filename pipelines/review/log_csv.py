"""The decision log as CSV: every decision of everybody, undone ones too."""

from pipelines.review import spreadsheet
from pipelines.review.queue import Queue

COLUMNS = (
    "decision_id",
    "audio_source",
    "audio_label",
    "source",
    "visual_label",
    "visual_id",
    "score",
    "method",
    "reviewer",
    "decision",
    "category",
    "relation",
    "note",
    "origin",
    "decided_at",
    "undoes",
    "undone",
    "gold",
)


def to_csv(queue: Queue) -> str:
    """One row a decision, in the order they were made, beside the proposal that it was made on.

    `undoes`: the decision that an undo takes back; `undone`: 1 where one did; `gold`: the known answer, if any.
    `spreadsheet.from_csv` reads it.
    """
    rows: list[tuple[object, ...]] = [COLUMNS]
    with queue.reading():
        items = {item.id: item for item in queue.items()}
        proposals, decisions = queue.proposals(), queue.decisions()
    for d in decisions:
        p = proposals[d.proposal_id]
        score = "" if p.score is None else p.score
        link = (p.audio_source, p.audio_label, p.source, p.visual_label, p.visual_id, score, p.method)
        said = (d.reviewer, d.verdict, d.category, d.relation, d.note, d.origin, d.decided_at)
        rows.append((d.id, *link, *said, d.undoes or "", int(d.undone), items[d.item_id].gold or ""))
    return spreadsheet.to_csv(rows)
