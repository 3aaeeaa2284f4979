"""Documents and conditions made at random, and what SQL says of them: for tests that compare compilers."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from functools import cache
from typing import Any, Literal

import msgspec
from hypothesis import strategies as st

from hub.conditions.ast import (
    And,
    Between,
    Compare,
    Condition,
    Constant,
    Dated,
    Field,
    Folded,
    Function,
    History,
    Holds,
    IsEmpty,
    IsNull,
    Items,
    Matches,
    Moment,
    Not,
    Now,
    OneOf,
    Or,
    Pattern,
    Shift,
    Start,
    Window,
)
from hub.conditions.history import Series, State, joined, note, pruned, series_of
from hub.conditions.keys import key_of
from hub.conditions.times import read_time
from hub.store.query.functions import add_functions
from hub.store.query.sql import compile_sql

NOW_US = 1_795_533_660_000_000  # 2026-11-24T15:21:00Z
NOW_MS = NOW_US // 1_000


def in_sql(condition: Condition, document: Any) -> bool:
    """Whether a condition is met, by SQLite. Args: condition: on profiles, settled."""
    clause = compile_sql(condition, "profiles")
    id = document.get("id", "")
    # both ways in which JSON may write the same characters
    answers = {
        _connection()
        .execute(
            f"SELECT {clause.sql} FROM (SELECT :doc AS doc, :id AS id)",
            clause.parameters | {"doc": text, "id": id if isinstance(id, str) else ""},
        )
        .fetchone()
        for text in (msgspec.json.encode(document).decode(), json.dumps(document))
    }
    ((answer,),) = answers
    assert answer in (0, 1)  # never NULL, so that it can be turned round and compared
    return bool(answer)


def found_in_sql(conditions: Iterable[Condition], documents: Sequence[Any]) -> Iterator[set[int]]:
    """The places of the documents that each condition finds in a table. Args: conditions: as of `in_sql`."""
    with closing(sqlite3.connect(":memory:")) as connection:
        add_functions(connection)
        connection.execute("CREATE TABLE documents (place INTEGER PRIMARY KEY, doc TEXT, id TEXT)")
        rows = [(place, json.dumps(one), one.get("id", "")) for place, one in enumerate(documents)]
        connection.executemany("INSERT INTO documents VALUES (?, ?, ?)", rows)
        for condition in conditions:
            clause = compile_sql(condition, "profiles")
            found = connection.execute(f"SELECT place FROM documents WHERE {clause.sql}", clause.parameters)
            yield {place for (place,) in found}


@cache
def _connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    add_functions(connection)
    return connection


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths and scalars of a document; an item of a list under the list's path as well as under its own."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, str(index)))
            if not isinstance(inner, dict | list):
                yield path, inner
    else:
        yield path, value


def constant(value: Any) -> Constant:
    """A value as a query has it."""
    return Constant(value, str(value), False, read_time(value) if isinstance(value, str) else None)


TIME, TIME_THERE = "2026-11-24T15:21:00Z", "2026-11-24T16:21:00.000+01:00"
KEYS = st.sampled_from(
    ["a", "b", "a b", "x.y", "ü", 'q"q', "back\\slash", "0", "1", "", "it's", "$", "a-b", "tab\t", "</a>"]
)
_TEXTS = ["1", "true", "null", "", "a", "ü", "Ü", '"', "[1]", "{}", "a*b", "a?[b]"]
_TIMES = [TIME, TIME_THERE, "2026-11-24", "2026-11-23T15:21:00Z", "2026-10-24 10:21:00-05:00", "0001-01-01T00:00:00Z"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.1, 0.5, 1.0, -0.0, 2.0**53, *_TEXTS, *_TIMES])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)

SPANS = [Window(1, "day"), Window(30, "day"), Window(1, "month"), Window(90, "second"), Window(2, "week")]
FUNCTIONS: list[Function] = ["count", "sum", "avg", "min", "max", "first", "last"]


def _history(function: Function, event_type: str, is_paid: bool, window: Window | None) -> History:
    where = Compare(Field(("properties", "paid")), "=", Constant(True, "true")) if is_paid else None
    field = None if function in {"count", "first", "last"} else Field(("properties", "n"))
    return History(function, event_type, where, field, window)


HISTORIES = st.builds(
    _history,
    st.sampled_from(FUNCTIONS),
    st.sampled_from(["view", "purchase"]),
    st.booleans(),
    st.none() | st.sampled_from(SPANS),
)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 89_999, 90_000, 90_001, 86_400_000, 20 * 86_400_000, 40 * 86_400_000, -1])
        | st.integers(-1_000, 60 * 86_400_000),
        st.none() | st.integers(-3, 3) | st.sampled_from([0.1, 0.2, 0.3, 1e300, -1e300]),
    ),
    max_size=6,
)
"""How long before now, milliseconds; a number that the event has."""


_MOSTLY = st.sampled_from([True, True, True, True, False])


@st.composite
def states(draw: st.DrawFn, series: Series) -> State | int:
    """What a profile may have kept of its events."""
    kept = msgspec.structs.replace(series, keep_ms=draw(st.sampled_from([None, 86_400_000, 60 * 86_400_000])))
    made: list[State] = []
    for events in draw(st.lists(EVENTS, min_size=1, max_size=2)):
        state: State = {"count": 0}
        for ago_ms, value in events:
            state = note(state, kept, NOW_MS - ago_ms, None if series.field is None else value)
        made.append(state)
    state = made[0] if len(made) == 1 else joined(*made)
    if not state["count"] and draw(st.booleans()):
        return 0
    return pruned(state, kept, NOW_MS) if draw(st.booleans()) else state


@st.composite
def documents(draw: st.DrawFn, asked: list[History]) -> dict[str, Any]:
    """A profile. Args: asked: histories of which it may have kept what they need."""
    document: dict[str, Any] = draw(st.dictionaries(KEYS, VALUES, max_size=4))
    some = {key_of(history): history for history in asked}
    if some and bool(draw(_MOSTLY)):
        kept = {
            one.key: draw(states(one))
            for one in series_of(Compare(history, "=", Constant(0, "0")) for history in some.values()).values()
            if draw(_MOSTLY)
        }
        document["metadata"] = {"history": kept}
    return document


FIELDS = st.builds(Field, st.lists(KEYS, min_size=1, max_size=3).map(tuple))
SHIFTS = st.lists(
    st.builds(Shift, st.integers(-40, 40), st.sampled_from(["second", "hour", "day", "month", "year"])), max_size=2
).map(tuple)
PLACES = st.one_of(FIELDS, FIELDS, FIELDS, st.builds(Folded, FIELDS, st.booleans()), st.builds(Dated, FIELDS, SHIFTS))
CONSTANTS = SCALARS.filter(lambda value: value is not None).map(constant)
PATTERNS = st.lists(st.sampled_from(["", "a", "ü", "?", "[", "*", "2026", "]"]), min_size=2, max_size=3).map(
    lambda parts: Pattern(tuple(parts), "*".join(parts))
)
STARTS = st.builds(
    Start, st.sampled_from(["day", "week", "month", "year"]), st.sampled_from(["UTC", "Europe/London", "Asia/Tokyo"])
)
MOMENTS = st.sampled_from([Moment(NOW_US), Moment(0)]) | st.builds(Now, SHIFTS, st.none() | STARTS)
SINGLES = st.one_of(CONSTANTS, CONSTANTS, PATTERNS, MOMENTS)
EXPRESSIONS = st.sampled_from(["", "a", "^.$", "[0-9]+", "ü|e", "^true$", "T.*Z"])
ORDERS = st.sampled_from(["<", "<=", ">", ">="])
NUMBERS = st.sampled_from([0, 1, 2, 3, 0.3, 0.5, -1, 2**53, 1e300]).map(constant)


@st.composite
def _of_history(draw: st.DrawFn) -> Condition:
    history = draw(HISTORIES)
    values = MOMENTS if history.function in {"first", "last"} else NUMBERS
    return draw(
        st.one_of(
            st.builds(Compare, st.just(history), ORDERS | st.just("="), values | HISTORIES | FIELDS),
            st.builds(Between, st.just(history), values, values),
            st.builds(OneOf, st.just(history), st.lists(values, max_size=3).map(tuple)),
            st.builds(IsNull, st.just(history)),
        )
    )


_ATOMS = st.one_of(
    st.builds(Compare, PLACES, st.just("="), st.one_of(SINGLES, PLACES)),
    st.builds(Compare, PLACES, ORDERS, st.one_of(CONSTANTS, MOMENTS, PLACES)),
    st.builds(Between, PLACES, st.one_of(CONSTANTS, MOMENTS), st.one_of(CONSTANTS, MOMENTS)),
    st.builds(OneOf, PLACES, st.lists(SINGLES, max_size=4).map(tuple)),
    st.builds(Holds, PLACES, st.just("contains"), CONSTANTS),
    st.builds(
        Holds,
        PLACES,
        st.sampled_from(["starts", "ends"]),
        CONSTANTS.map(lambda one: Constant(one.written, one.written)),
    ),
    st.builds(Matches, PLACES, EXPRESSIONS),
    st.builds(IsNull, PLACES),
    st.builds(IsEmpty, PLACES),
)
_ON_ITEM = st.one_of(
    _ATOMS,
    st.builds(Compare, st.just(Field(())), st.just("=") | ORDERS, CONSTANTS | MOMENTS),
    st.builds(IsNull, st.just(Field(()))),
)
_HOWS: st.SearchStrategy[Literal["any", "all", "none"]] = st.sampled_from(["any", "all", "none"])


@st.composite
def _wheres(draw: st.DrawFn) -> Condition:
    """On an item."""
    one = draw(_ON_ITEM)
    how = draw(st.sampled_from(["one", "one", "not", "and", "or", "items"]))
    if how == "not":
        return Not(one, draw(st.booleans()))
    if how == "items":
        return Items(draw(FIELDS), draw(_HOWS), one)
    if how == "one":
        return one
    return (And if how == "and" else Or)((one, draw(_ON_ITEM)))


ATOMS = st.one_of(_ATOMS, _ATOMS, _ATOMS, st.builds(Items, FIELDS, _HOWS, _wheres()), _of_history(), _of_history())
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds(Not, inner, st.booleans()),
        st.builds(Not, inner, st.booleans()),
        st.builds(And, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
