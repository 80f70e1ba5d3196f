"""The review queue: what to ask next, decisions that are never lost or doubled, undo."""

import sqlite3
from collections.abc import Collection, Iterator

from pipelines.matching.proposals import LinkKey, Proposal
from pipelines.review import queue_file, schema, standing
from pipelines.review.errors import ReviewError
from pipelines.review.records import Answer, Conflict, Decision, Progress, QueuedLink, check_reviewer, now

# A link that this reviewer may be asked: open, or gold (everybody gets those), and not yet answered by them.
_WAITING = """
    asked = 1 AND (state IN ('open', 'third') OR gold IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM effective e WHERE e.item_id = items.id AND e.proposal_id = items.proposal_id
                    AND e.verdict <> 'defer' AND (e.reviewer = :reviewer OR e.origin <> 'person'))
"""

# An item with its newest proposal and, under other names, the proposal that was decided where that is
# another one.
_ITEM = """
    SELECT items.*, p.visual_label, p.score, p.method, p.decision, p.reason, was.id AS was_id,
        was.visual_label AS was_visual_label, was.score AS was_score, was.method AS was_method,
        was.decision AS was_decision, was.reason AS was_reason,
        coalesce(s.source_id, items.audio_label) AS sound_id
    FROM items JOIN proposals p ON p.id = items.proposal_id
        LEFT JOIN sounds s ON s.source = items.audio_source AND s.label = items.audio_label
        LEFT JOIN decisions c ON c.id = items.closed_by
        LEFT JOIN proposals was ON was.id = c.proposal_id AND was.id <> items.proposal_id
"""
# A row of the log, and whether it was taken back.
_DECISION = "SELECT d.*, EXISTS (SELECT 1 FROM decisions u WHERE u.undoes = d.id) AS undone FROM decisions d"


