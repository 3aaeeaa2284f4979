"""How values are written in a flow: references, texts with marks, expressions, objects."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.conditions import QueryError
from hub.flows import arithmetic, conditions
from hub.flows.notation import NotationError, ValueFault, compiled, is_reference
from tests.unit.flow_cases import EVENT, NOW_MS, PROFILE

SCOPE: dict[str, Any] = {
    "payload": {"a": 1, "b": [{"c": "x"}, 2], "with space": True, "big": 10},
    "event": EVENT,
    "profile": PROFILE,
    "session": {},
    "memory": {},
    "flow": {"id": "f"},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("profile@traits.name", "Ann"),
        ("event@properties.items.1.price", 9.5),
        ("payload@b.0.c", "x"),
        ('payload@["with space"]', True),
        ("payload@...", SCOPE["payload"]),
        ("profile@traits.none.deeper", None),
        ("plain text", "plain text"),
        ("write to us: ann@example.com", "write to us: ann@example.com"),
        ("Hello {{ profile@traits.name }}, {{event@properties.amount}}!", "Hello Ann, 12.5!"),
        ("[{{ profile@traits.none }}]", "[]"),
        ("{{ payload.b }}", '[{"c":"x"},2]'),
        ("= max_by(event.properties.items, &price).n", "jam"),
        ("='profile@traits.name'", "profile@traits.name"),
        (5, 5),
        (None, None),
        ([1, "payload@a", {"x": "payload@a"}], [1, 1, {"x": 1}]),
        ({"k": "payload@a", "gone?": "payload@none", "null": "payload@none"}, {"k": 1, "null": None}),
        ({"deep": {"list": ["payload@b.1"]}}, {"deep": {"list": [2]}}),
    ],
)
def test_what_a_template_gives(template: Any, value: Any) -> None:
    assert compiled(template)(SCOPE) == value


@pytest.mark.parametrize(
    ("template", "column", "words"),
    [
        ("profile@trait.name", 9, "is it profile@traits?"),
        ("event@example.com", 7, "if the text is meant, write ='event@example.com'"),
        ("=max(", 6, ""),
        ("= sizze(payload.a)", 3, "unknown function sizze()"),
        ("a {{ payload@a", 3, "has no }}"),
        ("a {{ }}", 3, "nothing between"),
        ("a {{ profile@trait }}", 14, "profile@ has no 'trait'"),
        ("ab {{ sizze(a) }}", 7, "unknown function"),
    ],
)
def test_what_is_wrong_is_said_with_its_column(template: str, column: int, words: str) -> None:
    with pytest.raises(NotationError) as caught:
        compiled({"x": [template]})
    assert (caught.value.path, caught.value.column) == (("x", 0), column)
    assert words in caught.value.detail


def test_what_cannot_be_evaluated_is_a_fault_of_the_value() -> None:
    with pytest.raises(ValueFault, match="cannot be evaluated"):
        compiled("=number(profile.traits.name)")(SCOPE)


@given(st.text(max_size=40))
def test_a_text_that_is_no_notation_stands_for_itself(text: str) -> None:
    if not (text.startswith("=") or "{{" in text or is_reference(text)):
        assert compiled(text)(SCOPE) == text


def test_nothing_of_the_documents_is_changed() -> None:
    before = repr(SCOPE)
    made = compiled({"a": "payload@b", "b": "profile@..."})(SCOPE)
    assert made["a"] is SCOPE["payload"]["b"]
    assert repr(SCOPE) == before


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ("profile@traits.plan = gold AND event@type = purchase", True),
        ("event@source = shop", True),
        ("event@source.id = shop AND profile@id = ann", True),
        ("a = 1", True),
        ("payload@a = 1 AND NOT big < 10", True),
        ("event@properties.amount > payload@big", True),
        ("profile@traits.none > 3", False),
        ("profile@segments CONTAINS regulars", True),
        ("profile@metadata.time.insert > now - 7d", True),
        ("profile@metadata.time.insert > now - 3d", False),
        ("count(purchase) > 3", False),
        ("ANY(event@properties.items WHERE price > 9)", True),
    ],
)
def test_conditions_see_all_documents(condition: str, met: bool) -> None:
    assert conditions.compiled(condition)(SCOPE, NOW_MS) is met


def test_ids_are_text_in_conditions_even_if_they_look_like_numbers() -> None:
    scope = {**SCOPE, "profile": {**PROFILE, "id": "1001"}}
    assert conditions.compiled("profile@id = 1001")(scope, NOW_MS)


def test_a_condition_names_the_documents_that_there_are() -> None:
    with pytest.raises(QueryError, match=r"memory@ and flow@|known are") as caught:
        conditions.compiled("a = 1 AND\n  order@x = 1")
    assert (caught.value.line, caught.value.column) == (2, 3)


@pytest.mark.parametrize(
    ("formula", "value"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("2 - 3 - 4", -5),
        ("-2 * -3", 6),
        ("0.1 + 0.2", 0.3),
        ("7 / 2", 3.5),
        ("8 / 2", 4),
        ("7 % 4", 3),
        ("payload@a + event@properties.amount * 2", 26.0),
        ("max(payload@a, payload@big, 3) - min(1, 2)", 9),
        ("round(2.5) + round(1.005, 2)", 4.01),
        ("floor(2.7) + ceil(2.1) + abs(-1)", 6),
        ("sum(1, 2, 3) + sqrt(9) + power(2, 3)", 17.0),
        ("event@properties.items.1.price-1", 8.5),
    ],
)
def test_arithmetic(formula: str, value: float) -> None:
    found = arithmetic.compiled(formula)(SCOPE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("formula", "column", "words"),
    [
        ("1 +", 4, "ends too early"),
        ("1 + * 2", 5, "a number is expected"),
        ("1 2", 3, "cannot stand here"),
        ("(1", 3, "')' is expected"),
        ("mxa(1)", 1, "there is no function mxa()"),
        ("abs(1, 2)", 1, "does not take 2"),
        ("1 ; 2", 3, "cannot stand here"),
        ("2 * profile@trait.x", 13, "profile@ has no 'trait'"),
        ("(" * 70 + "1" + ")" * 70, 62, "nested too deeply"),
    ],
)
def test_wrong_formulas_are_said_with_their_column(formula: str, column: int, words: str) -> None:
    with pytest.raises(NotationError) as caught:
        arithmetic.compiled(formula)
    assert (caught.value.column, words in caught.value.detail) == (column, True), caught.value.detail


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("1 / (payload@a - 1)", "divides by zero"),
        ("profile@traits.name + 1", "a number is expected"),
        ("payload@none", "a number is expected"),
        ("power(10, 400)", "too large"),
        ("power(9999999999, 2) * power(9999999999, 300)", "too large"),
        ("sqrt(-1)", "too large"),
        ("9223372036854775807 + 1", "too large"),
    ],
)
def test_what_cannot_be_calculated_is_said(formula: str, words: str) -> None:
    with pytest.raises(ValueFault, match=words):
        arithmetic.compiled(formula)(SCOPE)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.integers(1, 1000))
def test_whole_numbers_are_as_in_python(a: int, b: int, c: int) -> None:
    scope = {**SCOPE, "payload": {"a": a, "b": b, "c": c}}
    assert arithmetic.compiled("payload@a * payload@b - payload@c % 7 + (payload@a - payload@b)")(scope) == (
        a * b - c % 7 + (a - b)
    )
