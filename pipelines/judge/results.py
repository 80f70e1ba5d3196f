"""`DATASET.judgements.parquet`: every judgement that counts, beside the dataset whose files are hashed.

Its metadata (key `avs.judgements`, JSON) says which version it is about, by the manifest's sha256, and what was drawn;
where it is read, results of another version are refused.
"""

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.judge.draw import Stratum
from pipelines.judge.errors import JudgeError
from pipelines.judge.verdicts import VERDICTS
from shards import format, storage, tables

if TYPE_CHECKING:
    from pipelines.judge.queue import Queue

SCHEMA = pa.schema(
    {
        "key": pa.string(),  # of the sample
        "sample_id": pa.string(),
        "split": pa.string(),
        "category": pa.string(),
        "kind": pa.string(),
        "clip_ids": pa.list_(pa.string()),
        "stratum": pa.string(),
        "order": pa.string(),  # random | active | gold: what it was asked for
        "judge": pa.string(),
        "verdict": pa.string(),
        "note": pa.string(),
        "judged_at": pa.string(),  # UTC, ISO 8601
    }
)
ABOUT = b"avs.judgements"
PUBLISHED = "judgements.parquet"  # its name in a published version


@dataclass(frozen=True)
class About:
    """What judgements are about.

    Attributes:
        dataset: its name. manifest_sha256: of its manifest. judges: answers that a sample needs.
        strata: of the random draw, by name.
    """

    dataset: str
    manifest_sha256: str
    seed: int
    judges: int
    strata: dict[str, Stratum]


@dataclass(frozen=True)
class Results:
    """rows: of SCHEMA, sorted by time."""

    about: About
    rows: list[dict[str, Any]]


def beside(dataset: str) -> str:
    """Where the results of a dataset are, unless somebody says otherwise."""
    return f"{dataset.rstrip('/')}.{PUBLISHED}"


def place(dataset: str, queue_path: str) -> str:
    """Where to write them: beside the dataset; of a published one that others serve, beside the queue."""
    return (
        beside(dataset) if storage.is_local(dataset) else f"{queue_path.removesuffix('.sqlite')}.{PUBLISHED}"
    )


def manifest_sha256(dataset: str) -> str:
    return storage.sha256(storage.join(dataset, format.MANIFEST))


def of_queue(queue: "Queue") -> Results:
    """Everything that counts of a queue. Raises JudgeError: nothing is drawn."""
    with queue.reading():
        _ = queue.dataset
        about = About(
            queue.meta("name"),
            queue.meta("manifest_sha256"),
            int(queue.meta("seed", "0")),
            queue.judges,
            queue.strata(),
        )
        items = {item.id: item for item in queue.items()}
        judged = [one for one in queue.judgements() if not one.undone and one.verdict != "undo"]
    rows = []
    for one in judged:
        item = items[one.item_id]
        told = {name: getattr(item, name) for name in ("key", "sample_id", "split", "category", "kind")}
        told |= {"clip_ids": list(item.clips), "stratum": item.stratum, "order": item.order}
        rows.append(
            {**told, **{name: getattr(one, name) for name in ("judge", "verdict", "note", "judged_at")}}
        )
    return Results(about, rows)


def dump(results: Results) -> bytes:
    """The file."""
    about = json.dumps(msgspec.to_builtins(results.about), sort_keys=True)
    table = pa.Table.from_pylist(results.rows, schema=SCHEMA.with_metadata({ABOUT: about}))
    out = io.BytesIO()
    pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def read(url: str, digest: str) -> Results:
    """Results about the version whose manifest has this sha256.

    Raises:
        JudgeError: they are about another one, or hold what cannot be. TableError: no such table.
        OSError: no such file.
    """
    table = tables.read(url, schema=SCHEMA)
    try:
        about = msgspec.json.decode((table.schema.metadata or {}).get(ABOUT, b""), type=About)
    except (ValueError, RecursionError) as error:
        raise JudgeError(
            f"{url} does not say what it is about ({error}): write it with `avs-data judge export`"
        ) from error
    if about.manifest_sha256 != digest:
        raise JudgeError(
            f"{url} holds judgements of another version of {about.dataset!r} (manifest {about.manifest_sha256[:12]}, "
            f"here {digest[:12]}): they say nothing of this one. Judge it, or take the file away"
        )
    rows = table.to_pylist()
    for row in rows:
        if row["verdict"] not in VERDICTS or row["order"] not in ("random", "active", "gold"):
            raise JudgeError(
                f"{url}: verdict {row['verdict']!r} of {row['key']} in order {row['order']!r}: no such one"
            )
        if None in row.values() or (row["order"] == "random" and row["stratum"] not in about.strata):
            raise JudgeError(f"{url}: {row['key']} is of no stratum that was drawn, or lacks a value")
    return Results(about, sorted(rows, key=lambda row: (row["judged_at"], row["key"], row["judge"])))


def find(dataset: str, given: str = "") -> Results | None:
    """The results that are given, else those beside a dataset, where there are some; None without a judgement.

    Raises as `read`.
    """
    if not given and not storage.exists(beside(dataset)):
        return None
    found = read(given or beside(dataset), manifest_sha256(dataset))
    return found if found.rows else None