class Queue(queue_file.QueueFile):
    """One connection to a queue file. Not to be shared between threads: open one each; use as a context manager."""

    kind = schema.KIND

    def item(self, item_id: int) -> QueuedLink:
        row = self.connection.execute(_ITEM + "WHERE items.id = ?", (item_id,)).fetchone()
        if row is None:
            raise ReviewError(
                f"link {item_id} is not in {self.path}: `avs-data review list` shows those that are"
            )
        return _item(row)

    def find(self, key: LinkKey) -> QueuedLink | None:
        row = self.connection.execute(
            _ITEM + "WHERE audio_source = ? AND audio_label = ? AND items.source = ? AND visual_id = ?", key
        ).fetchone()
        return _item(row) if row else None

    def items(self) -> Iterator[QueuedLink]:
        """All links, in the order they are asked."""
        for row in self.connection.execute(_ITEM + "ORDER BY rank, items.id").fetchall():
            yield _item(row)

    def decisions(self, item_id: int | None = None, newest: int | None = None) -> list[Decision]:
        """The log, oldest first; of one link, or its `newest` rows, newest first."""
        order = f"DESC LIMIT {int(newest)}" if newest is not None else "ASC"
        where = "" if item_id is None else "WHERE item_id = :item_id"
        rows = self.connection.execute(f"{_DECISION} {where} ORDER BY id {order}", {"item_id": item_id})
        return [_decision(row) for row in rows]

    def proposals(self) -> dict[int, Proposal]:
        """Every proposal ever imported, by its id."""
        rows = self.connection.execute(
            "SELECT p.id, i.audio_source, i.audio_label, i.source, p.visual_label, i.visual_id, p.score, p.method, "
            "p.decision, p.reason FROM proposals p JOIN items i ON i.id = p.item_id"
        )
        return {row["id"]: Proposal(*tuple(row)[1:]) for row in rows}

    def next(self, reviewer: str, skip: Collection[int] = ()) -> QueuedLink | None:
        """The link that this reviewer should see now: those they deferred come last, the longest deferred first."""
        without = ",".join(str(int(item_id)) for item_id in skip)
        row = self.connection.execute(
            f"""SELECT items.id FROM items WHERE {_WAITING} AND id NOT IN ({without}) ORDER BY coalesce(
                    (SELECT max(id) FROM effective e WHERE e.item_id = items.id AND e.verdict = 'defer'
                        AND e.proposal_id = items.proposal_id AND e.reviewer = :reviewer),
                    0), rank, id LIMIT 1""",
            {"reviewer": reviewer},
        ).fetchone()
        return self.item(row["id"]) if row else None

    def of_one_vote(self, item_ids: Collection[int]) -> set[int]:
        """Those of these links that one reviewer decides alone, so that a second one need not look at them."""
        among = ",".join(str(int(item_id)) for item_id in item_ids)
        rows = self.connection.execute(
            f"SELECT id FROM items WHERE id IN ({among}) AND reviewers = 1 AND gold IS NULL"
        )
        return {row["id"] for row in rows}

    def progress(self, reviewer: str) -> Progress:
        row = self.connection.execute(
            f"""SELECT count(*) FILTER (WHERE asked),
                count(*) FILTER (WHERE asked AND state IN ('accept', 'reject')),
                count(*) FILTER (WHERE asked AND state = 'third'),
                (SELECT count(*) FROM effective WHERE reviewer = :reviewer AND verdict <> 'defer'),
                count(*) FILTER (WHERE {_WAITING}), count(*) FILTER (WHERE wanted AND NOT asked) FROM items""",
            {"reviewer": reviewer},
        ).fetchone()
        return Progress(*row)

    def decide(
        self,
        item_id: int,
        reviewer: str,
        answer: Answer,
        revision: int | None = None,
        request_id: str | None = None,
    ) -> Decision:
        """Record an answer; when this returns, it is on disk.

        Args:
            revision: of the item that the reviewer saw; None decides it as it is now.
            request_id: the same id again returns the decision it made before, and records nothing.

        Raises:
            Conflict: the link is decided (the text says by whom), was answered by this reviewer, or has
                changed.
            ReviewError: the answer does not fit.
        """
        answer.check()
        check_reviewer(reviewer)
        with queue_file.transaction(self.connection):
            known = self._request(request_id)
            if known:
                if (known.item_id, known.reviewer, known.verdict) != (item_id, reviewer, answer.verdict):
                    raise ReviewError(
                        f"request {request_id} was another decision: give every request its own id"
                    )
                return known
            item = self.item(item_id)
            self._refuse_late(item, reviewer, revision)
            decision_id = self._append(item, reviewer, answer, "person", now(), request_id)
            return self._decision(decision_id)

    def undo(self, reviewer: str, decision_id: int | None = None, request_id: str | None = None) -> Decision:
        """Take back this reviewer's newest decision that counts, or the one named (then anybody's: the log says who).

        Returns:
            The decision that was taken back.
        """
        check_reviewer(reviewer)
        with queue_file.transaction(self.connection):
            known = self._request(request_id)
            if known:
                if known.verdict != "undo" or known.reviewer != reviewer or known.undoes is None:
                    raise ReviewError(
                        f"request {request_id} was another decision: give every request its own id"
                    )
                return self._decision(known.undoes)
            if decision_id is None:
                row = self.connection.execute(
                    "SELECT * FROM effective WHERE reviewer = ? AND origin = 'person' "
                    "ORDER BY id DESC LIMIT 1",
                    (reviewer,),
                ).fetchone()
                if row is None:
                    raise ReviewError(f"{reviewer} has no decision left to undo")
            else:
                row = self.connection.execute(
                    "SELECT * FROM effective WHERE id = ?", (decision_id,)
                ).fetchone()
                if row is None:
                    raise ReviewError(
                        f"decision {decision_id} is not one to undo: it was undone, is an undo, or does not "
                        "exist; `avs-data review show LINK` lists a link's decisions"
                    )
            self.connection.execute(
                "INSERT INTO decisions (item_id, proposal_id, reviewer, verdict, undoes, category, relation, "
                "note, origin, request_id, decided_at) VALUES (?, ?, ?, 'undo', ?, '', '', '', 'person', ?, ?)",
                (row["item_id"], row["proposal_id"], reviewer, row["id"], request_id, now()),
            )
            self.refresh(row["item_id"])
            return self._decision(row["id"])

    def reviewer_of(self, decision_id: int) -> str | None:
        row = self.connection.execute(
            "SELECT reviewer FROM decisions WHERE id = ?", (decision_id,)
        ).fetchone()
        return row["reviewer"] if row else None

    def record(self, item: QueuedLink, reviewer: str, answer: Answer, origin: str, decided_at: str) -> None:
        """A decision that was made elsewhere (`matcher`, `map`); inside the caller's transaction."""
        answer.check()
        self._append(item, reviewer, answer, origin, decided_at, None)

    def votes(self, item_id: int) -> list[standing.Vote]:
        rows = self.connection.execute(
            "SELECT * FROM effective WHERE item_id = ? AND verdict <> 'defer' ORDER BY id", (item_id,)
        )
        return [
            standing.Vote(r["id"], r["proposal_id"], r["reviewer"], r["verdict"], r["category"], r["origin"])
            for r in rows
        ]

    def refresh(self, item_id: int) -> None:
        """Derive an item's state from the log again; inside the caller's transaction."""
        row = self.connection.execute("SELECT * FROM items WHERE id = ?", (item_id,)).fetchone()
        proposal_ids = [
            r["id"]
            for r in self.connection.execute(
                "SELECT id FROM proposals WHERE item_id = ? ORDER BY id", (item_id,)
            )
        ]
        now_stands = standing.derive(self.votes(item_id), proposal_ids, row["reviewers"], row["gold"])
        self.connection.execute(
            "UPDATE items SET state = ?, outcome = ?, closed_by = ?, revision = revision + ? WHERE id = ?",
            (
                now_stands.state,
                now_stands.outcome,
                now_stands.closed_by,
                int(now_stands.state != row["state"]),
                item_id,
            ),
        )

    def _request(self, request_id: str | None) -> Decision | None:
        row = self.connection.execute(_DECISION + " WHERE request_id = ?", (request_id,)).fetchone()
        return _decision(row) if row else None

    def _decision(self, decision_id: int) -> Decision:
        return _decision(self.connection.execute(_DECISION + " WHERE id = ?", (decision_id,)).fetchone())

    def _refuse_late(self, item: QueuedLink, reviewer: str, revision: int | None) -> None:
        link = f"{item.proposal.audio_label} = {item.proposal.visual_label}"
        for vote in self.votes(item.id):
            if vote.proposal_id == item.proposal_id and vote.reviewer == reviewer:
                raise Conflict(f"you decided {link} already ({vote.verdict}): undo that first")
        if item.state in ("accept", "reject") and item.gold is None:
            assert item.closed_by is not None
            closing = self._decision(item.closed_by)
            raise Conflict(
                f"{closing.reviewer} decided {link} first: {item.state}, {closing.decided_at[:16]} UTC"
            )
        if revision is not None and revision != item.revision and item.gold is None:
            raise Conflict(f"{link} changed while it was on your screen: look again, then decide")

    def _append(
        self,
        item: QueuedLink,
        reviewer: str,
        answer: Answer,
        origin: str,
        decided_at: str,
        request_id: str | None,
    ) -> int:
        cursor = self.connection.execute(
            "INSERT INTO decisions (item_id, proposal_id, reviewer, verdict, category, relation, note, "
            "origin, request_id, decided_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                item.id,
                item.proposal_id,
                reviewer,
                answer.verdict,
                answer.category,
                answer.relation,
                answer.note,
                origin,
                request_id,
                decided_at,
            ),
        )
        self.refresh(item.id)
        assert cursor.lastrowid is not None
        return cursor.lastrowid


def _item(row: sqlite3.Row) -> QueuedLink:
    def proposal(prefix: str) -> Proposal:
        visual_label, *rest = (
            row[prefix + name] for name in ("visual_label", "score", "method", "decision", "reason")
        )
        sound = row["audio_source"], row["audio_label"]
        return Proposal(*sound, row["source"], visual_label, row["visual_id"], *rest)

    return QueuedLink(
        row["id"],
        proposal(""),
        row["proposal_id"],
        row["reviewers"],
        row["gold"],
        bool(row["asked"]),
        row["adds"],
        row["rank"],
        row["revision"],
        row["state"],
        row["outcome"],
        row["closed_by"],
        proposal("was_") if row["was_id"] is not None else None,
        (row["audio_source"], row["sound_id"]),
    )


def _decision(row: sqlite3.Row) -> Decision:
    return Decision(
        **{name: row[name] for name in Decision.__dataclass_fields__ if name != "undone"},
        undone=bool(row["undone"]),
    )
