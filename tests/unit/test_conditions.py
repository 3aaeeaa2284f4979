"""Three-valued conditions, histories, items of lists: the compilers agree, and what is written can be read."""

from __future__ import annotations

import math
import time
from datetime import datetime
from datetime import time as clock
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.conditions import QueryError, moves, parse, settled
from hub.conditions.ast import (
    And,
    Compare,
    Condition,
    Constant,
    Field,
    History,
    Holds,
    IsNull,
    Not,
    Now,
    Or,
    Order,
    Shift,
    Start,
    Window,
)
from hub.conditions.documents import of_documents
from hub.conditions.explain import explained
from hub.conditions.history import (
    MAX_ENTRIES,
    Series,
    State,
    is_enough,
    joined,
    longest_ms,
    note,
    pruned,
    series_of,
    value_of,
)
from hub.conditions.keys import key_of, unplaced
from hub.conditions.meaning import TOPS
from hub.conditions.moments import next_change
from hub.conditions.patterns import PatternError, regular
from hub.conditions.python import compile_python, judge
from hub.conditions.times import moment_of, next_start, start_of
from hub.conditions.truth import MISSING, UNKNOWN
from hub.conditions.walk import histories
from hub.conditions.written import time_text, written
from hub.store.query import for_kind, prepare
from hub.store.query.explained import explain
from hub.store.query.known import tops
from tests.unit.condition_cases import (
    CONDITIONS,
    EVENTS,
    NOW_MS,
    NOW_US,
    SHIFTS,
    SPANS,
    STARTS,
    constant,
    documents,
    in_sql,
    leaves,
)
from tests.unit.search_cases import in_search

DAY_MS = 86_400_000


def verdict(query: str, document: Any) -> bool | None:
    """By Python and by SQL, which have to agree, also on what is unknown."""
    condition = prepare(query, "profiles", NOW_US)
    found = judge(condition)(document)
    check(condition, document, found)
    return found


def check(condition: Condition, document: Any, found: bool | None) -> None:
    """All ways to ask."""
    assert compile_python(condition)(document) is (found is True)
    assert compile_python(Not(condition))(document) is (found is False)
    assert in_sql(condition, document) is (found is True), condition
    assert in_sql(Not(condition), document) is (found is False), condition
    for asked, answer in ((condition, found is True), (Not(condition), found is False)):
        sure, maybe = in_search(asked, document)  # finds less, finds more
        assert sure <= answer <= maybe, asked


def agree(data: st.DataObject, conditions: list[Condition]) -> None:
    """One document, drawn to suit the conditions: the same verdict from all compilers."""
    asked = [history for condition in conditions for history in histories(condition)]
    document = data.draw(documents(asked))
    found = list(leaves({key: value for key, value in document.items() if key != "metadata"}))
    if found:  # half of the conditions ask for what is there
        path, value = data.draw(st.sampled_from(found))
        if value is None:
            conditions = [*conditions, IsNull(Field(path))]
        else:
            order: Order = data.draw(st.sampled_from(["=", "<=", ">=", "<"]))
            right = constant(value)
            conditions = [*conditions, Compare(Field(path), order, right), Holds(Field(path), "contains", right)]
    for condition in (*conditions, And(tuple(conditions)), Or(tuple(conditions))):
        still = settled(condition, NOW_US)
        moving = judge(condition, lambda: NOW_US)(document)
        assert judge(still)(document) is moving
        check(still, document, moving)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.lists(CONDITIONS, max_size=2))
def test_sql_and_python_agree(data: st.DataObject, conditions: list[Condition]) -> None:
    """Any document, any condition: true, false or unknown for both."""
    agree(data, conditions)


@pytest.mark.long
@pytest.mark.timeout(900)
@settings(max_examples=3_500, deadline=None, derandomize=False)
@given(st.data(), st.lists(CONDITIONS, min_size=1, max_size=2))
def test_sql_and_python_agree_ten_thousand_times(data: st.DataObject, conditions: list[Condition]) -> None:
    """Each example is three conditions or more on one document: more than 10,000 pairs."""
    agree(data, conditions)


