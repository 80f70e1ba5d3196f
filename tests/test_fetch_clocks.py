"""A clock that is set, forward or back, while a fetch runs or between two: nothing waits for longer than it should."""

import time
from collections.abc import Sequence

import pytest

from pipelines.fetch import options
from pipelines.fetch.causes import DAY_S, HOUR_S, Cause
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.ledger import Attempt, Ledger
from pipelines.fetch.politeness import Job
from pipelines.fetch.run import Fetch
from pipelines.fetch.workers import steady_clock

YEAR_S = 365 * DAY_S


@pytest.mark.parametrize("jump_s", [-DAY_S, DAY_S])
def test_a_run_does_not_see_that_the_clock_is_set(jump_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, real = steady_clock(), time.time
    before = clock()
    monkeypatch.setattr(time, "time", lambda: real() + jump_s)
    assert 0 <= clock() - before < HOUR_S


def taken(ledger: Ledger, times: Sequence[float], now: float) -> float:
    """Seconds until a clip may be asked for, after clips were at those times; ten an hour may be."""
    for number, at in enumerate(times):
        ledger.append(Attempt(f"vggsound:{number}", 1, "", at, "ok", "", 0.0, 1, "", "t"))
    settings = options.parse({"youtube": {"videos_per_hour": 10.0, "burst": 5}, "patience_s": 10 * YEAR_S})
    lane = Fetch(ledger.corpora, settings, ledger, clock=lambda: now).clip_lane()
    lane.add(Item("vggsound:new", Kind.CLIP, "http://a/", "new.flac"), 1, 0.0)
    step = lane.take(now)
    assert isinstance(step, Job | float)
    return step if isinstance(step, float) else 0.0


@pytest.mark.parametrize(
    ("ago_s", "wait_s"),
    [
        (60.0, 41 * 360.0),  # fifty in the last minute, where ten an hour may be
        (2 * HOUR_S, 0.0),
        (-YEAR_S, 360.0),  # of a clock that was ahead by a year: as if the ten of this hour were spent
        (YEAR_S, 0.0),  # the clock was behind
    ],
)
def test_the_budget_of_a_clock_that_was_wrong(ago_s: float, wait_s: float, tmp_path) -> None:
    now = time.time()
    with Ledger(str(tmp_path)) as ledger:
        found = taken(ledger, [now - ago_s] * 50, now)
    assert found == pytest.approx(wait_s, abs=1.0)


def test_what_failed_under_a_clock_that_was_ahead_is_due_at_once(tmp_path) -> None:
    now = time.time()
    rows = [
        ("ahead", YEAR_S, HOUR_S),
        ("behind", -YEAR_S, HOUR_S),
        ("now", 0.0, HOUR_S),
        ("gone", YEAR_S, 0.0),
    ]
    with Ledger(str(tmp_path)) as ledger:
        for name, off_s, wait_s in rows:
            at = now + off_s
            cause = Cause.TIMEOUT if wait_s else Cause.REMOVED
            ledger.append(
                Attempt(name, 1, "", at, cause.value, "", at + wait_s if wait_s else 0.0, 0, "", "t")
            )
        ledger.append(Attempt("asked for", 1, "", now, Cause.TIMEOUT.value, "", now + HOUR_S, 0, "", "t"))
        ledger.reopen(["asked for"], now + YEAR_S)
        latest = ledger.latest()
    due_s = {name: one.next_at - now for name, one in latest.items()}
    assert due_s["ahead"] < 60
    assert due_s["asked for"] < 60
    assert due_s["behind"] < 0
    assert due_s["now"] == pytest.approx(HOUR_S)
    assert latest["gone"].permanent
