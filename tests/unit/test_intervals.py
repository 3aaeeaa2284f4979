"""Intervals of a histogram: by the calendar, in a time zone."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.store.intervals import FEW, MAX_INTERVALS, at, intervals
from hub.store.query import QueryError

HOUR_MS = 3_600_000


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def begins(since: str, until: str, interval: str, zone: str = "UTC") -> list[str]:
    return [at(one, zone) for one in intervals(ms(since), ms(until), interval, zone).begins]  # type: ignore[arg-type]


def test_a_year_is_a_year() -> None:
    """Leap or not."""
    found = intervals(ms("2023-05-01T00:00:00Z"), ms("2026-02-01T00:00:00Z"), "year", "UTC")
    assert [at(one, "UTC")[:10] for one in found.begins] == ["2023-01-01", "2024-01-01", "2025-01-01", "2026-01-01"]
    assert found.edges[0] == ms("2023-05-01T00:00:00Z")
    assert found.edges[-1] == ms("2026-02-01T00:00:00Z")


def test_months_and_weeks() -> None:
    """Months of any length; weeks begin on Monday."""
    assert [one[:10] for one in begins("2024-01-31T05:00:00Z", "2024-04-01T00:00:00Z", "month")] == [
        "2024-01-01",
        "2024-02-01",
        "2024-03-01",
    ]
    assert [one[:10] for one in begins("2025-12-31T05:00:00Z", "2026-01-06T00:00:00Z", "week")] == [
        "2025-12-29",
        "2026-01-05",
    ]


def test_days_of_23_and_25_hours() -> None:
    """Rome's clocks went forward on 2026-03-29 and back on 2026-10-25."""
    spring = intervals(ms("2026-03-28T23:00:00Z"), ms("2026-03-30T22:00:00Z"), "day", "Europe/Rome")
    assert [(after - before) // HOUR_MS for before, after in pairwise(spring.edges)] == [23, 24]
    autumn = intervals(ms("2026-10-24T22:00:00Z"), ms("2026-10-26T23:00:00Z"), "day", "Europe/Rome")
    assert [(after - before) // HOUR_MS for before, after in pairwise(autumn.edges)] == [25, 24]
    hours = begins("2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", "hour", "Europe/Rome")
    assert hours == ["2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"]


def test_minutes_and_hours_are_whole_whenever_the_first_one_is_asked_for() -> None:
    """The first one begins before that."""
    minutes = begins("2026-01-01T00:00:30Z", "2026-01-01T00:02:00Z", "minute")
    assert minutes == ["2026-01-01T00:00:00+00:00", "2026-01-01T00:01:00+00:00"]
    hours = begins("2026-01-01T00:20:30Z", "2026-01-01T02:00:00Z", "hour")
    assert hours == ["2026-01-01T00:00:00+00:00", "2026-01-01T01:00:00+00:00"]


def test_hours_of_a_zone_with_half_an_hour() -> None:
    assert begins("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "hour", "Asia/Kolkata") == [
        "2026-01-01T05:00:00+05:30",
        "2026-01-01T06:00:00+05:30",
    ]


def test_a_day_without_a_midnight_begins_at_one() -> None:
    """Santiago's clocks went from 24:00 to 01:00 on 2026-09-06."""
    found = begins("2026-09-05T12:00:00Z", "2026-09-07T12:00:00Z", "day", "America/Santiago")
    assert found == ["2026-09-05T00:00:00-04:00", "2026-09-06T01:00:00-03:00", "2026-09-07T00:00:00-03:00"]


@pytest.mark.parametrize(
    ("until", "interval"),
    [
        ("2026-01-01T01:00:00Z", "minute"),
        ("2026-01-03T00:00:00Z", "hour"),
        ("2026-02-01T00:00:00Z", "day"),
        ("2027-01-01T00:00:00Z", "week"),
        ("2030-01-01T00:00:00Z", "month"),
        ("2056-01-01T00:00:00Z", "year"),
    ],
)
def test_auto_takes_the_shortest_that_makes_few(until: str, interval: str) -> None:
    found = intervals(ms("2026-01-01T00:00:00Z"), ms(until), "auto", "UTC")
    assert found.interval == interval
    assert len(found.begins) <= FEW + 1


def test_too_many_are_refused() -> None:
    with pytest.raises(QueryError, match=f"more than {MAX_INTERVALS} intervals of one minute"):
        begins("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "minute")
    with pytest.raises(QueryError, match="before `to`"):
        begins("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "minute")
    with pytest.raises(QueryError, match="no time zone"):
        begins("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "day", "Europe/Rom")


@settings(max_examples=300, deadline=None)
@given(
    st.integers(ms("1990-01-01T00:00:00Z"), ms("2036-01-01T00:00:00Z")),
    st.integers(1, 400),
    st.sampled_from(["hour", "day", "week", "month", "year"]),
    st.sampled_from(["UTC", "Europe/Rome", "America/Santiago", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut"]),
)
def test_intervals_are_whole_and_rising(since_ms: int, hours: int, interval: str, zone: str) -> None:
    """They cover everything once, and each begins where its unit does on the clocks there."""
    until_ms = since_ms + hours * HOUR_MS
    found = intervals(since_ms, until_ms, interval, zone)  # type: ignore[arg-type]
    assert found.edges[0] == since_ms
    assert found.edges[-1] == until_ms
    assert found.begins[0] <= since_ms
    assert all(before < after for before, after in pairwise(found.edges))
    if interval != "hour":
        locals_ = [datetime.fromisoformat(at(one, zone)) for one in found.begins]
        assert len({one.date() for one in locals_}) == len(locals_)
        assert all(one.hour in {0, 1} for one in locals_)
