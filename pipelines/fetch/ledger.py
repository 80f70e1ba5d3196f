"""The ledger: one row an attempt, never changed, never lost, never doubled.

SQLite with a write-ahead log: a commit is one append, a killed process loses no committed row, a half-written
one is dropped by the checksum of its frame, and the primary key (item, attempt, session) makes a doubled row
impossible. (A log of checksummed lines would append as fast, but every question - what is due, what failed
why - would read it all.)

Where the corpora folder is remote the database lives in the user's cache folder and every flush also uploads
the new rows as one immutable Parquet segment, `_fetch/ledger/<session>-<number>.parquet`. Opening it anywhere
reads the segments that the local database lacks and uploads the rows that no segment holds yet.
"""

import hashlib
import io
import os
import secrets
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.fetch.causes import Cause, scrub
from shards import storage, tables
from shards.errors import AvsError

FOLDER = "_fetch"
_TYPES = {"str": ("TEXT", pa.string()), "int": ("INTEGER", pa.int64()), "float": ("REAL", pa.float64())}


@dataclass(frozen=True)
class Attempt:
    """One try at one item. `at` and `next_at` are seconds since 1970; `next_at` 0 means never again."""

    item: str
    attempt: int  # from 1
    session: str
    at: float
    cause: str  # a Cause
    detail: str  # the raw message, without credentials
    next_at: float
    bytes: int
    sha256: str
    tool: str  # what made the attempt, with versions

    @property
    def ok(self) -> bool:
        return self.cause == Cause.OK.value

    @property
    def permanent(self) -> bool:
        return not self.ok and self.next_at == 0


_COLUMNS = [(f.name, *_TYPES[getattr(f.type, "__name__", str(f.type))]) for f in fields(Attempt)]
_values = attrgetter(*(name for name, _, _ in _COLUMNS))
_SCHEMA = pa.schema([(name, arrow) for name, _, arrow in _COLUMNS])
_INSERT = f"INSERT OR IGNORE INTO attempts VALUES ({','.join('?' * len(_COLUMNS))}, ?)"
_CREATE = f"""
CREATE TABLE IF NOT EXISTS attempts ({", ".join(f"{name} {sql} NOT NULL" for name, sql, _ in _COLUMNS)},
    segment TEXT NOT NULL, PRIMARY KEY (item, attempt, session)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS unsynced ON attempts (segment) WHERE segment = '';
CREATE TABLE IF NOT EXISTS reopened (item TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (item, at)) WITHOUT
ROWID; CREATE TABLE IF NOT EXISTS fingerprints (item TEXT PRIMARY KEY, sha256 TEXT NOT NULL, value BLOB NOT
NULL) WITHOUT ROWID; CREATE TABLE IF NOT EXISTS decoded (by TEXT NOT NULL, sha256 BLOB NOT NULL, PRIMARY KEY (by,
sha256)) WITHOUT ROWID;
"""


def _place(corpora: str) -> str:
    """The folder of the database: below the corpora folder, or in the user's cache where that is remote."""
    if storage.is_local(corpora):
        return os.path.join(storage.local_path(corpora), FOLDER)
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(cache, "avs-data", hashlib.sha256(corpora.rstrip("/").encode()).hexdigest()[:16])


def exists(corpora: str) -> bool:
    """Whether anything was fetched into a corpora folder; asks without making a ledger."""
    kept = os.path.exists(os.path.join(_place(corpora), "ledger.sqlite"))
    return kept or bool(storage.names(storage.join(corpora, FOLDER, "ledger")))


def decoded(corpora: str, by: str) -> list[bytes]:
    """SHA-256 digests, sorted, of the photos that were fetched into a corpora folder and decoded `by` that check."""
    path = Path(_place(corpora), "ledger.sqlite").absolute()
    if not os.path.isfile(path):
        return []
    try:
        with closing(sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=60)) as database:
            rows = database.execute("SELECT sha256 FROM decoded WHERE by = ? ORDER BY sha256", (by,))
            return [digest for (digest,) in rows]
    except sqlite3.DatabaseError:  # older than this table, not to be read, or damaged, which `fetch` tells
        return []


