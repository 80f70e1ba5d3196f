"""What people decided so far, for the matcher to learn from: a review queue's decisions or a label map's links."""

from label_maps import LabelMap, load
from label_maps.label_map import path_of
from label_maps.links import SOURCES
from pipelines.matching.decisions import Decided
from pipelines.review import rejected
from pipelines.review.queue import Queue
from pipelines.review.rejected import RejectedLink


def read(name_or_path: str) -> list[Decided]:
    """Decisions of a queue (`.sqlite`), else of a label map that ships or its CSV, with its list of rejected links.

    Raises:
        ReviewError: no queue, or one that cannot be used.
        LabelMapError, FileNotFoundError: no label map, or a faulty one.
    """
    if name_or_path.endswith((".sqlite", ".db")):
        return of_queue(name_or_path)
    return of_map(load(name_or_path), rejected.read(rejected.path_for(path_of(name_or_path))))


def of_queue(path: str) -> list[Decided]:
    """Every link whose standing decision is accept or reject; the matcher's own accepts teach it nothing."""
    with Queue(path) as queue, queue.reading():
        said = {decision.id: decision for decision in queue.decisions()}
        closed = [(item, said[item.closed_by]) for item in queue.items() if item.closed_by is not None]
    return [
        Decided(*item.key, item.outcome == "accept", closing.reviewer)
        for item, closing in closed
        if closing.origin != "matcher"
    ]


def of_map(label_map: LabelMap, refused: list[RejectedLink]) -> list[Decided]:
    """Each sound of a category goes with each of its visual labels, but two kinds of it need not be one kind."""
    found = []
    for category in label_map.categories:
        links = [link for link in label_map.links if link.category == category]
        for sound in links:
            for seen in links:
                sides = SOURCES[sound.source], SOURCES[seen.source]
                if sides == ("audio", "visual") and (sound.relation, seen.relation) != ("kind_of", "kind_of"):
                    by = max(sound, seen, key=lambda link: link.decided_on).decided_by
                    found.append(Decided(sound.source, sound.label, seen.source, seen.source_id, True, by))
    return found + [Decided(*link.key, False, link.decided_by) for link in refused]
