"""Visual labels in the queue: synonyms, definition and wider classes for the page, synsets for the map, search."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.corpora.labels import NamedLabel
from pipelines.matching.vocabularies import AudioLabel, VisualLabel
from pipelines.review import queue_file
from pipelines.review.queue import Queue


@dataclass(frozen=True)
class LabelText:
    """What a vocabulary says of a visual label; `parents` are wider classes, nearest first."""

    source: str
    source_id: str
    name: str
    synset: str
    synonyms: tuple[str, ...]
    definition: str
    parents: tuple[str, ...]


def load_labels(queue: Queue, labels: Iterable[VisualLabel]) -> int:
    """Replace the queue's visual labels; returns how many there are."""
    rows = [
        (
            label.source,
            label.id,
            label.name,
            label.synset,
            json.dumps([name for name in label.names if name != label.name]),
            label.definition,
            json.dumps(label.ancestors),
        )
        for label in labels
    ]
    with queue_file.transaction(queue.connection):
        queue.connection.execute("DELETE FROM labels")
        queue.connection.executemany("INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    return len(rows)


def load_sounds(queue: Queue, sounds: Iterable[AudioLabel]) -> None:
    """Replace what the queue knows of sounds that have an id."""
    rows = list(
        {(one.source, one.label): (one.source, one.label, one.id) for one in sounds if one.id}.values()
    )
    with queue_file.transaction(queue.connection):
        queue.connection.execute("DELETE FROM sounds")
        queue.connection.executemany("INSERT INTO sounds VALUES (?, ?, ?)", rows)


def label_text(queue: Queue, source: str, source_id: str, name: str) -> LabelText:
    """The text of a label; `name` alone where no vocabulary was imported."""
    row = queue.connection.execute(
        "SELECT * FROM labels WHERE source = ? AND source_id = ?", (source, source_id)
    ).fetchone()
    if row is None:
        return LabelText(source, source_id, name, "", (), "", ())
    return LabelText(
        row["source"],
        row["source_id"],
        row["name"],
        row["synset"],
        tuple(json.loads(row["synonyms"])),
        row["definition"],
        tuple(json.loads(row["parents"])),
    )


def synsets(queue: Queue) -> dict[str, str]:
    """LVIS category id -> WordNet synset."""
    rows = queue.connection.execute("SELECT source_id, synset FROM labels WHERE synset <> ''")
    return {row["source_id"]: row["synset"] for row in rows}


def named(queue: Queue) -> Iterator[NamedLabel]:
    """What the proposals, the index and the vocabularies in the queue call their labels."""
    for source, source_id, name, synset in queue.connection.execute(
        "SELECT items.source, visual_id, visual_label, '' FROM items JOIN proposals p ON p.id = items.proposal_id "
        "UNION SELECT source, source_id, name, '' FROM label_images "
        "UNION SELECT source, source_id, name, synset FROM labels "
        "UNION SELECT source, source_id, label, '' FROM sounds"
    ):
        yield NamedLabel(queue.path, source, source_id, name, synset)


def search(queue: Queue, words: str, most: int = 12) -> list[LabelText]:
    """Visual labels whose name or synonyms hold all the words: exact names first, then by length and name."""
    wanted = [word for word in words.lower().replace("_", " ").split() if word]
    found = []
    for row in queue.connection.execute("SELECT source, source_id, name, synonyms FROM labels"):
        name = row["name"].lower().replace("_", " ")
        text = f"{name} {row['synonyms'].lower().replace('_', ' ')}"
        if wanted and all(word in text for word in wanted):
            inside = all(word in name for word in wanted)
            found.append(
                (name != " ".join(wanted), not inside, len(name), name, row["source"], row["source_id"])
            )
    return [label_text(queue, source, source_id, "") for *_, source, source_id in sorted(found)[:most]]
