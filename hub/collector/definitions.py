"""The compiled definitions, kept level with the catalogue."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, cast

import structlog
from msgspec.structs import replace

from hub.collector.waited import FLOW, WaitedTypes
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.event_types import built_in
from hub.definitions.kinds import EventType, Flow, Segment, Source
from hub.definitions.kinds import Mapping as MappingDefinition
from hub.edge.identifiers import Points
from hub.edge.inbound import identification_points
from hub.errors import HubError, Refused, Unavailable
from hub.flows import conditions
from hub.flows.triggers import Triggers
from hub.pipeline.definitions import MOST_PROFILES, Definitions
from hub.pipeline.event_types import Rules, compile_event_types
from hub.pipeline.flow_triggers import NO_FLOWS, Flows
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.rules.enrichment import Places
from hub.pipeline.rules.steps import KINDS, compile_steps
from hub.pipeline.segments import Segments, Spec
from hub.store.query.segment import segment_condition

log: Final = structlog.get_logger()


class CompiledDefinitions:
    """Compiles only what has changed."""

    def __init__(
        self,
        catalogue: Catalogue,
        most_profiles: int = MOST_PROFILES,
        timeout_s: float = 30.0,
        places: Places | None = None,
        waited: WaitedTypes | None = None,
        *,
        end: Callable[[], int] = lambda: sys.maxsize,
        accept_gap: bool = False,
    ) -> None:
        """
        Args:
            most_profiles, places: As in `Definitions`.
            timeout_s: How long a record may wait for the definitions that its edge had seen.
            waited: What pauses of flows may wait for; None: nothing.
            end: The offset that the next record of definitions.v1 will get, as the broker says; raises Unavailable.
            accept_gap: Records whose definitions are not on the topic any more go on with those that are.
        """
        self._catalogue = catalogue
        self._timeout_s = timeout_s
        self._waited = waited
        self._end = end
        self._accept_gap = accept_gap
        self._accepted = -1
        self._current = Definitions(-1, {}, Points(), catalogue.identity_key, most_profiles, places=places)
        self._entries: Mapping[str, Entry] | None = None
        self._rules: tuple[Mapping[str, Entry], ...] = ()

    def at_least(self, offset: int) -> Definitions:
        """
        The definitions in force, once they are as new as `offset`.

        Raises:
            Unavailable: They do not get there in time.
            Refused: They cannot, as the topic has no such record any more.
        """
        if offset > self._catalogue.offset and not (self._accept_gap and self._is_lost(offset)):
            self._wait_for(offset)
        reached = self._catalogue.offset
        types = self._catalogue.compiled("event-type", _event_types)
        entries = self._catalogue.entries("mapping")
        points = self._catalogue.compiled("identification-point", identification_points)
        now = self._current
        if types is not now.types or entries is not self._entries:
            specs = ((id, cast("MappingDefinition", entry.spec)) for id, entry in entries.items())
            self._current = replace(now, offset=reached, mappings=compile_mappings(specs, types), types=types)
            self._entries = entries
        channels = self._catalogue.compiled("source", _channels)
        segments = self._catalogue.compiled("segment", compile_segments)
        if reached != now.offset or points is not now.points or channels is not now.channels:
            self._current = replace(self._current, offset=reached, points=points, channels=channels)
        if segments is not now.segments:
            self._current = replace(self._current, segments=segments)
        flows = self._flows(now.flows)
        if flows is not now.flows:
            self._current = replace(self._current, flows=flows)
        rules = tuple(self._catalogue.entries(kind) for kind in KINDS)
        if rules != self._rules:
            key = self._catalogue.identity_key
            self._current = replace(self._current, rules=compile_steps(*map(_specs, rules), key=key))
            self._rules = rules
        return self._current

    def _wait_for(self, offset: int) -> None:
        if self._catalogue.wait_for(offset, self._timeout_s):
            return
        if offset >= self._end():
            raise Refused(
                "kafka",
                f"a record was sent when definitions.v1 had an offset {offset}, and now it ends before that: it was "
                "made anew or cut short, and what was defined is lost. Define it again (`hub apply`; the store has the "
                "versions, `GET /definitions/{kind}/{id}/versions`); then `hub collector --accept-gap` goes on with "
                "what is defined by then",
            )
        raise Unavailable(
            "kafka",
            f"definitions.v1 is read up to offset {self._catalogue.offset} so far, and a record needs {offset}",
        )

    def _is_lost(self, offset: int) -> bool:
        if offset < self._end():
            return False
        if offset > self._accepted:
            log.error("collector.definitions_lost", needed=offset, read=self._catalogue.offset)
            self._accepted = offset
        return True

    def _flows(self, now: Flows) -> Flows:
        """Those in force; the same as `now` if they are."""
        triggers = self._catalogue.compiled(FLOW, compile_flows)
        waited = NO_FLOWS.waited if self._waited is None else self._waited.types
        return now if triggers is now.triggers and waited is now.waited else Flows(triggers, waited)


def compile_flows(entries: Mapping[str, Entry]) -> Triggers | None:
    """What lets them run; None: nothing that happens."""
    flows = {id: (cast("Flow", entry.spec), entry.version) for id, entry in entries.items()}
    return Triggers(flows, _condition) or None


@lru_cache(maxsize=4_096)
def _condition(text: str) -> conditions.Met:
    # of all flows one has changed; only one thread of a collector asks them
    return conditions.written_out(text)


def compile_segments(entries: Mapping[str, Entry]) -> Segments:
    """All of them. One whose condition cannot be read by this version is as if it were switched off."""
    return Segments(_segment(id, entry) for id, entry in entries.items())


def _segment(id: str, entry: Entry) -> Spec:
    spec = cast("Segment", entry.spec)
    try:
        condition = None if spec.condition is None else segment_condition(spec.condition)
    except HubError as exc:
        log.error("segment.unreadable", id=id, version=entry.version, error=str(exc))
        return Spec(id, spec.name or id, entry.version, None, enabled=False)
    return Spec(id, spec.name or id, entry.version, condition, spec.enabled)


def _specs(entries: Mapping[str, Entry]) -> Iterator[tuple[str, Any]]:
    return ((id, entry.spec) for id, entry in entries.items())


def _channels(entries: Mapping[str, Entry]) -> dict[str, str]:
    return {id: spec.channel for id, entry in entries.items() if (spec := cast("Source", entry.spec)).channel}


def _event_types(entries: Mapping[str, Entry]) -> Rules:
    """Those that come with the hub, and what people have put in their place."""
    own = {id: cast("EventType", entry.spec) for id, entry in entries.items()}
    return compile_event_types({**built_in(), **own}.items())
