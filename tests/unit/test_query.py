"""The language of searches: what it takes, what it refuses, and that its compilers agree."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.store.query import QueryError, for_kind, parse
from hub.store.query.ast import And, Equals, Field
from hub.store.query.python import compile_python
from hub.store.query.sql import compile_sql, hub_equals


def pairs(query: str) -> list[tuple[tuple[str, ...], object]]:
    parsed = [(one.field.path, one.value) for one in parse(query).parts if isinstance(one, Equals)]
    assert len(parsed) == len(parse(query).parts)
    return parsed


@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_a_blank_query_is_everything(blank: str) -> None:
    assert parse(blank) == And(())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"London"', "London"),
        ("'London'", "London"),
        ("London", "London"),
        ('"it\'s"', "it's"),
        (r'"a \"b\" \\ \n \u00e9 \ud83d\uded2"', 'a "b" \\ \n é 🛒'),
        ('"two\nlines"', "two\nlines"),
        ("1", 1),
        ("-1.5e3", -1500.0),
        (".5", 0.5),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775808", float(2**63)),
        ("1" * 5_000, float("inf")),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("None", None),
        ('"null"', "null"),
        ("1.2.3.4", "1.2.3.4"),
        ("a@example.com", "a@example.com"),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
        ("b2a9e3e1-6d47-5e98-beb9-76b66c5509e4", "b2a9e3e1-6d47-5e98-beb9-76b66c5509e4"),
        ("oregon", "oregon"),
        ("not-yet", "not-yet"),
        ("Zürich", "Zürich"),
        ("'*'", "*"),
    ],
)
def test_values(text: str, value: object) -> None:
    """Text with and without quotes, numbers, the three words; a number too large for 64 bits is a float."""
    ((_, found),) = pairs(f"field = {text}")
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "prefix", "path"),
    [
        ("a", "", ("a",)),
        ("traits.city", "", ("traits", "city")),
        ("profile@traits.city", "profile", ("traits", "city")),
        ("EVENT@properties.x", "event", ("properties", "x")),
        ("properties.`a b`", "", ("properties", "a b")),
        ('properties."a.b".c', "", ("properties", "a.b", "c")),
        (r"properties['it\'s']", "", ("properties", "it's")),
        ("items.0.sku", "", ("items", "0", "sku")),
        ("headers.x-request-id", "", ("headers", "x-request-id")),
        ("and", "", ("and",)),
        ("android", "", ("android",)),
    ],
)
def test_fields(text: str, prefix: str, path: tuple[str, ...]) -> None:
    """Dotted paths, the predecessor's prefixes, and three ways to write odd keys."""
    assert parse(f" {text} == 1").parts == (Equals(Field(path, prefix, 1, 2), 1, "1"),)


@pytest.mark.parametrize("query", ["a=1 AND b=2", "a = 1 and b = 2", "a=1\nAnd\nb=2", "a=1 AND\tb =2"])
def test_and(query: str) -> None:
    """In any case, over any lines."""
    assert pairs(query) == [(("a",), 1), (("b",), 2)]


@pytest.mark.parametrize(
    ("query", "line", "column", "words"),
    [
        ("a", 1, 2, 'the query ends too early; expected =, ["key"] or a dot and a key'),
        ("a = ", 1, 4, "the query ends too early; expected a text in quotes or a value"),
        ("a = 1 AND\n  ", 1, 10, "the query ends too early; expected a field"),
        ("= 1", 1, 1, "'=' cannot stand here; expected a field"),
        ("a = 1 b = 2", 1, 7, "'b' cannot stand here; expected AND or the end"),
        ("a = 1\nOR b = 2", 2, 1, "'OR' cannot stand here; expected AND or the end"),
        ("a = AND b = 2", 1, 5, "'AND' cannot stand here; expected a text in quotes or a value"),
        ("a > 1", 1, 3, "'>' cannot stand here; expected ="),
        ("(a = 1)", 1, 1, "'(' cannot stand here; expected a field"),
        ('a = "x', 1, 5, 'the text that begins here has no closing "'),
        (r'a = "\q"', 1, 5, r"\q is no escape; a backslash is written \\"),
        (r'a = "\ud800"', 1, 5, "half of a surrogate pair is no character"),
        ("a = 1\nAND b = \ud800", 2, 9, "half of a surrogate pair is no character"),
        ("a..b = 1", 1, 3, "'.b' cannot stand here; expected a field"),
        ("a.`` = 1", 1, 3, "the text that begins here has no closing `"),
    ],
)
def test_errors_say_where_and_what_was_expected(query: str, line: int, column: int, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert f"line {line}, column {column}: {words}" in str(caught.value)


def test_a_query_has_a_size() -> None:
    """SQLite takes expressions of a limited depth; the limit is named before it does so in its own words."""
    many = " AND ".join(["a = 1"] * 100)
    assert run_sql(many, {"a": 1})
    with pytest.raises(QueryError, match="the limit is 100"):
        parse(many + " AND a = 1")


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("payload@x = 1", "events", "payload@ cannot be searched; known are profile@, event@ and session@"),
        (
            "profile@traits.x = 1",
            "events",
            "events keep only the id of their profile; search the profiles for the rest",
        ),
        ("event@type = x", "profiles", "profiles have no event@"),
        ("session@id = x", "dead-letters", "dead letters have no session@"),
    ],
)
def test_fields_of_something_else_are_refused(query: str, kind: Any, words: str) -> None:
    """A condition that could never hold is an error, not an empty answer."""
    with pytest.raises(QueryError) as caught:
        for_kind(parse(query), kind)
    assert words in str(caught.value)


