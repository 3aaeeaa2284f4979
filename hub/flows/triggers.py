"""Which flows does a stored event let run? Compiled, with an index, so that an event of no flow costs a lookup."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from hub.conditions import QueryError
from hub.definitions.flows import FlowTrigger, OnDemand, OnSchedule
from hub.definitions.kinds import Flow
from hub.flows import conditions
from hub.flows.loops import depth_of
from hub.flows.run import Documents
from hub.flows.trace import Fired
from hub.pipeline.heartbeat import SOURCE as HEARTBEATS
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.pipeline.segment_events import ENTERED, LEFT

Key: TypeAlias = "tuple[str, str]"
"""What has happened, and of what: `("event", "purchase")`, `("segment-entered", "regulars")`."""
_ANY: Final = ""


class _Waiting(NamedTuple):
    flow: str
    version: int
    source: str
    met: conditions.Met | None


class Triggers:
    """Of all flows that are in force."""

    def __init__(self, flows: Mapping[str, tuple[Flow, int]]) -> None:
        """
        Args: flows: by id, with its version. What is switched off, or has a condition that cannot be read (the API lets
        none through), waits for nothing.
        """
        self._waiting: dict[Key, list[_Waiting]] = {}
        for id, (flow, version) in sorted(flows.items()):
            for trigger in flow.triggers if flow.enabled else ():
                key = _key(trigger)
                if key is None:
                    continue
                text = getattr(trigger, "condition", "")
                try:
                    met = conditions.compiled(text) if text.strip() else None
                except QueryError:
                    continue
                source = getattr(trigger, "source", _ANY)
                self._waiting.setdefault(key, []).append(_Waiting(id, version, source, met))

    def __bool__(self) -> bool:
        """Whether any flow waits for anything that happens."""
        return bool(self._waiting)

    def of(self, documents: Documents, now_ms: int) -> Iterator[tuple[str, int, Fired]]:
        """
        The flows that an event lets run, each once: id, version, and what has fired.

        Args:
            documents: The event, and the profile with it applied.
            now_ms: When the hub received the event, milliseconds since 1970.
        """
        event = documents.event
        found = self._waiting.get(_key_of(event))
        if not found:
            return
        scope = {
            "payload": {},
            "event": event,
            "profile": documents.profile,
            "session": documents.session,
            "memory": {},
            "flow": {},
        }
        source = event["source"]["id"]
        done: set[str] = set()
        for one in found:
            if one.flow in done or one.source not in (_ANY, source):
                continue
            if one.met is None or one.met(scope, now_ms):
                done.add(one.flow)
                yield one.flow, one.version, fired_by(event, now_ms)


def fired_by(event: Mapping[str, Any], now_ms: int) -> Fired:
    """What an event fires: the payload that a run begins with are its properties."""
    kind, _ = _key_of(event)
    properties = event.get("properties")
    data = properties if isinstance(properties, dict) else {}
    return Fired(str(event.get("id", "")), kind, now_ms, data, depth_of(event))


def _key(trigger: FlowTrigger) -> Key | None:
    if isinstance(trigger, OnSchedule | OnDemand):
        return None  # nothing happens that could be noticed
    if trigger.type == "event":
        return "event", trigger.event_type
    return trigger.type, trigger.heartbeat if trigger.type == "heartbeat" else trigger.segment


def _key_of(event: Mapping[str, Any]) -> Key:
    type, source = event.get("type", ""), event.get("source")
    id = source.get("id") if isinstance(source, dict) else None
    if id == SEGMENTS and type in (ENTERED, LEFT):
        return type, str(event["properties"].get("segment", ""))
    if id == HEARTBEATS:
        return "heartbeat", str(event["metadata"].get("origin", "")).partition(":")[2]
    return "event", type
