"""What is wrong with a mapping is said with the line and the column in its file, whatever the file is written in."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hub.edge.mapping.lint import lint, mapping_in
from hub.edge.mapping.places import Place, Source, Unreadable
from hub.edge.mapping.problems import Problem

YAML = """\
# of the shop
profile: customer_id
event:
  type: "'purchase'"
  properties:
    plain: numbr(a)
    single: 'join(''-'', [a, b]) | numbr(c)'
    double: "join(\\"-\\", [\\u0061, b]) | numbr(c)"
    folded: >
      a ||
      numbr(c)
    shop: {name: numbr(x)}
"""
JSON = """\
{"type": "kafka", "settings": {},
 "mapping": {
   "profile": "customer_id",
   "event": {"type": "'x'", "properties": {
     "escaped": "\\u00e9\\ud83d\\ude00 \\"",
     "call": "\\"\\u00e9\\ud83d\\ude00\\" | numbr(c)"}}}}
"""


def places(text: str, *, is_json: bool) -> dict[str, tuple[Place, str]]:
    source = Source(text, is_json=is_json)
    mapping, within = mapping_in(source.value)
    return {finding.problem.where: (source.place(finding.problem, within), finding.level) for finding in lint(mapping)}


def text_at(text: str, place: Place) -> str:
    return text.splitlines()[place.line - 1][place.column - 1 :]


def test_yaml_is_pointed_into() -> None:
    found = places(YAML, is_json=False)
    assert {level for _, level in found.values()} == {"error"}
    starts = {where: text_at(YAML, place)[:5] for where, (place, _) in found.items()}
    assert starts == {
        "event.properties.plain": "numbr",
        "event.properties.single": "numbr",
        "event.properties.double": "numbr",
        "event.properties.folded": ">",
        "event.properties.shop.name": "numbr",
    }


def test_json_is_pointed_into() -> None:
    found = places(JSON, is_json=True)
    assert text_at(JSON, found["event.properties.call"][0]).startswith("numbr")
    assert found["event.properties.escaped"][0].line == 5


@pytest.mark.parametrize(
    ("text", "is_json", "place"),
    [
        ('{"a": 1,\n "b" 2}', True, (2, 6)),
        ('{"a": 1,}', True, (1, 9)),
        ('{"a": [1 2]}', True, (1, 10)),
        ('{"a": 1, "a": 2}', True, (1, 10)),
        ('{"a": 1} x', True, (1, 10)),
        ('{"a": tru}', True, (1, 7)),
        ("", True, (1, 1)),
        ("a: [1\nb: 2", False, (2, 2)),
        ("a: b: c", False, (1, 5)),
        ("a: \x00", False, (1, 4)),
        ("[" * 100_000, True, (1, 1)),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text: str, is_json: bool, place: tuple[int, int]) -> None:
    with pytest.raises(Unreadable) as caught:
        Source(text, is_json=is_json)
    assert caught.value.place == place


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(DOCUMENTS, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_as_json(document: Any, indent: int | None, ascii: bool) -> None:
    assert Source(json.dumps(document, indent=indent, ensure_ascii=ascii), is_json=True).value == document


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.data())
def test_a_character_of_a_json_text_is_found_again(text: str, data: st.DataObject) -> None:
    column = data.draw(st.integers(1, len(text)))
    written = json.dumps({"a": text})
    place = Source(written, is_json=True).place(Problem(("a",), "", column))
    assert json.loads('"' + written[place.column - 1 : -2] + '"') == text[column - 1 :]


@given(st.text(st.sampled_from("ab'\"\\\té😀 :#-|>"), min_size=1), st.booleans(), st.data())
def test_a_character_of_a_yaml_text_is_found_again(text: str, double: bool, data: st.DataObject) -> None:
    column = data.draw(st.integers(1, len(text)))
    quoted = json.dumps(text, ensure_ascii=False) if double else "'" + text.replace("'", "''") + "'"
    source = Source(f"a: {quoted}", is_json=False)
    place = source.place(Problem(("a",), "", column))
    assert source.value == {"a": text}
    assert yaml.safe_load(quoted[0] + f"a: {quoted}"[place.column - 1 :]) == text[column - 1 :]


def test_dates_in_yaml_stay_texts() -> None:
    assert Source("a: 2026-11-24\nb: 2026-11-24T10:00:00Z", is_json=False).value == {
        "a": "2026-11-24",
        "b": "2026-11-24T10:00:00Z",
    }


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"event": {"type": "'x'"}}, "no `profile` and no `session`"),
        ({"profile": "a", "event": {"type": "purchase"}}, "a fixed text has single quotes around it: 'purchase'"),
        ({"profile": "a", "events": [{"type": '"purchase"'}]}, "it is the message's field 'purchase'"),
        ({"profile": "a", "event": {"type": "`5`"}}, "it is no text"),
    ],
)
def test_what_is_probably_not_meant_is_a_warning(mapping: dict[str, Any], words: str) -> None:
    [finding] = lint(mapping)
    assert finding.level == "warning"
    assert words in finding.problem.detail


@pytest.mark.parametrize(
    "mapping",
    [
        {"session": "s", "event": {"type": "type"}},
        {"profile": "a", "event": {"type": "stage"}, "tests": [{"message": {"stage": "x"}, "expect": {}}]},
        {"profile": "a", "format": "csv", "columns": ["stage"], "event": {"type": "stage"}},
        {"profile": "a", "event": {"type": "a.purchase"}},
    ],
)
def test_what_may_well_be_meant_is_none(mapping: dict[str, Any]) -> None:
    assert lint(mapping) == []


@pytest.mark.parametrize("document", [None, 5, [], "segmnt", {"mapping": 5}, {"spec": {"mapping": []}}])
def test_what_is_no_mapping_is_an_error(document: Any) -> None:
    mapping, _ = mapping_in(document)
    assert [finding.level for finding in lint(mapping)] == ["error"]
