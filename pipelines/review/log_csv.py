"""The decision log as CSV: every decision of everybody, undone ones too."""

import csv
import io

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
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    with queue.reading():
        items = {item.id: item for item in queue.items()}
        proposals, decisions = queue.proposals(), queue.decisions()
    for d in decisions:
        p = proposals[d.proposal_id]
        score = "" if p.score is None else p.score
        link = (p.audio_source, p.audio_label, p.source, p.visual_label, p.visual_id, score, p.method)
        said = (d.reviewer, d.verdict, d.category, d.relation, d.note, d.origin, d.decided_at)
        writer.writerow((d.id, *link, *said, d.undoes or "", int(d.undone), items[d.item_id].gold or ""))
    return text.getvalue()
