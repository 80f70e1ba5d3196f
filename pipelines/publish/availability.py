"""Which sources were alive when: the last attempt at every item, from the ledger of `avs-data fetch`."""

import datetime
import io
import os
import sqlite3
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq

from shards import storage

AVAILABILITY = "availability.parquet"
SCHEMA = pa.schema(
    {
        "item": pa.string(),
        "alive": pa.bool_(),  # the last attempt brought it
        "cause": pa.string(),  # why not: removed, private, geo, ...
        "checked_at": pa.timestamp("s", tz="UTC"),
        "attempts": pa.int64(),
    }
)
_LAST = """
SELECT item, cause, at, (SELECT COUNT(*) FROM attempts AS every WHERE every.item = last.item)
FROM attempts AS last WHERE at = (SELECT MAX(at) FROM attempts AS other WHERE other.item = last.item)
GROUP BY item ORDER BY item
"""


def snapshot(corpora: str) -> bytes | None:
    """`availability.parquet` of a local corpora folder; None where nothing was fetched into it."""
    path = os.path.join(storage.local_path(corpora), "_fetch", "ledger.sqlite")
    if not storage.is_local(corpora) or not os.path.exists(path):
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        found = ledger.execute(_LAST).fetchall()
    rows = [
        {
            "item": item,
            "alive": cause == "ok",
            "cause": None if cause == "ok" else cause,
            "checked_at": datetime.datetime.fromtimestamp(int(at), datetime.UTC),
            "attempts": attempts,
        }
        for item, cause, at, attempts in found
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()
