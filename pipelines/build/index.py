"""Stage 1: every corpus below a folder, streamed to tables of masks, clips, photos and rejections.

A rejected row whose photo is known leaves an object of that photo unmarked; `unmarked.parquet` tells the stage
`select`, so that no union goes without it.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.corpora import registry
from pipelines.corpora.keys import Seen, text_keys
from pipelines.corpora.records import CLIPS, MASKS, PHOTOS, UNMARKED
from pipelines.corpora.source import Chunk, CorpusError, Source, joined, rejections, unmarked
from shards import storage
from shards.hashing import mix64
from shards.rejections import Reason
from shards.tables import REJECTIONS, of_unit, parquet

MASKS_PER_GROUP, CLIPS_PER_GROUP = 16 << 10, 2 << 10  # what a worker of the build takes at a time
_ROW_GROUP_BYTES = 64 << 20  # of Arrow memory
# Values that repeat; a dictionary of ids or polygons would only be built to be thrown away.
_REPEATED = {
    "corpus", "label_id", "label", "label_ids", "labels", "licence", "licence_url", "author", "annotation_split",
    "official_split",
    "stage", "reason", "category",
}  # fmt: skip


_ROWS, _KEPT = "rows in", "rows kept"  # keys of a tally beside the reasons


@dataclass(frozen=True)
class Progress:
    """How far the reading is: after each chunk of each file."""

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
    photos: str
    unmarked: str
    rejections: str
    counts: dict[str, Count]
    notes: tuple[str, ...] = ()


def sources(corpora: str, names: Iterable[str] = ()) -> list[Source]:
    """Every annotation file below `corpora`, by corpus, then path.

    Args:
        names: of the corpora to look for; none: all.

    Raises:
        RegistryError: a name of no corpus. CorpusError: none of them is there, or one that cannot be read.
    """
    wanted = registry.chosen(names)
    found = [source for corpus in wanted for source in corpus.sources(corpora)]
    if not found:
        layouts = "; ".join(corpus.layout.splitlines()[0].partition("  ")[0] for corpus in wanted)
        raise CorpusError(
            corpora, "", f"no corpus here; looked for {layouts}", "Give the folder that holds them"
        )
    for source in found:
        try:
            storage.stamp(storage.join(corpora, source.path))
        except FileNotFoundError as error:
            raise CorpusError(
                source.path,
                "name",
                "it leads to no regular file (a link to nothing, a folder, a pipe)",
                f"Put the file there, or remove the name to leave {registry.title(source.corpus)} out",
            ) from error
    return found


def unit(corpus: str) -> str:
    """What the rows of a corpus are: `masks` or `clips`."""
    return "clips" if registry.get(corpus).kind == "sounds" else "masks"


def _id(source: Source) -> str:
    return unit(source.corpus).removesuffix("s") + "_id"


def read(source: Source, corpora: str) -> Iterator[Chunk]:
    """One annotation file in parts; see the module of its corpus."""
    yield from registry.get(source.corpus).read(source, corpora)


def index(
    corpora: str,
    out: str,
    progress: Callable[[Progress], None] | None = None,
    names: Iterable[str] = (),
) -> IndexResult:
    """Write masks, clips, photos, unmarked and rejections.parquet in `out` from the corpora below `corpora`.

    Both are folders or URLs; `names` are those of the corpora to read, none: all that are there. Memory stays bounded
    whatever the files' size. The tables appear when all is read, or not at all; the same files give the same bytes. Of
    an id listed twice in a corpus the first row stays, by file, then row. A mask listed again as it was is a mere
    repetition; one of other content is an object that no mask of the index marks.
    """
    tables = {
        "rejections": (REJECTIONS, MASKS_PER_GROUP),
        "unmarked": (UNMARKED, MASKS_PER_GROUP),
        "photos": (PHOTOS, MASKS_PER_GROUP),
        "clips": (CLIPS, CLIPS_PER_GROUP),
    }
    paths = {name: storage.join(out, f"{name}.parquet") for name in (*tables, "masks")}
    tally: dict[str, Counter[str]] = {}
    seen: dict[str, Seen] = {}
    again: list[pa.RecordBatch] = []
    files = sources(corpora, names)
    notes: list[str] = []
    with ExitStack() as stack:
        write = {name: stack.enter_context(_table(paths[name], *tables[name])) for name in tables}
        with _table(paths["masks"], MASKS, MASKS_PER_GROUP) as write["masks"]:
            for source in files:
                count = tally.setdefault(source.corpus, Counter())
                known = seen.setdefault(source.corpus, Seen())
                size = storage.size(storage.join(corpora, source.path))
                for chunk in read(source, corpora):
                    kept, rejected = _without_duplicates(chunk, source, known, again)
                    assert chunk.rows == len(kept) + len(rejected), (
                        f"{source.path}: rows lost between {chunk.rows} and {len(kept)}"
                    )
                    write[unit(source.corpus)](kept)
                    write["rejections"](of_unit(rejected, unit(source.corpus)))
                    write["unmarked"](chunk.unmarked)
                    write["photos"](chunk.photos)
                    count.update({_ROWS: chunk.rows, _KEPT: len(kept)})
                    count.update(rejected["reason"].to_pylist())
                    notes += chunk.notes
                    if progress:
                        rows = sum(done[_ROWS] for done in tally.values())
                        progress(Progress(source, chunk.position, size, rows, chunk.notes))
        if again:
            write["unmarked"](_of_other_content(again, paths["masks"]))
    counts = {corpus: _count(count) for corpus, count in tally.items()}
    return IndexResult(**paths, counts=counts, notes=tuple(notes))


def index_each(
    corpora: str,
    out: str,
    progress: Callable[[Progress], None] | None = None,
    names: Iterable[str] = (),
    executor: Executor | None = None,
) -> dict[str, IndexResult]:
    """`index` of every corpus in a folder of its own below `out`, which has its name; by corpus.

    Args:
        executor: reads the others while the largest is read here, which alone tells how far it is.
    """
    files: dict[str, list[Source]] = {}
    for source in sources(corpora, names):
        files.setdefault(source.corpus, []).append(source)
    sizes = {
        corpus: sum(storage.size(storage.join(corpora, source.path)) for source in of)
        for corpus, of in files.items()
    }
    here, *others = sorted(files, key=lambda corpus: -sizes[corpus])
    tasks = {name: executor.submit(_of_one, corpora, out, name) for name in others} if executor else {}
    made: dict[str, IndexResult] = {}
    rows = 0

    def told(read: Progress) -> None:
        if progress:
            progress(replace(read, rows=rows + read.rows))

    try:
        for corpus in (here, *others):
            if corpus in tasks:
                found = made[corpus] = tasks[corpus].result()
                size = sizes[corpus]
                told(Progress(files[corpus][-1], size, size, found.counts[corpus].rows, found.notes))
            else:
                found = made[corpus] = _of_one(corpora, out, corpus, told)
            rows += found.counts[corpus].rows
    finally:  # where one fails, nothing writes below `out` any more
        wait([task for task in tasks.values() if not task.cancel()])
    return {corpus: made[corpus] for corpus in files}


def _of_one(
    corpora: str, out: str, corpus: str, progress: Callable[[Progress], None] | None = None
) -> IndexResult:
    return index(corpora, storage.join(out, corpus), progress, (corpus,))


def _count(tally: Counter[str]) -> Count:
    rejected = {reason.value: tally[reason.value] for reason in Reason if tally[reason.value]}
    return Count(tally[_ROWS], tally[_KEPT], rejected)


def _without_duplicates(
    chunk: Chunk, source: Source, known: Seen, again: list[pa.RecordBatch]
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Kept and rejected, ids that `known` has met before moved from the first to the second; masks to `again` too."""
    ids = chunk.kept[_id(source)]
    first = known.first(text_keys(ids))
    if first.all():
        return chunk.kept, chunk.rejected
    repeated = chunk.kept.filter(pa.array(~first))
    details = [f"{source.path} lists an id that was listed before; the first row stays"] * len(repeated)
    duplicates = rejections(repeated[_id(source)].to_pylist(), Reason.DUPLICATE_ID, details)
    if unit(source.corpus) == "masks":
        again.append(_contents(repeated))
    return chunk.kept.filter(pa.array(first)), joined([chunk.rejected, duplicates])


