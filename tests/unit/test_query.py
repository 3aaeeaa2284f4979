"""The language of conditions: what it takes, what it refuses, and that its compilers agree."""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridges.outward.shape import Shape
from hub.conditions import moves, settled
from hub.conditions.ast import (
    And,
    Compare,
    Condition,
    Field,
    IsNull,
)
from hub.conditions.documents import of_documents
from hub.conditions.patterns import wildcard
from hub.conditions.python import compile_python
from hub.conditions.times import read_time
from hub.definitions.kinds import Destination
from hub.store.query import QueryError, for_kind, parse, prepare
from hub.store.query.sql import compile_sql
from tests.unit.condition_cases import NOW_US, in_sql


def pairs(query: str) -> list[tuple[tuple[str, ...], object]]:
    """Field and value of each part of a query of `field = value AND …`."""
    parsed = []
    for one in parse(query).parts:
        if isinstance(one, IsNull):
            parsed.append((one.field.path, None))
        else:
            assert isinstance(one, Compare)
            right: Any = one.right
            parsed.append((one.field.path, right.value))
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
        ("1" * 5_000, sys.float_info.max),
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
        (r"'\*'", "*"),
        ("now-playing", "now-playing"),
        ("is", "is"),
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
    (found,) = parse(f" {text} == 1").parts
    assert isinstance(found, Compare)
    assert found.field == Field(path, prefix, 1, 2)


@pytest.mark.parametrize("query", ["a=1 AND b=2", "a = 1 and b = 2", "a=1\nAnd\nb=2", "a=1 AND\tb =2"])
def test_and(query: str) -> None:
    """In any case, over any lines."""
    assert pairs(query) == [(("a",), 1), (("b",), 2)]


