"""A condition that is written out as Python says what the functions say that it was written instead of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.conditions.ast import Between, Compare, Condition, Not
from hub.conditions.code import write_out, write_out_all
from hub.conditions.history import note, series_of
from hub.conditions.python import compile_python
from hub.conditions.walk import histories
from hub.store.query.segment import segment_condition
from tests.unit.condition_cases import CONDITIONS, HISTORIES, NOW_MS, NOW_US, NUMBERS, ORDERS, constant, documents


@pytest.mark.slow
@given(st.data(), st.lists(CONDITIONS, min_size=1, max_size=4))
@settings(max_examples=500)
def test_written_out_alone_or_together_it_says_the_same(data: st.DataObject, conditions: list[Condition]) -> None:
    document = data.draw(documents([history for one in conditions for history in histories(one)]))
    expected = tuple(compile_python(one, lambda: NOW_US)(document) for one in conditions)
    assert tuple(write_out(one)(document, NOW_US) for one in conditions) == expected
    assert write_out_all(conditions)(document, NOW_US) == expected


OF_HISTORY = st.builds(
    Compare, HISTORIES, ORDERS | st.just("="), st.sampled_from([0, 1, 2, 3, 0.3, 1.5, -1]).map(constant)
) | st.builds(Between, HISTORIES, NUMBERS, NUMBERS)


@pytest.mark.slow
@given(st.data(), st.lists(OF_HISTORY | OF_HISTORY.map(Not), min_size=4, max_size=12))
@settings(max_examples=300)
def test_so_it_does_of_what_has_happened(data: st.DataObject, conditions: list[Condition]) -> None:
    document = data.draw(documents([history for one in conditions for history in histories(one)]))
    expected = tuple(compile_python(one, lambda: NOW_US)(document) for one in conditions)
    assert write_out_all(conditions)(document, NOW_US) == expected


DOCUMENT: dict[str, Any] = {
    "traits": {"name": "Ann {0}", "tags": ["a", "b", None], "n": 3, "vip": False, "at": "2026-11-24T15:21:00Z"},
    "interests": "none",
    "metadata": {"history": {}},
}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ('traits.name = "Ann {0}"', True),
        ('traits.name STARTS WITH "Ann {"', True),
        ('traits.name CONTAINS "n {"', True),
        ("traits.tags CONTAINS b", True),
        ("NOT traits.tags CONTAINS c", False),  # there is one of which nothing is known
        ("traits.tags = a", True),
        ("traits.tags.1 = b", True),
        ("traits.vip = false", True),
        ("traits.vip = 0", False),
        ("traits.n IN [1, 2, 3]", True),
        ('traits.n IN ["3"]', False),
        ('NOT traits.n > "3"', False),
        ("traits.n BETWEEN 3 AND 4", True),
        ("interests.garden > 3", False),
        ("interests.garden IS NULL", True),
        ("traits.at < now - 1 second", False),
        ("traits.at <= now", True),
        ("traits.n < now", False),
        ("count(buy) = 0", False),
        ("NOT count(buy) > 0", False),
    ],
)
def test_by_hand(query: str, answer: bool) -> None:
    condition = segment_condition(query)
    assert compile_python(condition, lambda: NOW_US)(DOCUMENT) is answer
    assert write_out(condition)(DOCUMENT, NOW_US) is answer
    assert write_out_all([condition, condition])(DOCUMENT, NOW_US) == (answer, answer)


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("count(buy) in last 1 day >= 2", True),
        ("count(buy) in last 1 day > 2", False),
        ("count(buy) in last 1 hour = 1", True),
        ("NOT count(buy) in last 1 hour >= 2", True),
        ("count(buy) in last 1 month BETWEEN 3 AND 3", True),
        ("sum(buy.properties.n) in last 1 day > 5", False),
        ("sum(buy.properties.n) in last 1 month > 5", True),
        ("avg(buy.properties.n) = 2", True),
        ("max(buy.properties.n) in last 1 hour >= 2", False),
        ("last(buy) < now - 10 minutes", True),
        ("first(buy) > now - 2 days", False),
        ("never(buy) in last 1 minute", True),
    ],
)
def test_what_has_happened_by_hand(query: str, answer: bool) -> None:
    """Three times: three days, two hours, half an hour ago; 3, 2 and 1."""
    condition = segment_condition(query)
    history = {}
    for key, series in series_of([condition]).items():
        state: dict[str, Any] | None = None
        for minutes, n in ((3 * 1_440, 3), (120, 2), (30, 1)):
            state = note(state, series, NOW_MS - minutes * 60_000, n)
        history[key] = state
    document = {"metadata": {"history": history}}
    assert compile_python(condition, lambda: NOW_US)(document) is answer
    assert write_out(condition)(document, NOW_US) is answer


def test_each_call_has_its_own_time() -> None:
    met = write_out(segment_condition("traits.at < now.start(day, UTC) AND traits.tags < now"))
    later = write_out(segment_condition("traits.at > now - 1 month"))
    assert not met(DOCUMENT, NOW_US)
    assert [later(DOCUMENT, NOW_US + days * 86_400_000_000) for days in (0, 29, 31, 0)] == [True, True, False, True]
