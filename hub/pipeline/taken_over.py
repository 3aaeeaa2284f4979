"""Profiles and sessions of another installation: events of the hub's own, whose properties say what there was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from hub.definitions.fields import FieldMapping
from hub.definitions.kinds import Mapping as MappingDefinition
from hub.definitions.shape import ANY, PROFILE, shape_at
from hub.pipeline.applied import keys_of
from hub.pipeline.draft import Draft
from hub.pipeline.flow_changes import Asked
from hub.pipeline.mapping import Change, Field, Lines, Problem, compile_mappings
from hub.pipeline.operations import OperationError, apply
from hub.pipeline.past import is_done
from hub.pipeline.segments import NO_SEGMENTS, Segments
from hub.pipeline.visits import VISIT, join_visits
from schemas.records import Inbound, Track

SOURCE: Final = "@migration"
"""Event source of what a takeover tells. Nobody can send as it, so these types are believed only of it."""
OF_PROFILE: Final = "profile-taken-over"
OF_SESSION: Final = "session-taken-over"
MAPPING: Final = "takeover"
"""Where the id of a mapping would stand."""
VISITS: Final = "visits"
"""Among the counters: how many visits there were."""
NOTHING: Final = Asked((), (), (), ())

_FIELDS: Final = (
    FieldMapping(event="properties.primary_id", profile="primary_id", op="set-if-newer"),
    FieldMapping(event="properties.traits.**", profile="traits.**", op="set-if-newer"),
    FieldMapping(event="properties.data.**", profile="data.**", op="set-if-newer"),
    FieldMapping(event="properties.consents.*", profile="consents.*", op="set-if-newer"),
    FieldMapping(event="properties.aux.**", profile="aux.**", op="set-if-newer"),
    FieldMapping(event="properties.counters", profile="aux.taken_over.{properties.of}", op="set"),
)
_LINES: Final = tuple(
    line._replace(key="")
    for line in compile_mappings([(MAPPING, MappingDefinition(event_type=OF_PROFILE, fields=list(_FIELDS)))])[
        OF_PROFILE
    ]
)
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def is_document(inbound: Inbound) -> bool:
    """Whether a record tells of a profile or a session, and is no event of anybody's."""
    return inbound["source"] == SOURCE and is_done(inbound["origin"])


def quiet(lines: Lines | None) -> Lines | None:
    """
    Instead of the lines for an event whose profile has already what it did: none, which count as applied all the same,
    so that a later copy leaves them out.
    """
    if lines is None:
        return None
    none = Lines(())
    none.named = lines.named
    return none


def asked(type: str, properties: Mapping[str, Any], profile: Draft, segments: Segments) -> Asked:
    """
    What the document of a profile says that it shall have, as a flow asks for it. Of a session: nothing.

    Counters are added to what this hub has counted itself: of a document that comes a second time, changed, the
    difference, as the profile keeps what was taken over of it (`aux.taken_over`, by the id that it had there).

    Args: type, properties: of the event.
    """
    if type != OF_PROFILE:
        return NOTHING
    lines = [*_counters(properties, profile), *_LINES]
    problems = [
        Problem(MAPPING, f"segments.{id}", "there is no such segment")
        for id in properties.get("segments", ())
        if id not in segments.every
    ]
    enter = [id for id in properties.get("segments", ()) if id in segments.every and segments.every[id].met is None]
    return Asked(lines, problems, enter, ())


def is_of_document(event: Mapping[str, Any]) -> bool:
    """Whether a stored event is no event of anybody's. Args: event: its document."""
    return event["source"]["id"] == SOURCE and is_done(event["metadata"]["origin"])


def again(event: Mapping[str, Any], profile: Draft, lines: Sequence[Field]) -> list[Field]:
    """
    The lines of a stored event of the past, to be applied anew: its own, and those that were copied later. What no line
    says is settled at once.

    Args: event: its document. lines: that it names.
    """
    own: Sequence[Field] = ()
    if is_of_document(event):
        own = asked(event["type"], event["properties"], profile, NO_SEGMENTS).lines
        settle(event["type"], event["properties"], profile)
    copies = [one["mapped"] for one in event["outcome"].get("copied", ())]
    copied = [line for line in lines if any(line.key in keys_of(one.get(line.mapping, "")) for one in copies)]
    return [*own, *copied]


def settle(type: str, properties: Mapping[str, Any], profile: Draft) -> list[Change]:
    """
    What no line can say: since when there is the profile, and its visits. Before the lines are applied.

    Args: type, properties: of the event.
    """
    if type != OF_PROFILE:
        return []
    changes = []
    time = profile.object(("metadata", "time"))
    since = properties.get("since")
    if isinstance(since, str) and since < time["insert"]:
        changes.append(Change("metadata.time.insert", "min", time["insert"], since))
        time["insert"] = since
    visits = properties.get(VISITS)
    if isinstance(visits, dict):
        stats, visit = profile.object(("stats",)), profile.object(VISIT)
        before = stats.get("visits", 0)
        more = max(0, _whole(visits.get("count")) - _whole(_before(properties, profile).get(VISITS)))
        join_visits(profile, {"first": None, "last": None, "current": None, **visits, "count": more})
        stats["visits"] = visit["count"]
        if stats["visits"] != before:
            changes.append(Change("stats.visits", "add", before, stats["visits"]))
    return changes


def session(draft: Draft, track: Track) -> None:
    """What the document of a session says, unless this hub knows better. Args: track: of such a document."""
    properties = _decode(track["events"][0]["properties"])
    for name in ("context", "properties"):
        said = properties.get(name)
        if isinstance(said, dict) and said:
            draft.set((name,), {**said, **draft.doc.get(name, {})})
    time = draft.object(("metadata", "time"))
    since, until = properties.get("since"), properties.get("until")
    if isinstance(since, str):
        time["insert"] = min(time["insert"], since)
        time["start"] = min(time.get("start") or since, since)
        time["end"] = max(time.get("end") or since, until if isinstance(until, str) else since)
        span = datetime.fromisoformat(time["end"]) - datetime.fromisoformat(time["start"])
        time["duration_s"] = round(span.total_seconds(), 3)
    channel = properties.get("channel")
    if isinstance(channel, str) and channel:
        draft.object(("metadata",)).setdefault("channel", channel)


def over(draft: Draft, before: str) -> None:
    """A session of the past is over, unless it goes on here. Args: before: its status before this record; "": new."""
    draft.object(("metadata",))["status"] = before if before in ("started", "active") else "ended"


def _counters(properties: Mapping[str, Any], profile: Draft) -> list[Field]:
    counters = properties.get("counters")
    if not isinstance(counters, dict):
        return []
    before = _before(properties, profile)
    lines = []
    for name, number in counters.items():
        if name == VISITS:
            continue
        try:
            more = apply("decrement", number, before.get(name, 0))
        except OperationError:
            more = number  # the line will say what is wrong with it
        if more:
            lines.append(_added(name, more))
    return lines


def _added(name: str, more: Any) -> Field:
    path = tuple(name.split("."))
    shape = shape_at(PROFILE, path)
    return Field(MAPPING, (), path, "add", name, "sum", more, shape, is_checked=shape != ANY, is_plain=False, keys=path)


def _before(properties: Mapping[str, Any], profile: Draft) -> Mapping[str, Any]:
    """The counters of the same document, as they were taken over last."""
    there = profile.get(("aux", "taken_over", str(properties.get("of"))))
    return there if isinstance(there, dict) else {}


def _whole(value: Any) -> int:
    return value if type(value) is int else 0