T, F, U = True, False, None
PROFILE: dict[str, Any] = {
    "id": "p1",
    "traits": {
        "n": 5,
        "text": "London",
        "flag": True,
        "nothing": None,
        "list": ["red", "Blue", 7],
        "numbers": [1, 2, 3],
        "none": [],
        "object": {"a": 1},
        "renewal": "2026-11-20",
        "at": "2026-11-23T23:00:00Z",
        "days": ["2026-11-01", "2026-11-30"],
        "orders": [
            {"status": "open", "total": 12, "lines": [{"sku": "x"}, {"sku": "y"}]},
            {"status": "paid", "total": 5},
            {"status": "open"},
        ],
    },
}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        # not there, null
        ("traits.no = 1", U),
        ("NOT traits.no = 1", U),
        ("traits.no != 1", T),
        ("NOT traits.no != 1", F),
        ("traits.no > 1", U),
        ("traits.no IN [1]", U),
        ("traits.no NOT IN [1]", U),
        ("traits.no != [1]", T),
        ("traits.no CONTAINS x", U),
        ("traits.no NOT MATCHES 'x'", U),
        ("traits.nothing = 1", U),
        ("traits.nothing BETWEEN 1 AND 2", U),
        ("traits.no IS NULL", T),
        ("traits.no EXISTS", F),
        ("traits.no EMPTY", T),
        ("traits.no = traits.n", U),
        ("traits.no != traits.n", T),
        # of another type
        ("traits.n = '5'", F),
        ("NOT traits.n = '5'", T),
        ("traits.n > '4'", U),
        ("NOT traits.n > '4'", U),
        ("traits.text < 4", U),
        ("traits.text < '2026-11-24'", U),
        ("traits.text = '2026-11-24T00:00:00Z'", F),
        ("traits.flag > false", U),
        ("traits.n ~ '5'", U),
        ("traits.n CONTAINS 5", U),
        ("traits.n IN ['5', 'x']", F),
        ("traits.n BETWEEN 'a' AND 6", U),
        ("traits.n BETWEEN 'a' AND 4", F),
        ("traits.object = 1", F),
        ("traits.object < 1", U),
        ("traits.n = '*'", F),
        # lists
        ("traits.list = red", T),
        ("traits.list > 8", U),
        ("traits.list > 6", T),
        ("traits.none > 6", F),
        ("NOT traits.numbers > 3", T),
        # AND, OR, NOT after Kleene
        ("traits.no = 1 AND traits.n = 4", F),
        ("traits.no = 1 AND traits.n = 5", U),
        ("traits.no = 1 OR traits.n = 5", T),
        ("traits.no = 1 OR traits.n = 4", U),
        ("NOT (traits.no = 1 AND traits.n = 4)", T),
        ("NOT (traits.no = 1 OR traits.n = 4)", U),
        # ids are text, an empty one is not there
        ("id = p1", T),
        ("id != p2", T),
        ("NOT id IN [p1, p2]", F),
        ("primary_id = x", U),
        ("NOT primary_id = x", U),
        ("primary_id != x", T),
        # items
        ("ANY(traits.numbers) > 2", T),
        ("ALL(traits.numbers) > 0", T),
        ("all(traits.numbers) > 1", F),
        ("NONE(traits.numbers) > 3", T),
        ("ANY(traits.numbers) != 1", T),
        ("ALL(traits.list) > 6", U),
        ("ANY(traits.no) = 1", U),
        ("NONE(traits.no) = 1", U),
        ("ANY(traits.none) = 1", F),
        ("ALL(traits.none) = 1", T),
        ("ALL(traits.n) = 5", T),
        ("ALL(traits.list) IN [red, 7, 'B*']", T),
        ("ALL(traits.days) < now", F),
        ("ANY(traits.days) < now - 20d", T),
        ("ANY(traits.orders WHERE status = open AND total > 10)", T),
        ("ANY(traits.orders WHERE status = paid AND total > 10)", F),
        ("ANY(traits.orders WHERE status = open AND total > 20)", U),
        ("ALL(traits.orders WHERE status IN [open, paid])", T),
        ("NONE(traits.orders WHERE status = lost)", T),
        ("ANY(traits.orders WHERE ANY(lines WHERE sku = y))", T),
        ("ANY(traits.orders WHERE total = `total`)", T),
        # dates
        ("traits.renewal + 3d < now", T),
        ("traits.renewal + 7 days < now", F),
        ("now - 1 day > traits.renewal + 1w", F),
        ("traits.text + 7d < now", U),
        ("traits.renewal + 1 month = datetime('2026-12-20')", T),
        ("traits.renewal + 1d > traits.renewal", T),
        ("traits.renewal = `traits`.renewal + 0d", T),
        ("traits.renewal < 2026-11-18 + 3d", T),
        ("traits.renewal < now('Europe/London') AND traits.renewal > datetime('2026-11-20', 'Europe/Rome')", T),
        ("datetime.offset(traits.renewal, '1w') > now", T),
        ("traits.renewal >= now.start('month') AND traits.renewal < now.start('week', 'Europe/London')", T),
        ("traits.at = now.start('day', 'Europe/Rome')", T),
        ("traits.at >= now.start(day)", F),
        ("traits.renewal < now.start(year) + 1y - 42d", F),
    ],
)
def test_the_table(query: str, answer: bool | None) -> None:
    """hub/conditions/truth.py, line by line."""
    assert verdict(query, PROFILE) is answer


