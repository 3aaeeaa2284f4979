"""Conditions of heartbeats and flows on histories that no segment asks for."""

from __future__ import annotations

import pytest

from hub.conditions.unkept import unkept
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Flow, Segment
from hub.flows.check import check
from hub.flows.references import unkept_histories
from tests.unit.flow_cases import spec

SEGMENTS = ("count(purchase) in last 30 days >= 3", "sum(purchase.properties.amount) > 5", "traits.x = 1")


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ("", []),
        ("traits.age > 30", []),
        ("traits.age >", []),  # somebody else says so
        ("count(purchase) > 5 AND last(purchase) < now - 7d", []),
        ("count(purchase) in last 4 weeks = 0", []),
        ("sum(purchase.properties.amount) > 100", []),
        ("never(visit) OR traits.x = 1", ["count(visit)"]),
        ("count(purchase) in last 31 days > 1", ["count(purchase) IN LAST 31 days"]),
        ("avg(purchase.properties.amount) in last 1 day > 1", ["avg(purchase.properties.amount) IN LAST 1 day"]),
        ("count(purchase WHERE properties.a = 1) > 1", ["count(purchase WHERE properties.a = 1)"]),
    ],
)
def test_what_no_segment_asks_for_is_named(condition: str, named: list[str]) -> None:
    warnings = unkept(condition, SEGMENTS)
    assert [one.partition(", as no segment")[0].removeprefix("profiles do not keep ") for one in warnings] == named


def test_triggers_and_nodes_of_a_flow_are_looked_at() -> None:
    flow: Flow = spec(
        {
            "start": ("start", {}, "a"),
            "a": ("if", {"condition": "count(visit) > 1"}, {"then": "b"}),
            "b": ("choose-value", {"cases": [{"condition": "count(purchase) > 1", "value": 1}]}, "c"),
            "c": ("resolve", {"conditions": {"x": "never(refund)"}}),
        },
        triggers=[{"type": "event", "event_type": "a", "condition": "count(sign-in) > 1"}],
    )
    defined = {str(place): Entry(Segment(condition=one), 1, 0) for place, one in enumerate(SEGMENTS)}
    found = list(unkept_histories(flow, check(flow).parts, lambda _: defined))
    assert [(one.path[1], one.detail.split(",")[0].rpartition(" ")[2]) for one in found] == [
        (0, "count(sign-in)"),
        ("a", "count(visit)"),
        ("c", "count(refund)"),
    ]
