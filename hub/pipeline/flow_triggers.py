"""Which flows the events of a batch let run, and whose pauses they may end: what triggers.v1 is told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

import msgspec

from hub.ids import derived
from hub.model import StoredEvent, partition_of
from hub.pipeline.flow_notes import Noted, noted_in, with_flows
from hub.pipeline.past import is_past
from hub.pipeline.touched import Touched
from schemas.flows import ASYNC, KIND, NONE_KIND, WAIT_KIND, FlowOrder, encode_order
from schemas.records import Inbound, Stored, Trigger

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Awaiting(Protocol):
    """Which flows in force wait for what: `hub.flows.triggers.Triggers`."""

    def awaits(self, type: str, source: str, origin: str) -> bool:
        """Whether some flow may wait for such an event: a look that needs no document."""
        ...

    def matched(
        self, event: Mapping[str, Any], profile: Mapping[str, Any], session: Mapping[str, Any], now_ms: int
    ) -> Iterable[tuple[str, int]]:
        """Id and version of each flow that the event lets run. Args: documents; empty: there is none."""
        ...


class Flows(msgspec.Struct, frozen=True):
    """
    What the events of a hub are to its flows.

    Attributes:
        triggers: None: no flow in force waits for anything that happens.
        waited: Event types that some pause may wait for, also one of a flow that is not in force any more.
    """

    triggers: Awaiting | None = None
    waited: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether any event may be something to a flow."""
        return self.triggers is not None or bool(self.waited)


NO_FLOWS: Final = Flows()


class FlowTriggers:
    """
    Of one batch; asked after each of its records, so that conditions see the profile as that record has left it.

    What it finds it writes into the event's document, where it is found when the record comes again: without the
    profile, which is another one by then.

    Attributes:
        found: In the order of the events.
    """

    def __init__(
        self,
        flows: Flows,
        touched: Touched,
        replayed: Mapping[str, bytes],
        *,
        events: list[StoredEvent],
        stored: list[Stored],
    ) -> None:
        """
        Args: replayed: documents of events that are told again, by id. events, stored: of the batch, to which each
        record adds; every event of the first is told in the second.
        """
        self._flows = flows
        self._touched = touched
        self._replayed = replayed
        self._events = events
        self._stored = stored
        self._made = self._told = 0
        self.found: list[Trigger] = []

    def of_record(self, inbound: Inbound) -> None:
        """The record has been applied. What was told without being stored lets nothing run: nobody could read it."""
        stored, self._told = self._stored[self._told :], len(self._stored)
        for told in stored:
            if self._made < len(self._events) and self._events[self._made].id == told["id"]:
                self._match(self._events[self._made], told, inbound)
                self._made += 1
            elif told["id"] in self._replayed:
                self._tell_again(told, inbound)

    def _match(self, event: StoredEvent, told: Stored, inbound: Inbound) -> None:
        if is_past(inbound["origin"]):
            return
        triggers, run = self._flows.triggers, dict[str, int]()
        if triggers is not None and triggers.awaits(event.type, event.source, inbound["origin"]):
            documents = _decode(event.doc), *self._touched.documents(event.profile_id, event.session_id)
            run.update(triggers.matched(*documents, event.received_at_ms))
            if not run and documents[0]["options"].get(ASYNC) is False:  # whoever waits need not do so any longer
                self.found.append(_nothing(event, told))
        waits = event.type in self._flows.waited and bool(event.profile_id)
        if not (run or waits):
            return
        noted = Noted(run, waits)
        told["event"] = document = with_flows(event.doc, noted)
        # nobody has seen it yet, as in `Segmenting`
        msgspec.structs.force_setattr(event, "doc", document)
        self._tell(noted, told, event.partition, event.session_id, event.received_at_ms)

    def _tell_again(self, told: Stored, inbound: Inbound) -> None:
        again = noted_in(told["event"])
        if again is not None:
            noted, session_id = again
            received_ms = inbound["received_at_ms"]
            self._tell(noted, told, partition_of(told["time_ms"], received_ms), session_id, received_ms)

    def _tell(self, noted: Noted, told: Stored, partition: str, session_id: str, received_ms: int) -> None:
        # the pauses first: a run that the event begins shall not be ended by it
        whats = [(WAIT_KIND, told["type"], 0)] if noted.waits else []
        whats += ((KIND, flow, version) for flow, version in noted.run.items())
        for kind, target, version in whats:
            self.found.append(
                Trigger(
                    id=trigger_id(kind, target, version, told["id"]),
                    kind=kind,
                    target=target,
                    profile_id=told["profile_id"],
                    event_id=told["id"],
                    at_ms=received_ms,
                    data=encode_order(FlowOrder(version, partition, session_id)),
                )
            )


def _nothing(event: StoredEvent, told: Stored) -> Trigger:
    """Not noted in the event's document: told again, it would be too late for anybody."""
    return Trigger(
        id=trigger_id(NONE_KIND, event.type, 0, event.id),
        kind=NONE_KIND,
        target=event.type,
        profile_id=told["profile_id"],
        event_id=event.id,
        at_ms=event.received_at_ms,
        data=encode_order(FlowOrder(0, event.partition)),
    )


def trigger_id(kind: str, target: str, version: int, event_id: str) -> str:
    """The same event lets a version of a flow run by the same trigger, however often it is told."""
    return derived("flow-trigger", kind, target, str(version), event_id)