@pytest.mark.parametrize(
    ("query", "line", "column", "words"),
    [
        (
            "a",
            1,
            2,
            "the query ends too early; expected NOT or a comparison (=, !=, <, >=, IN, BETWEEN, IS NULL,",
        ),
        ("a = ", 1, 4, "the query ends too early; expected a text in quotes or a value"),
        ("a = 1 AND\n  ", 1, 10, "the query ends too early; expected NOT or a field"),
        ("= 1", 1, 1, "'=' cannot stand here; expected NOT or a field"),
        ("a = 1 b = 2", 1, 7, "'b' cannot stand here; expected AND, OR or the end"),
        ("(a = 1\nb = 2", 2, 1, "'b' cannot stand here; expected ), AND or OR"),
        ("(a = 1", 1, 7, "the query ends too early; expected )"),
        ("a = 1)", 1, 6, "')' cannot stand here; expected the end"),
        ("a = AND b = 2", 1, 5, "'AND' cannot stand here; expected a text in quotes or a value"),
        ("a BETWEEN 1", 1, 12, "the query ends too early; expected AND"),
        ("a BETWEEN 1 OR 2", 1, 13, "'OR' cannot stand here; expected AND"),
        ("a IS 3", 1, 6, "'3' cannot stand here; expected"),
        ("a IN 3", 1, 6, "'3' cannot stand here; expected"),
        ("a IN [1, 2", 1, 11, "the query ends too early; expected ] or a comma"),
        ("a > null", 1, 5, "null has no order; IS NULL asks for it"),
        ("a > [1, 2]", 1, 5, "a list has no order: > takes one value"),
        ('a > "x*"', 1, 5, r"a pattern has no order; a star that is meant is written \*"),
        ("a = 1 AND b ~ '('", 1, 15, "no regular expression of RE2: missing ): ("),
        ("a ~ '(?<=x)y'", 1, 5, "no regular expression of RE2"),
        ("a = datetime('soon')", 1, 5, "datetime(): 'soon' is no time; such as 2026-11-24"),
        ("a = datetime('2026-01-01', 'Mars')", 1, 5, "datetime(): 'Mars' is no time zone; such as UTC"),
        ("a > now - 3 parsecs", 1, 9, "'- 3 parsecs' is no span of time; such as 15m, 7d"),
        ("lower() = 'x'", 1, 1, "lower() takes 1 argument, not 0"),
        ("now.soon() < a", 1, 1, "there is no function now.soon()"),
        ("now() < 5", 1, 9, "one of both sides has to be a field"),
        ('a = "x', 1, 5, 'the text that begins here has no closing "'),
        (r'a = "\q"', 1, 5, r"\q is no escape; a backslash is written \\"),
        (r'a = "\ud800"', 1, 5, "half of a surrogate pair is no character"),
        (r'a = "\u0000"', 1, 5, "the character NUL cannot be searched"),
        ("a = 1\nAND b = \ud800", 2, 9, "half of a surrogate pair is no character"),
        ("a..b = 1", 1, 3, "'.b' cannot stand here; expected a field"),
        ("a.`` = 1", 1, 3, "the text that begins here has no closing `"),
        ("(" * 32 + "a = 1" + ")" * 32, 1, 32, "brackets and NOT are more than 30 deep"),
        ("NOT " * 32 + "a = 1", 1, 125, "brackets and NOT are more than 30 deep"),
        (f"a IN [{','.join('1' * 1001)}]", 1, 6, "1001 values in a list; the limit is 1000"),
        ("a = " + "x" * 20_000, 1, 1, "the query has 20004 characters; the limit is 20000"),
    ],
)
def test_errors_say_where_and_what_was_expected(query: str, line: int, column: int, words: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse(query)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert f"line {line}, column {column}: {words}" in str(caught.value)


def test_an_error_points_at_its_place() -> None:
    """A caret below the character, in that line alone, however long it is."""
    with pytest.raises(QueryError) as caught:
        parse("a = 1 AND\n\tb % 3")
    assert caught.value.excerpt == "\tb % 3\n\t  ^"
    with pytest.raises(QueryError) as caught:
        parse("x" * 500 + " = 1 1" + " " * 500)
    shown, caret = caught.value.excerpt.split("\n")
    assert shown[caret.index("^")] == "1"
    assert len(shown) <= 120


def test_a_query_has_a_size() -> None:
    """SQLite takes expressions of a limited depth; the limit is named before it does so in its own words."""
    many = " AND ".join(["a = 1"] * 100)
    assert run_sql(many, {"a": 1})
    with pytest.raises(QueryError, match="the limit is 100"):
        parse(many + " AND a = 1")
    assert run_sql("NOT " * 28 + "a = 1", {"a": 1})
    assert run_sql(f"a IN [{','.join(map(str, range(1000)))}]", {"a": 999})


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
        ("propertys.x = 1", "events", "events have no field propertys.x; did you mean properties.x?"),
        ("id = 1 OR TYPE = x", "events", "line 1, column 11: events have no field TYPE; did you mean type?"),
        (
            "data.contact.emial.main = x",
            "profiles",
            "profiles have no field data.contact.emial.main; did you mean data.contact.email.main?",
        ),
    ],
)
def test_fields_of_something_else_are_refused(query: str, kind: Any, words: str) -> None:
    """A condition that could never hold is an error, not an empty answer."""
    with pytest.raises(QueryError) as caught:
        prepare(query, kind)
    assert words in str(caught.value)
    assert caught.value.excerpt.endswith("^")


def test_a_field_that_nobody_knows_is_no_error() -> None:
    """What is in properties, and what a later hub adds, is not known beforehand."""
    assert prepare("properties.typ = 1 AND entirely.new = 1", "events", NOW_US)


def test_not_binds_closer_than_and_and_and_closer_than_or() -> None:
    assert holds("NOT a = 2 AND a = 1 OR a = 3", {"a": 1})
    assert holds("a = 1 OR a = 2 AND a = 3", {"a": 1})
    assert not holds("(a = 1 OR a = 2) AND a = 3", {"a": 1})
    assert holds("NOT (a = 2 OR a = 3)", {"a": 1})
    assert not holds("NOT (a = 2 OR a = 1) OR a = 3", {"a": 1})


