"""A session of the predecessor's, as an event that says what it was."""

from __future__ import annotations

from typing import Any, Final

from hub.migration.made import (
    OWN_SOURCE,
    PREDECESSOR,
    Document,
    Left,
    Made,
    Takeover,
    at,
    document_event,
    document_id,
    object_at,
    pruned,
    ref,
    track,
    usable_id,
)
from hub.migration.times import time_ms
from hub.pipeline.documents import iso
from hub.pipeline.taken_over import OF_SESSION

_KEPT: Final = ("device", "os", "app", "utm", "traits", "aux")


def convert(document: Document, takeover: Takeover, now_ms: int) -> Made:
    """Its record. Args: now_ms: the receive time, milliseconds since 1970. Raises: Left."""
    found = document.source
    id = document_id(document)
    profile = ref(found, "profile")
    if not profile:
        raise Left("it has no profile, so nobody could write it here")
    time = at(found, "metadata", "time") or {}
    since = time_ms(at(time, "insert")) or time_ms(at(time, "create")) or time_ms(at(time, "timestamp"))
    if since is None:
        raise Left("it has no time that can be read")
    duration = at(time, "duration")
    seconds = duration if type(duration) in (int, float) and duration > 0 else 0
    until = max(since + round(seconds * 1_000), time_ms(at(time, "update")) or since)
    said: dict[str, Any] = {"since": iso(since), "until": iso(until)}
    channel = at(found, "metadata", "channel")
    if isinstance(channel, str) and channel:
        said["channel"] = channel
    context = object_at(found, "context")
    kept = {name: value for name in _KEPT if (value := pruned(found.get(name))) is not None}
    changed = []
    if kept:
        context = {**context, PREDECESSOR: kept}
        changed.append("device, os, app, utm, traits are in context.predecessor")
    said |= {
        name: value for name, value in (("context", context), ("properties", object_at(found, "properties"))) if value
    }
    event = document_event(takeover, document, OF_SESSION, since, said)
    record = track(
        takeover,
        document,
        event,
        source=OWN_SOURCE,
        profile_id=usable_id(profile, "profile id"),
        session_id=id,
        now_ms=now_ms,
    )
    return Made(event["id"], since, [record], changed)