def kept(query: str, events: list[tuple[int, float | None]], keep_ms: int | None = -1) -> dict[str, Any]:
    """A profile that has had such events: how long ago in ms, a number. Args: keep_ms: -1: as the query needs it."""
    profile: dict[str, Any] = {"metadata": {"history": {}}}
    for series in series_of([for_kind(parse(query), "profiles")]).values():
        wanted = series if keep_ms == -1 else msgspec.structs.replace(series, keep_ms=keep_ms)
        state: State = {"count": 0}
        for ago_ms, value in events:
            state = note(state, wanted, NOW_MS - ago_ms, value)
        profile["metadata"]["history"][series.key] = state
    return profile


EVENTS_HAD: list[tuple[int, float | None]] = [(40 * DAY_MS, 10.0), (20 * DAY_MS, 0.1), (2 * DAY_MS, 0.2), (0, None)]


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("count(buy) = 4", T),
        ("count(buy) in last 30 days = 3 AND count(buy) IN LAST 21d > 2 AND count(buy) in the last 2 days = 1", T),
        ("count(buy) in last 30 days BETWEEN 3 AND 4 AND count(buy) in last 30 days IN [1, 3]", T),
        ("count(buy) in last 30 days != 3", F),
        ("never(buy)", F),
        ("never(buy) in last 7 days", F),
        ("sum(buy.properties.n) in last 30 days = 0.3", T),
        ("sum(buy.properties.n) > 10 AND avg(buy.properties.n) < 3.44 AND min(buy.properties.n) = 0.1", T),
        ("max(buy.properties.n) = 10 AND max(buy.properties.n) in last 1 month = 0.2", T),
        ("count(buy.properties.n) = 3", T),
        ("last(buy) > now - 1h AND first(buy) < now - 39d AND first(buy) IN LAST 30 days > now - 21d", T),
        ("last(buy) = now AND now - 1d < last(buy)", T),
        ("last(buy) < '2026-11-24'", F),
        ("count(buy) > count(buy) in last 30 days AND count(buy) in last 30 days < traits.no", U),
        ("last(buy) IS NULL", F),
        ("avg(buy.properties.n) in last 1h > 0", U),
        ("min(buy.properties.n) in last 1h IS NULL", T),
        ("sum(buy.properties.n) in last 1h = 0", T),
    ],
)
def test_what_has_happened(query: str, answer: bool | None) -> None:
    """A sum is what one would write down: 0.1 and 0.2 is 0.3."""
    assert verdict(query, kept(query, EVENTS_HAD)) is answer


@pytest.mark.parametrize("query", ["count(buy) = 0", "never(buy)", "never(buy) in last 3d", "sum(buy.n) = 0"])
def test_nothing_has_happened(query: str) -> None:
    """That is known once there is an account of it, and not before."""
    assert verdict(query, kept(query, [])) is True
    assert verdict(query, {}) is None
    assert verdict(f"NOT {query}", {"metadata": {"history": {}}}) is None


@pytest.mark.parametrize("query", ["last(buy) IS NULL", "NOT last(buy) > now - 7d", "count(buy) < 5"])
def test_a_history_that_is_not_kept_is_unknown(query: str) -> None:
    """`IS NULL` included: a profile whose events have not been counted yet is not one without events."""
    assert verdict(query, {"metadata": {}}) is None


