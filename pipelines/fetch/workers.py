"""Threads that work lanes off: take a job, try it, write its row, put it back where it may succeed later."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.fetch.causes import Cause, Failure, guarded, permanent, wait_s
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.politeness import Job, Lane, Pause
from pipelines.media import images

_END_S = 5.0  # what is under way is waited for at an end before its time; a later run finds what came by then


@dataclass(frozen=True)
class Done:
    """A success: what was stored, and the fingerprint where the task made one."""

    size: int  # bytes
    sha256: str
    detail: str = ""
    fingerprint: bytes | None = None


@dataclass(frozen=True)
class Task:
    """How one kind of item is fetched. `run` returns Done or raises Failure; `tool` names program and version."""

    run: Callable[[Job], Done]
    tool: str


@dataclass
class Download:
    """Bytes of a large file: `began` were there when this run began; `total` 0: not stated."""

    began: int
    done: int
    total: int


@dataclass
class Tally:
    """What happened so far in this run. `finished`: items with a success or a permanent failure, by kind."""

    attempts: Counter[tuple[str, str]] = field(default_factory=Counter)  # (kind, cause)
    finished: Counter[str] = field(default_factory=Counter)
    bytes: int = 0
    resting: tuple[str, ...] = ()  # lanes that wait for a session to be let in again
    downloads: dict[tuple[str, str], Download] = field(default_factory=dict)  # by (kind, item)

    def download(self, item: Item) -> Callable[[int, int], None]:
        """What `Client.get_file` tells how far this item is."""

        def told(done: int, total: int) -> None:
            known = self.downloads.setdefault((item.kind.value, item.name), Download(done, done, total))
            known.began, known.done, known.total = min(known.began, done), done, total

        return told

    def received(self, kind: str, files: int) -> tuple[int, int | None]:
        """Bytes that came in this run, of how many; None until all `files` have begun and stated their size."""
        begun = [one for (of, _), one in list(self.downloads.items()) if of == kind]
        known = len(begun) == files and all(one.total for one in begun)
        done = sum(one.done - one.began for one in begun)
        return done, sum(one.total - one.began for one in begun) if known else None

    def count(self, kind: Kind, cause: Cause, final: bool, size: int = 0) -> None:
        self.attempts[kind.value, cause.value] += 1
        self.finished[kind.value] += final
        self.bytes += size


def judge(
    item: Item,
    attempt: int,
    strikes: Counter[tuple[str, str]],
    outcome: Done | Failure,
    tool: str,
    now: float,
) -> Attempt:
    """The ledger's row for one attempt; `strikes` counts the failures of the same cause and is updated."""
    if isinstance(outcome, Done):
        return Attempt(
            item.name,
            attempt,
            "",
            now,
            Cause.OK.value,
            outcome.detail,
            0.0,
            outcome.size,
            outcome.sha256,
            tool,
        )
    cause = outcome.cause
    if outcome.passed_on:
        return Attempt(item.name, attempt, "", now, cause.value, outcome.detail, now, 0, "", tool)
    strikes[item.name, cause.value] += 1
    strike = strikes[item.name, cause.value]
    ended = outcome.final or permanent(cause, strike)
    next_at = 0.0 if ended else now + wait_s(cause, strike, item.name, outcome.retry_after_s)
    return Attempt(item.name, attempt, "", now, cause.value, outcome.detail, next_at, 0, "", tool)


def steady_clock() -> Callable[[], float]:
    """Seconds since 1970 as the system's clock has them now, going on evenly when that clock is set."""
    # The first goes on while the machine sleeps.
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    ahead = time.time() - time.clock_gettime(source)
    return lambda: ahead + time.clock_gettime(source)


class Stopped(BaseException):
    """All is to end, as after Ctrl-C."""


class Workers:
    """Runs lanes to their end, each with as many threads as its concurrency."""

    def __init__(
        self, ledger: Ledger, tasks: Mapping[Kind, Task], clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger, self.tasks, self._clock = ledger, dict(tasks), clock
        self._strikes = ledger.strikes()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self.tally = Tally()

    def run(self, lanes: Sequence[Lane], watch: Callable[[Tally], None] = lambda tally: None) -> None:
        """Work until every lane is done. What is no item's fault, as a full disk, stops all and is raised."""
        self._stop.clear()
        turns = [threading.Condition() for _ in lanes]
        threads = [
            threading.Thread(
                target=self._work, args=(lane, turn), daemon=True, name=f"fetch-{lane.name}-{number}"
            )
            for lane, turn in zip(lanes, turns, strict=True)
            for number in range(min(lane.concurrency, len(lane)))
        ]
        for thread in threads:
            thread.start()
        try:
            while any(thread.is_alive() for thread in threads):
                next((thread for thread in threads if thread.is_alive()), threads[0]).join(0.2)
                self.tally.resting = tuple(lane.name for lane in lanes if len(lane) and lane.resting)
                watch(self.tally)
        finally:
            self._stop.set()
            for turn in turns:
                with turn:
                    turn.notify_all()
            end = time.monotonic() + _END_S
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            self._ledger.flush()
        if self._error is not None:
            raise self._error
        watch(self.tally)

    def go_on(self) -> None:
        """For tasks that take long: raise Stopped where all is to end."""
        if self._stop.is_set():
            raise Stopped

    def _work(self, lane: Lane, turn: threading.Condition) -> None:
        while not self._stop.is_set():
            with turn:
                step = lane.take(self._clock())
                if step is Pause.DONE:
                    turn.notify_all()
                    return
                if not isinstance(step, Job):
                    turn.wait(min(step, 2.0))
                    continue
            try:
                row, retry_after_s = self._attempt(step)
            except BaseException as error:
                self._error = self._error or error
                self._stop.set()
                return
            with turn:
                lane.report(step, Cause(row.cause), self._clock(), row.next_at or None, retry_after_s)
                turn.notify()

    def _attempt(self, job: Job) -> tuple[Attempt, float | None]:
        task = self.tasks[job.item.kind]
        outcome = guarded(job.item.name, lambda: task.run(job))
        with self._lock:
            row = judge(job.item, job.attempt, self._strikes, outcome, task.tool, self._clock())
            self.tally.count(job.item.kind, Cause(row.cause), row.ok or row.permanent, row.bytes)
        self._append(job.item, row, outcome)
        return row, outcome.retry_after_s if isinstance(outcome, Failure) else None

    def note(self, item: Item, attempt: int, outcome: Done | Failure, tool: str) -> None:
        """Write the row of an item that came as part of another, as a mask comes with its archive."""
        with self._lock:
            row = judge(item, attempt, self._strikes, outcome, tool, self._clock())
            self.tally.count(item.kind, Cause(row.cause), row.ok or row.permanent)
        self._append(item, row, outcome)

    def _append(self, item: Item, row: Attempt, outcome: Done | Failure) -> None:
        fingerprint = outcome.fingerprint if isinstance(outcome, Done) else None
        is_decoded = item.kind is Kind.PHOTO and fingerprint is not None
        self._ledger.append(row, fingerprint, images.DECODER if is_decoded else "")
