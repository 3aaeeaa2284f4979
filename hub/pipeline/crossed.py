"""Steps of a merge that an erasure has overtaken while they were on their way. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from hub.model import Alias, Ask, Person, Void
from schemas.records import MERGE, TRACK, Inbound, Merge

_STALE: Final = Void("", 0, 0, "")
"""Of a step that comes to nothing by itself: no mark says so."""


class _Back(msgspec.Struct, frozen=True):
    """What of the reason of a profile that lives again matters here."""

    merge_id: str = ""


class Heir(NamedTuple):
    """
    A profile that turns out to be of somebody who was erased, and so has to be erased, too.

    `void`: of the one who was erased; `is_suppressed`: whether nothing of them is taken any more.
    """

    profile_id: str
    void: Void
    is_suppressed: bool


class Crossed(NamedTuple):
    """A step that counts for nothing."""

    void: Void
    heir: Heir | None = None


class Erased(NamedTuple):
    """What is known of an erasure. `until_ms`: what was received up to then is void, milliseconds since 1970."""

    id: str
    until_ms: int
    is_suppressed: bool


def of_data(inbound: Inbound, alias: Alias | None) -> Crossed | None:
    """
    A profile's data that arrives at the one that it was merged into.

    An erasure removes the alias with the person, so that data without it is of somebody who is gone. Receive times say
    nothing of it: an event that was received after the erasure may have caused a merge that went ahead of it.

    Args: alias: of the loser, as it is now.
    """
    return Crossed(_STALE) if alias is None or alias.merge_id != inbound["id"] else None


def of_ask(inbound: Inbound, body: Merge, ask: Ask | None, erased: Erased | None) -> Crossed | None:
    """
    A profile is asked to become part of another one: when it was decided, the two were one person.

    So when one of them was erased meanwhile, the other one is what is left of the person. When both were, there is
    nobody left, and who has these ids now is somebody new.

    Args: ask: what the store says of it; None: it was asked for by hand. erased: the order that `ask` names.
    """
    if ask is None or not (ask.is_done or ask.cause):
        return None
    if ask.is_done or erased is None or not (ask.asked or ask.asker):
        return Crossed(_STALE)
    void = Void("", 0, erased.until_ms, erased.id)
    return Crossed(void, Heir(inbound["profile_id"] if ask.asked else body["loser_id"], void, erased.is_suppressed))


def loser_of(inbound: Inbound) -> str:
    """Whose data a record carries to the profile that it was merged into; empty: it is no such record."""
    if inbound["body"][0] != MERGE or inbound["body"][1]["step"] != "data":
        return ""
    return inbound["body"][1]["loser_id"]


class Moved(NamedTuple):
    """A profile whose data a record carries, and the merge because of which: if that holds no more, it is stale."""

    profile_id: str
    merge_id: str


def moved_by(inbound: Inbound) -> Moved | None:
    """What a record carries into a merge, or back; None: it is no such record."""
    if inbound["body"][0] != MERGE:
        return None
    body = inbound["body"][1]
    if body["step"] == "data":
        return Moved(body["loser_id"], inbound["id"])
    if body["step"] == "restore":
        return Moved(inbound["profile_id"], msgspec.json.decode(body["reason"], type=_Back).merge_id)
    return None


def is_void_to_send(inbound: Inbound, person: Person, until_ms: int, alias: Alias | None) -> bool:
    """
    Whether a record for somebody who was erased, or for who they were part of, that may not have been sent yet, counts
    for nothing.

    Args: until_ms: what was received up to then is void. alias: of the profile that is `moved_by` the record.
    """
    moved = moved_by(inbound)
    if moved is not None:
        return alias is None or alias.merge_id != moved.merge_id
    if inbound["body"][0] != TRACK or inbound["received_at_ms"] > until_ms:
        return False
    return inbound["profile_id"] in person.ids or inbound.get("sent_as") in person.ids
