"""A mapping makes a payload that the edge takes, or says which field could not be made."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.edge.admit import admit
from hub.edge.mapping import MappingError, compile_mapping
from hub.errors import InvalidPayload
from hub.settings import Limits

PURCHASE = {
    "profile": "customer_id",
    "event": {
        "type": "'purchase'",
        "time": "parse_time(date, '%Y%m%d')",
        "properties": {
            "quantity": "number(cds)",
            "amount": "number(dollars)",
            "where": {"shop": "shop", "line": "meta('line')"},
        },
    },
}


def test_a_row_becomes_a_payload_that_the_edge_takes() -> None:
    row = {"customer_id": "00001", "date": "19970101", "cds": "1", "dollars": "11.77"}
    payload = compile_mapping({**PURCHASE, "source": "'shop'"})(row, {"line": 2})
    assert payload == {
        "source": {"id": "shop"},
        "profile": {"id": "00001"},
        "events": [
            {
                "type": "purchase",
                "time": {"create": "1997-01-01T00:00:00Z"},
                "properties": {"quantity": 1, "amount": 11.77, "where": {"line": 2}},
            }
        ],
    }
    admitted = admit(msgspec.json.encode(payload), Limits())
    assert admitted.events[0].time_ms == 852_076_800_000


def test_what_has_no_value_is_left_out() -> None:
    mapping = compile_mapping({"profile": "p", "session": "s", "id": "i", "event": {"type": "'x'", "tags": "t"}})
    assert mapping({"p": "", "s": None}) == {"events": [{"type": "x"}]}


def test_numbers_become_ids_but_nothing_else_does() -> None:
    mapping = compile_mapping({"profile": "p", "event": {"type": "'x'"}})
    assert mapping({"p": 17})["profile"] == {"id": "17"}
    for wrong in (1.5, True, ["a"], {}):
        with pytest.raises(InvalidPayload, match="profile") as caught:
            mapping({"p": wrong})
        assert caught.value.reason == "mapping_failed"


def test_properties_may_be_one_expression_or_constants() -> None:
    mapping = compile_mapping({"event": {"type": "kind", "properties": "@", "context": {"fixed": 5, "yes": True}}})
    assert mapping({"kind": "a", "n": 1})["events"] == [
        {"type": "a", "properties": {"kind": "a", "n": 1}, "context": {"fixed": 5, "yes": True}}
    ]
    with pytest.raises(InvalidPayload, match=r"event\.properties: expected an object"):
        compile_mapping({"event": {"type": "'x'", "properties": "a"}})({"a": 1})


@pytest.mark.parametrize("message", [None, 3, "text", [], [{"customer_id": "1"}], {}])
def test_any_json_is_a_message(message: Any) -> None:
    with pytest.raises(InvalidPayload) as caught:
        compile_mapping({"event": {"type": "kind"}})(message)
    assert (caught.value.reason, caught.value.where) == ("mapping_failed", "event.type")


def test_the_field_at_fault_is_named() -> None:
    with pytest.raises(InvalidPayload) as caught:
        compile_mapping(PURCHASE)({"customer_id": "1", "date": "19970101", "cds": "1", "dollars": "much"})
    assert caught.value.where == "event.properties.amount"
    assert "much" in caught.value.detail


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "event: Field required"),
        ({"event": {}}, "event.type: Field required"),
        ({"event": {"type": "'x'"}, "profil": "a"}, "profil: Extra inputs"),
        ({"event": {"type": "'x", "id": "a"}}, "event.type: "),
        ({"event": {"type": "'x'", "properties": {"a": {"b": "c d"}}}}, "event.properties.a.b: "),
        ({"event": {"type": "'x'", "properties": ["a"]}}, "event.properties: expected an object"),
        (
            {"event": {"type": "'x'", "properties": {"a": ["b"]}}},
            "event.properties.a: a list is written as an expression",
        ),
    ],
)
def test_a_mapping_that_cannot_work_is_refused_when_it_is_saved(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(MappingError) as caught:
        compile_mapping(spec)
    assert words in str(caught.value)
