"""Conditions as queries of the search engine: what it can decide itself, and what it has to be asked for."""

from __future__ import annotations

from typing import Any

import pytest

from hub.conditions.history import joined, note, pruned, series_of
from hub.conditions.python import compile_python
from hub.store.elastic import tokens
from hub.store.elastic.dsl import compile_dsl
from hub.store.elastic.facts import facts
from hub.store.port import Kind
from hub.store.query import condition_on, prepare
from tests.unit.condition_cases import NOW_US
from tests.unit.search_cases import is_found, is_plain


@pytest.mark.parametrize(
    "query",
    [
        "",
        "id = ann",
        "traits.n = 1 AND traits.n != 2 AND NOT traits.n > 3",
        "traits.text >= Rome OR traits.flag = true",
        "traits.n BETWEEN 1 AND 2.5 AND traits.text BETWEEN A AND B",
        "traits.n IN [1, 2] AND traits.text NOT IN [x, 'y*', 'a*b*c']",
        "traits.text EXISTS AND traits.n IS NULL AND traits.list NOT EMPTY",
        "traits.text CONTAINS x OR traits.text STARTS WITH x OR NOT traits.text ENDS WITH x",
        "traits.list CONTAINS 5 AND traits.list NOT CONTAINS x",
        "ANY(traits.list) > 2 AND ALL(traits.list) BETWEEN 1 AND 9 AND NONE(traits.list) IN [5, 6]",
        "ANY(traits.list) != 1 OR ALL(traits.list) STARTS WITH x",
        "ANY(traits.orders WHERE status = open) AND NONE(traits.orders WHERE status = open OR total > 5)",
        "traits.at > now - 7d AND traits.at < 2026-12-01 AND traits.at = datetime('2026-11-24', 'Europe/Rome')",
        "traits.at + 3 days < now.start(day, Asia/Tokyo) AND NOT datetime(traits.at) IS NULL",
        "lower(traits.text) = x AND lower(traits.text) STARTS WITH x AND lower(traits.text) IN [a, 'b*']",
        "traits.list.0 = 1 AND traits.orders.1.total > 5",
        "count(buy) >= 3 AND never(refund) AND sum(buy.properties.n) > 5 AND avg(buy.properties.n) BETWEEN 1 AND 2",
        "count(buy) in last 30 days >= 3 AND count(buy) in last 7 days = 0 AND NOT never(x) in last 3 days",
        "last(buy) < now - 30d AND first(buy) > 2020-01-01 AND last(buy) in last 1 day > now - 1h",
        "min(buy.properties.n) > 5 OR last(buy) IS NULL",
    ],
)
def test_what_people_ask_for_is_left_to_the_engine(query: str) -> None:
    """Nothing of it is asked of Python, document by document; nor of what it is not true of."""
    assert compile_dsl(prepare(query, "profiles", NOW_US), "profiles").is_exact
    assert compile_dsl(prepare(f"NOT ({query})" if query else "", "profiles", NOW_US), "profiles").is_exact


DOCUMENTS: list[dict[str, Any]] = [
    {"traits": {"n": number, "text": text, "city": "Rome", "orders": [{"a": number, "b": 1}, {"a": 0, "b": number}]}}
    for number in range(3)
    for text in ("x1", "y2")
]


@pytest.mark.parametrize(
    ("query", "most"),
    [
        ("traits.text ~ '^x' AND traits.n = 1", 2),
        ("traits.n = traits.orders AND traits.city = Rome AND traits.text = x1", 3),
        ("traits.nobody = traits.n", 0),
        ("ANY(traits.orders WHERE a = 1 AND b = 1)", 2),
        ("ANY(traits.orders WHERE a = 3 AND b ~ x)", 0),
        ("upper(traits.text) = X1 AND traits.n > 1", 2),
        ("traits.city + 1 month > now", 0),
        ("max(buy.properties.n) in last 7 days > 5", 0),
    ],
)
def test_what_is_asked_of_python_is_little(query: str, most: int) -> None:
    """The engine cannot decide it, and leaves out most of what it is not true of."""
    search = compile_dsl(prepare(query, "profiles", NOW_US), "profiles")
    assert not search.is_exact
    assert sum(is_found(search.maybe, facts(document, "profiles")) for document in DOCUMENTS) <= most


@pytest.mark.parametrize(
    "rising",
    [
        [-(2.0**70), -(2**63), -1.5, -1, -0.1, 0, 5e-324, 0.1, 1, 1.5, 2**53, 2**53 + 1, 2**63 - 2, 2**63 - 1, 2.0**63],
        [2**63, 2**63 + 1, 2**64 - 1, 2.0**64, 1e300],
    ],
)
def test_numbers_are_in_order(rising: list[float]) -> None:
    """As Python compares them, which is exact."""
    written = [tokens.number(value) for value in rising]
    assert written == sorted(set(written))
    assert tokens.number(-0.0) == tokens.number(0) == tokens.number(0.0)
    assert tokens.number(2**53) == tokens.number(2.0**53)


