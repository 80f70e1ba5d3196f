"""Which sources were alive when: the last attempt at every item, from the ledger of `avs-data fetch`."""

import datetime
import io
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.fetch import ledger

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


def snapshot(corpora: str) -> bytes | None:
    """`availability.parquet` of a corpora folder; None where nothing was fetched into it."""
    if not ledger.exists(corpora):
        return None
    with ledger.Ledger(corpora, read_only=True) as kept:
        attempts, latest = Counter(row.item for row in kept.rows()), kept.latest()
    rows = [
        {
            "item": item,
            "alive": last.ok,
            "cause": None if last.ok else last.cause,
            "checked_at": datetime.datetime.fromtimestamp(int(last.at), datetime.UTC),
            "attempts": attempts[item],
        }
        for item, last in sorted(latest.items())
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()
