"""Where else the events of a profile are: while it was part of another one, they were stored under that one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from hub.model import MergeEntry, Person, Stay

BY_SESSION: Final = "session"
NO_PROFILE: Final = ""


def stays(entry: MergeEntry, ended: Callable[[str], Iterable[MergeEntry]]) -> list[Stay]:
    """
    Of the survivor of a merge, after it.

    Args:
        ended: By id of a profile, the merges in which it was the loser and that are undone.
    """
    guest = entry.survivor_id

    def after(id: str, since: int, place: tuple[int, ...]) -> list[Stay]:
        found: list[Stay] = []
        for merge in ended(id):
            left: dict[str, Any] = msgspec.json.decode(merge.loser)
            version = left["metadata"]["version"]
            # one that went on into a third when the guest was gone already took nothing of it there
            if version >= since and guest in left["ids"]:
                # behind what it was sent itself up to then
                stay = Stay(merge.survivor_id, merge.version, (*place, version, 1))
                found += [stay, *after(stay.host, stay.since, stay.place)]
        return found

    return after(guest, entry.version, ())


def is_theirs(person: Person, profile_id: str, session_id: str, sent_as: str | None, way: str | None) -> bool:
    """
    Whether an event is the person's: of the id that it was sent with, or, if that is why it lies where it does, of who
    holds its session. Without a profile it is of its session's.

    Args: profile_id: under which it lies. The others: as `way_of` gives them.
    """
    if way == BY_SESSION or profile_id == NO_PROFILE:
        return session_id in person.sessions
    return (sent_as or profile_id) in person.ids


def way_of(event: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Its session, with which id it was sent, and why it lies where it does. Args: event: its document."""
    session, metadata = event["session"], event.get("metadata", {})
    return "" if session is None else session["id"], metadata.get("sent_as"), metadata.get("forwarded_for")