def test_nothing_of_the_user_becomes_sql() -> None:
    """Path and value are bound, whatever they hold."""
    clause = compile_sql(
        for_kind(parse("""`x') --`.'"' = "'; DROP" AND a.b = "'" AND id = "'" """), "events"), "events"
    )
    assert not any(text in clause.sql for text in ("DROP", "x')", '"b"'))
    assert all(f":{name}" in clause.sql for name in clause.parameters)


def run_sql(query: str, document: Any) -> bool:
    return sql_matcher(for_kind(parse(query), "profiles"))(document)


def sql_matcher(condition: Any) -> Callable[[Any], bool]:
    clause = compile_sql(condition, "profiles")

    def matches(document: Any) -> bool:
        connection = sqlite3.connect(":memory:")
        connection.create_function("hub_equals", 3, hub_equals, deterministic=True)
        # both ways in which JSON may write the same characters
        answers = {
            connection.execute(
                f"SELECT {clause.sql} FROM (SELECT :doc AS doc, :id AS id)", clause.parameters | row
            ).fetchone()
            for row in (
                {"doc": text, "id": document.get("id", "") if isinstance(document.get("id"), str) else ""}
                for text in (msgspec.json.encode(document).decode(), json.dumps(document))
            )
        }
        connection.close()
        ((answer,),) = answers
        assert answer in (0, 1)  # never NULL, which NOT would not turn round
        return bool(answer)

    return matches


KEYS = st.sampled_from(
    ["a", "b", "a b", "x.y", "ü", 'q"q', "back\\slash", "0", "1", "", "it's", "$", "a-b", "tab\t", "</a>"]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.1, 0.5, 1.0, -0.0, 2.0**53, "1", "true", "null", "", "a", "ü", '"', "[1]", "{}"])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=3)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=4)
CONDITIONS = st.builds(
    Equals, st.builds(Field, st.lists(KEYS, min_size=1, max_size=3).map(tuple)), SCALARS, st.just("")
)


@settings(max_examples=500, deadline=None)
@given(DOCUMENTS, st.lists(CONDITIONS, max_size=2), st.data())
def test_sql_and_python_agree(document: dict[str, Any], conditions: list[Equals], data: st.DataObject) -> None:
    """Any document, any condition: the same verdict; half of the conditions ask for what is there."""
    found = list(leaves(document))
    if found:
        path, value = data.draw(st.sampled_from(found))
        conditions = [*conditions, Equals(Field(path), value, "")]
    for condition in (*conditions, And(tuple(conditions))):
        assert sql_matcher(condition)(document) is compile_python(condition)(document), condition


def leaves(value: Any, path: tuple[str, ...] = ()) -> Any:
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


def test_true_is_not_one_and_a_list_is_not_its_text() -> None:
    """The types of JSON, not those of SQLite or Python."""
    document = {"flag": True, "one": 1, "list": [1], "empty": [], "object": {"a": 1}, "nothing": None}
    expected = {
        "flag = true": True,
        "flag = 1": False,
        "one = true": False,
        "one = 1.0": True,
        "one = '1'": False,
        "list = 1": True,
        "list = '[1]'": False,
        "empty = null": False,
        "nothing = null": True,
        "missing = null": True,
        "object = null": False,
        "object.a.b = null": True,
        "nothing = ''": False,
        "missing = 1": False,
    }
    for query, answer in expected.items():
        assert compile_python(for_kind(parse(query), "profiles"))(document) is answer, query
        assert run_sql(query, document) is answer, query
