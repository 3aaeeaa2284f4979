"""The story of one event, told from what the store and the log have of it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from hub.api.flow_story import changed_by, flows_story
from hub.api.origins import origin_of
from hub.api.segment_story import segments_story
from hub.definitions.catalogue import Entry
from hub.definitions.fields import FieldMapping
from hub.definitions.kinds import EventType
from hub.definitions.kinds import Mapping as MappingDefinition
from hub.log.reader import Record
from hub.model import Position
from hub.pipeline.documents import iso
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.pipeline.mapping import EVENT_TYPE
from hub.pipeline.system_events import SOURCE as SYSTEM
from hub.store.port import Neighbour
from schemas.codec import CodecError, decode_inbound
from schemas.records import TRACK, Inbound

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)

FLAGS: Final[Mapping[str, str]] = {
    "time_out_of_range": "its own time is before 1990 or more than a day after its receipt: it lies in no month",
    "session_of_another_profile": "its session belongs to another profile and was left as it is: it came out too late, "
    "so the event was not handed on",
    "visit_started": "its session began with it",
    "profile_not_saved": "its payload asked to leave its profile, and its session, as they were",
    "session_not_saved": "its payload asked to leave its session as it was",
    "odd_index_field": "an index field is not as the schema says: it is kept as it is, and named among the problems",
    "mapping_problem": "a line of a mapping or an event type could not do all that it should: see the problems",
    "filtered": "a filter met it, which marks and does not drop: see the rules",
    "invalid": "it is not as a validator says: it is kept, and nothing of it went into the profile",
    "rule_failed": "a filter, validator, data-compliance or reshaper could not be used on it: see the rules",
    "consent_missing": "something of it was not kept, as its profile has not agreed to that: see the rules",
    "identifier_shared": "too many profiles have come with one of its identifiers, so it joined nobody",
    "profile_too_large": "its profile is too large to become part of the one with the smaller id, so they stay two",
}
"""What the flags of an event mean."""

OWN: Final = frozenset({SYSTEM, SEGMENTS})
"""Event sources whose events lie on no log."""
MADE_ANEW: Final = "another record lies at these coordinates now: the topic has been made anew since"
SENDER: Final = "the sender's"
EDGE: Final = "the edge's (the API, or the bridges)"
PRODUCER: Final = "the edge's, as it handed the record to Kafka"
BROKER: Final = "the broker's, as it appended the record"
COLLECTOR: Final = "the collector's, as it began the write; a reader sees the event when that is committed"


class Found(NamedTuple):
    """
    What there is beside the document.

    Attributes:
        topic: Full name.
        record: None when Kafka has deleted it; `log_note` then says what is known.
        written_at_ms: None when it was written by a version that did not keep it.
        mappings: Those of now.
        types: The event types of now.
        segments: Those of now.
        ids: By `bridge`, `destination`, `flow` and `heartbeat`, those of now.
    """

    topic: str
    record: Record | None
    log_note: str
    written_at_ms: int | None
    mappings: Mapping[str, Entry]
    profile: Mapping[str, Any] | None = None
    session: Mapping[str, Any] | None = None
    before: Sequence[Neighbour] = ()
    after: Sequence[Neighbour] = ()
    types: Mapping[str, Entry] = {}
    segments: Mapping[str, Entry] = {}
    ids: Mapping[str, Collection[str]] = {}


def position_of(document: Mapping[str, Any]) -> Position:
    """Where it was applied, from the position in its document."""
    return Position(document["epoch"], document["partition"], document["offset"], document["place"])


def event_story(document: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """A stored event's. Args: document: as `GET /events/{id}` gives it."""
    metadata, outcome = document["metadata"], document["outcome"]
    position = position_of(metadata["position"])
    received_at, own_at = metadata["time"]["insert"], metadata["time"]["create"]
    flags = {flag: FLAGS.get(flag, "") for flag in metadata["flags"]}
    inbound = _inbound(found.record)
    if found.record is not None and not _holds(inbound, position.place, document):
        inbound, found = None, found._replace(record=None, log_note=MADE_ANEW)
    return {
        "id": document["id"],
        "kind": "event",
        "type": document["type"],
        "edge": {
            "source": document["source"]["id"],
            **_door(metadata["origin"], found),
            "payload_id": metadata["payload_id"],
            "client_id": metadata["client_id"],
            "received_at": received_at,
        },
        "log": _log(position, found, inbound),
        "validation": {"flags": [{"flag": flag, "meaning": meaning} for flag, meaning in flags.items()]},
        "rules": outcome.get("rules", []),
        "mappings": {
            "definitions": metadata["definitions"],
            "changes": [_change(change, document, found) for change in outcome["changes"]],
            "problems": outcome["problems"],
        },
        "identity": {
            "sent_as": metadata.get("sent_as"),
            "forwarded_for": metadata.get("forwarded_for"),
            "decisions": outcome.get("identity", []),
            "profile_now": None if found.profile is None else found.profile["id"],
        },
        "segments": segments_story(document, found.segments),
        "flows": flows_story(document),
        "profile": _profile(document, found),
        "session": _session(document, found),
        "payload_events": _payload_events(inbound),
        "neighbours": {
            "before": [_neighbour(one, position) for one in found.before],
            "after": [_neighbour(one, position) for one in found.after],
        },
        "times": _times(own_at, received_at, found),
    }


