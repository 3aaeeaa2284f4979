"""Flows for tests: short to write, run on a made-up event and profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from hub.definitions.kinds import Flow
from hub.flows.compiled import CompiledFlow, compile_flow
from hub.flows.node import Call, Given
from hub.flows.registry import node_of
from hub.flows.run import Documents, run
from hub.flows.trace import Fired, Run

NOW_MS: Final = 1_764_086_400_000
"""2025-11-25T16:00:00Z, a Tuesday."""
EVENT: Final[dict[str, Any]] = {
    "id": "e1",
    "type": "purchase",
    "source": {"id": "shop"},
    "profile": {"id": "ann"},
    "session": {"id": "s1"},
    "metadata": {"origin": "rest", "time": {"insert": "2025-11-25T16:00:00.000Z"}},
    "properties": {"amount": 12.5, "city": "Leeds", "items": [{"n": "tea", "price": 3}, {"n": "jam", "price": 9.5}]},
    "context": {},
    "outcome": {"profile_created": False},
}
PROFILE: Final[dict[str, Any]] = {
    "id": "ann",
    "ids": ["ann"],
    "traits": {"name": "Ann", "plan": "gold", "born": "1990-05-04", "colours": ["red"]},
    "data": {},
    "stats": {"events": 3, "visits": 1},
    "segments": ["regulars"],
    "interests": {"tea": 3, "jam": 5},
    "consents": {
        "mail": {"granted": True, "revoke": None},
        "ads": {"granted": True, "revoke": "2025-01-01T00:00:00Z"},
        "sms": {"granted": False, "revoke": None},
    },
    "metadata": {"time": {"insert": "2025-11-20T16:00:00.000Z"}},
}
DOCUMENTS: Final = Documents(EVENT, PROFILE, {"id": "s1"})
FIRED: Final = Fired("e1", "event", NOW_MS, {"a": 1})


def spec(nodes: dict[str, Any], **more: Any) -> Flow:
    """A flow's definition. A node is `(type, config, to)`, its end left out if you like."""
    return Flow.model_validate({"nodes": {id: _node(*each) for id, each in nodes.items()}, **more})


def _node(type: str, config: dict[str, Any] | None = None, to: Any = None) -> dict[str, Any]:
    to = {} if to is None else to if isinstance(to, dict) else {"out": to}
    return {"type": type, "config": config or {}, "to": to}


def compiled(nodes: dict[str, Any], **more: Any) -> CompiledFlow:
    """The same, ready to be run."""
    return compile_flow("f", spec(nodes, **more), 7)


def ran(nodes: dict[str, Any], documents: Documents = DOCUMENTS, limits: Any = None, **more: Any) -> Run:
    """What a run of it comes to."""
    flow = compiled(nodes, **({} if limits is None else {"limits": limits}))
    return run(flow, more.pop("fired", FIRED), documents, now_ms=more.pop("now_ms", NOW_MS), **more)


def asked(
    type: str, config: dict[str, Any], payload: Any = None, documents: Mapping[str, Any] = {}, **more: Any
) -> Given:
    """What one node gives. Args: documents: in place of those that there are."""
    made = node_of(type)
    scope = {
        "payload": {"a": 1} if payload is None else payload,
        "event": EVENT,
        "profile": PROFILE,
        "session": {"id": "s1"},
        "memory": {"m": 5},
        "flow": {"id": "f", "name": "", "version": 7, "run": "r", "trigger": {}},
        **documents,
    }
    return made.run(made.config.model_validate(config), Call(scope, node="n", run="r", now_ms=NOW_MS, **more))


def trail(found: Run) -> list[str]:
    """Where it went: `node:port`."""
    return [f"{step.node}:{step.port or step.state}" for step in found.steps]


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    """Any DAG of nodes that set, ask, fail, pause, call, meet."""
    size = draw(st.integers(1, 10))
    nodes: dict[str, Any] = {}
    kinds = [
        ("increment", {"field": "stats.n"}, ("out",)),
        ("append-to-profile", {"field": "traits.way", "value": "=flow.id"}, ("out",)),
        ("if", {"condition": "profile@stats.n > 0"}, ("then", "else")),
        ("split", {"shares": [{"port": "x"}, {"port": "y"}]}, ("x", "y")),
        ("fail", {"message": "no"}, ("out",)),
        ("join", {"payload": "by-node"}, ("out",)),
        ("join", {"wait_for": "all", "payload": "by-node"}, ("out",)),
        ("pause", {"wait": "1d"}, ("out",)),
        ("http-call", {"url": "https://x.example/{{ profile@stats.n }}"}, ("out",)),
        ("remember", {"values": {"n": "profile@stats.n"}}, ("out",)),
        ("raise-event", {"event_type": "x", "properties": {"n": "memory@n"}}, ("out",)),
    ]
    reached = {0}
    chosen = [draw(st.sampled_from(kinds)) for _ in range(size)]
    edges: dict[int, dict[str, list[str]]] = {}
    for place in range(size):
        ports = (*chosen[place][2], "error")
        edges[place] = {}
        for port in ports:
            targets = draw(st.lists(st.integers(place + 1, size), unique=True, max_size=2)) if place < size else []
            targets = [target for target in targets if target < size]
            if targets and place in reached:
                edges[place][port] = [f"n{target}" for target in targets]
                reached.update(targets)
    nodes["start"] = ("start", {}, "n0")
    for place in sorted(reached):
        type, config, _ = chosen[place]
        nodes[f"n{place}"] = (type, config, edges[place])
    return nodes
