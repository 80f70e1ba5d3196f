"""Complete a dataset: its shards are there, its tables are written from their rows, and the manifest comes last.

Every command that makes a dataset ends here, so all of them keep the same promises: nothing is counted twice or left
out, a folder without a manifest is no dataset, and a dataset has at least one sample.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shards import claims, format, manifest, parts, storage, tables
from shards.errors import AvsError
from shards.manifest import Manifest, ShardEntry, Step, TableEntry
from shards.parts import Part
from shards.rejections import REMEDIES

ROWS_PER_GROUP = 16_384  # of the tables beside the shards
_ORDER = (*format.SPLITS, format.POOL)


class NoSamples(AvsError):
    """A dataset that would hold no sample; the message says what dropped them."""


def begin(out: str, purpose: Mapping[str, Any]) -> None:
    """Take a folder for a dataset; until `complete` has ended, it is none.

    Raises:
        ClaimError: the folder holds something else, or cannot be written to.
    """
    claims.claim(out, purpose)
    storage.remove(storage.join(out, format.MANIFEST))


def complete(
    out: str,
    about: Manifest,
    paths: Iterable[str],
    part: Callable[[str], Part],
    rejections: Iterable[pa.Table],
    beside: Mapping[str, bytes] | None = None,
) -> Manifest:
    """Write the tables, then the manifest, which it gives.

    Args:
        about: what the dataset is. Its counts, shards and tables are counted here.
        paths: every shard; whatever else lies in the folders of the splits is removed.
        part: the rows of a shard that is there.
        rejections: REJECTIONS of all stages, sorted slices in their order.
        beside: further files of the dataset.

    Raises:
        NoSamples: there is no shard of a split. The rejections are written all the same, the manifest is not.
    """
    ordered = sorted(paths, key=lambda path: (_ORDER.index(path.split("/")[0]), path))
    parts.sweep(out, ordered)
    schemas = tables.schemas(about.format_version, about.targets, bool(about.mask_sources))
    names = schemas[format.REJECTIONS].names
    slices = (slice_.select(names) for slice_ in rejections)
    dropped = write_table(out, format.REJECTIONS, schemas[format.REJECTIONS], slices)
    samples = [path for path in ordered if not path.startswith(f"{format.POOL}/")]
    if not samples:
        raise NoSamples(f"{emptied(about.funnel)}; {storage.join(out, format.REJECTIONS)} names each item")
    entries: list[ShardEntry] = []

    def rows(of: Iterable[str], schema: pa.Schema) -> Iterator[pa.Table]:
        for path in of:
            written = part(path)
            entries.append(_entry(written))
            storage.settle(storage.join(out, path))
            yield written.rows.select(schema.names)

    found = {}
    for name, of in ((format.SAMPLES, samples), (format.POOL_TABLE, ordered[len(samples) :])):
        found[name] = write_table(out, name, schemas[name], rows(of, schemas[name]))
    made = replace(
        about,
        counts={
            split: _counts(entry for entry in entries if entry.split == split) for split in format.SPLITS
        },
        shards=tuple(entry for entry in entries if entry.split != format.POOL),
        pool_shards=tuple(entry for entry in entries if entry.split == format.POOL),
        tables={**found, format.REJECTIONS: dropped},
    )
    for name, content in (beside or {}).items():
        storage.write_atomic(storage.join(out, name), content)
    storage.write_atomic(storage.join(out, format.MANIFEST), manifest.dump(made))
    return made


def step(stage: str, unit: str, entered: int, rejected: Mapping[str, int]) -> Step:
    """One entry of the funnel, from what went in and what was dropped per reason."""
    lost = {reason: number for reason, number in sorted(rejected.items()) if number}
    return {
        "stage": stage, "unit": unit, "in": entered, "kept": entered - sum(lost.values()), "rejected": lost
    }  # fmt: skip


def emptied(funnel: Iterable[Step]) -> str:
    """Why no sample is left: each step that kept nothing, the reason that dropped most, and what helps."""
    told = []
    for one in funnel:
        if one["kept"] == 0 and one["rejected"]:
            reason, number = max(one["rejected"].items(), key=lambda item: item[1])
            remedy = REMEDIES.get(reason, "each one's detail gives the rule and the value")
            told.append(
                f"{one['stage']} dropped all {one['in']:,} {one['unit']}, {number:,} as {reason} ({remedy})"
            )
    return f"no sample is left: {'; '.join(told) or 'there was nothing to make samples of'}"


def write_table(out: str, name: str, schema: pa.Schema, rows: Iterable[pa.Table]) -> TableEntry:
    """One Parquet file of many tables, in row groups of ROWS_PER_GROUP and a last one."""
    url, number = storage.join(out, name), 0
    waiting = schema.empty_table()
    with storage.open_atomic(url) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for table in rows:
            number += table.num_rows
            waiting = pa.concat_tables([waiting, table])
            full = len(waiting) // ROWS_PER_GROUP * ROWS_PER_GROUP
            if full:
                writer.write_table(waiting.slice(0, full), ROWS_PER_GROUP)
                waiting = waiting.slice(full).combine_chunks()
        if len(waiting):
            writer.write_table(waiting)
    return TableEntry(number, storage.size(url), storage.sha256(url))


def _entry(part: Part) -> ShardEntry:
    rows, split = part.rows, part.path.split("/")[0]
    several = "categories" in rows.column_names  # of a clip, of a scene
    names = pc.list_flatten(rows["categories"]) if several else rows["category"]
    categories = dict(sorted(Counter(names.to_pylist()).items()))
    return ShardEntry(part.path, split, rows.num_rows, part.bytes, part.sha256, categories)


def _counts(entries: Iterable[ShardEntry]) -> manifest.SplitCounts:
    categories: Counter[str] = Counter()
    samples = 0
    for entry in entries:
        categories.update(entry.categories)
        samples += entry.samples
    return {"samples": samples, "categories": dict(sorted(categories.items()))}
