"""Compiled expressions give what the JMESPath library gives, and wrong ones are explained when they are saved."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.edge.expression import EVALUATION, ExpressionError, Getter, compile_expression, interpreted

NAMES = ["a", "b", '"c d"', "meta"]
LEAVES = st.sampled_from(
    [*NAMES, "@", "'text'", "'20240131'", "`1`", "`0`", "`null`", "`[]`", "`{}`", "`[1, 2]`", "`false`", "message()"]
)
ONE_ARGUMENT = [
    *("to_number", "to_string", "lower", "trim", "number", "require", "length", "type", "sum", "meta", "abs", "hash"),
    *("integer", "boolean", "string"),
]
TWO_ARGUMENTS = [
    *("contains", "starts_with", "split", "join", "not_null", "parse_time", "default", "if", "lookup"),
]


def _longer(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(NAMES)).map(".".join),
        st.tuples(inner, st.integers(-3, 3)).map(lambda pair: f"{pair[0]}[{pair[1]}]"),
        st.tuples(st.sampled_from(ONE_ARGUMENT), inner).map(lambda pair: f"{pair[0]}({pair[1]})"),
        st.tuples(st.sampled_from(TWO_ARGUMENTS), inner, inner).map(lambda call: f"{call[0]}({call[1]}, {call[2]})"),
        st.tuples(st.sampled_from(["if", "lookup"]), inner, inner, inner).map(
            lambda call: f"{call[0]}({call[1]}, {call[2]}, {call[3]})"
        ),
        st.tuples(inner, st.sampled_from([" || ", " && ", " | ", " == ", " != ", " < ", " >= "]), inner).map("".join),
        st.tuples(inner, st.sampled_from(["[*]", "[]", ".*", "[?a]", "[?message()]", "[1:]"])).map("".join),
        st.tuples(inner, st.sampled_from([".[a, b]", ".{x: a, y: b}", ".{x: 'text', y: `1`}"])).map("".join),
        st.sampled_from(["[{0}]", "!{0}", "!({0})", "({0})", "[{0}, a]", "{{x: {0}}}", "[a, b][?{0}]"]).flatmap(
            lambda around: inner.map(around.format)
        ),
    )


EXPRESSIONS = st.recursive(LEAVES, _longer, max_leaves=6)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from(["", "0", "1.5", "nan", "A ", "20240131"]),
)
MESSAGES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["a", "b", "c d", "meta", "line"]), inner, max_size=4),
    ),
    max_leaves=8,
)


def _outcome(get: Getter, message: Any, meta: dict[str, Any]) -> Any:
    try:
        return repr(get(message, meta))  # repr: 1, 1.0 and True are equal but not the same, NaN is not equal to itself
    except EVALUATION as exc:
        return type(exc)


@given(EXPRESSIONS, MESSAGES, st.dictionaries(st.sampled_from(["text", "line"]), SCALARS))
def test_compiled_expressions_and_the_library_agree(expression: str, message: Any, meta: dict[str, Any]) -> None:
    try:
        compiled = compile_expression(expression)
    except ExpressionError:
        return
    assert _outcome(compiled, message, meta) == _outcome(interpreted(expression), message, meta)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("a b", "column 3"),
        ("a..b", "column 3"),
        ("'open", "column 1"),
        ("upper(lowr(a))", "unknown function lowr(); is it lower()? (column 7)"),
        ("lower(a, b)", "lower() takes 1 argument, not 2 (column 1)"),
        ("parse_time(a)", "parse_time() takes at least 2 arguments, not 1 (column 1)"),
        ("foo[?foo(@)]", "unknown function foo() (column 6)"),
        ("if(a)", "if() takes at least 2 arguments, not 1 (column 1)"),
        ("lookup(a, b, c, d)", "lookup() takes at most 3 arguments, not 4 (column 1)"),
        ("message(a)", "message() takes 0 arguments, not 1 (column 1)"),
        (f"{'(' * 5_000}a{')' * 5_000}", "nested too deeply"),
        (" || ".join("a" * 400), "nested too deeply"),
        (" | ".join(["[@, @]"] * 14), "more than 10,000 times over"),
        (" | ".join(["join('', [@, @])"] * 40), "more than 10,000 times over"),
        ("", "empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_column(expression: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(expression)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "message", "value"),
    [
        ("parse_time(d, '%Y%m%d')", {"d": "19970101"}, "1997-01-01T00:00:00Z"),
        ("parse_time(d, 'iso')", {"d": "2026-11-24T10:00:00.25+01:00"}, "2026-11-24T09:00:00.250000Z"),
        ("parse_time(d, '%d.%m.%Y %H:%M', 'Europe/Warsaw')", {"d": "01.07.2026 12:00"}, "2026-07-01T10:00:00Z"),
        ("parse_time(d, 'unix')", {"d": -1.5}, "1969-12-31T23:59:58.500000Z"),
        ("parse_time(d, 'unix_ms')", {"d": "1780000000123"}, "2026-05-28T20:26:40.123000Z"),
        ("parse_time(d, 'iso')", {}, None),
        ("number(n)", {"n": " 12 "}, 12),
        ("number(n)", {"n": "12.50"}, 12.5),
        ("number(n)", {"n": ""}, None),
        ("to_number(n)", {"n": "inf"}, None),
        ("to_number(n)", {"n": "1_000"}, None),
        ("upper(trim(s))", {"s": " usd "}, "USD"),
        ("split(s, ',')[1]", {"s": "a,b"}, "b"),
        ("from_json(s).x", {"s": '{"x": 1}'}, 1),
        ("meta('line')", {}, 7),
        ("message().a", {"a": 5}, 5),
        ("items[?kind == message().wanted] | [0].n", {"wanted": "b", "items": [{"kind": "b", "n": 1}]}, 1),
        ("parse_time(d, 'unix_us')", {"d": 1_780_000_000_123_456}, "2026-05-28T20:26:40.123456Z"),
        ("integer(n)", {"n": "12.0"}, 12),
        ("integer(n)", {"n": ""}, None),
        ("boolean(n)", {"n": " Yes"}, True),
        ("boolean(n)", {"n": 0}, False),
        ("boolean(n)", {"n": False}, False),
        ("boolean(n)", {"n": ""}, None),
        ("string(n)", {"n": 1.5}, "1.5"),
        ("string(n)", {"n": True}, "true"),
        ("string(n)", {"n": {"é": [1]}}, '{"é":[1]}'),
        ("string(n)", {}, None),
        ("default(n, 'none')", {"n": 0}, 0),
        ("default(n, 'none')", {"n": False}, False),
        ("default(n, 'none')", {"n": ""}, ""),
        ("default(n, 'none')", {"n": None}, "none"),
        ("default(n, require(m))", {"n": 1}, 1),
        ("if(n > `1`, 'many', 'few')", {"n": 2}, "many"),
        ("if(n > `1`, 'many')", {"n": 1}, None),
        ("if(n, number(n), m)", {"n": "", "m": "x"}, "x"),
        ("items[*].if(n, number(n), 'none')", {"items": [{"n": "1"}, {"n": ""}]}, [1, "none"]),
        ("""lookup(n, {"1": 'new', paid: 'paid'})""", {"n": 1}, "new"),
        ('lookup(n, `{"true": "on"}`)', {"n": True}, "on"),
        ("lookup(n, {a: 'b'}, 'other')", {"n": "c"}, "other"),
        ("lookup(n, {a: 'b'})", {"n": "c"}, None),
        ("lookup(n, table, n)", {"n": "c"}, "c"),
        ("hash(a, b) == hash(a, b)", {"a": 1}, True),
        ("hash('a', 'bc') == hash('ab', 'c')", {}, False),
        ("a == `1` && b != 'x'", {"a": 1, "b": "y"}, True),
        ("a == `true`", {"a": 1}, False),
        ("n || 'none'", {"n": 0}, 0),
        ("n || 'none'", {"n": False}, "none"),
        ("n || 'none'", {"n": []}, "none"),
    ],
)
def test_functions(expression: str, message: Any, value: Any) -> None:
    assert compile_expression(expression)(message, {"line": 7}) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("number(n)", {"n": "twelve"}),
        ("number(n)", {"n": "NaN"}),
        ("integer(n)", {"n": "1.5"}),
        ("integer(n)", {"n": True}),
        ("boolean(n)", {"n": "perhaps"}),
        ("boolean(n)", {"n": 2}),
        ("if(n, number(n), m)", {"n": "x"}),
        ("lookup(n, {a: 'b'})", {"n": ["a"]}),
        ("require(n)", {}),
        ("parse_time(d, '%Y%m%d')", {"d": "1997-13-01"}),
        ("parse_time(d, 'iso', 'Mars/Olympus')", {"d": "2026-01-01"}),
        ("parse_time(d, 'unix')", {"d": 1e30}),
        ("from_json(s)", {"s": "{"}),
        ("lower(s)", {"s": 5}),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_and_not_a_guess(expression: str, message: Any) -> None:
    with pytest.raises(EVALUATION):
        compile_expression(expression)(message, {})


def test_fields_by_the_hundred_are_no_copies_and_a_text_has_an_end() -> None:
    many = "{" + ", ".join(f"f{place}: a.f{place}" for place in range(90)) + "}"
    assert compile_expression(f"{many} | {many.replace('a.', '')}")({"a": {"f7": 1}}, {})["f7"] == 1
    assert compile_expression("join(a, b)")({"a": "-", "b": ["x", "y"]}, {}) == "x-y"
    with pytest.raises(EVALUATION, match="more than 4,194,304 characters"):
        compile_expression("join(a, b)")({"a": "-" * 5_000, "b": ["x"] * 1_000}, {})
