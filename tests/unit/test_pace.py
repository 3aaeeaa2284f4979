"""The window of bulk events: what fits, and how it follows the collector."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hub.log.pace import (
    ALONE_S,
    FIRST_EVENTS,
    LEAST_EVENTS,
    MEASURE_EVERY_S,
    MEASURED_EVENTS,
    MEASURING_EVENTS,
    Pace,
)

SLOWDOWN = 1.25
USUAL_S = 0.03


def turn(pace: Pace, waited_s: float, start_s: float, offset: int, others: int = 1) -> float:
    """
    Fill the window, and have it stored after so long; the collector is looked at every 10 ms. Returns the time.

    Args: others: 1: on another partition as many records of somebody else are stored.
    """
    count = max(1, pace.size)
    pace.enter(count)
    pace.land(count, 0, offset, start_s)
    pace.look({0: offset, 1: offset * others}, start_s + waited_s - 0.01)
    pace.look({0: offset + 1, 1: (offset + 1) * others}, start_s + waited_s)
    return start_s + waited_s


def measured(pace: Pace, usual_s: float = USUAL_S, start_s: float = 0.0, offset: int = 0) -> tuple[float, int]:
    """Turns of the smallest window until the pace knows what is usual. Returns the time and the next offset."""
    for _ in range(MEASURED_EVENTS // MEASURING_EVENTS):
        assert pace.size == MEASURING_EVENTS
        start_s = turn(pace, usual_s, start_s, offset)
        offset += 1
    return start_s, offset


def test_what_fits_is_counted_in_events_and_freed_by_the_commit():
    pace = Pace(SLOWDOWN)
    pace.enter(MEASURING_EVENTS - 2)
    assert pace.fits(2)
    assert not pace.fits(3)
    pace.land(MEASURING_EVENTS - 2, 3, 7, 0.0)
    pace.look({3: 7}, 1.0)
    assert not pace.fits(3), "the commit is the next offset: 7 itself is not stored"
    pace.look({3: 8}, 2.0)
    assert pace.in_flight == 0


def test_a_payload_larger_than_the_window_goes_alone():
    pace = Pace(SLOWDOWN)
    assert pace.fits(FIRST_EVENTS * 10)
    pace.enter(1)
    assert not pace.fits(FIRST_EVENTS * 10)


def test_it_grows_while_events_wait_no_longer_than_usual_and_shrinks_when_they_do():
    pace = Pace(SLOWDOWN)
    now_s, offset = measured(pace)
    assert pace.size == FIRST_EVENTS
    for n in range(offset, offset + 10):
        now_s = turn(pace, USUAL_S * 1.2, now_s, n)
    assert pace.size > (grown := FIRST_EVENTS * 2)
    now_s = turn(pace, USUAL_S * 2.5, now_s, offset + 10)
    assert grown / 2 <= pace.size < grown, "half as large, as they waited twice as long as they may"
    for n in range(offset + 11, offset + 20):
        now_s = turn(pace, USUAL_S * 2.5, now_s, n)
    assert pace.size == LEAST_EVENTS


def test_it_shrinks_once_for_what_the_same_window_has_let_through():
    pace = Pace(SLOWDOWN)
    now_s, offset = measured(pace)
    for n in range(offset, offset + 10):
        now_s = turn(pace, USUAL_S, now_s, n)
    offset += 10
    grown = pace.size
    for n in (offset, offset + 1):
        pace.enter(grown // 2)
        pace.land(grown // 2, 0, n, now_s)
    pace.look({0: offset, 1: offset}, now_s + 3.99 * USUAL_S)
    pace.look({0: offset + 1, 1: offset + 1}, now_s + 4 * USUAL_S)
    assert (shrunk := pace.size) < grown
    pace.look({0: offset + 2, 1: offset + 2}, now_s + 5 * USUAL_S)
    assert pace.size == shrunk


def test_alone_it_is_as_large_as_what_is_stored_in_the_time_that_a_first_live_event_may_wait():
    pace = Pace(SLOWDOWN)
    now_s, offset = measured(pace)
    for _ in range(9):
        now_s, offset = turn(pace, USUAL_S, now_s, offset), offset + 1
    shared = pace.size
    while now_s < 30 or pace.size == MEASURING_EVENTS:
        waited_s = USUAL_S if pace.size == MEASURING_EVENTS else 0.99 * ALONE_S
        now_s, offset = turn(pace, waited_s, now_s, offset, others=0), offset + 1
    grown = pace.size
    assert grown > 10 * FIRST_EVENTS
    turn(pace, ALONE_S, now_s, offset, others=1)
    assert pace.size <= shared, "somebody else is there: the window is at once what it was beside others"


def test_an_acknowledgement_that_is_late_is_no_other():
    pace = Pace(SLOWDOWN)
    now_s, offset = measured(pace)
    while now_s < 30 or pace.size == MEASURING_EVENTS:
        count = pace.size
        pace.enter(count + 1)
        pace.land(count, 0, offset, now_s)
        pace.look({0: offset}, now_s + ALONE_S - 0.01)
        pace.look({0: offset + 2}, now_s + ALONE_S)
        pace.land(1, 0, offset + 1, now_s + ALONE_S)
        now_s, offset = now_s + ALONE_S, offset + 2
    assert pace.size > 10 * FIRST_EVENTS


def test_what_is_usual_is_measured_again_without_what_the_large_window_left():
    """The machine has become three times as slow: that is the new measure, and the window then goes on as it was."""
    pace = Pace(SLOWDOWN)
    now_s, offset = measured(pace)
    size = pace.size
    now_s = turn(pace, USUAL_S * 3, now_s + MEASURE_EVERY_S, offset)
    assert pace.size == MEASURING_EVENTS
    now_s = turn(pace, USUAL_S * 30, now_s, offset + 1)
    now_s, offset = measured(pace, USUAL_S * 3, now_s, offset + 2)
    assert pace.size == size
    turn(pace, USUAL_S * 3.5, now_s, offset)
    assert pace.size > size


def test_a_look_after_a_pause_says_nothing_of_the_delay():
    pace = Pace(SLOWDOWN)
    now_s, offset = measured(pace)
    pace.enter(10)
    pace.land(10, 0, offset, now_s)
    pace.look({0: offset + 1}, now_s + 5.0)
    assert pace.size == FIRST_EVENTS


def test_a_commit_that_overtakes_the_acknowledgement_counts():
    pace = Pace(SLOWDOWN)
    pace.enter(5)
    pace.look({0: 10}, 1.0)
    pace.land(5, 0, 9, 1.1)
    assert pace.in_flight == 0


def test_offsets_that_begin_again_void_what_was_waited_for():
    """The topic was made anew: the old offsets will never be reached."""
    pace = Pace(SLOWDOWN)
    pace.look({0: 500}, 0.0)
    pace.enter(5)
    pace.land(5, 0, 900, 0.0)
    pace.look({0: 3}, 1.0)
    assert pace.in_flight == 0


@given(st.lists(st.tuples(st.sampled_from(["enter", "land", "leave", "look"]), st.integers(1, 40)), max_size=60))
def test_what_is_in_flight_is_what_entered_and_neither_left_nor_was_stored(steps):
    pace, entered, on_log, offset, now_s = Pace(SLOWDOWN), [], [], 0, 0.0
    for step, number in steps:
        now_s += 0.01
        if step == "enter":
            pace.enter(number)
            entered.append(number)
        elif step == "land" and entered:
            events = entered.pop()
            pace.land(events, 0, offset, now_s)
            on_log.append((offset, events))
            offset += 1
        elif step == "leave" and entered:
            pace.leave(entered.pop())
        elif step == "look":
            reached = max(0, offset - number % 5)
            reached = max([reached, *(first for first, _ in on_log[:1])])  # it never goes backwards
            pace.look({0: reached}, now_s)
            on_log = [(at, events) for at, events in on_log if at >= reached]
        assert pace.in_flight == sum(entered) + sum(events for _, events in on_log)
        assert pace.size >= MEASURING_EVENTS