class LedgerError(AvsError):
    """A file that is no ledger; the message says what to do."""


class Ledger:
    """The attempts at one corpora folder. Thread-safe. Use it as a context manager.

    Args:
        flush_s, flush_rows: successes are committed together, at the latest after so long or so many; a
            failure is committed at once. A success that a kill kept from being committed is found again by
            its file.
        sync_s: seconds between segments, where the corpora folder is remote.
        read_only: nothing is written to a local folder, which must have a ledger.
    """

    def __init__(
        self,
        corpora: str,
        *,
        flush_s: float = 0.2,
        flush_rows: int = 200,
        sync_s: float = 30.0,
        read_only: bool = False,
    ) -> None:
        self.corpora, self.folder = corpora.rstrip("/"), _place(corpora)
        self.remote = not storage.is_local(corpora)
        read_only = read_only and not self.remote
        if not read_only:
            os.makedirs(self.folder, exist_ok=True)
        self.session = secrets.token_hex(4)
        self._flush_s, self._flush_rows, self._sync_s = flush_s, flush_rows, sync_s
        self._lock = threading.RLock()
        self._waiting: list[Attempt] = []
        self._prints: list[tuple[str, str, bytes]] = []
        self._decoded: list[tuple[str, bytes]] = []
        self._flushed = self._synced = time.monotonic()
        self._segments = 0
        path = Path(self.folder, "ledger.sqlite")
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise LedgerError(
                f"{path} is no file: remove it; what is stored stays, and is checked and written down again"
            )
        self._db = sqlite3.connect(
            path.absolute().as_uri() + ("?mode=ro" if read_only else ""),
            uri=True,
            check_same_thread=False,
            isolation_level=None,
            timeout=60,
        )
        try:
            if not read_only:
                self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _CREATE)
            (found,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            self._db.execute("SELECT 1 FROM attempts LIMIT 0")
        except sqlite3.DatabaseError as error:
            found = str(error)
        if found != "ok":
            self._db.close()
            raise LedgerError(
                f"{self.folder}/ledger.sqlite cannot be used as a ledger ({found}): put a copy back, or remove it; "
                "what is stored stays, and is checked and written down again"
            )
        if self.remote:
            self._read_segments()

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, row: Attempt, fingerprint: bytes | None = None, decoded_by: str = "") -> None:
        """Add a row; `decoded_by`: the check that decoded what has the row's hash."""
        row = replace(row, session=self.session, detail=scrub(row.detail)[:2000])
        with self._lock:
            self._waiting.append(row)
            if fingerprint is not None:
                self._prints.append((row.item, row.sha256, fingerprint))
            if decoded_by:
                self._decoded.append((decoded_by, bytes.fromhex(row.sha256)))
            late = time.monotonic() - self._flushed >= self._flush_s
            if not row.ok or late or len(self._waiting) >= self._flush_rows:
                self.flush()

    def flush(self) -> None:
        """Commit what waits; where the folder is remote and it is time, upload a segment."""
        with self._lock:
            if self._waiting or self._prints:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(_INSERT, [(*_values(row), "") for row in self._waiting])
                self._db.executemany("INSERT OR REPLACE INTO fingerprints VALUES (?, ?, ?)", self._prints)
                self._db.executemany("INSERT OR IGNORE INTO decoded VALUES (?, ?)", self._decoded)
                self._db.execute("COMMIT")
                self._waiting.clear()
                self._prints.clear()
                self._decoded.clear()
            self._flushed = time.monotonic()
            if self.remote and time.monotonic() - self._synced >= self._sync_s:
                self.sync()

    def sync(self) -> None:
        """Upload the rows that no segment holds, as one segment."""
        with self._lock:
            names = ", ".join(name for name, _, _ in _COLUMNS)
            rows = self._db.execute(
                f"SELECT {names} FROM attempts WHERE segment = '' ORDER BY at, item"
            ).fetchall()
            self._synced = time.monotonic()
            if not rows:
                return
            segment = f"{self.session}-{self._segments:06d}.parquet"
            self._segments += 1
            columns = {
                name: list(column)
                for (name, _, _), column in zip(_COLUMNS, zip(*rows, strict=True), strict=True)
            }
            buffer = io.BytesIO()
            pq.write_table(pa.table(columns, schema=_SCHEMA), buffer)
            storage.write_atomic(storage.join(self.corpora, FOLDER, "ledger", segment), buffer.getvalue())
            self._db.execute("UPDATE attempts SET segment = ? WHERE segment = ''", (segment,))

    def _read_segments(self) -> None:
        have = {name for (name,) in self._db.execute("SELECT DISTINCT segment FROM attempts")}
        folder = storage.join(self.corpora, FOLDER, "ledger")
        for segment in storage.names(folder):
            if segment in have or not segment.endswith(".parquet"):
                continue
            content = pa.BufferReader(storage.read_bytes(storage.join(folder, segment)))
            table = tables.parquet(content).read(_SCHEMA.names, use_threads=False).cast(_SCHEMA)
            rows = zip(*(table.column(name).to_pylist() for name in _SCHEMA.names), strict=True)
            self._db.execute("BEGIN IMMEDIATE")
            # A segment written just before a kill may hold rows that still count as not uploaded here.
            self._db.executemany(_INSERT.replace("IGNORE", "REPLACE"), [(*row, segment) for row in rows])
            self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self.flush()
            if self.remote:
                self.sync()
            self._db.close()

    def latest(self) -> dict[str, Attempt]:
        """The last attempt at every item, with `next_at` brought forward where a retry was asked for.

        What a clock wrote that has been set back since lies in the future: it may be tried again at once.
        """
        self.flush()
        now = time.time()
        names = ", ".join(f"a.{name}" for name, _, _ in _COLUMNS)
        rows = self._db.execute(
            f"SELECT {names}, MAX(a.attempt * 1e12 + a.at), (SELECT MAX(r.at) FROM reopened r WHERE r.item = a.item) "
            "FROM attempts a GROUP BY a.item"
        )
        latest = {}
        for row in rows:
            attempt, asked_at = Attempt(*row[: len(_COLUMNS)]), row[-1]
            if asked_at is not None and asked_at > attempt.at and not attempt.ok:
                attempt = replace(attempt, next_at=asked_at)
            if attempt.next_at and max(attempt.at, asked_at or 0.0) > now:
                attempt = replace(attempt, next_at=now)
            latest[attempt.item] = attempt
        return latest

    def count_since(self, prefix: str, at: float) -> int:
        """Attempts since `at` at items whose name begins with `prefix`; files found in the folder do not count."""
        self.flush()
        query = "SELECT COUNT(*) FROM attempts WHERE item >= ? AND item < ? AND at >= ? AND detail NOT LIKE 'found in%'"
        return int(self._db.execute(query, (prefix, prefix + "\U0010ffff", at)).fetchone()[0])

    def strikes(self) -> Counter[tuple[str, str]]:
        """How often each (item, cause) failed."""
        self.flush()
        rows = self._db.execute(
            "SELECT item, cause, COUNT(*) FROM attempts WHERE cause != 'ok' GROUP BY item, cause"
        )
        return Counter({(item, cause): count for item, cause, count in rows})

    def rows(self) -> list[Attempt]:
        """Every attempt, in order of time."""
        self.flush()
        names = ", ".join(name for name, _, _ in _COLUMNS)
        return [
            Attempt(*row)
            for row in self._db.execute(f"SELECT {names} FROM attempts ORDER BY at, item, attempt")
        ]

    def reopen(self, items: Iterable[str], at: float) -> None:
        """Make items due at `at`, whatever their backoff says."""
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO reopened VALUES (?, ?)", [(item, at) for item in items]
            )
            self._db.execute("COMMIT")

    def fingerprints(self) -> dict[str, tuple[str, bytes]]:
        """item -> (sha256 of the content, fingerprint)."""
        self.flush()
        return {
            item: (sha256, value) for item, sha256, value in self._db.execute("SELECT * FROM fingerprints")
        }

    def add_fingerprints(self, values: Mapping[str, tuple[str, bytes]]) -> None:
        with self._lock:
            self._prints.extend((item, sha256, value) for item, (sha256, value) in values.items())
            self.flush()