DOCUMENT = {
    "id": "p1",
    "traits": {
        "n": 5,
        "f": 2.5,
        "text": "London",
        "star": "a*b",
        "odd": "a?[b]",
        "flag": True,
        "nothing": None,
        "empty": "",
        "list": ["red", "Blue", 7],
        "none": [],
        "times": ["2026-11-24T15:21:00Z", "2026-11-24"],
        "object": {},
        "same": 5,
        "day": "2026-11-24",
        "at": "2026-11-24T15:21:00.000Z",
        "there": "2026-11-24T16:21:00+01:00",
        "dot.ted": "x",
    },
}
"""What the table of docs/query.md is tested with."""


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        # numbers
        ("traits.n > 4 AND traits.n >= 5 AND traits.n < 5.5 AND traits.n <= 5 AND traits.n != 4", True),
        ("traits.n <> 5", False),
        ("traits.n =< 5 AND traits.n => 5", True),
        ("traits.n BETWEEN 5 AND 6 AND traits.f BETWEEN 2 AND 2.5", True),
        ("traits.n NOT BETWEEN 1 AND 4", True),
        ("traits.n BETWEEN 'a' AND 6", False),
        ("traits.n > '4'", False),
        ("traits.text > 4", False),
        ("traits.flag > 0", False),
        ("traits.flag >= false", False),
        # texts
        ("traits.text >= 'London' AND traits.text < 'M'", True),
        ("traits.text = 'Lon*' AND traits.text = '*don' AND traits.text = L*n AND traits.text = '*'", True),
        ("traits.text = 'L*x'", False),
        ("traits.text != 'L*'", False),
        (r"traits.star = 'a\*b' AND traits.star != 'a\*c'", True),
        (r"traits.text = 'Lon\*'", False),
        ("traits.odd = 'a?[*' AND traits.odd = '*?[b]' AND traits.odd IN ['*[*']", True),
        ("traits.text = '[A-Z]*' OR traits.text = 'Lond?n*'", False),
        ("traits.n = '*'", False),
        ("traits.text CONTAINS ond", True),
        ("traits.text NOT CONTAINS 'ond'", False),
        ("traits.text STARTS WITH Lo AND traits.text ENDS WITH 'don'", True),
        ("traits.star STARTS WITH 'a*'", True),
        ("traits.text ENDS WITH 'London!'", False),
        (r"traits.text ~ '^L\w+n$' AND traits.text MATCHES 'ond' AND traits.text !~ 'x'", True),
        ("traits.text NOT MATCHES '^L'", False),
        ("lower(traits.text) = london AND UPPER(traits.text) = 'LONDON'", True),
        ("lower(traits.n) = '5'", False),
        ("lower(traits.text) CONTAINS ond AND lower(traits.text) IN [paris, london]", True),
        ("traits.text = lower('LONDON')", False),
        # lists: one of the items
        ("traits.list = red AND traits.list = 7 AND traits.list > 6 AND traits.list = 'B*'", True),
        ("traits.list != red", False),
        ("traits.list != green", True),
        ("traits.list IN [green, red]", True),
        ("traits.list CONTAINS red AND traits.list CONTAINS 7", True),
        ("traits.list CONTAINS re", False),
        ("traits.times CONTAINS '2026-11-24T15:21:00Z' AND traits.times CONTAINS 2026-11-24", True),
        ("traits.times CONTAINS '2026-11-24T16:21:00+01:00'", False),
        ("traits.list STARTS WITH re", True),
        ("lower(traits.list) = blue", True),
        ("traits.list BETWEEN 'a' AND 's'", True),
        # several values
        ("traits.n IN [1, 5] AND traits.text IN ('Paris', 'L*')", True),
        ("traits.n NOT IN [1, 5]", False),
        ("traits.n IN []", False),
        ("traits.n NOT IN []", True),
        ("traits.n = [1, 5] AND traits.n != [1, 2]", True),
        ("traits.flag IN [true]", True),
        ("traits.nothing IN [null, 1]", True),
        ("traits.text IN ['5', 5]", False),
        # null, not there, empty
        ("traits.nothing IS NULL AND traits.missing IS NULL AND missing.deep IS NULL", True),
        ("traits.n IS NOT NULL AND traits.n EXISTS AND traits.nothing NOT EXISTS AND traits.missing NOT EXISTS", True),
        ("traits.nothing = 1 OR traits.missing = 1 OR traits.missing < 1 OR traits.missing ~ '.*'", False),
        ("traits.nothing != 1 AND traits.missing != 1 AND traits.missing != [1]", True),
        ("NOT traits.missing < 1 OR traits.missing NOT IN [1] OR NOT traits.nothing = 1 OR traits.n !~ 5", False),
        ("traits.missing != null", False),
        ("traits.none IS NULL OR traits.empty IS NULL OR traits.object IS NULL", False),
        ("traits.none EMPTY AND traits.empty IS EMPTY AND traits.object EMPTY AND traits.missing EMPTY", True),
        ("traits.n EMPTY OR traits.list EMPTY OR traits.flag IS EMPTY", False),
        ("traits.object = 'x' OR traits.object > 1", False),
        ("traits.none = null", False),
        # fields
        ("traits.n = traits.same AND traits.n = profile@traits.same AND traits.n = `traits`.same", True),
        ("traits.n = traits.f OR traits.n != traits.same", False),
        ("traits.f < traits.n", True),
        ("traits.n = traits.missing", False),
        ("traits.n != traits.missing", True),
        ("traits.n = traits.text", False),
        ("traits.n BETWEEN traits.f AND traits.same", True),
        ("lower(traits.text) = lower(traits.text)", True),
        ("traits.text = lower(traits.text)", False),
        # times
        ("traits.at > '2026-11-24' AND traits.at < 2026-11-24T15:21:00.001Z", True),
        ("traits.at = '2026-11-24T16:21:00+01:00' AND traits.at = datetime('2026-11-24 15:21:00')", True),
        ("traits.at = traits.there AND traits.at >= traits.there", True),
        ("traits.at < traits.there", False),
        ("traits.day = '2026-11-24' AND traits.day = datetime('2026-11-24')", True),
        ("traits.day = '2026-11-24T00:00:00Z'", True),
        ("traits.at = '2026-11-24'", False),
        ("traits.at BETWEEN '2026-11-24' AND '2026-11-25'", True),
        ("traits.text > '2026-11-24' OR traits.n > '2026-11-24'", False),
        ("traits.at = now AND traits.at > now - 1s AND traits.at <= NOW() + 1 month", True),
        ("traits.at > now.offset('-15m') AND now() - 7d < traits.at AND now('UTC') >= traits.at", True),
        ("traits.at < now-1y", False),
        ("traits.day > now - 1d AND traits.day < now-15h", True),
        ("datetime(traits.there) = now AND datetime(traits.there) = traits.at", True),
        ("datetime(traits.text) != now", True),
        ("datetime(traits.n) = 5", False),
        ("traits.at = datetime('2026-11-24 16:21:00', 'Europe/Rome')", True),
        ("traits.at = datetime.from_timestamp(1795533660)", True),
        (
            "traits.at = datetime.offset('2026-11-23T15:21Z', '1d') AND traits.at = datetime('2026-11-23T15:21Z') + 1d",
            True,
        ),
        ("traits.at IN [now]", True),
        # odd keys are done elsewhere, and mean the same
        ('traits."dot.ted" = x AND traits."dot.ted" IN [x] AND traits."dot.ted" = "*"', True),
        ("traits.list.0 = red AND traits.list.0 ~ 'r.d' AND traits.list.9 IS NULL", True),
        # ids hold nothing but text
        ("id = p1 AND id = 'p*' AND id IN [p1, 2] AND id CONTAINS 1 AND id STARTS WITH p AND id ~ '^p'", True),
        ("id > 'p0' AND id != 5 AND id IS NOT NULL AND id EXISTS AND lower(id) = p1", True),
        ("id EMPTY OR id = 'x*' OR id IN []", False),
    ],
)
def test_what_holds(query: str, answer: bool) -> None:
    """The truth table, on both ways to ask."""
    assert holds(query, DOCUMENT) is answer


