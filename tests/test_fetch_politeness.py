"""Budgets, breakers and queues under a clock that the test owns."""

import heapq
import math
from collections import Counter

import pytest

from pipelines.fetch.causes import DAY_S, HOUR_S, Cause, Failure
from pipelines.fetch.items import Item, Kind
from pipelines.fetch.politeness import Access, Job, Lane, Pause, Session, TokenBucket
from pipelines.fetch.workers import Done, judge
from shards.hashing import unit


def item(number: int) -> Item:
    return Item(
        f"vggsound:{number:06d}", Kind.CLIP, f"https://clips.test/{number}", f"vggsound/clips/{number}.flac"
    )


def session(number: int = 0, per_hour: float = 3600.0, burst: int = 1, **more: float) -> Session:
    return Session(number, Access(), TokenBucket(per_hour / HOUR_S, burst, 0.0), **more)


def test_bucket_keeps_its_rate_and_burst() -> None:
    bucket = TokenBucket(2.0, 3, now=0.0)
    taken, now = [], 0.0
    for _ in range(9):
        now += bucket.wait_s(now)
        bucket.take(now)
        taken.append(now)
    assert taken == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
    assert TokenBucket(math.inf, 1, 0.0).wait_s(0.0) == 0.0


def test_lane_orders_by_due_time_and_limits_concurrency() -> None:
    lane = Lane("host", [session(burst=10)], concurrency=2, patience_s=100)
    lane.extend([(item(1), 1, 30.0), (item(2), 1, 0.0), (item(3), 1, 10.0)])
    first = lane.take(0.0)
    assert isinstance(first, Job)
    assert first.item == item(2)
    assert lane.take(0.0) == 10.0
    second = lane.take(10.0)
    assert isinstance(second, Job)
    assert lane.take(31.0) == math.inf  # two are under way
    lane.report(first, Cause.OK, 31.0)
    third = lane.take(31.0)
    assert isinstance(third, Job)
    assert third.item == item(1)
    for job in (second, third):
        lane.report(job, Cause.OK, 32.0)
    assert lane.take(32.0) is Pause.DONE


def test_what_is_due_beyond_the_patience_is_left() -> None:
    lane = Lane("host", [session()], concurrency=1, patience_s=60)
    lane.add(item(1), 1, due_at=61.0)
    assert lane.take(0.0) is Pause.DONE
    assert len(lane) == 1
    assert lane.take(1.5) == 59.5


def test_bot_check_rests_the_session_then_one_probe_and_doubling() -> None:
    one = session(rest_s=100.0, rest_cap_s=350.0, per_hour=math.inf)
    now, rests = 0.0, []
    for _ in range(4):
        one.take(now)
        assert one.wait_s(now) == (math.inf if rests else 0.0)  # a probe goes alone
        one.report(Cause.BOT_CHECK, now, None)
        rests.append(one.wait_s(now))
        now += rests[-1]
    assert rests == [100.0, 200.0, 350.0, 350.0]
    one.take(now)
    one.report(Cause.OK, now, None)
    assert not one.open
    assert one.wait_s(now) == 0.0
    one.take(now)
    one.report(Cause.BOT_CHECK, now, None)
    assert one.wait_s(now) == 100.0


def test_answers_under_way_when_the_breaker_opens_count_once() -> None:
    one = session(rest_s=100.0, per_hour=math.inf)
    for _ in range(3):
        one.take(0.0)
    for _ in range(2):
        one.report(Cause.BOT_CHECK, 1.0, None)
    one.report(Cause.OK, 2.0, None)  # sent before the check: proves nothing
    assert one.open
    assert one.wait_s(1.0) == 100.0


def test_a_probe_that_times_out_neither_closes_nor_opens_further() -> None:
    one = session(rest_s=100.0, per_hour=math.inf)
    one.take(0.0)
    one.report(Cause.BOT_CHECK, 0.0, None)
    one.take(100.0)
    one.report(Cause.TIMEOUT, 100.0, None)
    assert one.open
    assert one.wait_s(100.0) == 0.0


