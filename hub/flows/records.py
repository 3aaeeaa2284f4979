"""What a run does inside the hub, as records of events.v1: the same whenever, and by whomever, they are made. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from hub.flows.effects import ChangeField, ChangeSegment, Effect, MergeProfiles, RaiseEvent
from hub.flows.loops import raised_by
from hub.flows.patch import changes, patch_id
from hub.pipeline.documents import iso
from hub.pipeline.flow_changes import SOURCE, TYPE, FieldChange, FlowChange, moves
from hub.pipeline.identity import EMPTY, Reason
from hub.pipeline.identity import SOURCE as IDENTITY
from schemas.records import MERGE, TRACK, Event, Inbound, Merge, Track

FLOW: Final = SOURCE
_encode: Final = msgspec.json.Encoder().encode


def records(  # noqa: PLR0917 - what a run is, in the order in which everybody says it
    run: str,
    flow: str,
    version: int,
    profile_id: str,
    session_id: str,
    effects: Sequence[tuple[str, Effect]],
    *,
    now_ms: int,
    definitions_offset: int,
    depth: int = 0,
) -> list[tuple[str, Inbound]]:
    """
    The records of one leg of a run, each with its key: first all changes of the profile together, so that whoever hears
    of the rest sees them; then events and merges, in their order. Other effects are not for the log.

    None of the events has a time of its own: they are as old as their leg. So a leg that is done again at another time
    sends the same events, and the collector knows them.

    Args:
        profile_id: As the run began with it; the collector hands on what is for somebody who is part of another by now.
        session_id: That the run is about; empty: none.
        effects: Each with its node.
        now_ms: When the leg ran: `ran_ms`.
        definitions_offset: Of the newest definition that this process has seen.
        depth: How many flows have raised events one after the other before (`Fired.depth`).
    """
    maker = _Maker(FlowChange(flow, version, run, session=session_id), profile_id, now_ms, definitions_offset)
    made = []
    own = changes(effects)
    if own:
        made.append(maker.change(own, depth))
    made += maker.others(effects)
    return [(inbound["profile_id"] or inbound["id"], inbound) for inbound in made]


def ran_ms(now_ms: int, profile: Mapping[str, Any]) -> int:
    """
    When a leg counts as having run: not before anything that it has seen was received, whatever the clocks of two
    machines say; else what it sets would be taken for older than that.

    Args:
        now_ms: Before the profile was read: what is erased after that is erased with what the leg does, too.
        profile: Its document; empty: there is none.
    """
    if not profile:
        return now_ms
    update = datetime.fromisoformat(profile["metadata"]["time"]["update"])
    return max(now_ms, round(update.timestamp() * 1_000))


class _Maker:
    """One call of `records`."""

    def __init__(self, about: FlowChange, profile_id: str, now_ms: int, definitions_offset: int) -> None:
        """Args: about: the run, without any change yet."""
        self._about = about
        self._profile_id = profile_id
        self._now_ms = now_ms
        self._offset = definitions_offset

    def change(self, own: Sequence[tuple[str, ChangeField | ChangeSegment]], depth: int) -> Inbound:
        """All changes of the profile."""
        fields = [
            FieldChange(one.op, one.field, one.value, one.merge, node)
            for node, one in own
            if isinstance(one, ChangeField)
        ]
        enter, leave = moves((one.segment, one.enters) for _, one in own if isinstance(one, ChangeSegment))
        about = self._about
        properties = msgspec.structs.replace(about, changes=fields, enter=enter, leave=leave)
        context = raised_by({"id": about.flow, "version": about.version, "run": about.run}, depth + 1)
        event = _event(patch_id(about.run, (node for node, _ in own)), TYPE, properties, context)
        return self._track(event, self._profile_id, "")

    def others(self, effects: Sequence[tuple[str, Effect]]) -> Iterator[Inbound]:
        """Events and merges."""
        for _, one in effects:
            if isinstance(one, RaiseEvent):
                yield self._track(_event(one.id, one.type, one.properties, one.context), one.profile, one.session)
            elif isinstance(one, MergeProfiles):
                yield self._merge(one)

    def _track(self, event: Event, profile_id: str, session_id: str) -> Inbound:
        track: Track = {
            "session_id": session_id or None,
            "profile_less": not profile_id,
            "context": b"{}",
            "properties": b"{}",
            "options": b"{}",
            "request": b"{}",
            "events": [event],
        }
        return self._record(event["id"], FLOW, profile_id, (TRACK, track))

    def _merge(self, one: MergeProfiles) -> Inbound:
        """As somebody asks for it over the API."""
        label = f"flow/{self._about.flow}"
        reason = Reason("request", self._profile_id, one.other, iso(self._now_ms), label=label)
        body: Merge = {
            "loser_id": one.other,
            "loser_version": 0,
            "snapshot": EMPTY,
            "step": "ask",
            "reason": _encode(reason),
        }
        return self._record(one.id, IDENTITY, self._profile_id, (MERGE, body))

    def _record(self, id: str, source: str, profile_id: str, body: Any) -> Inbound:
        return {
            "id": id,
            "source": source,
            "profile_id": profile_id,
            "received_at_ms": self._now_ms,
            "definitions_offset": self._offset,
            "origin": f"flow:{self._about.flow}:{self._about.run}",
            "body": body,
        }


def _event(id: str, type: str, properties: Any, context: dict[str, Any]) -> Event:
    return {
        "id": id,
        "client_id": None,
        "type": type,
        "time_ms": None,
        "properties": _encode(properties),
        "context": _encode(context),
        "options": b"{}",
        "tags": [],
    }
