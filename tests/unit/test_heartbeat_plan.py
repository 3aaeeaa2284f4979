"""Can a heartbeat work at all, how fast does a run go, when is it over?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.api.definitions import parsed
from hub.definitions.heartbeats import check_possible
from hub.definitions.kinds import Heartbeat
from hub.errors import InvalidPayload
from schemas.heartbeats import Run, Work
from workers.agents import plan

NOTHING = {"done": 0, "failed": 0, "events": 0, "left_out": 0, "looked": 0}
START = 1_800_000_000_000


def run(**changes: Any) -> Run:
    values: dict[str, Any] = {
        "id": "r",
        "heartbeat": "h",
        "due_ms": START,
        "work": Work(event_type="check", rate_limit=changes.pop("rate_limit", 0)),
        "started_ms": START,
        "paced_ms": START,
    }
    return Run(**values | changes)


def test_every_second_over_a_million_profiles_is_refused_with_the_arithmetic() -> None:
    with pytest.raises(ValueError, match=r"every 1s are 1,000,000 events a second.*at most 10,000.*due every 1m40s"):
        check_possible(Heartbeat(event_type="check", every="1s"), 1_000_000, 10_000)
    check_possible(Heartbeat(event_type="check", every="1m40s"), 1_000_000, 10_000)
    check_possible(Heartbeat(event_type="check", every="1s"), 10_000, 10_000)


def test_a_rate_that_does_not_come_to_an_end_before_the_next_due_time_is_refused() -> None:
    spec = Heartbeat(event_type="check", cron="*/5 * * * *", rate_limit=100)
    with pytest.raises(ValueError, match=r"60,000 profiles at 100 .* take 10m, but it is due every 5m.*to 200"):
        check_possible(spec, 60_000, 10_000)
    check_possible(spec, 30_000, 10_000)


def test_a_spread_that_reaches_into_the_next_run_is_refused() -> None:
    with pytest.raises(ValueError, match="spread over 1h, but it is due every 30m"):
        check_possible(Heartbeat(event_type="check", every="30m", jitter="1h"), 10, 10_000)


@pytest.mark.parametrize(
    "spec",
    [
        {"event_type": "check"},
        {"event_type": "check", "every": "5m", "cron": "* * * * *"},
        {"event_type": "check", "cron": "* * * *"},
        {"event_type": "check", "every": "5 minutes"},
        {"event_type": " ", "every": "5m"},
        {"event_type": "check", "every": "5m", "catch_up": "some"},
        {"event_type": "check", "every": "5m", "unless": {"event_type": "x"}},
    ],
)
def test_what_says_not_when_or_what_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Heartbeat.model_validate(spec)


@pytest.mark.parametrize(
    ("body", "where", "words"),
    [
        (
            b'{"event_type": "x", "every": "5 minutes"}',
            "every",
            "this is no duration: write one such as 90s, 15m or 1d12h",
        ),
        (
            b'{"event_type": "x", "every": "1d", "unless": {"event_type": "y", "within": "7"}}',
            "unless.within",
            "such as",
        ),
        (b'{"event_type": "x", "cron": "* * *"}', "", "'* * *' has 3 fields; a cron expression has 5"),
        (b'{"event_type": "x"}', "", "write either `cron`, such as"),
    ],
)
def test_what_is_refused_is_told_in_words(body: bytes, where: str, words: str) -> None:
    with pytest.raises(InvalidPayload) as refused:
        parsed("heartbeat", body)
    assert refused.value.where == where
    assert words in refused.value.detail
    assert "Value error" not in str(refused.value)


def test_so_many_slices_are_under_way_and_no_more() -> None:
    assert plan.room(run(), NOTHING, START) == plan.AHEAD
    under_way = run(slices=20, profiles=20 * plan.SLICE)
    assert plan.room(under_way, NOTHING | {"done": 10, "failed": 1}, START) == plan.AHEAD - 9
    assert plan.room(run(is_cut=True), NOTHING, START) == 0


@given(st.floats(1, 100_000), st.integers(0, 600_000), st.integers(0, 50))
def test_a_rate_is_kept(rate: float, passed_ms: int, slices: int) -> None:
    """But for one slice, so that there is something to send at once."""
    size = plan.size(rate)
    one = run(rate_limit=rate, slices=slices, profiles=slices * size)
    room = plan.room(one, NOTHING | {"done": slices}, START + passed_ms)
    assert size <= max(rate, 1)
    if room:
        assert one.profiles + room * size <= rate * passed_ms / 1000 + 1 + size


def test_a_run_is_spread_evenly_and_in_the_end_nothing_is_left_out() -> None:
    one = run(jitter_ms=60_000, total=100_000, slices=10, profiles=10 * plan.SLICE)
    done = NOTHING | {"done": 10}
    assert plan.room(one, done, START + 6_000) == 0, "a fifth was given out, but a tenth of the time has passed"
    assert plan.room(one, done, START + 15_000) == 3, "a quarter has passed: 25,000 of 100,000"
    assert plan.room(one, done, START + 60_000) == plan.AHEAD, "it has passed: whatever there is"


@pytest.mark.parametrize(
    ("rate", "profiles", "allowed"), [(100, 1_000, 3), (100_000, 20_000, 1)], ids=["rate", "spread"]
)
def test_of_a_rate_and_a_spread_the_slower_counts(rate: float, profiles: int, allowed: int) -> None:
    """12 s of 60 have passed: 1,201 profiles by the first rate; 20,001 of 100,000 by the spread."""
    one = run(rate_limit=rate, jitter_ms=60_000, total=100_000, slices=10, profiles=profiles)
    assert plan.room(one, NOTHING | {"done": 10}, START + 12_000) == allowed


def test_a_clock_that_goes_back_does_not_stop_a_run() -> None:
    one = run(rate_limit=1_000, slices=5, profiles=5_000)
    earlier = START - 3_600_000
    plan.pace(one, earlier)
    assert plan.room(one, NOTHING | {"done": 5}, earlier + 1_000) >= 1


def test_how_a_run_ends() -> None:
    one = run(slices=3)
    assert plan.ended(one, NOTHING | {"done": 3}) is None, "more may come"
    one.is_cut = True
    assert plan.ended(one, NOTHING | {"done": 2}) is None
    assert plan.ended(one, NOTHING | {"done": 3}) == "done"
    assert plan.ended(one, NOTHING | {"done": 2, "failed": 1}) == "failed"
    assert plan.ended(run(is_cut=True), NOTHING) == "done", "nobody is there"