def holds(query: str, document: Any) -> bool:
    """In Python and in SQL, which have to agree."""
    condition = prepare(query, "profiles", NOW_US)
    found = compile_python(condition)(document)
    assert in_sql(condition, document) is found
    return found


def test_now_moves() -> None:
    """A condition that is compiled once is asked at different times."""
    condition = parse("at < now - 1h")
    matches = compile_python(condition, iter([NOW_US + 3_600_000_001, NOW_US + 3_600_000_000]).__next__)
    document = {"at": "2026-11-24T15:21:00Z"}
    assert (matches(document), matches(document)) == (True, False)
    assert moves(condition)
    assert not moves(settled(condition, NOW_US))


def test_months_end_with_the_calendar() -> None:
    leap = read_time("2028-03-31")
    assert leap is not None
    assert settled(parse("a > now - 1 month"), leap) == settled(parse("a > datetime('2028-02-29')"), 0)
    with pytest.raises(QueryError, match="at most 200 years"):
        parse("a > now - 150y - 51y")


def test_what_is_sent_again_cannot_ask_for_now() -> None:
    """A destination that begins anew after a crash has to send the same."""
    Shape(Destination(type="kafka", condition="type = view AND metadata.time.insert > '2026-01-01'"))
    with pytest.raises(QueryError, match="cannot ask for now"):
        Shape(Destination(type="kafka", condition="metadata.time.insert > now - 7d"))


