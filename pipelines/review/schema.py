"""The queue's SQLite file: its tables, how it is opened, its version."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.review.errors import ReviewError

VERSION = 3
APPLICATION_ID = 0x41565351  # "AVSQ": marks the file as a queue, also for `file`
BUSY_TIMEOUT_MS = 20_000

# `decisions` is the truth and is only ever appended to; `items.state`, `outcome` and `closed_by` are derived
# from it.
TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    audio_source TEXT NOT NULL,
    audio_label TEXT NOT NULL,
    source TEXT NOT NULL,
    visual_id TEXT NOT NULL,
    proposal_id INTEGER NOT NULL,         -- the newest proposal
    reviewers INTEGER NOT NULL,           -- votes that decide it
    gold TEXT,                            -- the known answer, accept | reject; hidden from reviewers
    wanted INTEGER NOT NULL,              -- 0: the matcher rejected it and nobody asked, or the map has it settled
    adds INTEGER,                         -- triplets, at least 1 where it adds anything; NULL: not counted
    asked INTEGER GENERATED ALWAYS AS (wanted AND (gold IS NOT NULL OR adds IS NOT 0)) VIRTUAL,
    rank REAL NOT NULL,                   -- place in the queue, smallest first
    revision INTEGER NOT NULL DEFAULT 1,  -- grows whenever what a reviewer sees of it changes
    state TEXT NOT NULL DEFAULT 'open',   -- open | third | accept | reject
    outcome TEXT,                         -- the decision that stands, also while a changed proposal is open
    closed_by INTEGER,                    -- the decision that made the outcome
    UNIQUE (audio_source, audio_label, source, visual_id)
) STRICT;
CREATE INDEX items_rank ON items (rank);

CREATE TABLE proposals (
    id INTEGER PRIMARY KEY,
    item_id INTEGER NOT NULL REFERENCES items,
    visual_label TEXT NOT NULL,
    score REAL,
    method TEXT NOT NULL,
    decision TEXT NOT NULL,               -- the matcher's own: accept | review | reject
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX proposals_item ON proposals (item_id);

CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    item_id INTEGER NOT NULL REFERENCES items,
    proposal_id INTEGER NOT NULL REFERENCES proposals,
    reviewer TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('accept', 'reject', 'defer', 'undo')),
    undoes INTEGER UNIQUE REFERENCES decisions,
    category TEXT NOT NULL,               -- '': the category that the map or the label's name gives
    relation TEXT NOT NULL,
    note TEXT NOT NULL,
    origin TEXT NOT NULL,                 -- person | matcher | map: who spoke
    request_id TEXT UNIQUE,               -- a browser's own id: the same request twice is one decision
    decided_at TEXT NOT NULL              -- UTC, ISO 8601
) STRICT;
CREATE INDEX decisions_item ON decisions (item_id);
CREATE INDEX decisions_reviewer ON decisions (reviewer);
CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
    BEGIN SELECT RAISE(ABORT, 'decisions are only appended'); END;
CREATE TRIGGER decisions_remain BEFORE DELETE ON decisions
    BEGIN SELECT RAISE(ABORT, 'decisions are only appended'); END;

-- What counts: neither an undo nor undone.
CREATE VIEW effective AS SELECT d.* FROM decisions d
    WHERE d.verdict <> 'undo' AND NOT EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id);

-- What the index tables say, kept for the page and for impact; rewritten by every import with --index.
CREATE TABLE label_images (
    source TEXT NOT NULL, source_id TEXT NOT NULL, name TEXT NOT NULL, masks INTEGER NOT NULL,
    images BLOB NOT NULL,                 -- sorted little-endian uint32 numbers of the images, zlib
    PRIMARY KEY (source, source_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE label_clips (
    source TEXT NOT NULL, source_id TEXT NOT NULL, clips INTEGER NOT NULL,
    PRIMARY KEY (source, source_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE examples (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- what media addresses name; never used twice
    kind TEXT NOT NULL,                   -- photo | clip
    source TEXT NOT NULL,
    source_id TEXT NOT NULL,              -- of its label
    place INTEGER NOT NULL,
    item TEXT NOT NULL,                   -- image id or clip id
    path TEXT NOT NULL,                   -- below the corpora folder
    masks TEXT NOT NULL,                  -- of a photo: JSON list of COCO segmentations or PNG paths
    width INTEGER,                        -- pixels that segmentations count in
    height INTEGER,
    licence TEXT,
    author TEXT
) STRICT;
CREATE INDEX examples_label ON examples (kind, source, source_id, place);

-- Sounds that have an id; a label without one is its own.
CREATE TABLE sounds (
    source TEXT NOT NULL, label TEXT NOT NULL, source_id TEXT NOT NULL,
    PRIMARY KEY (source, label)
) STRICT, WITHOUT ROWID;

-- What the vocabularies say of a visual label.
CREATE TABLE labels (
    source TEXT NOT NULL, source_id TEXT NOT NULL, name TEXT NOT NULL, synset TEXT NOT NULL,
    synonyms TEXT NOT NULL, definition TEXT NOT NULL, parents TEXT NOT NULL,
    PRIMARY KEY (source, source_id)
) STRICT, WITHOUT ROWID;
"""


def connect(path: str, create: bool = False) -> sqlite3.Connection:
    """A connection whose commits are on disk when they return (WAL, synchronous=FULL), in autocommit mode.

    Raises:
        ReviewError: no queue at `path` (unless `create`), not a queue, or one of a newer version.
    """
    if not create and not Path(path).is_file():
        raise ReviewError(
            f"there is no review queue at {path!r}: make one with "
            f"`avs-data review import proposals.csv --queue {path}`, or name another with --queue"
        )
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise ReviewError(f"{path!r} cannot be opened ({error}): does its folder exist?") from error
    connection.row_factory = sqlite3.Row
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
        remedy = "make room on its disk, or look after the disk" if full else "name another file with --queue"
        raise ReviewError(f"{path!r} cannot be used as a queue ({error}): {remedy}") from error
    except ReviewError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == APPLICATION_ID and version == VERSION:
        return
    if application == APPLICATION_ID and version:
        remedy = (
            "use the newer program that wrote it"
            if version > VERSION
            else "apply its decisions with the program that wrote it, then import proposals into a new one"
        )
        raise ReviewError(f"{path!r} is a queue of version {version}; this program knows {VERSION}: {remedy}")
    with transaction(connection):
        if connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID:
            return  # another process made the tables meanwhile
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise ReviewError(
                f"{path!r} is a SQLite file, but not a review queue: name another file with --queue"
            )
        for statement in _statements(TABLES):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit the transaction, so the script is cut into whole statements."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """The write lock from the first statement on, so that what was read still holds when it is written."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