def letter_story(document: Mapping[str, Any], found: Found) -> dict[str, Any]:
    """A dead letter's. Args: document: as `GET /dead-letters/{id}` gives it."""
    position = position_of(document["position"])
    received_at = document["first_at"]
    told = ("status", "reason", "detail", "stage", "attempts", "first_at", "at", "resolved_at")
    inbound = _inbound(found.record)
    return {
        "id": document["id"],
        "kind": "dead-letter",
        "edge": {
            "source": document["source"],
            **_door(document["origin"], found),
            "payload_id": document["payload_id"],
            "received_at": received_at,
        },
        "log": _log(position, found, inbound),
        "dead_letter": {
            **{name: document[name] for name in told},
            "look": [f"GET /dead-letters/{document['id']}", f"GET /dead-letters/{document['id']}/body"],
        },
        "payload_events": _payload_events(inbound),
        # a replay's record is another one, received later
        "times": _times(None, received_at if document["attempts"] == 1 else document["at"], found),
    }


def _door(origin: str, found: Found) -> dict[str, str | None]:
    """`bridge`: its id; likewise of a destination, a flow, a heartbeat."""
    door, id, position = origin_of(origin, found.ids)
    return {"door": door, "bridge": id or None, "coordinates": position or None}


def _inbound(record: Record | None) -> Inbound | None:
    if record is None:
        return None
    try:
        return decode_inbound(record.value)
    except CodecError:
        return None  # a record that is not ours is a dead letter, and its story says so


def _holds(inbound: Inbound | None, place: int, document: Mapping[str, Any]) -> bool:
    if inbound is None:
        return False
    if document["source"]["id"] in OWN:
        # it was not sent: the record is what led to it
        return bool(inbound["id"] == document["metadata"]["payload_id"])
    if inbound["body"][0] != TRACK:
        return False
    events = inbound["body"][1]["events"]
    return place < len(events) and events[place]["id"] == document["id"]


def _log(position: Position, found: Found, inbound: Inbound | None) -> dict[str, Any]:
    log: dict[str, Any] = {"topic": found.topic, **position._asdict(), "note": found.log_note, "record": None}
    if found.record is not None:
        log["record"] = {
            "at": iso(found.record.at_ms),
            "key": found.record.key.decode(errors="replace"),
            "value_bytes": len(found.record.value),
            "readable": inbound is not None,
        }
    return log


def _change(change: Mapping[str, Any], document: Mapping[str, Any], found: Found) -> dict[str, Any]:
    field, op, definitions = change["field"], change["op"], document["metadata"]["definitions"]
    by = changed_by(change, document)
    for id, entry, lines in _lines(document["type"], found):
        if any(line.op == op and line.writes(field) for line in lines):
            by.append({"id": id, "version": entry.version, "changed_since": entry.version > definitions})
    if op in ("append", "append-unique"):
        return {"field": field, "op": op, "appended": change["new"], "mappings": by}
    return {"field": field, "op": op, "before": change["old"], "after": change["new"], "mappings": by}


def _lines(event_type: str, found: Found) -> Iterator[tuple[str, Entry, Sequence[FieldMapping]]]:
    """What may have changed a profile for events of a type, as it is now."""
    entry = found.types.get(event_type)
    if entry is not None:
        assert isinstance(entry.spec, EventType)
        yield f"{EVENT_TYPE}{event_type}", entry, entry.spec.profile
    for id, entry in sorted(found.mappings.items()):
        assert isinstance(entry.spec, MappingDefinition)
        if entry.spec.event_type == event_type:
            yield id, entry, entry.spec.fields


def _profile(document: Mapping[str, Any], found: Found) -> dict[str, Any] | None:
    if document["profile"] is None:
        return None
    outcome = document["outcome"]
    return {
        "id": document["profile"]["id"],
        "version": outcome["profile_version"],
        "created": outcome["profile_created"],
        "version_now": None if found.profile is None else found.profile["metadata"]["version"],
    }


def _session(document: Mapping[str, Any], found: Found) -> dict[str, Any] | None:
    if document["session"] is None:
        return None
    session = found.session
    return {
        "id": document["session"]["id"],
        "profile": None if session is None else session["profile"]["id"],
        "began_at": None if session is None else session["metadata"]["time"]["insert"],
    }


def _payload_events(inbound: Inbound | None) -> list[dict[str, Any]] | None:
    if inbound is None or inbound["body"][0] != TRACK:
        return None
    return [
        {"place": place, "id": event["id"], "type": event["type"]}
        for place, event in enumerate(inbound["body"][1]["events"])
    ]


def _neighbour(one: Neighbour, position: Position) -> dict[str, Any]:
    same = one.position[:3] == position[:3]
    return {"id": one.id, "type": one.type, "time": iso(one.time_ms), "same_payload": same}


def _times(own_at: str | None, received_at: str, found: Found) -> list[dict[str, Any]]:
    steps: list[tuple[str, str | None, str]] = [("happened", own_at, SENDER), ("received", received_at, EDGE)]
    if found.record is not None:
        steps.append(("logged", iso(found.record.at_ms), BROKER if found.record.by_broker else PRODUCER))
    steps.append(("stored", None if found.written_at_ms is None else iso(found.written_at_ms), COLLECTOR))
    times: list[dict[str, Any]] = []
    for step, at, clock in steps:
        if at is not None:
            after_ms = _ms(at) - _ms(times[-1]["at"]) if times else None
            times.append({"step": step, "at": at, "after_ms": after_ms, "clock": clock})
    return times


def _ms(at: str) -> int:
    return (datetime.fromisoformat(at) - _EPOCH) // _MS
