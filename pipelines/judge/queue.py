"""The judging queue: which sample to ask next, judgements that are never lost or doubled, undo."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from typing import Any, get_args

from pipelines.judge import schema
from pipelines.judge.draw import Stratum
from pipelines.judge.errors import Conflict, JudgeError
from pipelines.judge.records import Item, Judgement, Order, Progress
from pipelines.judge.verdicts import VERDICTS, standing, words
from pipelines.review import queue_file
from pipelines.review.records import check_reviewer, now

NOTE_LETTERS = 500
_ROW = "SELECT j.*, EXISTS (SELECT 1 FROM judgements u WHERE u.undoes = j.id) AS undone FROM judgements j"
# Of each order what it asks, and when; gold has a place in both.
_ASKED: dict[str, str] = {
    "random": "place IS NOT NULL",
    "active": "(gold IS NOT NULL OR (place IS NULL AND turn IS NOT NULL))",
}
_SORTED: dict[str, str] = {"random": "place, id", "active": "coalesce(turn, place), id"}
_WAITING = """(state <> 'done' OR gold IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM effective e WHERE e.item_id = items.id AND e.judge = :judge)"""


class Queue(queue_file.QueueFile):
    """One connection to a queue file. Not to be shared between threads: open one each; use as a context manager."""

    kind = schema.KIND

    @property
    def dataset(self) -> str:
        """Folder or URL of the dataset that it was drawn from.

        Raises:
            JudgeError: nothing is drawn yet.
        """
        found = self.meta("dataset")
        if not found:
            raise JudgeError(
                f"{self.path} has no samples yet: `avs-data judge draw DATASET --queue {self.path}`"
            )
        return found

    @property
    def judges(self) -> int:
        """Answers that a sample needs, 1 or 2."""
        return int(self.meta("judges", "1"))

    def strata(self) -> dict[str, Stratum]:
        rows = self.connection.execute("SELECT name, population, drawn FROM strata ORDER BY name")
        return {name: Stratum(population, drawn) for name, population, drawn in rows}

    def set_strata(self, strata: Mapping[str, Stratum]) -> None:
        """Inside the caller's transaction."""
        self.connection.execute("DELETE FROM strata")
        rows = [(name, one.population, one.drawn) for name, one in strata.items()]
        self.connection.executemany("INSERT INTO strata VALUES (?, ?, ?)", rows)

    def put(self, row: Mapping[str, Any], **columns: Any) -> None:
        """Add a sample (a row of `draw.row_of`), or change those columns of it; inside the caller's transaction."""
        found = None
        if columns.get("gold") is None:
            found = self.connection.execute(
                "SELECT id FROM items WHERE key = ? AND gold IS NULL", (row["key"],)
            ).fetchone()
        values = {**row, "clips": json.dumps(row["clips"]), **columns}
        if found:
            told = ", ".join(f"{name} = :{name}" for name in columns)
            self.connection.execute(f"UPDATE items SET {told} WHERE id = :id", {**columns, "id": found["id"]})
        else:
            names = ", ".join(values)
            given = ", ".join(f":{name}" for name in values)
            self.connection.execute(f"INSERT INTO items ({names}) VALUES ({given})", values)

    def items(self) -> Iterator[Item]:
        """All samples: the drawn ones in their order, then the doubtful ones in theirs."""
        rows = self.connection.execute("SELECT * FROM items ORDER BY place IS NULL, place, turn, id")
        for row in rows.fetchall():
            yield _item(row)

    def item(self, item_id: int) -> Item:
        row = self.connection.execute("SELECT * FROM items WHERE id = ?", (item_id,)).fetchone()
        if row is None:
            raise JudgeError(
                f"sample {item_id} is not in {self.path}: `avs-data judge list` shows those that are"
            )
        return _item(row)

    def judgements(self, item_id: int | None = None, newest: int | None = None) -> list[Judgement]:
        """The log, oldest first; of one sample, or its `newest` rows, newest first."""
        order = f"DESC LIMIT {int(newest)}" if newest is not None else "ASC"
        where = "" if item_id is None else "WHERE item_id = :item_id"
        rows = self.connection.execute(f"{_ROW} {where} ORDER BY id {order}", {"item_id": item_id})
        return [_judgement(row) for row in rows]

    def next(self, judge: str, order: Order, skip: Collection[int] = ()) -> Item | None:
        """The sample that this judge should see now."""
        without = ",".join(str(int(item_id)) for item_id in skip)
        row = self.connection.execute(
            f"SELECT * FROM items WHERE {_ASKED[_known(order)]} AND {_WAITING} AND id NOT IN ({without}) "
            f"ORDER BY {_SORTED[order]} LIMIT 1",
            {"judge": judge},
        ).fetchone()
        return _item(row) if row else None

    def of_one_judge(self, item_ids: Collection[int]) -> set[int]:
        """Those of these samples that one judge decides alone, so that a second one need not look at them."""
        among = ",".join(str(int(item_id)) for item_id in item_ids)
        if self.judges > 1:
            return set()
        rows = self.connection.execute(f"SELECT id FROM items WHERE id IN ({among}) AND gold IS NULL")
        return {row["id"] for row in rows}

    def progress(self, judge: str, order: Order) -> Progress:
        row = self.connection.execute(
            f"""SELECT count(*), count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'third'),
                count(*) FILTER (WHERE EXISTS (SELECT 1 FROM effective e WHERE e.item_id = items.id
                    AND e.judge = :judge)), count(*) FILTER (WHERE {_WAITING})
                FROM items WHERE {_ASKED[_known(order)]}""",
            {"judge": judge},
        ).fetchone()
        return Progress(*row)

    def judge(
        self, item_id: int, judge: str, verdict: str, note: str = "", request_id: str | None = None
    ) -> Judgement:
        """Record an answer; when this returns, it is on disk.

        Args:
            request_id: the same id again returns the judgement it made before, and records nothing.

        Raises:
            Conflict: the sample is judged, or was by this judge. JudgeError: the answer does not fit.
        """
        if verdict not in VERDICTS:
            raise JudgeError(f"the verdict is {verdict!r}; it is one of {', '.join(VERDICTS)}")
        if len(note) > NOTE_LETTERS or not note.isprintable():
            raise JudgeError(
                f"a note is one line of at most {NOTE_LETTERS} letters, without control characters"
            )
        check_reviewer(judge)
        with queue_file.transaction(self.connection):
            known = self._request(request_id)
            if known:
                if (known.item_id, known.judge, known.verdict) != (item_id, judge, verdict):
                    raise JudgeError(
                        f"request {request_id} was another judgement: give every request its own id"
                    )
                return known
            item = self.item(item_id)
            given = self._effective(item_id)
            if own := next((one for one in given if one.judge == judge), None):
                raise Conflict(f"you judged this sample already ({words(own.verdict)}): undo that first")
            if item.state == "done" and item.gold is None:
                raise Conflict(f"{given[-1].judge} judged this sample first, {given[-1].judged_at[:16]} UTC")
            return self._append(item_id, judge, verdict, None, note, request_id)

    def undo(self, judge: str, judgement_id: int | None = None, request_id: str | None = None) -> Judgement:
        """Take back this judge's newest judgement that counts, or the one named; it is given back."""
        check_reviewer(judge)
        with queue_file.transaction(self.connection):
            known = self._request(request_id)
            if known:
                if known.verdict != "undo" or known.judge != judge or known.undoes is None:
                    raise JudgeError(
                        f"request {request_id} was another judgement: give every request its own id"
                    )
                return self._judgement(known.undoes)
            row = self.connection.execute(
                "SELECT * FROM effective WHERE judge = :judge AND id = coalesce(:id, id) ORDER BY id DESC LIMIT 1",
                {"judge": judge, "id": judgement_id},
            ).fetchone()
            if row is None:
                named = "no judgement left" if judgement_id is None else f"no judgement {judgement_id}"
                raise JudgeError(f"{judge} has {named} to undo")
            self._append(row["item_id"], judge, "undo", row["id"], "", request_id)
            return self._judgement(row["id"])

    def _append(
        self, item_id: int, judge: str, verdict: str, undoes: int | None, note: str, request_id: str | None
    ) -> Judgement:
        cursor = self.connection.execute(
            "INSERT INTO judgements (item_id, judge, verdict, undoes, note, request_id, judged_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (item_id, judge, verdict, undoes, note, request_id, now()),
        )
        stands = standing([one.verdict for one in self._effective(item_id)], self.judges)
        self.connection.execute(
            "UPDATE items SET state = ?, verdict = ? WHERE id = ?", (stands.state, stands.verdict, item_id)
        )
        assert cursor.lastrowid is not None
        return self._judgement(cursor.lastrowid)

    def refresh(self) -> None:
        """Derive every sample's state from the log again, as after another number of judges; in a transaction."""
        for (item_id,) in self.connection.execute("SELECT DISTINCT item_id FROM judgements").fetchall():
            stands = standing([one.verdict for one in self._effective(item_id)], self.judges)
            self.connection.execute(
                "UPDATE items SET state = ?, verdict = ? WHERE id = ?",
                (stands.state, stands.verdict, item_id),
            )

    def _effective(self, item_id: int) -> list[Judgement]:
        return [one for one in self.judgements(item_id) if not one.undone and one.verdict != "undo"]

    def _request(self, request_id: str | None) -> Judgement | None:
        row = self.connection.execute(_ROW + " WHERE request_id = ?", (request_id,)).fetchone()
        return _judgement(row) if row else None

    def _judgement(self, judgement_id: int) -> Judgement:
        return _judgement(self.connection.execute(_ROW + " WHERE id = ?", (judgement_id,)).fetchone())


def _known(order: str) -> str:
    if order not in get_args(Order):
        raise JudgeError(f"order {order!r}; it is one of {', '.join(get_args(Order))}")
    return order


def _item(row: sqlite3.Row) -> Item:
    values = {name: row[name] for name in Item.__dataclass_fields__}
    return Item(**{**values, "clips": tuple(json.loads(row["clips"]))})


def _judgement(row: sqlite3.Row) -> Judgement:
    return Judgement(
        **{name: row[name] for name in Judgement.__dataclass_fields__ if name != "undone"},
        undone=bool(row["undone"]),
    )