def _contents(masks: pa.RecordBatch) -> pa.RecordBatch:
    """Whose masks they are, and `content`, uint64: a hash of all that they say, however its numbers are written.

    `in_file`: a file of its own holds the mask.
    """
    names = ["mask_id", "corpus", "image_id", "label_id", "label"]
    shapes = [zlib.crc32(_plain(shape)) for shape in masks["segmentation"].to_pylist()]
    flags = masks["is_crowd"].cast(pa.int64()).fill_null(2).to_numpy(zero_copy_only=False)
    content = mix64(np.array(shapes, np.uint64) << np.uint64(2) | flags.astype(np.uint64))
    for name in ("mask_id", "image_id", "label_id"):
        content = mix64(content ^ text_keys(masks[name]))
    in_file = masks["segmentation"].is_null()
    return masks.select(names).append_column("in_file", in_file).append_column("content", pa.array(content))


def _plain(segmentation: bytes | None) -> bytes:
    for kind in (list[list[float]], Any):
        with suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.encode(msgspec.json.decode(segmentation or b"null", type=kind))
    return segmentation or b""


def _of_other_content(again: list[pa.RecordBatch], masks: str) -> pa.RecordBatch:
    """UNMARKED of the repeated ids under which something else was listed than what stayed."""
    repeated = pa.concat_batches(again)
    stayed = []
    with storage.open_read(masks) as file:
        columns = [*repeated.schema.names[:-2], "segmentation", "is_crowd"]
        for batch in parquet(file).iter_batches(columns=columns, use_threads=False):
            found = _contents(batch.filter(pc.is_in(batch["mask_id"], repeated["mask_id"])))
            stayed.append(found["content"].to_numpy())
    lost = repeated.filter(pa.array(~np.isin(repeated["content"].to_numpy(), np.concatenate(stayed))))
    certain = pc.invert(lost["in_file"])  # which of two labels is that file's, nothing tells
    label_ids, labels = (
        pc.if_else(certain, lost[name], pa.scalar(None, pa.string())) for name in ("label_id", "label")
    )
    rejected = rejections(lost["mask_id"].to_pylist(), Reason.DUPLICATE_ID, [""] * len(lost))
    return unmarked(rejected, lost["corpus"], lost["image_id"], label_ids, labels)


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