def test_what_is_not_kept_far_enough_is_unknown_unless_it_can_be_told() -> None:
    """A longer span than was kept so far; totals tell some of it."""
    events = EVENTS_HAD[1:]
    asked = "count(buy) in last 10 days > 1"
    assert verdict(asked, kept(asked, events)) is True
    assert verdict(asked, kept(asked, events, keep_ms=None)) is None
    assert verdict("count(buy) in last 30 days = 3", kept(asked, events, keep_ms=None)) is True
    old: list[tuple[int, float | None]] = [(40 * DAY_MS, 1.0)]
    assert verdict(asked, kept(asked, old, keep_ms=None)) is False
    assert verdict("last(buy) in last 10 days > now - 1d", kept(asked, events, keep_ms=None)) is True


def test_only_events_for_which_where_holds_are_asked_for() -> None:
    """Two histories of one type are two series; function, span and blanks make no difference."""
    one, two, three, four = (
        next(histories(for_kind(parse(query), "profiles")))
        for query in (
            "sum(buy.properties.n WHERE properties.currency = GBP) in last 3d > 1",
            'avg( buy.properties.n where event@properties.currency  = "GBP") > 1',
            "avg(buy.properties.n where properties.currency = EUR) > 1",
            "count(buy where properties.currency = GBP) > 1",
        )
    )
    assert key_of(one) == key_of(two)
    assert len({key_of(one), key_of(three), key_of(four)}) == 3
    series = series_of([Compare(one, ">", Constant(1, "1")), Compare(two, ">", Constant(1, "1"))])
    ((key, only),) = series.items()
    assert (key, only.event_type, only.field, only.keep_ms) == (key_of(one), "buy", ("properties", "n"), 3 * DAY_MS)
    assert only.where is not None
    holds = judge(only.where)
    assert holds({"type": "buy", "properties": {"currency": "GBP"}}) is True
    assert holds({"type": "buy", "properties": {}}) is None
    assert len(key_of(one)) == 16
    assert key_of(History("count", "purchase")) == "ba778fe12ce2b3d5"  # in documents: it stays what it is


@settings(max_examples=200, deadline=None)
@given(EVENTS, EVENTS, st.sampled_from(SPANS), st.data())
def test_a_history_is_what_the_events_come_to(
    one: list[tuple[int, float | None]], other: list[tuple[int, float | None]], window: Window, data: st.DataObject
) -> None:
    """Noted in any order, on two profiles that become one, pruned: as if counted from the events."""
    has_field = data.draw(st.booleans())
    history = History("count", "x", None, Field(("n",)) if has_field else None, window)
    ((_, series),) = series_of([Compare(history, "=", Constant(0, "0"))]).items()
    halves: list[State] = []
    for events in (one, other):
        state: State = {"count": 0}
        for ago_ms, value in data.draw(st.permutations(events)):
            before = msgspec.json.encode(state)
            new = note(state, series, NOW_MS - ago_ms, value if has_field else None)
            assert msgspec.json.encode(state) == before  # pure
            state = new
        halves.append(pruned(state, series, NOW_MS) if data.draw(st.booleans()) else state)
    state = msgspec.json.decode(msgspec.json.encode(joined(*halves)))
    since_us = settled_since(history)
    counted = [(NOW_MS - ago_ms, value) for ago_ms, value in (*one, *other) if not has_field or value is not None]
    for is_windowed in (False, True):
        some = [(at, value) for at, value in counted if not is_windowed or at * 1_000 > since_us]
        values = [value for _, value in some if value is not None]
        expected: dict[str, Any] = {
            "count": len(some),
            "first": min((at * 1_000 for at, _ in some), default=MISSING),
            "last": max((at * 1_000 for at, _ in some), default=MISSING),
        }
        if has_field:
            expected["min"], expected["max"] = min(values, default=MISSING), max(values, default=MISSING)
        for function, answer in expected.items():
            found = value_of(state, function, since_us, is_windowed=is_windowed)  # type: ignore[arg-type]
            assert found == answer, function
        if has_field:
            found = value_of(state, "sum", since_us, is_windowed=is_windowed)
            assert isinstance(found, int | float)
            if all(abs(value) < 10 for value in values):
                assert math.isclose(found, math.fsum(values), abs_tol=1e-6)
    assert is_enough(state, series, NOW_MS)
    assert not is_enough(state, msgspec.structs.replace(series, keep_ms=999 * DAY_MS), NOW_MS) or "since" not in state


