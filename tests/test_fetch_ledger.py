"""The ledger: nothing lost or doubled, whatever is killed; remote folders keep it as segments."""

import csv
import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from dataclasses import astuple, replace

import fsspec
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipelines.cli import main
from pipelines.fetch.causes import Cause
from pipelines.fetch.items import SCHEMA
from pipelines.fetch.ledger import FOLDER, Attempt, Ledger
from pipelines.fetch.run import ITEMS
from pipelines.review import spreadsheet


def row(
    item: str, attempt: int = 1, cause: Cause = Cause.OK, at: float = 1.0, next_at: float = 0.0
) -> Attempt:
    return Attempt(item, attempt, "", at, cause.value, "", next_at, 7, "ab", "test")


def test_latest_and_rows(tmp_path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.append(row("a", 1, Cause.TIMEOUT, 1.0, 5.0))
        ledger.append(row("a", 2, Cause.TRUNCATED, 6.0, 9.0))
        ledger.append(row("b", 1))
        ledger.append(row("a", 3, at=10.0))
        ledger.append(row("c", 1, Cause.PRIVATE))
        latest = ledger.latest()
        assert {name: (one.attempt, one.cause) for name, one in latest.items()} == {
            "a": (3, "ok"),
            "b": (1, "ok"),
            "c": (1, "private"),
        }
        assert latest["c"].permanent
        assert not latest["a"].permanent
        assert len(ledger.rows()) == 5
        assert ledger.strikes() == {("a", "timeout"): 1, ("a", "truncated"): 1, ("c", "private"): 1}
    with Ledger(str(tmp_path)) as again:
        assert again.latest() == latest


def test_no_cell_of_the_exported_ledger_is_a_formula(tmp_path) -> None:
    said = '=HYPERLINK("http://example.org","click"), said a server'
    with Ledger(str(tmp_path)) as ledger:
        ledger.append(replace(row("a", cause=Cause.TIMEOUT), detail=said))
        (kept,) = ledger.rows()
    pq.write_table(SCHEMA.empty_table(), tmp_path / FOLDER / ITEMS)
    text = CliRunner().invoke(main, ["fetch", "ledger", "--corpora", str(tmp_path), "--csv"]).stdout
    assert list(csv.reader(io.StringIO(text)))[1][5] == "'" + said
    assert spreadsheet.from_csv(text)[1] == [str(value) for value in astuple(kept)]


def test_ten_attempts_are_ordered_by_number_not_text(tmp_path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        for attempt in range(1, 13):
            ledger.append(row("a", attempt, Cause.TIMEOUT, float(attempt), 99.0))
        assert ledger.latest()["a"].attempt == 12


def test_reopen_brings_forward_failures_only(tmp_path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.append(row("a", 1, Cause.TIMEOUT, 1.0, 5000.0))
        ledger.append(row("b", 1, Cause.OK, 1.0))
        ledger.reopen(["a", "b"], 50.0)
        assert ledger.latest()["a"].next_at == 50.0
        assert ledger.latest()["b"].ok
        ledger.append(row("a", 2, Cause.TIMEOUT, 60.0, 7000.0))  # an older request to retry is spent
        assert ledger.latest()["a"].next_at == 7000.0


def test_details_are_scrubbed(tmp_path) -> None:
    with Ledger(str(tmp_path)) as ledger:
        ledger.append(Attempt("a", 1, "", 1.0, "connection", "http://me:secret@proxy/", 2.0, 0, "", "t"))
    content = b"".join(path.read_bytes() for path in (tmp_path / "_fetch").iterdir())
    assert b"secret" not in content
    assert b"http://***@proxy/" in content


WRITER = """
import sys, itertools
from pipelines.fetch.ledger import Ledger
from test_fetch_ledger import row
from pipelines.fetch.causes import Cause
with Ledger(sys.argv[1]) as ledger:
    first = int(sys.argv[2])
    for number in itertools.count(first):
        ledger.append(row(f"item {number}", 1, Cause.TIMEOUT, 1.0, 9.0))
        print(number, flush=True)
"""


def test_every_acknowledged_row_survives_kill(tmp_path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    acknowledged = 0
    for _ in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(acknowledged)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        process.stdout.readline()
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        numbers = process.stdout.read().split("\n")
        acknowledged = int(numbers[-2]) + 1 if len(numbers) > 1 else acknowledged + 1
        database = sqlite3.connect(tmp_path / "_fetch" / "ledger.sqlite")
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
    with Ledger(str(tmp_path)) as ledger:
        rows = ledger.rows()
    assert acknowledged > 100
    names = [one.item for one in rows]
    assert {f"item {number}" for number in range(acknowledged)} <= set(names)
    assert len({(one.item, one.attempt, one.session) for one in rows}) == len(rows)
    assert len(rows) <= acknowledged + 4  # at most one row a kill that was committed but not acknowledged


@pytest.fixture
def bucket() -> str:
    return f"memory://{uuid.uuid4().hex}/corpora"


def test_remote_ledger_is_the_same_from_another_machine(bucket, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    with Ledger(bucket, sync_s=0.0) as ledger:
        ledger.append(row("a", 1, Cause.TIMEOUT, 1.0, 5.0))
        ledger.append(row("a", 2, at=6.0))
        ledger.append(row("b", 1, Cause.PRIVATE))
        rows = ledger.rows()
    segments = fsspec.filesystem("memory").find(bucket.removeprefix("memory:/"))
    assert len(segments) >= 2
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    with Ledger(bucket) as elsewhere:
        assert elsewhere.rows() == rows
        elsewhere.append(row("c", 1))
        expected = elsewhere.rows()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    with Ledger(bucket) as back:
        assert back.rows() == expected


def test_rows_not_yet_uploaded_survive_in_the_local_journal(bucket, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "one"))
    killed = Ledger(bucket, sync_s=1e9)
    killed.append(row("a", 1, Cause.TIMEOUT, 1.0, 5.0))
    killed._db.close()  # what a kill leaves: a committed row, no segment
    with Ledger(bucket) as again:
        assert [one.item for one in again.rows()] == ["a"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    with Ledger(bucket) as elsewhere:
        assert [one.item for one in elsewhere.rows()] == ["a"]


def test_a_segment_uploaded_but_not_marked_is_not_doubled(bucket, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with Ledger(bucket, sync_s=0.0) as ledger:
        ledger.append(row("a", 1, Cause.TIMEOUT, 1.0, 5.0))
        ledger._db.execute("UPDATE attempts SET segment = ''")  # the kill came between upload and mark
    with Ledger(bucket) as again:
        assert len(again.rows()) == 1
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "two"))
    with Ledger(bucket) as elsewhere:
        assert len(elsewhere.rows()) == 1
