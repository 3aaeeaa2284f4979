"""A rate limit lets through what it says, whatever the clock does in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.edge.token_bucket import TokenBucket


@given(
    st.floats(0.01, 100_000),
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 1)), max_size=50),
)
def test_no_more_than_the_rate_and_one_second_of_it(rate: float, steps: list[tuple[float, float]]) -> None:
    """Steps: how long somebody waits, and which share of the room is then used."""
    now_s, taken = 100.0, 0
    bucket = TokenBucket(rate, now_s)
    for wait_s, share in steps:
        now_s += wait_s
        messages = int(bucket.room(now_s) * share)
        bucket.spend(messages)
        taken += messages
        assert taken <= rate * (now_s - 100.0) + max(1.0, rate) + 1e-6 * taken


@given(st.floats(0.01, 100_000))
def test_whoever_waits_as_long_as_it_says_finds_room(rate: float) -> None:
    now_s = 5.0
    bucket = TokenBucket(rate, now_s)
    while messages := bucket.room(now_s):
        bucket.spend(messages)
    wait_s = bucket.wait_s
    assert bucket.room(now_s + wait_s * 0.9) == 0  # nor does anybody wait for longer than needed
    assert bucket.room(now_s + wait_s * (1 + 1e-9) + 1e-9) >= 1


def test_at_full_speed_batches_stay_batches() -> None:
    """1,000 a second are taken 50 at a time, not one each millisecond."""
    bucket = TokenBucket(1_000, 0.0)
    bucket.spend(bucket.room(0.0))
    assert bucket.room(0.049) == 0
    assert bucket.room(0.051) >= 50


def test_a_limit_of_nothing_is_no_limit() -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(0, 0.0)
