"""How fast one source may be asked: token buckets, sessions that rest after a bot check, a queue ordered by due time.

Everything here is a state machine over a clock that the caller owns: no thread, no sleep, no network. The
same code runs a real fetch and weeks of simulated time.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from pipelines.fetch.causes import HOUR_S, SESSION_CAUSES, Cause
from pipelines.fetch.items import Item


class TokenBucket:
    """At most `burst` at once and `rate_per_s` in the long run; a rate of infinity never waits."""

    def __init__(self, rate_per_s: float, burst: int, now: float, tokens: float = math.inf) -> None:
        """`tokens`: what is there to begin with; below 0 where more was used than may be."""
        self._rate, self._burst = rate_per_s, burst
        self._tokens, self._at = min(tokens, float(burst)), now

    def wait_s(self, now: float) -> float:
        """Seconds until a token is there."""
        if math.isinf(self._rate):
            return 0.0
        tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        return max(0.0, (1.0 - tokens) / self._rate) if tokens < 1.0 - 1e-9 else 0.0

    def take(self, now: float) -> None:
        if not math.isinf(self._rate):
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate) - 1.0
            self._at = now


@dataclass(frozen=True)
class Access:
    """How a session reaches its source. Neither field is ever written to a log, a ledger or a manifest."""

    cookies: str | None = field(default=None, repr=False)  # a Netscape cookie file
    proxy: str | None = field(default=None, repr=False)


class Session:
    """One way to a source, with its budget and its circuit breaker.

    A bot check opens the breaker: the session rests `rest_s`, then one probe goes through; a success closes
    it, another bot check doubles the rest, up to `rest_cap_s`. A throttling answer pauses the session for
    what it asks, or doubling from 5 s.
    """

    def __init__(
        self,
        number: int,
        access: Access,
        bucket: TokenBucket,
        *,
        rest_s: float = HOUR_S,
        rest_cap_s: float = 24 * HOUR_S,
    ) -> None:
        self.number, self.access, self._bucket = number, access, bucket
        self._rest_s, self._rest_cap_s = rest_s, rest_cap_s
        self._paused_until = 0.0
        self._trips = self._throttled = 0
        self._probing = False
        self.running = 0

    @property
    def open(self) -> bool:
        """Whether the breaker is open: the last word of the source was a bot check."""
        return self._trips > 0

    def wait_s(self, now: float) -> float:
        """Seconds until a request may go; infinity while a probe is under way."""
        if self._probing:
            return math.inf
        return max(self._paused_until - now, self._bucket.wait_s(now), 0.0)

    def take(self, now: float) -> None:
        self._bucket.take(now)
        self._probing = self.open
        self.running += 1

    def report(self, cause: Cause, now: float, retry_after_s: float | None) -> None:
        self.running -= 1
        self._probing = False
        if cause is Cause.BOT_CHECK:
            if self._paused_until <= now:  # answers of requests sent before the trip do not count again
                self._paused_until = now + min(self._rest_cap_s, self._rest_s * 2.0**self._trips)
                self._trips += 1
        elif cause is Cause.THROTTLED or retry_after_s:
            self._throttled = min(self._throttled + 1, 10)
            pause = retry_after_s if retry_after_s is not None else 5.0 * 2.0 ** (self._throttled - 1)
            self._paused_until = max(self._paused_until, now + pause)
        else:
            self._throttled = 0
            if cause not in (Cause.TIMEOUT, Cause.CONNECTION) and self._paused_until <= now:
                self._trips = 0


@dataclass(frozen=True)
class Job:
    item: Item
    attempt: int  # from 1
    session: Session


class Pause(Enum):
    DONE = "done"  # nothing is left, or what is left is due beyond the patience


class Lane:
    """The queue of one source: which item next, through which session, or how long to wait.

    Args:
        concurrency: requests under way at once, over all sessions.
        patience_s: when the next request is further away than this, the lane ends and leaves it to another run.
    """

    def __init__(self, name: str, sessions: list[Session], concurrency: int, patience_s: float) -> None:
        self.name, self.sessions = name, sessions
        self.concurrency, self._patience_s = concurrency, patience_s
        self._due: list[tuple[float, int, Item, int]] = []
        self._count = 0
        self.running = 0

    def add(self, item: Item, attempt: int, due_at: float) -> None:
        heapq.heappush(self._due, (due_at, self._count, item, attempt))
        self._count += 1

    def extend(self, entries: Iterable[tuple[Item, int, float]]) -> None:
        for item, attempt, due_at in entries:
            self.add(item, attempt, due_at)

    def __len__(self) -> int:
        return len(self._due)

    @property
    def resting(self) -> bool:
        """Whether a bot check holds every session back."""
        return all(session.open for session in self.sessions)

    def take(self, now: float) -> Job | Pause | float:
        """A job; or the seconds to wait (infinity: until a running job reports); or Pause.DONE."""
        if not self._due:
            return math.inf if self.running else Pause.DONE
        if self.running >= self.concurrency:
            return math.inf
        session = min(self.sessions, key=lambda one: (one.wait_s(now), one.running, one.number))
        wait = max(self._due[0][0] - now, session.wait_s(now))
        if wait > 0:
            if wait > self._patience_s:
                return math.inf if self.running else Pause.DONE
            return wait
        _, _, item, attempt = heapq.heappop(self._due)
        session.take(now)
        self.running += 1
        return Job(item, attempt, session)

    def report(
        self,
        job: Job,
        cause: Cause,
        now: float,
        next_at: float | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        """What became of a job; with `next_at` the item goes back into the queue."""
        self.running -= 1
        job.session.report(cause, now, retry_after_s)
        if next_at is not None:
            # a session's fault says nothing about the item: another session may have it at once
            self.add(
                job.item, job.attempt + 1, now if cause in SESSION_CAUSES and self._free(now) else next_at
            )

    def _free(self, now: float) -> bool:
        return any(
            math.isfinite(wait := session.wait_s(now)) and wait <= self._patience_s
            for session in self.sessions
        )
