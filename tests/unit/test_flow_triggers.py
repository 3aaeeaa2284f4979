"""Which flows an event lets run."""

from __future__ import annotations

from typing import Any

from hub.definitions.kinds import Flow
from hub.flows.run import Documents
from hub.flows.triggers import Triggers
from tests.unit.flow_cases import EVENT, NOW_MS, PROFILE


def flow(*triggers: dict[str, Any], **more: Any) -> tuple[Flow, int]:
    return Flow.model_validate({"nodes": {"start": {"type": "start"}}, "triggers": list(triggers), **more}), 3


def fired(triggers: Triggers, event: dict[str, Any], profile: dict[str, Any] = PROFILE) -> list[str]:
    return [f"{id}/{version}/{what.kind}" for id, version, what in triggers.of(Documents(event, profile), NOW_MS)]


def test_events() -> None:
    purchase = {"type": "event", "event_type": "purchase"}
    triggers = Triggers(
        {
            "b": flow(purchase),
            "a": flow({**purchase, "condition": "event@properties.amount > 10 AND profile@traits.plan = gold"}),
            "c": flow({**purchase, "condition": "event@properties.amount > 100"}),
            "d": flow({**purchase, "source": "till"}),
            "e": flow(purchase, enabled=False),
            "f": flow(
                {"type": "event", "event_type": "visit"}, {"type": "manual"}, {"type": "schedule", "every": "1d"}
            ),
            "g": flow({**purchase, "source": "shop"}, purchase),
            "h": flow({**purchase, "condition": "amount > 10 AND payload@amount < 100"}),
        }
    )
    assert fired(triggers, EVENT) == ["a/3/event", "b/3/event", "g/3/event", "h/3/event"]  # each once
    assert fired(triggers, {**EVENT, "type": "other"}) == []
    assert fired(triggers, {**EVENT, "type": "visit"}) == ["f/3/event"]
    ((_, _, what),) = triggers.of(Documents({**EVENT, "type": "visit"}, PROFILE), NOW_MS)
    assert (what.id, what.data, what.depth) == ("e1", EVENT["properties"], 0)


def test_segments_and_heartbeats_are_what_the_hub_says_they_are() -> None:
    triggers = Triggers(
        {
            "in": flow({"type": "segment-entered", "segment": "vip"}),
            "out": flow({"type": "segment-left", "segment": "vip", "condition": "profile@traits.plan = gold"}),
            "beat": flow({"type": "heartbeat", "heartbeat": "daily"}),
            "event": flow({"type": "event", "event_type": "segment-entered"}),
        }
    )
    entered = {**EVENT, "type": "segment-entered", "source": {"id": "@segments"}, "properties": {"segment": "vip"}}
    assert fired(triggers, entered) == ["in/3/segment-entered"]
    assert fired(triggers, {**entered, "type": "segment-left"}) == ["out/3/segment-left"]
    assert fired(triggers, {**entered, "properties": {"segment": "other"}}) == []
    # anybody may send an event of such a name: it is just an event
    assert fired(triggers, {**entered, "source": {"id": "shop"}}) == ["event/3/event"]
    beat = {**EVENT, "source": {"id": "@heartbeat"}, "metadata": {"origin": "heartbeat:daily"}}
    assert fired(triggers, beat) == ["beat/3/heartbeat"]
    assert fired(triggers, {**beat, "metadata": {"origin": "heartbeat:other"}}) == []


def test_no_flows_cost_nothing() -> None:
    assert not Triggers({})
    assert not Triggers({"a": flow({"type": "manual"})})
