"""When heartbeats are due, whatever the clock does: nothing twice, nothing skipped but as the policy says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.definitions.schedule import (
    Schedule,
    check_cron,
    due_times,
    duration_ms,
    last_due,
    next_due,
    shortest_ms,
    words,
)
from workers.agents.schedule import BACK_MS, GRACE_MS, CatchUp, decide

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
ZONES = ["UTC", "Europe/London", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/St_Johns"]
CRONS = [
    "30 1 * * *",
    "0 2 * * *",
    "*/15 * * * *",
    "5 */3 * * *",
    "59 23 * * SUN",
    "0 0 1 * *",
    "10,40 1-3 * * MON-FRI",
]
EVERY = [1_000, 7_000, MINUTE_MS, 15 * MINUTE_MS, HOUR_MS, DAY_MS, 7 * DAY_MS]

schedules = st.one_of(
    st.builds(Schedule, st.sampled_from(EVERY)),
    st.builds(lambda cron, zone: Schedule(None, cron, zone), st.sampled_from(CRONS), st.sampled_from(ZONES)),
)
# years in which all these zones change their clocks, some of them at the very hours of the expressions
moments = st.integers(ms := int(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000), ms + 3 * 365 * DAY_MS)
spans = st.one_of(st.integers(0, 3 * HOUR_MS), st.integers(0, 40 * DAY_MS))
ALL = 1_000_000


def local(text: str, zone: str, fold: int = 0) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def offset(at_ms: int, zone: str) -> object:
    return datetime.fromtimestamp(at_ms / 1000, ZoneInfo(zone)).utcoffset()


def dense(schedule: Schedule, span_ms: int) -> int:
    """A span that has not too many due times to be counted one by one."""
    return min(span_ms, 2_000 * shortest_ms(schedule))


@given(schedules, moments, spans, st.floats(0, 1))
def test_spans_that_meet_have_each_due_time_once(schedule: Schedule, after: int, span: int, share: float) -> None:
    """Whoever looks, and however often: nothing comes twice, and nothing falls between two looks."""
    until = after + dense(schedule, span)
    between = after + int((until - after) * share)
    whole = due_times(schedule, after, until, ALL)
    assert whole == sorted(set(whole))
    assert all(after < one <= until for one in whole)
    assert whole == due_times(schedule, after, between, ALL) + due_times(schedule, between, until, ALL)
    assert last_due(schedule, after, until) == (whole[-1] if whole else None)
    assert not whole or next_due(schedule, after) == whole[0]


@given(st.sampled_from(CRONS[:1] + CRONS[1:2]), st.sampled_from(ZONES), moments)
def test_a_daily_time_comes_once_a_day_also_when_clocks_change(cron: str, zone: str, after: int) -> None:
    """That day has 23 hours, or 25; the time may be on the clock twice, or not at all."""
    schedule = Schedule(None, cron, zone)
    days = [
        datetime.fromtimestamp(one / 1000, ZoneInfo(zone)).date()
        for one in due_times(schedule, after, after + 400 * DAY_MS, ALL)
    ]
    assert len(days) == len(set(days))
    assert (days[-1] - days[0]).days == len(days) - 1


@pytest.mark.parametrize("zone", ZONES[1:])
def test_spans_that_meet_while_clocks_change_have_each_due_time_once(zone: str) -> None:
    """Wherever between the two passages of an hour, or beside one that was left out, somebody looks."""
    changes = [
        hour for hour in range(ms, ms + 2 * 365 * DAY_MS, HOUR_MS) if offset(hour, zone) != offset(hour - HOUR_MS, zone)
    ]
    for change in changes:
        for cron in (*CRONS, "15 2 * * *", "45 1 * * *", "20 */2 * * *", "5 0,1,2,3 * * *"):
            schedule = Schedule(None, cron, zone)
            after, until = change - 12 * HOUR_MS, change + 12 * HOUR_MS
            whole = due_times(schedule, after, until, ALL)
            for minutes in range(-190, 190, 17):
                between = change + minutes * MINUTE_MS + 500
                parts = due_times(schedule, after, between, ALL) + due_times(schedule, between, until, ALL)
                assert parts == whole, (cron, between)


def test_when_clocks_go_back_a_time_comes_at_its_first_passage() -> None:
    schedule = Schedule(None, "30 1 * * *", "Europe/London")
    eve = local("2026-10-24T12:00", "Europe/London")
    assert due_times(schedule, eve, eve + DAY_MS, 9) == [local("2026-10-25T01:30", "Europe/London", fold=0)]
    second = local("2026-10-25T01:20", "Europe/London", fold=1)
    assert due_times(schedule, second, second + 12 * HOUR_MS, 9) == []


def test_when_clocks_go_forward_a_time_that_is_left_out_comes_with_the_jump() -> None:
    schedule = Schedule(None, "30 1 * * *", "Europe/London")
    eve = local("2026-03-28T12:00", "Europe/London")
    assert due_times(schedule, eve, eve + DAY_MS, 9) == [local("2026-03-29T02:00", "Europe/London")]


def test_wildcards_follow_the_time_that_passes() -> None:
    schedule = Schedule(None, "*/30 * * * *", "Europe/London")
    before = local("2026-10-25T00:45", "Europe/London")
    assert len(due_times(schedule, before, before + 4 * HOUR_MS, 99)) == 8


@given(
    schedules,
    st.sampled_from(get_args(CatchUp)),
    moments,
    st.lists(st.integers(-45 * MINUTE_MS, 3 * HOUR_MS), min_size=1, max_size=30),
)
def test_whatever_the_clock_does_no_due_time_comes_twice_or_before_its_time(
    schedule: Schedule, catch_up: CatchUp, start: int, steps: list[int]
) -> None:
    """The clock walks, an hour back and forth among other things, as does whoever looks at it."""
    cursor = now = start
    ran: list[int] = []
    for step in steps:
        now += step
        for _ in range(50):
            decision = decide(schedule, catch_up, cursor, now)
            assert decision.cursor_ms >= cursor
            cursor = decision.cursor_ms
            if decision.due_ms is None:
                break
            assert decision.due_ms <= now
            ran.append(decision.due_ms)
    assert ran == sorted(set(ran))


@given(schedules, moments, st.lists(st.integers(-HOUR_MS, 2 * HOUR_MS), min_size=1, max_size=10))
def test_with_all_nothing_is_skipped(schedule: Schedule, start: int, steps: list[int]) -> None:
    """Of what lies between the first look and the latest time that the clock ever showed."""
    if schedule.every_ms is not None and schedule.every_ms < 7_000:
        schedule = Schedule(7_000)
    cursor = now = latest = start
    ran: list[int] = []
    for step in steps:
        now += step
        latest = max(latest, now)
        while (decision := decide(schedule, "all", cursor, now)).due_ms is not None:
            ran.append(decision.due_ms)
            cursor = decision.cursor_ms
        cursor = decision.cursor_ms
    assert ran == due_times(schedule, start, latest, ALL)


def test_an_hour_forward_and_back_again() -> None:
    """With `last` one run makes up for the hour; when the clock is right again, its hour passes without any."""
    schedule, start = Schedule(10 * MINUTE_MS), 1_800_000_000_000
    ahead = decide(schedule, "last", start, start + HOUR_MS)
    assert (ahead.due_ms, ahead.missed) == (start + HOUR_MS, 5)
    for minute in range(60):
        assert decide(schedule, "last", ahead.cursor_ms, start + minute * MINUTE_MS).due_ms is None
    assert decide(schedule, "last", ahead.cursor_ms, start + 70 * MINUTE_MS).due_ms == start + 70 * MINUTE_MS


def test_a_clock_that_was_wrong_by_more_than_a_day_is_not_waited_for() -> None:
    now = 1_800_000_000_000
    decision = decide(Schedule(MINUTE_MS), "all", now + BACK_MS + 1, now)
    assert decision == (None, now, 0)


def test_none_leaves_out_what_is_late_and_says_how_much() -> None:
    start = 1_800_000_000_000
    late = decide(Schedule(10 * MINUTE_MS), "none", start, start + 25 * MINUTE_MS)
    assert (late.due_ms, late.missed) == (None, 2)
    on_time = decide(Schedule(10 * MINUTE_MS), "none", start, start + 30 * MINUTE_MS + GRACE_MS - 1)
    assert (on_time.due_ms, on_time.missed) == (start + 30 * MINUTE_MS, 2)
    with_nothing_due = decide(Schedule(HOUR_MS), "none", on_time.cursor_ms, start + 31 * MINUTE_MS)
    assert with_nothing_due.due_ms is None


@pytest.mark.parametrize(
    ("cron", "zone", "why"),
    [
        ("* * * *", "UTC", "4 fields"),
        ("61 * * * *", "UTC", "bad minute"),
        ("* * * * FOO", "UTC", "bad day-of-week"),
        ("* * 31 2 *", "UTC", "day"),
        ("0 0 * * *", "Europe/Atlantis", "no time zone"),
        ("*/5 * * * * *", "UTC", "6 fields"),
    ],
)
def test_a_cron_expression_that_is_none_says_why(cron: str, zone: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_cron(cron, zone)


@pytest.mark.parametrize(("text", "ms"), [("90s", 90_000), ("1d12h", 36 * HOUR_MS), ("2w", 14 * DAY_MS), ("", 0)])
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
    assert not ms or duration_ms(words(ms)) == ms


def test_the_shortest_time_between_two() -> None:
    assert shortest_ms(Schedule(None, "0 9 * * *", "Europe/London")) == DAY_MS
    assert shortest_ms(Schedule(None, "0,5 9 * * *", "UTC")) == 5 * MINUTE_MS
    assert shortest_ms(Schedule(15_000)) == 15_000
