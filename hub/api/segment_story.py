"""What an event did to who is in which segment, for its story. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hub.conditions import QueryError
from hub.conditions.ast import Condition, History
from hub.conditions.walk import field_of, places
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Segment
from hub.store.query.segment import segment_condition


def segments_story(document: Mapping[str, Any], segments: Mapping[str, Entry]) -> dict[str, Any] | None:
    """
    Which segments were looked at after an event, by which version of their definition, and what came of it.

    `because`: what the condition of now asks for that the event has changed; nothing where another event of the same
    record has, where time has, or where the segment was defined since the profile was judged last.

    Args:
        document: As `GET /events/{id}` gives it.
        segments: Definitions of now.

    Returns: None: none was looked at.
    """
    found = document.get("segments")
    if found is None:
        return None
    crossings = {**dict.fromkeys(found["entered"], "entered"), **dict.fromkeys(found["left"], "left")}
    looked = [
        {
            "id": id,
            "did": crossings.get(id, "stayed"),
            **_versions(found["looked"].get(id), segments.get(id)),
            "because": sorted(set(_because(document, segments.get(id)))),
        }
        for id in sorted({*found["looked"], *crossings})
    ]
    return {"definitions": document["metadata"]["definitions"], "looked": looked}


def _versions(version: int | None, now: Entry | None) -> dict[str, Any]:
    """`version`: None: it was not defined any more."""
    version_now = None if now is None else now.version
    return {"version": version, "version_now": version_now, "changed_since": version_now != version}


def _because(document: Mapping[str, Any], now: Entry | None) -> Iterator[str]:
    condition = None if now is None else _condition(now)
    if condition is None:
        return
    changed = [change["field"] for change in document["outcome"]["changes"]]
    for place in places(condition):
        if isinstance(place, History):
            if place.event_type == document["type"]:
                yield f"it is a {place.event_type}"
            continue
        name = ".".join(field_of(place).path)
        yield from (
            field for field in changed if field == name or name.startswith(f"{field}.") or field.startswith(f"{name}.")
        )


def _condition(entry: Entry) -> Condition | None:
    assert isinstance(entry.spec, Segment)
    try:
        return None if entry.spec.condition is None else segment_condition(entry.spec.condition)
    except QueryError:
        return None  # of a newer hub
