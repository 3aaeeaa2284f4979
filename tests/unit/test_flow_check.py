"""A flow is checked when it is saved: all that is wrong is said, each with its node."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.definitions.kinds import Flow
from hub.flows.check import check
from hub.flows.graph import circle, ordered, reached
from tests.unit.flow_cases import spec

GOOD: dict[str, Any] = {
    "start": ("start", {}, "vip"),
    "vip": ("if", {"condition": "profile@traits.plan = gold"}, {"then": "gift", "else": ["say", "stop"]}),
    "gift": ("update-profile", {"fields": {"traits.gift": "tea"}}, "meet"),
    "say": ("explain", {"text": "{{ profile@id }} gets nothing"}, "meet"),
    "meet": ("join", {}, {}),
    "stop": ("end",),
}


def problems(nodes: dict[str, Any], **more: Any) -> list[str]:
    return [f"{problem.where}: {problem.detail}" for problem in check(spec(nodes, **more)).problems]


def test_a_good_one_has_no_problems() -> None:
    found = check(spec(GOOD))
    assert (found.problems, found.warnings) == ([], [])
    assert found.order == ["start", "vip", "gift", "say", "meet", "stop"]


@pytest.mark.parametrize(
    ("changed", "where", "words"),
    [
        ({"gift": ("update-profil", {}, "meet")}, "nodes.gift.type", "is it 'update-profile'?"),
        ({"gift": ("explain", {"txt": "x"}, "meet")}, "nodes.gift.config.txt", "is it 'text'?"),
        ({"gift": ("explain", {}, "meet")}, "nodes.gift.config.text", "needs this field"),
        ({"gift": ("explain", {"text": "x"}, "mete")}, "nodes.gift.to.out[0]", "is it 'meet'?"),
        ({"gift": ("explain", {"text": "x"}, {"them": "meet"})}, "nodes.gift.to.them", "it has out, error"),
        ({"gift": ("explain", {"text": "x"}, ["meet", "meet"])}, "nodes.gift.to.out", "named twice"),
        ({"lost": ("explain", {"text": "x"}, "meet")}, "nodes.lost", "never reached"),
        ({"meet": ("join", {}, "vip")}, "nodes.vip", "on a circle: vip → gift → meet → vip"),
        ({"meet": ("join", {}, "meet")}, "nodes.meet", "on a circle: meet → meet"),
        ({"meet": ("join", {}, "start")}, "nodes.start", "no node can lead to it"),
        ({"start": ("explain", {"text": "x"}, "vip")}, "nodes", "nowhere to begin"),
        ({"gift": ("update-profile", {"fields": {"nme": 1}}, "meet")}, "nodes.gift.config", "'nme' is no field"),
        ({"gift": ("increment", {"field": "stats.events"}, "meet")}, "nodes.gift.config.field", "the hub makes it"),
        ({"gift": ("pause", {}, "meet")}, "nodes.gift.config", "say for how long"),
        ({"gift": ("pause", {"wait": "3d", "event_type": "Visit"}, "meet")}, "nodes.gift.config", "would be 'visit'"),
        ({"start": ("start", {"event_types": ["A b"]}, "vip")}, "nodes.start.config", "would be 'a-b'"),
        ({"gift": ("pause", {"wait": "3 days"}, "meet")}, "nodes.gift.config.wait", "no duration"),
        (
            {"gift": ("regex-match", {"text": "a", "pattern": "(?=a)"}, {"then": "meet"})},
            "nodes.gift.config.pattern",
            "RE2",
        ),
        ({"gift": ("switch", {"cases": [{"port": "a", "value": 1}]}, {"a": "meet"})}, "nodes.gift.config", "need `on`"),
        (
            {"gift": ("switch", {"cases": [{"port": "error", "condition": "a = 1"}]}, "meet")},
            "nodes.gift.config",
            "no port can be called error",
        ),
        (
            {"gift": ("split", {"shares": [{"port": "x"}, {"port": "x"}]}, {"x": "meet"})},
            "nodes.gift.config",
            "a port of its own",
        ),
        (
            {"gift": ("http-call", {"url": "https://x.example", "headers": {"Authorization": "abc"}}, "meet")},
            "nodes.gift.config",
            "write env:NAME",
        ),
        ({"gift": ("http-call", {"url": "file:///etc/passwd"}, "meet")}, "nodes.gift.config", "no URL of http"),
        (
            {"gift": ("http-call", {"url": "https://a:b@x.example"}, "meet")},
            "nodes.gift.config",
            "leave user and password",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_node(changed: dict[str, Any], where: str, words: str) -> None:
    found = problems({**GOOD, **changed})
    assert any(one.startswith(f"{where}: ") and words in one for one in found), found


def test_expressions_that_are_wrong_are_said_with_their_column() -> None:
    nodes = {**GOOD, "vip": ("if", {"condition": "profile@traits.plan == = gold"}, GOOD["vip"][2])}
    (found,) = check(spec(nodes)).problems
    assert (found.where, found.column) == ("nodes.vip.config.condition", 24)
    nodes = {**GOOD, "gift": ("compute", {"value": {"x": ["=sizze(payload)"]}}, "meet")}
    (found,) = check(spec(nodes)).problems
    assert (found.where, found.column) == ("nodes.gift.config.value.x[0]", 2)
    assert "in the expression '=sizze(payload)'" in str(found)
    nodes = {**GOOD, "vip": ("if", {"condition": "a = 1 AND\nb ="}, GOOD["vip"][2])}
    (found,) = check(spec(nodes)).problems
    assert found.detail.startswith("line 2, column 4: ")


def test_all_of_it_is_said_at_once() -> None:
    nodes = {"start": ("start", {}, "b"), "b": ("explain", {}, "c"), "c": ("nothing-such",), "d": ("end",)}
    found = " | ".join(problems(nodes))
    assert all(words in found for words in ("nodes.b.config.text", "nodes.c.type", "nodes.d: it is never reached"))


def test_what_goes_along_an_edge_fits_the_node_at_its_end() -> None:
    nodes = {
        "start": ("start", {}, "count"),
        "count": ("length", {"value": "payload@a", "into": ""}, "twice"),
        "twice": ("calculate", {"formula": "payload@... * 2", "into": "n"}),
    }
    (found,) = problems(nodes)
    assert found.startswith("nodes.count.to.out[0]: twice takes an object, and a number goes out here")
    nodes["count"] = ("length", {"value": "payload@a"}, "ask")
    nodes["ask"] = ("exists", {"value": "payload@value"}, {"then": "twice"})  # lets pass what comes in
    assert problems(nodes) == []
    nodes["count"] = ("length", {"value": "payload@a", "into": ""}, "ask")
    assert "ask.to.then[0]: twice takes an object" in problems(nodes)[0]


def test_triggers_are_checked() -> None:
    triggers = [
        {"type": "event", "event_type": "Order Done"},
        {"type": "segment-entered", "segment": "vip", "condition": "profile@traits.x ="},
        {"type": "schedule", "every": "1d", "condition": "traits.age >"},
        {"type": "schedule", "every": "1d", "condition": "event@type = x"},
        {"type": "event", "event_type": "*"},
    ]
    found = problems(GOOD, triggers=triggers)
    assert "triggers[0].event_type: no event is of this type: it would be 'order-done'" in found
    assert any(one.startswith("triggers[1].condition: ") for one in found)
    assert any(one.startswith("triggers[2].condition: ") for one in found)
    assert "triggers[3].condition: profiles have no event@" in found
    assert "triggers[4].event_type: a trigger is for one event type, and * is none" in found
    for wrong in ({"type": "event"}, {"type": "schedule"}, {"type": "schedule", "cron": "61 * * * *"}, {"type": "x"}):
        with pytest.raises(ValidationError):
            spec(GOOD, triggers=[wrong])


def test_what_may_be_done_twice_is_marked() -> None:
    call = {"method": "POST", "url": "https://x.example", "idempotency_key": None}
    nodes = {"start": ("start", {}, "call"), "call": ("http-call", {**call, "idempotency_key": ""})}
    (found,) = check(spec(nodes)).warnings
    assert (found.where, "at least once" in found.detail) == ("nodes.call", True)
    nodes["call"] = ("http-call", {**call, "idempotency_key": "event@id"})
    assert check(spec(nodes)).warnings == []


def test_unknown_fields_and_ids_that_nobody_can_name_are_refused() -> None:
    for wrong in ({"nodes": {}}, {"nodes": {"a b": {"type": "start"}}}, {"nodes": {"a": {"type": "start", "x": 1}}}):
        with pytest.raises(ValidationError):
            Flow.model_validate(wrong)


graphs = (
    st.integers(1, 12)
    .flatmap(lambda size: st.lists(st.lists(st.integers(0, size - 1), max_size=4), min_size=size, max_size=size))
    .map(lambda rows: {f"n{place}": [f"n{target}" for target in row] for place, row in enumerate(rows)})
)


@given(graphs)
def test_an_order_or_a_circle(edges: dict[str, list[str]]) -> None:
    order, found = ordered(edges), circle(edges)
    place = {id: number for number, id in enumerate(order)}
    assert all(place[source] < place[target] for source in place for target in edges[source] if target in place)
    assert bool(found) == (len(order) < len(edges))
    if found:
        assert found[0] == found[-1]
        assert all(after in edges[before] for before, after in pairwise(found))
    assert reached(edges, ["n0"]) >= {"n0", *edges["n0"]}
