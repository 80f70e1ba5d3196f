"""What people decided so far, for the matcher to learn from: a review queue's decisions or a label map's links."""

from label_maps import LabelMap, Link, load
from label_maps.label_map import path_of
from pipelines.matching.decisions import Decided
from pipelines.review import rejected
from pipelines.review.intake import answer_of_map
from pipelines.review.queue import Queue
from pipelines.review.rejected import ANY, RejectedLink


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
    """What the map says of each sound and each visual label: accepted where the sound is heard over those masks,
    refused elsewhere in a category and its kinds. Such a refusal is about that sound (a rattlesnake's over any snake):
    no more than a doubt for others. What is refused for a sound with all labels says nothing of any one of them.
    """
    found = []
    sides: dict[bool, list[Link]] = {True: [], False: []}
    for link in label_map.links:
        sides[label_map.is_sound(link)].append(link)
    for sound in sides[True]:
        for seen in sides[False]:
            if answer := answer_of_map(label_map, sound, seen):
                by = max(sound, seen, key=lambda link: link.decided_on).decided_by
                accepted = answer.verdict == "accept"
                pair = (sound.source, sound.label, seen.source, seen.source_id)
                found.append(Decided(*pair, accepted, by, general=accepted))
    said = {(one.audio_source, one.audio_label, one.source, one.visual_id) for one in found}
    return found + [
        Decided(*link.key, False, link.decided_by)
        for link in refused
        if link.visual_id != ANY and link.key not in said
    ]
