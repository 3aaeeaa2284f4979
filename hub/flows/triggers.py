"""Which flows does a stored event let run? Compiled, with an index, so that an event of no flow costs a lookup."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from hub.conditions import QueryError
from hub.definitions.flows import FlowTrigger, OnDemand, OnSchedule
from hub.definitions.kinds import Flow
from hub.flows import conditions
from hub.flows.loops import depth_of
from hub.flows.trace import Fired
from hub.pipeline.heartbeat import SOURCE as HEARTBEATS
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.pipeline.segment_events import ENTERED, LEFT

if TYPE_CHECKING:
    from hub.flows.run import Documents  # with all nodes: a collector does not need them

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

    def __init__(
        self,
        flows: Mapping[str, tuple[Flow, int]],
        compiled: Callable[[str], conditions.Met] = conditions.compiled,
    ) -> None:
        """
        Args:
            flows: By id, with its version. What is switched off, or has a condition that cannot be read (the API lets
                none through), waits for nothing.
            compiled: Makes a function of a condition; raises QueryError.
        """
        self._waiting: dict[Key, list[_Waiting]] = {}
        for id, (flow, version) in sorted(flows.items()):
            for trigger in flow.triggers if flow.enabled else ():
                key = _key(trigger)
                if key is None:
                    continue
                text = getattr(trigger, "condition", "")
                try:
                    met = compiled(text) if text.strip() else None
                except QueryError:
                    continue
                source = getattr(trigger, "source", _ANY)
                self._waiting.setdefault(key, []).append(_Waiting(id, version, source, met))
        self._crossed = {what for what, _ in self._waiting if what in (ENTERED, LEFT)}

    def __bool__(self) -> bool:
        """Whether any flow waits for anything that happens."""
        return bool(self._waiting)

    def awaits(self, type: str, source: str, origin: str) -> bool:
        """
        Whether a flow may wait for such an event, as far as that can be told without its document.

        Args: as in its document: `type`, `source.id`, `metadata.origin`.
        """
        if source == SEGMENTS:
            return type in self._crossed
        return ("event", type) in self._waiting or (source == HEARTBEATS and _beat(origin) in self._waiting)

    def matched(
        self, event: Mapping[str, Any], profile: Mapping[str, Any], session: Mapping[str, Any], now_ms: int
    ) -> Iterator[tuple[str, int]]:
        """
        The flows that an event lets run, each once: id and version.

        Args:
            event: Its document; `profile`, `session`: with it applied; empty: there is none.
            now_ms: When the hub received it, milliseconds since 1970.
        """
        found = [one for key in _keys_of(event) for one in self._waiting.get(key, ())]
        if not found:
            return
        scope = {
            "payload": event.get("properties", {}),  # as a run begins
            "event": event,
            "profile": profile,
            "session": session,
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
                yield one.flow, one.version

    def of(self, documents: Documents, now_ms: int) -> Iterator[tuple[str, int, Fired]]:
        """As `matched`, each with what has fired."""
        for flow, version in self.matched(*documents, now_ms):
            yield flow, version, fired_by(documents.event, now_ms)


def fired_by(event: Mapping[str, Any], now_ms: int) -> Fired:
    """What an event fires: the payload that a run begins with are its properties."""
    kind, _ = _keys_of(event)[0]
    properties = event.get("properties")
    data = properties if isinstance(properties, dict) else {}
    return Fired(str(event.get("id", "")), kind, now_ms, data, depth_of(event))


def _key(trigger: FlowTrigger) -> Key | None:
    if isinstance(trigger, OnSchedule | OnDemand):
        return None  # nothing happens that could be noticed
    if trigger.type == "event":
        return "event", trigger.event_type
    return trigger.type, trigger.heartbeat if trigger.type == "heartbeat" else trigger.segment


def _keys_of(event: Mapping[str, Any]) -> tuple[Key, ...]:
    """The first says what it is; a heartbeat's is an event of its type, too."""
    type, source = event.get("type", ""), event.get("source")
    id = source.get("id") if isinstance(source, dict) else None
    if id == SEGMENTS and type in (ENTERED, LEFT):
        return ((type, str(event["properties"].get("segment", ""))),)
    if id == HEARTBEATS:
        return _beat(str(event["metadata"].get("origin", ""))), ("event", type)
    return (("event", type),)


def _beat(origin: str) -> Key:
    """Args: origin: `heartbeat:<id>`."""
    return "heartbeat", origin.partition(":")[2]
