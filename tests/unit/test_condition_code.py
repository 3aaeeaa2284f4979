"""A condition that is written out as Python says what the functions say that it was written instead of."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.conditions.ast import Condition
from hub.conditions.code import write_out, write_out_all
from hub.conditions.python import compile_python
from hub.conditions.walk import histories
from hub.store.query.segment import segment_condition
from tests.unit.condition_cases import CONDITIONS, NOW_US, documents


@given(st.data(), st.lists(CONDITIONS, min_size=1, max_size=4))
@settings(max_examples=500)
def test_written_out_alone_or_together_it_says_the_same(data: st.DataObject, conditions: list[Condition]) -> None:
    document = data.draw(documents([history for one in conditions for history in histories(one)]))
    expected = tuple(compile_python(one, lambda: NOW_US)(document) for one in conditions)
    assert tuple(write_out(one)(document, NOW_US) for one in conditions) == expected
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


def test_each_call_has_its_own_time() -> None:
    met = write_out(segment_condition("traits.at < now.start(day, UTC) AND traits.tags < now"))
    later = write_out(segment_condition("traits.at > now - 1 month"))
    assert not met(DOCUMENT, NOW_US)
    assert [later(DOCUMENT, NOW_US + days * 86_400_000_000) for days in (0, 29, 31, 0)] == [True, True, False, True]
