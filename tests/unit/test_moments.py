"""When time alone may change a verdict: never later than it does, and not at every turn."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hub.conditions.crossing import next_crossing
from hub.conditions.history import note, series_of
from hub.conditions.moments import _day_of_month, due_ms, next_change
from hub.conditions.python import compile_python, judge
from hub.conditions.times import read_time
from hub.store.query.segment import segment_condition

SECOND: Final = 1_000_000
DAY: Final = 86_400 * SECOND
NOW: Final = read_time("2026-11-24T12:00:00Z") or 0

UNITS: Final = {"seconds": SECOND, "hours": 3_600 * SECOND, "days": DAY, "months": 30 * DAY, "years": 365 * DAY}
ORDERS: Final = ("=", "!=", "<", "<=", ">", ">=")


def us(text: str) -> int:
    found = read_time(text)
    assert found is not None
    return found


def text_of(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / SECOND, UTC).isoformat()


def profile(times_us: list[int], query: str, values: list[float] | None = None, **traits: Any) -> dict[str, Any]:
    """A profile whose events of every history that the condition asks for were at these times."""
    history: dict[str, Any] = {}
    for key, series in series_of([segment_condition(query)]).items():
        state: dict[str, Any] | None = {"count": 0}
        for place, time in enumerate(sorted(times_us)):
            state = note(state, series, time // 1_000, None if values is None else values[place % len(values)])
        history[key] = state
    return {"id": "p1", "ids": [], "traits": traits, "segments": [], "metadata": {"history": history}}


shifts = st.builds(
    lambda amount, unit, sign: f"now {sign} {amount} {unit}",
    st.integers(0, 40),
    st.sampled_from(sorted(UNITS)),
    st.sampled_from("+-"),
)
windows = st.builds(lambda amount, unit: f"in last {amount} {unit}", st.integers(1, 40), st.sampled_from(sorted(UNITS)))
orders = st.sampled_from(ORDERS)
atoms = st.one_of(
    st.builds(lambda order, now: f"traits.at {order} {now}", orders, shifts),
    st.builds(lambda order, now: f"traits.list {order} {now}", orders, shifts),
    st.builds(lambda low, high: f"traits.at BETWEEN {low} AND {high}", shifts, shifts),
    st.builds(lambda window, order, n: f"count(buy) {window} {order} {n}", windows, orders, st.integers(0, 5)),
    st.builds(
        lambda name, window, order, n: f"{name}(buy.properties.n) {window} {order} {n}",
        st.sampled_from(["sum", "avg", "min", "max"]),
        windows,
        orders,
        st.integers(-3, 9),
    ),
    st.builds(
        lambda name, order, now: f"{name}(buy) {order} {now}", st.sampled_from(["first", "last"]), orders, shifts
    ),
    st.builds(lambda window: f"never(buy) {window}", windows),
    st.just("traits.plan = gold"),
    st.just("traits.missing > 3"),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.builds(lambda one, other, word: f"({one}) {word} ({other})", inner, inner, st.sampled_from(["AND", "OR"])),
        st.builds(lambda one: f"NOT ({one})", inner),
    ),
    max_leaves=4,
)
near = st.builds(
    lambda amount, unit, more: amount * UNITS[unit] + more * 1_000,
    st.integers(-40, 5),
    st.sampled_from(sorted(UNITS)),
    st.integers(-3, 3),
)


SITUATIONS: Any = {
    "condition": conditions,
    "ages": st.lists(near, max_size=8),
    "at": near,
    "several": st.lists(near, max_size=3),
    "plan": st.sampled_from(["gold", None]),
    "probes": st.lists(st.floats(0, 1, exclude_max=True), min_size=4, max_size=4),
}


@given(
    **SITUATIONS,
    values=st.lists(st.integers(-5, 9).map(float), min_size=1, max_size=4),
    # the ends of months are where months are odd
    now=st.sampled_from([NOW, us("2027-03-28T10:00:00Z"), us("2028-02-29T23:59:59.999Z"), us("2027-01-31T00:00:00Z")]),
)
@settings(max_examples=400)
@example(
    "traits.at < now - 1 months", [], -28 * DAY, [], [0.0], us("2027-03-28T10:00:00Z"), None, [0.1, 0.5, 0.9, 0.99]
)
def test_no_verdict_changes_before_the_moment_that_is_given(
    condition: str,
    ages: list[int],
    at: int,
    several: list[int],
    values: list[float],
    now: int,
    plan: str | None,
    probes: list[float],
) -> None:
    traits: dict[str, Any] = {"at": text_of(now + at), "list": [text_of(now + one) for one in several]}
    document = profile([now + age for age in ages], condition, values, **traits, **({"plan": plan} if plan else {}))
    parsed = segment_condition(condition)
    moments = next_change(parsed)
    clock = [now]
    verdict = judge(parsed, lambda: clock[0])
    for _ in range(6):
        asked = clock[0]
        before, moment = verdict(document), moments(document, asked)
        end = asked + 200 * 365 * DAY if moment is None else moment
        assert end > asked
        edges = [asked + 1, end - 1, *(asked + int((end - asked) * probe) for probe in probes)]
        # what months do, they do at midnight
        edges += [asked // DAY * DAY + day * DAY for day in range(1, 70)]
        for clock[0] in edges:
            if asked <= clock[0] < end:
                assert verdict(document) is before, f"{condition} at {text_of(clock[0])}"
        if moment is None:
            return
        clock[0] = moment


@given(
    **SITUATIONS,
    values=st.lists(st.integers(-5, 9).map(float), min_size=1, max_size=4)
    | st.lists(st.integers(0, 9).map(float), min_size=1, max_size=4),
    now=st.sampled_from([NOW, us("2027-03-28T10:00:00Z"), us("2028-02-29T23:59:59.999Z")]),
)
@settings(max_examples=300)
@example("sum(buy.properties.n) in last 2 hours >= 3", [0, -1_000_000], 0, [], [1.0, 2.0], NOW, None, [0.1, 0.5, 0.9])
def test_nobody_begins_or_ceases_to_meet_a_condition_before_the_moment_that_is_given(
    condition: str,
    ages: list[int],
    at: int,
    several: list[int],
    values: list[float],
    now: int,
    plan: str | None,
    probes: list[float],
) -> None:
    traits: dict[str, Any] = {"at": text_of(now + at), "list": [text_of(now + one) for one in several]}
    document = profile([now + age for age in ages], condition, values, **traits, **({"plan": plan} if plan else {}))
    parsed = segment_condition(condition)
    moments, coarser = next_crossing(parsed), next_change(parsed)
    clock = [now]
    met = compile_python(parsed, lambda: clock[0])
    for _ in range(6):
        asked = clock[0]
        before, moment = met(document), moments(document, asked)
        end = asked + 200 * 365 * DAY if moment is None else moment
        assert end > asked
        # whoever tells more finely is not asked more often
        assert moment is None or (other := coarser(document, asked)) is None or moment >= other
        edges = [asked + 1, end - 1, *(asked + int((end - asked) * probe) for probe in probes)]
        edges += [asked // DAY * DAY + day * DAY for day in range(1, 70)]
        edges += [now + age + span * unit for age in ages for unit in UNITS.values() for span in range(41)]
        for clock[0] in edges:
            if asked <= clock[0] < end:
                assert met(document) is before, f"{condition} at {text_of(clock[0])}"
        if moment is None:
            return
        clock[0] = moment


def test_a_window_is_left_when_as_many_events_have_left_it_as_matter() -> None:
    times = [NOW - days * DAY for days in (29, 20, 10, 5, 1)]
    condition = "count(buy) in last 30 days >= 3"
    # not when the first of five leaves, in a day: when the third is gone
    assert next_change(segment_condition(condition))(profile(times, condition), NOW) == NOW + 20 * DAY


def test_nothing_is_due_where_the_rest_of_the_condition_settles_it() -> None:
    condition = "traits.plan = gold AND count(buy) in last 30 days >= 1"
    moments = next_change(segment_condition(condition))
    assert moments(profile([NOW - DAY], condition, plan="gold"), NOW) == NOW + 29 * DAY
    assert moments(profile([NOW - DAY], condition, plan="free"), NOW) is None
    assert next_change(segment_condition("traits.plan = gold"))(profile([], "traits.plan = gold"), NOW) is None


@pytest.mark.parametrize(
    ("condition", "due"),
    [
        # the second part is not met, and never will be
        ("first(buy) > now - 7 days AND count(buy) in last 1 hour >= 9", None),
        # nobody knows the plan: that it is not told is as good as that it is another
        ("traits.plan = gold AND count(buy) in last 30 days >= 1", None),
        ("traits.plan = gold OR count(buy) in last 30 days >= 1", NOW + 29 * DAY),
        # what has ended first is the other's affair
        ("count(buy) in last 3 days >= 1 OR last(buy) > now - 9 days", NOW + 8 * DAY),
        ("sum(buy.properties.n) in last 30 days >= 4", NOW + 29 * DAY),
        ("sum(buy.properties.n) in last 30 days >= 9", None),
    ],
)
def test_nothing_is_due_that_makes_no_difference(condition: str, due: int | None) -> None:
    assert next_crossing(segment_condition(condition))(profile([NOW - DAY], condition, [5.0]), NOW) == due


def test_an_age_is_reached_to_the_microsecond_and_due_within_a_millisecond() -> None:
    condition = "traits.at + 7d < now"
    joined = us("2026-11-20T08:00:00.000250Z")
    moment = next_change(segment_condition(condition))(profile([], condition, at=text_of(joined)), NOW)
    assert moment == joined + 7 * DAY + 1
    assert due_ms(moment) == us("2026-11-27T08:00:00.001Z") // 1_000


@pytest.mark.parametrize("events", [50, 1_500])
def test_whoever_has_many_events_is_looked_at_seldom(events: int) -> None:
    condition = "count(buy) in last 30 days >= 3"
    document = profile([NOW - place * 60 * SECOND for place in range(events)], condition)
    moments, looks, now = next_change(segment_condition(condition)), 0, NOW
    while (moment := moments(document, now)) is not None:
        now, looks = moment, looks + 1
    assert looks == 1


def test_a_day_of_the_month_is_what_the_calendar_says() -> None:
    """Years that 4, 100 and 400 divide are among them."""
    for ordinal in range(date(1895, 12, 1).toordinal(), date(2105, 1, 1).toordinal(), 7):
        day = date.fromordinal(ordinal)
        assert _day_of_month((ordinal - date(1970, 1, 1).toordinal()) * DAY) == day.day, day
