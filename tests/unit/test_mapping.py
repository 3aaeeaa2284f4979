"""A mapping makes a payload that the edge takes, or says which field could not be made."""

from __future__ import annotations

import json
from contextlib import suppress
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
        ({}, "mapping: it needs `event`, or `events`"),
        ({"event": {}}, "event.type: Field required"),
        ({"event": {"type": "'x'"}, "profil": "a"}, "profil: there is no such field; is it `profile`?"),
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


def test_a_message_becomes_many_events() -> None:
    mapping = compile_mapping(
        {
            "profile": "who",
            "event": {"type": "'order'", "properties": {"items": "length(items)"}},
            "events": [
                {
                    "each": "items",
                    "when": "n > `0`",
                    "type": "join('-', ['bought', kind])",
                    "id": "id",
                    "properties": {"n": "n", "order": "message().order", "line": "meta('line')"},
                },
                {"when": "coupon", "type": "'coupon-used'", "properties": {"code": "coupon"}},
                {"when": "!coupon", "type": "'no-coupon'"},
            ],
        }
    )
    order = {"order": 7, "who": "ann", "items": [{"kind": "tea", "n": 2, "id": "a"}, {"kind": "jam", "n": 0}]}
    assert mapping(order, {"line": 3}) == {
        "profile": {"id": "ann"},
        "events": [
            {"type": "order", "properties": {"items": 2}},
            {"type": "bought-tea", "id": "a", "properties": {"n": 2, "order": 7, "line": 3}},
            {"type": "no-coupon"},
        ],
    }
    assert [event["type"] for event in mapping({**order, "items": [], "coupon": "X"})["events"]] == [
        "order",
        "coupon-used",
    ]


def test_a_list_that_is_missing_gives_no_event_and_what_is_no_list_is_refused() -> None:
    mapping = compile_mapping({"events": [{"each": "items", "type": "@"}]})
    assert mapping({}) == mapping({"items": []}) == {"events": []}
    assert mapping({"items": ["a", "b"]}) == {"events": [{"type": "a"}, {"type": "b"}]}
    with pytest.raises(InvalidPayload, match=r"events\[0\]\.each: expected a list"):
        mapping({"items": {"a": 1}})
    with pytest.raises(InvalidPayload) as caught:
        mapping({"items": ["a", None]})
    assert caught.value.where == "events[0].type"


def test_a_message_of_which_no_event_is_made_is_a_payload_without_events() -> None:
    """Nothing else of it is looked at: whoever skips a message need not care that it has no customer."""
    mapping = compile_mapping({"when": "kind != 'test'", "profile": "require(who)", "event": {"type": "kind"}})
    assert mapping({"kind": "test"}) == {"events": []}
    with pytest.raises(InvalidPayload):
        mapping({"kind": "real"})
    rare = compile_mapping({"profile": "require(who)", "event": {"when": "n", "type": "'x'"}})
    assert rare({"n": []}) == {"events": []}
    assert rare({"n": 0, "who": "a"})["events"] == [{"type": "x"}]  # 0 is true in JMESPath
    assert admit(msgspec.json.encode(rare({})), Limits(), "shop").events == []


def test_expressions_that_share_a_way_do_not_disturb_each_other() -> None:
    """What is looked up within a condition is not known outside of it."""
    mapping = compile_mapping(
        {
            "event": {
                "type": "'x'",
                "properties": {
                    "a": "if(flag, deep.one.name, 'none')",
                    "b": "deep.one.name",
                    "c": "deep.one.name || deep.two.name",
                    "d": "deep.two.name",
                    "e": "deep.one | name",
                },
            }
        }
    )
    deep = {"one": {"name": "1"}, "two": {"name": "2"}}

    def properties(message: Any) -> Any:
        return mapping(message)["events"][0]["properties"]

    assert properties({"deep": deep}) == {"a": "none", "b": "1", "c": "1", "d": "2", "e": "1"}
    assert properties({"flag": 1, "deep": deep})["a"] == "1"
    assert properties({"deep": {"two": deep["two"]}}) == {"a": "none", "c": "2", "d": "2"}
    assert properties({"flag": 1, "deep": []}) == {}


def test_all_that_is_wrong_is_said_at_once() -> None:
    spec = {"profile": "a b", "event": {"type": "'x'", "properties": {"n": "numbr(n)"}}, "events": [{"type": "["}]}
    with pytest.raises(MappingError) as caught:
        compile_mapping(spec)
    assert [(problem.where, problem.column) for problem in caught.value.problems] == [
        ("event.properties.n", 1),
        ("events[0].type", 2),
        ("profile", 3),
    ]


@pytest.mark.parametrize("name", ["cloudevents", "debezium", "json", "segment", "snowplow"])
def test_a_ready_made_mapping_goes_by_its_name(name: str) -> None:
    assert compile_mapping(name).format == ("snowplow" if name == "snowplow" else "json")


def test_another_name_is_refused() -> None:
    with pytest.raises(MappingError, match="no ready-made mapping 'segmnt'; there are cloudevents"):
        compile_mapping("segmnt")


def test_text_that_holds_json_of_any_depth_is_a_payload_or_refused() -> None:
    event = {"type": "'x'", "properties": {"a": {"b": {"c": {"d": "from_json(s)"}}}}}
    mapping = compile_mapping({"source": "'shop'", "event": event})
    for depth in range(900, 1_020):
        with suppress(InvalidPayload):
            mapping.payload(json.dumps({"s": "[" * depth + "]" * depth}).encode(), Limits())
