"""Which session is an event of that names none? One of its profile's, which ends with half an hour of silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hub.ids import derived
from hub.model import Profile
from hub.pipeline.documents import iso
from hub.pipeline.draft import Draft
from hub.pipeline.modes import makes_session
from hub.pipeline.records import Decoded
from schemas.records import MERGE, TRACK

GAP_MS: Final = 30 * 60_000
OPEN: Final = "session"
"""In the metadata of a profile: the last session that was made for it."""


class Belongs(NamedTuple):
    """`id`: of the session; None: of none, as it comes too late. `is_new`: whether it begins with the event."""

    id: str | None
    is_new: bool


def belongs(profile: Mapping[str, Any], time_ms: int, event_id: str) -> Belongs:
    """
    Where an event of the profile belongs. The same events in the same order give the same sessions.

    By the times of events, not of their receipt: so a queue that was held up makes no visit longer. What happened more
    than half an hour before the session in hand began, or before the end of the one before it, belongs to one that is
    over, and to none any more: no two overlap.

    Args:
        profile: Its document.
        time_ms: Of the event, milliseconds since 1970.
    """
    found = profile["metadata"].get(OPEN)
    if found is None or iso(time_ms - GAP_MS) > found["end"]:
        return Belongs(begun_by(profile["id"], event_id), is_new=True)
    is_late = iso(time_ms + GAP_MS) < found["start"] or iso(time_ms) <= found.get("after", "")
    return Belongs(None if is_late else found["id"], is_new=False)


def begun_by(profile_id: str, event_id: str) -> str:
    """The id of the session that begins with an event."""
    return derived("made-session", profile_id, event_id)


def open_id(profile: Mapping[str, Any]) -> str | None:
    """The session in hand of a profile, by its document."""
    found = profile["metadata"].get(OPEN)
    return None if found is None else found["id"]


def note(profile: Draft, session_id: str, at: str) -> None:
    """An event `at` (RFC 3339) belongs to this session of the profile."""
    found = profile.object(("metadata",)).get(OPEN)
    if found is None:
        found = {"id": session_id, "start": at, "end": at}
    elif found["id"] != session_id:
        found = {"id": session_id, "start": at, "end": at, "after": found["end"]}
    profile.object(("metadata",))[OPEN] = {**found, "start": min(found["start"], at), "end": max(found["end"], at)}


def join_open(profile: Draft, other: Mapping[str, Any]) -> None:
    """Of the sessions in hand of two profiles that become one, the later goes on. Args: other: its document."""
    ours, theirs = profile.object(("metadata",)).get(OPEN), other["metadata"].get(OPEN)
    if theirs is not None and (ours is None or (ours["end"], theirs["id"]) < (theirs["end"], ours["id"])):
        profile.object(("metadata",))[OPEN] = theirs


def in_hand(records: Iterable[Decoded], profiles: Mapping[str, Profile]) -> Iterator[tuple[str, str]]:
    """
    (profile, session) that these records may have to do with besides those that they name.

    Args: profiles: as they were before.
    """
    is_wanted = False
    given = []
    for decoded in records:
        inbound = decoded.inbound
        if inbound is None:
            continue
        if inbound["body"][0] == TRACK:
            is_wanted = is_wanted or makes_session(inbound["body"][1])
        elif inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "data":
            given.append((inbound["profile_id"], inbound["body"][1]["snapshot"]))
    if not is_wanted:
        return
    for profile in profiles.values():
        session_id = open_id(profile.doc)
        if session_id is not None:
            yield profile.id, session_id
    for profile_id, snapshot in given:
        session_id = open_id(msgspec.json.decode(snapshot))
        if session_id is not None:
            yield profile_id, session_id