def settled_since(history: History) -> int:
    """Where its window begins."""
    (found,) = histories(settled(Compare(history, "=", Constant(0, "0")), NOW_US))
    assert found.since_us is not None
    return found.since_us


def test_a_long_history_stays_short() -> None:
    """1,000 entries at most; totals and the count of a span that holds them all stay right."""
    series = Series("k", "x", None, ("n",), 30 * DAY_MS)
    state: State = {"count": 0}
    for number in range(MAX_ENTRIES + 500):
        state = note(state, series, NOW_MS - number * 1_000, 1.0)
    assert len(state["entries"]) == MAX_ENTRIES
    assert sum(entry[1] for entry in state["entries"]) == state["count"] == MAX_ENTRIES + 500
    assert [entry[0] for entry in state["entries"]] == sorted(entry[0] for entry in state["entries"])
    assert value_of(state, "sum", NOW_US - 86_400_000_000, is_windowed=True) == MAX_ENTRIES + 500


def test_numbers_of_any_size_add_up() -> None:
    """Whatever a sender has in a number, the profile can be written."""
    series = Series("k", "x", None, ("n",), DAY_MS)
    state: State = {"count": 0}
    for value in (2**63, 2**63, 1.7e308, 1.7e308):
        state = note(state, series, NOW_MS, value)
    assert msgspec.json.decode(msgspec.json.encode(joined(state, state)))["count"] == 8


def test_a_span_that_is_longer_than_what_was_kept_begins_where_it_began() -> None:
    """Entries that are missed make the verdict unknown, until they are no longer asked for."""
    short = Series("k", "x", None, None, DAY_MS)
    state = pruned(note(note({"count": 0}, short, NOW_MS - 5 * DAY_MS), short, NOW_MS), short, NOW_MS)
    assert state["entries"] == [[NOW_MS, 1]]
    assert value_of(state, "count", NOW_US - 86_400_000_000, is_windowed=True) == 1
    assert value_of(state, "count", NOW_US - 4 * 86_400_000_000, is_windowed=True) is UNKNOWN
    assert value_of(state, "count", NOW_US - 6 * 86_400_000_000, is_windowed=True) == 2
    totals = Series("k", "x", None, None, None)
    assert "entries" not in note(state, totals, NOW_MS)
    again = note(note(state, totals, NOW_MS), short, NOW_MS + 1)
    assert again["entries"] == [[NOW_MS + 1, 1]]
    assert again["since"] == NOW_MS
    assert longest_ms(Window(1, "month")) == 31 * DAY_MS


@settings(max_examples=300, deadline=None)
@given(CONDITIONS)
def test_what_is_written_is_read_as_the_same(condition: Condition) -> None:
    """As far as a query can ask for it at all: then reading and writing are each other's reverse."""
    try:
        parsed = parse(written(condition))
    except QueryError:
        return
    assert parse(written(parsed)) == parse(written(parse(written(parsed))))
    assert unplaced(parse(written(parsed))) == unplaced(parsed)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("a=1 and not (b >2 or c is not null)", "a = 1 AND NOT (b > 2 OR c IS NOT NULL)"),
        ("a in (null,1) and b != [2]", "a IN [null, 1] AND b != [2]"),
        ("all(a.b)!='x*' and any(c where d~'^\"')", 'ALL(a.b) != "x*" AND ANY(c WHERE d MATCHES "^\\"")'),
        (
            "Never(buy where properties.a = b) in the last 1 week",
            'count(buy WHERE properties.a = "b") IN LAST 1 week = 0',
        ),
        ("any(a where any(a) = 1)", "ANY(a WHERE ANY(a) = 1)"),
        ("a>now.start(months,'Europe/Rome')-1d", 'a > now.start("month", "Europe/Rome") - 1 day'),
        ("lower(a.`b c`) = x and d.e + 7d < now-1month", "lower(a.`b c`) = x AND d.e + 7 days < now - 1 month"),
    ],
)
def test_written(query: str, text: str) -> None:
    """One way to write each."""
    assert written(parse(query)).replace("properties.a = b)", 'properties.a = "b")') == text


