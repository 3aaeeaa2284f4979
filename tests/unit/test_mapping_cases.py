"""A mapping's own tests are run, and what they find is shown field by field; those that come with the hub pass."""

from __future__ import annotations

import time
from itertools import count
from typing import Any

import pytest

from bridges.registry import BridgeError, validate
from hub.definitions.kinds import Bridge
from hub.edge.mapping import MappingError
from hub.edge.mapping.cases import TooSlow, run
from hub.edge.mapping.library import NAMES
from hub.edge.mapping.lint import lint

MAPPING: dict[str, Any] = {
    "when": "kind != 'noise'",
    "profile": "who",
    "event": {"type": "kind", "time": "at", "properties": {"n": "number(n)", "part": "meta('partition')"}},
}
PAYLOAD = {"profile": {"id": "ann"}, "events": [{"type": "sale", "properties": {"n": 1}}]}


def differences(case: dict[str, Any], mapping: dict[str, Any] = MAPPING) -> list[str]:
    [result] = run({**mapping, "tests": [case]}, time.monotonic)
    return [str(difference) for difference in result.differences]


@pytest.mark.parametrize(
    "case",
    [
        {"message": {"kind": "sale", "who": "ann", "n": "1"}, "expect": PAYLOAD},
        {"body": '{"kind": "sale", "who": "ann", "n": "1"}', "expect": PAYLOAD},
        {"message": {"kind": "noise"}, "dropped": True},
        {"message": {"kind": "sale", "n": "x"}, "refused": "event.properties.n"},
        {"message": {"kind": "sale", "n": "x"}, "refused": "mapping_failed"},
        {"message": {"kind": "sale", "at": "yesterday"}, "refused": "bad_time"},
        {"body": '{"kind": ', "refused": "not_json"},
        {
            "message": {"kind": "sale"},
            "meta": {"partition": 3},
            "expect": {"events": [{"type": "sale", "properties": {"part": 3}}]},
        },
    ],
)
def test_what_is_expected_passes(case: dict[str, Any]) -> None:
    assert differences(case) == []


def test_each_field_that_differs_is_shown() -> None:
    message = {"kind": "sale", "who": "bob", "n": "1"}
    expect = {
        "profile": {"id": "ann"},
        "source": {"id": "shop"},
        "events": [{"type": "sale", "properties": {"n": True, "m": [1]}}, {"type": "b"}],
    }
    assert differences({"message": message, "expect": expect}) == [
        'profile.id: "ann" → "bob"',
        'source: {"id":"shop"} → nothing',
        "events[0].properties.n: true → 1",
        "events[0].properties.m: [1] → nothing",
        'events[1]: {"type":"b"} → nothing',
    ]


def test_another_outcome_is_shown() -> None:
    good, bad = {"kind": "sale"}, {"kind": "sale", "n": "x"}
    [shown] = differences({"message": bad, "expect": PAYLOAD})
    assert shown.startswith("payload: a payload → refused: mapping_failed: event.properties.n")
    assert differences({"message": good, "dropped": True}) == [
        'payload: dropped → {"events":[{"type":"sale","properties":{}}]}'
    ]
    assert differences({"message": {"kind": "noise"}, "refused": "bad_time"}) == [
        "payload: refused: bad_time → dropped"
    ]


def test_messages_of_other_formats_are_texts() -> None:
    text = {"format": "csv", "columns": ["a"], "charset": "latin-1", "event": {"type": "a"}}
    assert differences({"message": "é", "expect": {"events": [{"type": "é"}]}}, text) == []
    bytes_ = {"format": "bytes", "event": {"type": "'x'", "properties": {"raw": "@"}}}
    case = {"message": "AP8=", "expect": {"events": [{"type": "x", "properties": {"raw": "AP8="}}]}}
    assert differences(case, bytes_) == []


@pytest.mark.parametrize(
    "case",
    [
        {"expect": PAYLOAD},
        {"message": {}, "body": "{}", "dropped": True},
        {"message": {}},
        {"message": {}, "dropped": True, "refused": "x"},
    ],
)
def test_a_test_says_one_thing(case: dict[str, Any]) -> None:
    with pytest.raises(MappingError, match=r"tests\[0\]"):
        differences(case)


def test_tests_that_take_too_long_are_stopped() -> None:
    clock = count()
    with pytest.raises(TooSlow, match="2 s"):
        list(
            run({**MAPPING, "tests": [{"message": {"kind": "noise"}, "dropped": True}] * 5}, lambda: float(next(clock)))
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_mappings_that_come_with_the_hub_pass_their_tests(name: str) -> None:
    results = list(run(name, time.monotonic))
    assert {result.name: list(map(str, result.differences)) for result in results if result.differences} == {}
    assert len(results) >= 4
    assert lint(name) == []


def bridge(**fields: Any) -> Bridge:
    return Bridge.model_validate(
        {"type": "kafka", "source": "shop", "settings": {"bootstrap": "b", "topics": "t"}, **fields}
    )


def test_a_bridge_whose_mapping_fails_its_tests_is_not_saved() -> None:
    message = {"kind": "sale", "who": "ann", "n": "1"}
    case = {"name": "a sale", "message": message, "expect": PAYLOAD}
    validate(bridge(mapping={**MAPPING, "tests": [case]}))
    wrong = bridge(mapping={**MAPPING, "profile": "'bob'", "tests": [case]})
    with pytest.raises(BridgeError) as caught:
        validate(wrong)
    assert str(caught.value) == 'mapping.tests: \'a sale\' fails (expected → got): profile.id: "ann" → "bob"'
    # a bridge that was saved before starts: its tests have been run then
    validate(wrong, tests=False)


def test_a_bridge_may_name_a_mapping() -> None:
    validate(bridge(mapping="segment"))
    with pytest.raises(BridgeError, match="mapping: there is no ready-made mapping 'segmnt'"):
        validate(bridge(mapping="segmnt"))
