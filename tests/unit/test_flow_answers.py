"""Who waits for what flows answer, as the edge, the collector and the runs see it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.api.flow_answers import asking
from hub.edge.admit import admit
from hub.flows.outward import waited_for
from hub.settings import Limits
from schemas.flows import KIND, NONE_KIND
from tests.unit.segment_cases import sent
from tests.unit.test_flow_collecting import SIGN_IN, flow, hub_with
from tests.unit.test_identity import settled, told


def asked(type: str, id: str, options: dict[str, Any] | None = None) -> Any:
    """A record of ann's, whose event has these options."""
    record = sent(id, "ann", 2, type=type)
    record["body"][1]["events"][0]["options"] = msgspec.json.encode({"async": False} if options is None else options)
    return record


def test_the_event_says_which_flows_are_waited_for() -> None:
    flows = {"tea": flow(SIGN_IN), "coffee": flow(SIGN_IN), "none": flow({**SIGN_IN, "condition": "event@id = x"})}
    hub = hub_with(flows, asked("sign-in", "e1"), asked("sign-in", "e2", {"async": True}), sent("e3", "ann"))
    assert waited_for(told(hub, "e1")) == ["coffee", "tea"]
    assert waited_for(told(hub, "e2")) == waited_for(told(hub, "e3")) == []
    assert [one["kind"] for one in hub.log.triggers if one["kind"] != KIND] == []


def test_who_waits_for_nothing_is_told() -> None:
    flows = {"tea": flow({**SIGN_IN, "condition": "event@id = x"})}
    hub = hub_with(flows, asked("sign-in", "e1"), asked("sign-in", "e2", {}), asked("other", "e3"))
    (trigger,) = hub.log.triggers  # of e3 the API knows it itself
    assert (trigger["kind"], trigger["event_id"]) == (NONE_KIND, "e1")
    assert "flows" not in told(hub, "e1")
    # sent again, nobody is told again
    settled(asked("sign-in", "e1"), hub=hub)
    assert len(hub.log.triggers) == 1


@pytest.mark.parametrize(
    ("payload", "events", "expected"),
    [
        ({}, [{}], None),
        ({}, [{"async": True}], None),
        ({"async": True}, [{}], None),
        ({"async": "false"}, [{"async": 0}], None),
        ({}, [{"async": False, "x": 1}, {}], [{"async": False, "x": 1}, {}]),
        ({"async": False}, [{}, {"x": 1}], [{"async": False}, {"x": 1, "async": False}]),
        ({"async": False}, [{"async": True}, {}], [{"async": True}, {"async": False}]),
        ({"async": False}, [{"async": True}], None),
    ],
)
def test_what_is_asked_for(
    payload: dict[str, Any], events: list[dict[str, Any]], expected: list[dict[str, Any]] | None
) -> None:
    body = msgspec.json.encode(
        {"source": "shop", "options": payload, "events": [{"type": "a", "options": one} for one in events]}
    )
    found = asking(admit(body, Limits()))
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert [msgspec.json.decode(event.options) for event in found.events] == expected