@pytest.mark.parametrize(
    ("query", "kind", "column", "words"),
    [
        ("sum(purchase) > 3", "profiles", 1, "sum() takes a number of the event, such as purchase.properties.price"),
        ("a = 1 AND count(x) > abc", "profiles", 11, "count() is a number, and is compared with one"),
        ("last(x) > 5", "profiles", 1, "last() is a time, and is compared with one"),
        ("last(x.y) > now", "profiles", 1, "last() takes an event type alone: it is a time"),
        ("count(x) CONTAINS 3", "profiles", 1, "count() is a number: it can be compared, and be one of several"),
        ("count(x where profile@a = 1) > 3", "profiles", 15, "in here fields are those of the event, without profile@"),
        ("count(x where a > now - 1d) > 1", "profiles", 15, "events are counted when they come, so this cannot ask"),
        ("any(a where count(x) > 1)", "profiles", 13, "an item has no history"),
        ("count(x) in last", "profiles", 17, "the query ends too early; expected a span such as 30 days"),
        ("count(x) in last 3 parsecs > 1", "profiles", 18, "'3 parsecs' is no span of time; such as 15m, 7d"),
        ("count(x) in last 0 days > 1", "profiles", 18, "a span of time is longer than 0"),
        ("count(x) in last 999 years > 1", "profiles", 18, "a span of time is at most 200 years"),
        ("any(a) = `b`", "profiles", 1, "any() is compared with values, not with fields"),
        ("any(a where b", "profiles", 14, "the query ends too early; expected NOT or a comparison"),
        ("count(x)", "profiles", 9, "the query ends too early; expected NOT or a comparison"),
        ("never(x) > 3", "profiles", 10, "'>' cannot stand here; expected AND, IN LAST, OR or the end"),
        ("a < now.start(hour)", "profiles", 5, "now.start(): hour is none of day, week, month, year"),
        ("a < now.start(day, Mars)", "profiles", 5, "now.start(): 'Mars' is no time zone"),
        ("a + 3 furlongs > now", "profiles", 3, "'+ 3 furlongs' is no span of time"),
        ("lower(a) = 'x' + 3d", "profiles", 16, "only a time and a field that holds one can be moved"),
        ("type = x AND count(x) > 3", "events", 14, "only profiles have a history, not events"),
        ("never(x)", "sessions", 1, "only profiles have a history, not sessions"),
        ("event@type = x", "profiles", 1, "profiles have no event@"),
    ],
)
def test_errors(query: str, kind: Any, column: int, words: str) -> None:
    """Said when a condition is saved, with the place."""
    with pytest.raises(QueryError) as caught:
        for_kind(parse(query), kind)
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == (1, column)


def test_brackets_of_any_kind_are_counted() -> None:
    with pytest.raises(QueryError, match="more than 30 deep"):
        parse("any(a where " * 40 + "b = 1" + ")" * 40)


def test_time_alone_changes_a_span() -> None:
    """A condition with a span of time moves; once settled it does not."""
    condition = for_kind(parse("count(buy) in last 1h >= 1"), "profiles")
    assert moves(condition)
    assert not moves(settled(condition, NOW_US))
    assert not moves(parse("count(buy) >= 1"))
    assert moves(parse("any(a where b > now)"))
    moments = iter([NOW_US, NOW_US + 3_599_999_999, NOW_US + 3_600_000_000])
    matches = compile_python(condition, moments.__next__)
    profile = kept("count(buy) in last 1h >= 1", [(0, None)])
    assert [matches(profile) for _ in range(3)] == [True, True, False]
    with pytest.raises(ValueError, match="needs a clock"):
        compile_python(condition)


@settings(max_examples=300, deadline=None)
@given(STARTS, SHIFTS, st.integers(-40, 40), st.integers(0, 400 * 86_400), st.sampled_from(["<", ">=", "="]))
def test_a_day_begins_by_the_calendar_of_its_zone(
    start: Start, shifts: tuple[Shift, ...], days: int, later_s: int, order: Order
) -> None:
    """Between now and the moment that is told, no verdict changes; a beginning is a midnight, and not after now."""
    begin = start_of(NOW_US, start)
    following = next_start(NOW_US, start)
    assert begin <= NOW_US < following
    assert start_of(following, start) == following
    assert start_of(following - 1, start) == begin
    assert datetime.fromtimestamp(begin / 1e6, ZoneInfo(start.zone)).time() == clock(0)
    condition = Compare(Field(("at",)), order, Now(shifts, start))
    try:
        at = moment_of(Now(shifts, start), NOW_US) + days * 86_400_000_000
        document = {"at": time_text(at)}
        change = next_change(condition)(document, NOW_US)
        us = NOW_US + later_s * 1_000_000
        if change is None or us < change:
            assert judge(condition, lambda: us)(document) is judge(condition, lambda: NOW_US)(document)
    except ValueError:  # moved out of the calendar
        return