def test_a_condition_on_several_documents() -> None:
    """What segments and rules ask: the same language, with a prefix for each document."""
    condition = of_documents(
        parse("profile@traits.age > 30 AND event@type = purchase AND traits.city = event@properties.city"),
        ("profile", "event"),
        "profile",
    )
    matches = compile_python(condition)
    profile = {"traits": {"age": 31, "city": "Rome"}}
    assert matches({"profile": profile, "event": {"type": "purchase", "properties": {"city": "Rome"}}})
    assert not matches({"profile": profile, "event": {"type": "purchase", "properties": {"city": "Bonn"}}})
    with pytest.raises(QueryError, match="flow@ is not known here; known are profile@ and event@"):
        of_documents(parse("flow@x = 1"), ("profile", "event"), "profile")


def test_a_condition_can_be_json() -> None:
    condition = prepare(
        "a = 1 AND NOT (b ~ 'x' OR lower(c) IN [y, 'z*']) AND d > now AND e BETWEEN 1 AND f.g", "events"
    )
    assert msgspec.json.decode(msgspec.json.encode(condition), type=Condition) == condition  # type: ignore[call-overload]


def test_nothing_of_the_user_becomes_sql() -> None:
    """Path and value are bound, whatever they hold."""
    query = """`x') --`.'"' = "'; DROP" AND a.b = "'" AND id = "'" AND c CONTAINS "'x" OR `d'd` > "'" AND e ~ "'" """
    clause = compile_sql(for_kind(parse(query), "events"), "events")
    assert not any(text in clause.sql for text in ("DROP", "x')", '"b"', "'x", "d'd"))
    assert all(f":{name}" in clause.sql for name in clause.parameters)


def run_sql(query: str, document: Any) -> bool:
    return in_sql(prepare(query, "profiles", NOW_US), document)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("ab", max_size=2), min_size=2, max_size=4), st.text("ab", max_size=6))
def test_a_wildcard_is_what_it_says(parts: list[str], text: str) -> None:
    """Against the slow way: every split of the text."""
    slow = re.fullmatch(".*".join(map(re.escape, parts)), text) is not None
    assert wildcard(tuple(parts))(text) is slow


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
