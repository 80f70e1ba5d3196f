"""Stage 1: every corpus below a folder, streamed to a table of masks, one of clips and one of rejections."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.corpora import lvis, open_images, vggsound
from pipelines.corpora.keys import Seen, text_keys
from pipelines.corpora.records import CLIPS, MASKS
from pipelines.corpora.source import CorpusError, Part, Source, joined, rejections
from shards import storage
from shards.rejections import Reason
from shards.tables import REJECTIONS, of_unit

READERS: dict[str, ModuleType] = {"lvis": lvis, "open_images": open_images, "vggsound": vggsound}
_IDS = {"lvis": "mask_id", "open_images": "mask_id", "vggsound": "clip_id"}
MASKS_PER_GROUP, CLIPS_PER_GROUP = 16 << 10, 2 << 10  # what a worker of the build takes at a time
_ROW_GROUP_BYTES = 64 << 20  # of Arrow memory
# Values that repeat; a dictionary of ids or polygons would only be built to be thrown away.
_REPEATED = (
    *(
        "corpus",
        "label_id",
        "label",
        "licence",
        "licence_url",
        "author",
        "annotation_split",
        "official_split",
    ),
    *("stage", "reason", "category"),
)


_ROWS, _KEPT = "rows in", "rows kept"  # keys of a tally beside the reasons


@dataclass(frozen=True)
class Progress:
    """How far the reading is: after each part of each file."""

    source: Source
    bytes_done: int  # of this file
    bytes_total: int
    rows: int  # of all files so far
    notes: tuple[str, ...] = ()  # what a person should hear of the file, once


@dataclass(frozen=True)
class Count:
    """What became of the rows of one corpus: `rows == kept + sum(rejected.values())`."""

    rows: int = 0
    kept: int = 0
    rejected: dict[str, int] = field(default_factory=dict)  # reason -> rows


@dataclass(frozen=True)
class IndexResult:
    """The tables written, and the counts of each corpus that was found."""

    masks: str
    clips: str
    rejections: str
    counts: dict[str, Count]
    notes: tuple[str, ...] = ()


def sources(corpora: str) -> list[Source]:
    """Every annotation file below `corpora`, by corpus, then path. CorpusError where there is none."""
    found = [source for reader in READERS.values() for source in reader.sources(corpora)]
    if not found:
        layouts = "; ".join(reader.LAYOUT for reader in READERS.values())
        raise CorpusError(
            corpora, "folder", f"no corpus here; looked for {layouts}", "Give the folder that holds them"
        )
    return found


def unit(corpus: str) -> str:
    """What the rows of a corpus are: `masks` or `clips`."""
    return "clips" if _IDS[corpus] == "clip_id" else "masks"


def read(source: Source, corpora: str) -> Iterator[Part]:
    """One annotation file in parts; see the module of its corpus."""
    yield from READERS[source.corpus].read(source, corpora)


def index(corpora: str, out: str, progress: Callable[[Progress], None] | None = None) -> IndexResult:
    """Write masks.parquet, clips.parquet and rejections.parquet in `out` from the corpora below `corpora`.

    Both are folders or URLs. Memory stays bounded whatever the files' size. The tables appear when all is
    read, or not at all; the same files give the same bytes. Of an id listed twice in a corpus the first
    stays, by file, then row.
    """
    paths = {name: storage.join(out, f"{name}.parquet") for name in ("masks", "clips", "rejections")}
    tally: dict[str, Counter[str]] = {}
    seen: dict[str, Seen] = {}
    files = sources(corpora)
    notes: list[str] = []
    with (
        _table(paths["rejections"], REJECTIONS, MASKS_PER_GROUP) as write_rejected,
        _table(paths["clips"], CLIPS, CLIPS_PER_GROUP) as write_clips,
        _table(paths["masks"], MASKS, MASKS_PER_GROUP) as write_masks,
    ):
        for source in files:
            count = tally.setdefault(source.corpus, Counter())
            known = seen.setdefault(source.corpus, Seen())
            write = write_clips if unit(source.corpus) == "clips" else write_masks
            size = storage.size(storage.join(corpora, source.path))
            for part in read(source, corpora):
                kept, rejected = _without_duplicates(part, source, known)
                assert part.rows == len(kept) + len(rejected), (
                    f"{source.path}: rows lost between {part.rows} and {len(kept)}"
                )
                write(kept)
                write_rejected(of_unit(rejected, unit(source.corpus)))
                count.update({_ROWS: part.rows, _KEPT: len(kept)})
                count.update(rejected["reason"].to_pylist())
                notes += part.notes
                if progress:
                    rows = sum(done[_ROWS] for done in tally.values())
                    progress(Progress(source, part.position, size, rows, part.notes))
    counts = {corpus: _count(count) for corpus, count in tally.items()}
    return IndexResult(**paths, counts=counts, notes=tuple(notes))


def _count(tally: Counter[str]) -> Count:
    rejected = {reason.value: tally[reason.value] for reason in Reason if tally[reason.value]}
    return Count(tally[_ROWS], tally[_KEPT], rejected)


def _without_duplicates(part: Part, source: Source, known: Seen) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Kept and rejected, ids that `known` has met before moved from the first to the second."""
    ids = part.kept[_IDS[source.corpus]]
    first = known.first(text_keys(ids))
    if first.all():
        return part.kept, part.rejected
    again = ids.filter(pa.array(~first)).to_pylist()
    details = [f"{source.path} lists an id that was listed before; the first one stays"] * len(again)
    duplicates = rejections(again, Reason.DUPLICATE_ID, details)
    return part.kept.filter(pa.array(first)), joined([part.rejected, duplicates])


@contextmanager
def _table(url: str, schema: pa.Schema, per_group: int) -> Iterator[Callable[[pa.RecordBatch], None]]:
    """A function that appends batches to a Parquet file, which is there when the block has ended well."""
    waiting: list[pa.RecordBatch] = []
    with (
        storage.open_atomic(url) as file,
        pq.ParquetWriter(
            file,
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name in _REPEATED],
        ) as writer,
    ):

        def flush() -> None:
            if waiting:
                table = pa.Table.from_batches(waiting, schema)
                writer.write_table(table, row_group_size=per_group)
                waiting.clear()

        def write(batch: pa.RecordBatch) -> None:
            rows, size = sum(map(len, waiting)), sum(held.nbytes for held in waiting)
            if rows + len(batch) > per_group or size + batch.nbytes > _ROW_GROUP_BYTES:
                flush()
            if len(batch):
                waiting.append(batch)

        yield write
        flush()