def test_a_history_beside_other_documents() -> None:
    """In a condition on several documents it is the profile's."""
    condition = of_documents(parse("event@type = buy AND count(buy) > 1"), ("profile", "event"), "event")
    profile = kept("count(buy) > 1", [(0, None), (1, None)])
    assert compile_python(condition)({"profile": profile, "event": {"type": "buy"}})
    with pytest.raises(QueryError, match="profile@ is not known here"):
        of_documents(parse("count(buy) > 1"), ("event",), "event")


def test_a_condition_with_all_of_it_can_be_json() -> None:
    condition = for_kind(
        parse("count(b where c = 1) in last 3d > 2 AND a + 7d < now AND NOT any(c where d != 1)"), "profiles"
    )
    assert msgspec.json.decode(msgspec.json.encode(condition), type=Condition) == condition


@pytest.mark.parametrize("kind", ["profiles", "events", "sessions", "dead-letters"])
def test_the_keys_at_the_top_are_those_that_documents_have(kind: Any) -> None:
    """`hub.conditions` knows no document, and names them once more."""
    assert TOPS[kind] == tops(kind)


def test_a_regular_expression_takes_no_longer_than_the_text() -> None:
    """What would run for years elsewhere; what is too large is refused."""
    begin = time.process_time()
    assert not regular("^(a+)+$")("a" * 100_000 + "b")
    assert time.process_time() - begin < 10
    for pattern in ("(?=a)b", r"(a)\1", "x{1001}", "((a{100}){100}){100}", "x" * 1_001):
        with pytest.raises(PatternError):
            regular(pattern)


def test_explained() -> None:
    """Of each part, what it is and why: what was seen, and what is not known."""
    condition = for_kind(
        parse(
            "traits.n > 4 AND (traits.no = 1 OR NOT traits.text ~ 'x') AND count(buy) > 1"
            " AND any(traits.orders where total > 10) AND traits.renewal < now - 1d AND traits.n != `traits`.n"
        ),
        "profiles",
    )
    found = explained(condition, PROFILE, NOW_US)
    assert (found.kind, found.verdict) == ("and", "false")
    numbers, either, bought, orders, renewal, unequal = found.parts
    assert (numbers.verdict, numbers.seen[0].value) == ("true", 5)
    assert [part.verdict for part in either.parts] == ["unknown", "true"]
    assert either.parts[0].seen[0].state == "missing"
    assert (bought.verdict, bought.seen[0].state) == ("unknown", "not kept yet")
    assert [(part.verdict, part.condition) for part in orders.parts] == [
        ("true", "total > 10"),
        ("false", "total > 10"),
        ("unknown", "total > 10"),
    ]
    assert [seen.value for seen in renewal.seen] == ["2026-11-20", "2026-11-23T15:21:00Z"]
    assert (unequal.kind, unequal.verdict, unequal.parts[0].verdict) == ("unless", "false", "true")


def test_explained_with_what_was_made_of_it() -> None:
    """What is written in SQL and kept by profiles; without a document, no verdict."""
    found = explain("count(buy where properties.n > 1) in last 2d >= 1 OR lower(traits.a) = x", "profiles", NOW_US)
    assert found.tree.verdict is None
    assert "hub_history" in found.sql.where
    assert "hub_holds" in found.sql.where
    assert found.search.exact
    assert ".traits.a=sx" in msgspec.json.encode(found.search.query).decode()
    assert [(one.events, one.keep_ms) for one in found.histories] == [("buy WHERE properties.n > 1", 2 * DAY_MS)]
    assert found.moves
    profile = kept("count(buy) in last 2d >= 1", [(DAY_MS, None)])
    assert explain("count(buy) in last 2d >= 1", "profiles", NOW_US, profile).changes_at == "2026-11-25T15:21:00Z"
