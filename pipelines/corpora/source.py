"""What every corpus module speaks: a source file, the parts it is read in, and the error of a wrong file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.corpora.records import PHOTOS, UNMARKED
from shards.errors import AvsError
from shards.rejections import Reason
from shards.tables import REJECTIONS


@dataclass(frozen=True, order=True)
class Source:
    """One annotation file of a corpus; small and picklable, so a worker can be sent to it."""

    corpus: str  # lvis | open_images | vggsound
    path: str  # relative to the corpora folder
    split: str | None  # train | validation | test; None where the file's name does not tell


class CorpusError(AvsError, ValueError):
    """A file that as a whole is not what its name promises: the file, the position, the rule, the remedy."""

    def __init__(self, file: str, position: str, rule: str, remedy: str) -> None:
        super().__init__(file, position, rule, remedy)
        self.file, self.position, self.rule, self.remedy = file, position, rule, remedy

    def __str__(self) -> str:
        where = f"{self.file}, {self.position}" if self.position else self.file
        return f"{where}: {self.rule}. {self.remedy}."


def batch(columns: Mapping[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    """Columns in the schema's order and types; those not given are null."""
    rows = len(next(iter(columns.values()), ()))
    arrays = [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.record_batch(arrays, schema=schema)


class Chunk(NamedTuple):
    """A stretch of a source file: `rows` rows went in, each of them is in `kept` or in `rejected`."""

    kept: pa.RecordBatch  # MASKS or CLIPS
    rejected: pa.RecordBatch  # REJECTIONS
    rows: int
    position: int  # bytes of the file read so far, for progress
    unmarked: pa.RecordBatch = batch({}, UNMARKED)  # what rejected rows leave unmarked
    photos: pa.RecordBatch = batch({}, PHOTOS)  # listed in this stretch; they are no rows of it
    notes: tuple[str, ...] = ()  # what a person should hear of, that is no row


def rejections(items: Sequence[str], reason: Reason, details: Sequence[str]) -> pa.RecordBatch:
    """REJECTIONS of the stage `index`, one row an item."""
    count = len(items)
    given = {"stage": ["index"] * count, "item": items, "reason": [reason.value] * count, "detail": details}
    return batch({name: pa.array(column, pa.string()) for name, column in given.items()}, REJECTIONS)


def joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """Several batches of REJECTIONS as one; an empty one where there are none."""
    return pa.concat_batches(batches) if batches else batch({}, REJECTIONS)


Check = tuple[np.ndarray, Reason, Callable[[int], str]]  # (n,) bool: True is bad; why; the detail of a row


def sift(
    items: Sequence[str] | pa.Array, checks: Sequence[Check]
) -> tuple[np.ndarray, pa.RecordBatch, np.ndarray]:
    """(n,) bool, the rows that pass every check; the rejections of the others, by first failed check; their rows."""
    kept = np.ones(len(items), dtype=bool)
    batches, failed = [], [np.empty(0, np.int64)]
    for bad, reason, detail in checks:
        rows = np.flatnonzero(kept & bad)
        if len(rows):
            batches.append(
                rejections(
                    [str(items[row]) for row in rows.tolist()], reason, list(map(detail, rows.tolist()))
                )
            )
            kept[rows] = False
            failed.append(rows)
    return kept, joined(batches), np.concatenate(failed)


def unmarked(
    rejected: pa.RecordBatch,
    corpus: str | pa.Array,
    image_ids: pa.Array,
    label_ids: pa.Array,
    labels: pa.Array,
    mask_sources: pa.Array | None = None,
) -> pa.RecordBatch:
    """UNMARKED of rejected rows, each with its image (null: not known) and its label (null: not certain).

    mask_sources: who drew a mask all the same; none: nobody.
    """
    columns = {
        "item": rejected["item"],
        "reason": rejected["reason"],
        "corpus": pa.repeat(corpus, len(rejected)) if isinstance(corpus, str) else corpus,
        "image_id": image_ids,
        "label_id": label_ids,
        "label": labels,
        "mask_source": pa.nulls(len(rejected), pa.string()) if mask_sources is None else mask_sources,
    }
    found = batch(columns, UNMARKED)
    return found.filter(found["image_id"].is_valid())
