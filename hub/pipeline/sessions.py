"""What a session's document says of the events that came with it: when, how many of what, from where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from hub.pipeline.draft import Draft
from schemas.records import Track

MOST_TYPES: Final = 50
"""Event types that a session counts one by one."""
ENDED_BY: Final = "visit-ended"
"""An event of this type ends its session, until the next one comes."""
_EMPTY: Final = b"{}"


class Seen(msgspec.Struct, frozen=True):
    """
    An event that a session learns of.

    Attributes:
        at: RFC 3339: its own time, unless that is out of range; else when it was received.
        told: `hit` and `utm` of its document, where it has them.
        zone: The customer's time zone; empty: not known.
    """

    id: str
    type: str
    at: str
    told: Mapping[str, Any]
    zone: str


def learn(session: Draft, seen: Sequence[Seen], at: str, track: Track, *, is_new: bool, channel: str) -> None:
    """
    Count new events, and take the payload's context and properties over.

    Times and touches are those of the events: in whatever order they come, the end is the same, but for events of the
    same moment.

    Args:
        seen: The events, at least one.
        at: RFC 3339, when they were received.
        is_new: Whether the session begins with them.
        channel: Of the event source; a session keeps that of its first payload. Empty: none.
    """
    metadata, time = session.object(("metadata",)), session.object(("metadata", "time"))
    stats, types = session.object(("stats",)), session.object(("stats", "types"))
    start: str = time.get("start") or seen[0].at
    end: str = time.get("end") or seen[0].at
    for one in seen:
        if one.at < start:
            start = one.at
        elif one.at > end:
            end = one.at
        if one.type in types or len(types) < MOST_TYPES:
            types[one.type] = types.get(one.type, 0) + 1
        else:
            stats["of_other_types"] = stats.get("of_other_types", 0) + 1
        if "hit" in one.told or "utm" in one.told:
            _touch(session.doc, one)
    time["update"], time["start"], time["end"] = at, start, end
    time["duration_s"] = _seconds(start, end)
    stats["events"] = _whole(stats.get("events")) + len(seen)
    metadata["status"] = "ended" if seen[-1].type == ENDED_BY else "started" if is_new else "active"
    if channel and is_new:
        metadata.setdefault("channel", channel)
    if track["context"] != _EMPTY:
        session.object(("context",)).update(msgspec.json.decode(track["context"]))
    if track["properties"] != _EMPTY:
        session.object(("properties",)).update(msgspec.json.decode(track["properties"]))


def _touch(session: dict[str, Any], one: Seen) -> None:
    """The first and the last event that say where somebody was, or came from."""
    hit, utm = one.told.get("hit", {}), one.told.get("utm")
    url, referer = hit.get("url"), hit.get("referer")
    if not (url or referer or utm):
        return
    first, last = session.get("first_touch"), session.get("last_touch")
    is_first = first is None or one.at < first["time"]
    is_last = last is None or one.at >= last["time"]
    if not (is_first or is_last):
        return
    touch: dict[str, Any] = {"time": one.at, "event": {"id": one.id, "type": one.type}}
    if url:
        touch["url"] = url
    if referer:
        touch["referer"] = referer
    if utm:
        touch["utm"] = utm
    if is_first:
        session["first_touch"] = touch
    if is_last:
        session["last_touch"] = touch


def _seconds(start: str, end: str) -> float:
    if start == end:
        return 0.0
    return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
