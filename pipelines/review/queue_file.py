"""A queue's SQLite file: how it is opened and told from others. Queues of links and of samples are such files."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Self

from shards.errors import AvsError

BUSY_TIMEOUT_MS = 20_000


@dataclass(frozen=True)
class Kind:
    """What a file holds.

    Attributes:
        what: its name in errors. option: that names another file. made_by: the call that makes one, with {path}.
        older: what helps with a file of an earlier version.
        application_id: marks the file, also for `file`. tables: whole SQL statements.
    """

    what: str
    option: str
    made_by: str
    older: str
    application_id: int
    version: int
    tables: str
    error: type[AvsError]


class QueueFile:
    """One connection to a queue file. Not to be shared between threads: open one each; use as a context manager.

    Raises:
        kind.error: as of `connect`.
    """

    kind: ClassVar[Kind]

    def __init__(self, path: str, create: bool = False) -> None:
        self.path = path
        self.connection = connect(self.kind, path, create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One state of the file for all reads in the block, whatever others write meanwhile. May be nested."""
        if self.connection.in_transaction:
            yield
            return
        self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("COMMIT")

    def meta(self, key: str, default: str = "") -> str:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else default

    def set_meta(self, **values: object) -> None:
        self.connection.executemany(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", [(key, str(value)) for key, value in values.items()]
        )


def connect(kind: Kind, path: str, create: bool = False) -> sqlite3.Connection:
    """A connection whose commits are on disk when they return (WAL, synchronous=FULL), in autocommit mode.

    Raises:
        kind.error: no such file at `path` (unless `create`), one of another kind, or of a newer version.
    """
    if not create and not Path(path).is_file():
        raise kind.error(
            f"there is no {kind.what} at {path!r}: make one with `{kind.made_by.format(path=path)}`, or name another "
            f"with {kind.option}"
        )
    try:
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_MS / 1000, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise kind.error(f"{path!r} cannot be opened ({error}): does its folder exist?") from error
    connection.row_factory = sqlite3.Row
    try:
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        _prepare(kind, connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        of_disk = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
        remedy = (
            "make room on its disk, and look after it" if of_disk else f"name another file with {kind.option}"
        )
        raise kind.error(f"{path!r} cannot be used as a queue ({error}): {remedy}") from error
    except kind.error:
        connection.close()
        raise
    return connection


def _prepare(kind: Kind, connection: sqlite3.Connection, path: str) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if application == kind.application_id and version == kind.version:
        return
    if application == kind.application_id and version:
        remedy = "use the newer program that wrote it" if version > kind.version else kind.older
        raise kind.error(
            f"{path!r} is a queue of version {version}; this program knows {kind.version}: {remedy}"
        )
    with transaction(connection):
        if connection.execute("PRAGMA application_id").fetchone()[0] == kind.application_id:
            return  # another process made the tables meanwhile
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise kind.error(
                f"{path!r} is a SQLite file, but not a {kind.what}: name another file with {kind.option}"
            )
        for statement in _statements(kind.tables):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {kind.version}")
        connection.execute(f"PRAGMA application_id = {kind.application_id}")


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