def test_retry_after_pauses_the_whole_host() -> None:
    one = session(per_hour=math.inf)
    one.take(0.0)
    one.report(Cause.THROTTLED, 0.0, 17.0)
    assert one.wait_s(0.0) == 17.0
    one.take(17.0)
    one.report(Cause.THROTTLED, 17.0, None)
    assert one.wait_s(17.0) == 10.0  # the second in a row without a number: 5 s doubled
    one.take(27.0)
    one.report(Cause.OK, 27.0, None)
    one.take(27.0)
    one.report(Cause.THROTTLED, 27.0, None)
    assert one.wait_s(27.0) == 5.0


def test_a_checked_item_goes_to_another_session_at_once() -> None:
    lane = Lane("youtube", [session(0), session(1)], concurrency=2, patience_s=2 * HOUR_S)
    lane.add(item(1), 1, 0.0)
    job = lane.take(0.0)
    assert isinstance(job, Job)
    lane.report(job, Cause.BOT_CHECK, 1.0, next_at=50.0)
    again = lane.take(1.0)
    assert isinstance(again, Job)
    assert again.item == job.item
    assert again.attempt == 2
    assert again.session is not job.session


def truth(number: int) -> Cause | None:
    """What the simulated site has: a fifth is gone, as VGGSound's users found."""
    draw = unit("truth", number)
    if draw < 0.12:
        return Cause.REMOVED
    if draw < 0.19:
        return Cause.PRIVATE
    return Cause.AGE_GATED if draw < 0.20 else None


def test_two_hundred_thousand_clips_in_simulated_weeks() -> None:
    """A site with bot checks now and then, where one answer in fifty is lost and a fifth of the clips is gone."""
    count, per_hour, sessions = 200_000, 280.0, 3
    lane = Lane(
        "youtube", [session(n, per_hour, 5) for n in range(sessions)], concurrency=12, patience_s=math.inf
    )
    lane.extend((item(number), 1, 0.0) for number in range(count))
    now, order = 0.0, 0
    running: list[tuple[float, int, Job]] = []
    strikes: Counter[tuple[str, str]] = Counter()
    ends: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    seen: dict[int, list[float]] = {n: [] for n in range(sessions)}
    resting_until: dict[int, float] = dict.fromkeys(range(sessions), 0.0)
    while True:
        step = lane.take(now)
        if isinstance(step, Job):
            number = step.session.number
            assert now >= resting_until[number], "a session was used while the site held it off"
            seen[number].append(now)
            order += 1
            heapq.heappush(running, (now + 20.0, order, step))
            continue
        if step is Pause.DONE:
            break
        if running and (running[0][0] <= now + step):
            now, _, job = heapq.heappop(running)
        else:
            now += step
            continue
        number, attempt = int(job.item.name.partition(":")[2]), job.attempt
        draw = unit("answer", number, attempt)
        outcome: Done | Failure
        if draw < 0.0005:
            outcome = Failure(Cause.BOT_CHECK, "Sign in to confirm you're not a bot")
            resting_until[job.session.number] = now + HOUR_S - 1e-6
        elif draw < 0.0205:
            outcome = Failure(Cause.TIMEOUT, "timed out")
        else:
            cause = truth(number)
            outcome = Failure(cause, "gone") if cause else Done(1, "")
        row = judge(job.item, attempt, strikes, outcome, "simulated", now)
        causes[row.cause] += 1
        if row.ok or row.permanent:
            ends[row.cause] += 1
        lane.report(job, Cause(row.cause), now, row.next_at or None)
    expected = Counter((truth(number) or Cause.OK).value for number in range(count))
    assert ends == expected  # every recoverable clip is there, every other has its true cause
    assert causes["timeout"] > 3000
    assert causes["bot_check"] > 50
    for times in seen.values():
        ahead = [later - first for first, later in zip(times, times[300:], strict=False)]
        assert min(ahead) >= HOUR_S  # never 300 within an hour
    weeks = now / (7 * DAY_S)
    ideal = sum(causes.values()) / (per_hour * sessions) / (7 * 24)
    assert ideal <= weeks < 1.15 * ideal