@pytest.mark.parametrize(
    "query",
    [
        "lower(a) < m",
        "lower(a) >= zebra",
        "lower(a) != zebra",
        "lower(a) = Zebra",
        "lower(a) CONTAINS ebr",
        "lower(a) IN ['z*', 'ärger', k]",
        "lower(a) ENDS WITH '00z'",
        "NOT lower(a) STARTS WITH 'z'",
        "lower(a) > '2026-11-24'",
        "upper(a) = ZEBRA",
        "NOT upper(a) > M",
        "lower(a) EMPTY",
    ],
)
def test_small_letters(query: str) -> None:
    """As Python makes them, of any language."""
    for text in ("Zebra", "zebra", "ZEBRA", "Ärger", "mole", "2026-11-24T15:21:00Z", "İ", "\u212a", ""):
        check(query, {"a": text})
        check(query, {"a": [text, "x"]})


@pytest.mark.parametrize("how", ["ANY", "ALL", "NONE"])
@pytest.mark.parametrize(
    "where",
    ["q = 1", "q != 1", "q > 0 AND r = 1", "q EXISTS", "q IS NULL", "q EMPTY", "q.r = 1", "NOT q IN [2]"],
)
def test_items_that_lack_what_is_asked_for(how: str, where: str) -> None:
    """Some of them, all of them; and items that are no objects."""
    some: list[Any] = [{"q": 1}, {"q": 2, "r": 1}, {"q": None}, {"r": 1}, {}, 1, None, [1], {"q": []}, {"q": [1, None]}]
    for one in some:
        check(f"{how}(a WHERE {where})", {"a": one})
        for other in some:
            check(f"{how}(a WHERE {where})", {"a": [one, other]})
            check(f"{how}(a WHERE ANY(b WHERE {where}))", {"a": [{"b": [one, other]}, {"b": one}, {}]})


def check(query: str, document: dict[str, Any], kind: Kind = "profiles") -> None:
    """What is sure holds, and what holds may be."""
    for text in (query, f"NOT ({query})"):
        condition = prepare(text, kind, NOW_US)
        search, found = compile_dsl(condition, kind), facts(document, kind)
        assert is_found(search.sure, found) <= compile_python(condition)(document) <= is_found(search.maybe, found)
        if search.is_exact and is_plain(document):
            assert is_found(search.sure, found) == is_found(search.maybe, found)


SPANS = ["{0} > 0", "{0} >= 3", "{0} BETWEEN 2 AND 31", "{0} = 32", "{0} != 40", "{0} < 0.5"]


@pytest.mark.parametrize("events", [0, 1, 9, 30, 40, 1_010])
def test_spans_of_time(events: int) -> None:
    """One event a day; a thousand entries are kept, and some older ones together."""
    ((key, series),) = series_of([condition_on("count(buy) in last 1000 days > 1", "profiles")]).items()
    state: dict[str, Any] = {"count": 0}
    for ago in reversed(range(events)):
        state = note(state, series, NOW_US // 1_000 - ago * 86_400_000 - 1)
    weighed = {**state, "entries": [[time_ms, 3] for time_ms, _ in state.get("entries", [])], "count": 3 * events}
    for kept in (state, pruned(state, series, NOW_US // 1_000), joined(state, state), weighed):
        for days in (1, 9, 10, 11, 40, 1_500):
            for span in SPANS:
                asked = span.format(f"count(buy) in last {days} days")
                check(asked, {"metadata": {"history": {key: kept}}})


def test_a_document_becomes_tokens() -> None:
    """Keys may have anything in them; null is not there."""
    made = facts({"a.b": {"c": "Ü", "d": None}, "e": [1, [None], {}], "t": "2026-11-24T15:21:00+01:00"}, "events")
    one, at = tokens.number(1), tokens.instant(1_795_530_060_000_000)
    assert set(made) == {
        *(r".a\.b:o", r".a\.b.c:s", r".a\.b.c=sÜ", r".a\.b.c=fü"),
        *(".e:l", ".e[]:n", f".e[]=n{one}", ".e[0]:n", f".e[0]=n{one}"),
        *(".e[]:l", ".e[1]:l", ".e[][]:0", ".e[1][]:0", ".e[]:O", ".e[2]:O"),
        *(".t:d", f".t=d{at}", ".t=t2026-11-24T15:21:00+01:00"),
    }


def test_a_document_cannot_have_too_many() -> None:
    """It is told by one token that nothing is known of it, and every search asks Python of it."""
    wide = facts({"a": list(range(30_000))}, "events")
    nested: Any = 1
    for _ in range(5_000):
        nested = [nested]
    assert wide == facts({"a": nested}, "events") == [tokens.WIDE]
    search = compile_dsl(prepare("a = 5", "events", NOW_US), "events")
    assert (is_found(search.sure, wide), is_found(search.maybe, wide)) == (False, True)
