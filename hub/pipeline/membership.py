"""Who is in which segment, since when, and by what: `segments` and `metadata.segments` of a profile's document."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from hub.pipeline.draft import Draft
from hub.pipeline.segments import Segment, Segments, Some

MEMBERSHIPS: Final = ("metadata", "segments")
CONDITION: Final = "condition"
By: TypeAlias = Literal["list", "flow"]
_NOTHING: Final[Mapping[str, Any]] = {}


class At(NamedTuple):
    """When and because of what it was looked at. `now_ms`: milliseconds since 1970; `now`: the same, RFC 3339."""

    now_ms: int
    now: str
    event_id: str | None


class Crossing(NamedTuple):
    """A profile has entered a segment, or left it. `since`: when it entered, RFC 3339."""

    segment: str
    name: str
    since: str
    entered: bool


def judge(profile: Draft, some: Some, at: At) -> list[Crossing]:
    """
    Look whether the profile meets the conditions of these segments now, and let it in or out.

    One whose history is not complete is left as it is: nobody knows.
    """
    doc, now_us = profile.doc, at.now_ms * 1_000
    keys, within = doc["metadata"].get("history", _NOTHING).keys(), doc["segments"]
    met = some.met(doc, now_us)
    if not within and True not in met:
        return []
    is_whole = some.keys <= keys
    crossings = []
    for one, is_met in zip(some.segments, met, strict=True):
        if not (is_whole or one.keys <= keys):
            continue
        if is_met and one.id in within:
            _keep(profile, one)
        elif is_met:
            crossings.append(enter(profile, one, CONDITION, at))
        elif one.id in within:
            crossings.append(leave(profile, one.id, one.name))
    return crossings


def enter(profile: Draft, one: Segment, by: str, at: At) -> Crossing:
    """The profile is in the segment from now on."""
    profile.doc["segments"] = sorted({*profile.doc["segments"], one.id})
    entry = {"since": at.now, "event": at.event_id, "by": by, "definition": one.version}
    profile.object(MEMBERSHIPS)[one.id] = entry
    return Crossing(one.id, one.name, at.now, entered=True)


def leave(profile: Draft, id: str, name: str) -> Crossing:
    """The profile is not in the segment any more. Args: id, name: of the segment, which may not be there any more."""
    profile.doc["segments"] = [one for one in profile.doc["segments"] if one != id]
    entry = memberships(profile.doc).get(id, _NOTHING)
    profile.remove((*MEMBERSHIPS, id))
    return Crossing(id, name, entry.get("since", ""), entered=False)


def leave_gone(profile: Draft, segments: Segments) -> list[Crossing]:
    """Leave those that are not defined any more."""
    return [leave(profile, id, id) for id in profile.doc["segments"] if id not in segments.every]


def memberships(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """By segment, since when a profile is in it, and why. Args: document: of the profile."""
    found: Mapping[str, Any] = document["metadata"].get("segments", _NOTHING)
    return found


def join(profile: Draft, other: Mapping[str, Any]) -> None:
    """
    Two profiles become one: it is in all that either was in, since the earlier time.

    Those by condition are judged anew right after, so that whoever still meets it has neither left nor entered.

    Args: other: its document.
    """
    profile.doc["segments"] = sorted({*profile.doc["segments"], *other["segments"]})
    for id, theirs in memberships(other).items():
        ours = memberships(profile.doc).get(id)
        if ours is None or (theirs["since"], theirs["event"] or "") < (ours["since"], ours["event"] or ""):
            profile.object(MEMBERSHIPS)[id] = theirs


def part(now: Mapping[str, Any], survivor: Draft, loser: Draft) -> None:
    """
    A merge is undone: what lists have said since counts for the survivor, to whom it was said; and what flows have
    said by events that are not there any more.

    Args: now: the document of both as one. survivor, loser: as their events make them, what flows have said included,
        each with the memberships that it had before the merge.
    """
    present, theirs, own = _told(now), _told(loser.doc), _told(survivor.doc)
    for id in (theirs.keys() | own.keys()) - present.keys():
        for draft in (survivor, loser):
            if id in memberships(draft.doc):
                leave(draft, id, id)
    for id in present.keys() - theirs.keys() - own.keys():
        _put(survivor, id, present[id])


def keep(profile: Draft, then: Mapping[str, Any], others: Iterable[Mapping[str, Any]]) -> None:
    """
    What lists and flows have said of a profile by some moment, when it is put together anew for that moment.

    Args: profile: as its events make it. then: its document of that moment. others: of those who were part of it then,
        and are not any more.
    """
    said, own = _told(then), _told(profile.doc)
    for id in own.keys() - said.keys():
        leave(profile, id, id)
    theirs = {id for one in others for id in _told(one)}
    for id in said.keys() - own.keys() - theirs:
        _put(profile, id, said[id])


def _put(profile: Draft, id: str, entry: Any) -> None:
    profile.doc["segments"] = sorted({*profile.doc["segments"], id})
    profile.object(MEMBERSHIPS)[id] = entry


def _told(document: Mapping[str, Any]) -> dict[str, Any]:
    return {id: entry for id, entry in memberships(document).items() if entry["by"] != CONDITION}


def _keep(profile: Draft, one: Segment) -> None:
    """It is in it by the definition of now."""
    entry = memberships(profile.doc).get(one.id)
    if entry is None or entry["definition"] != one.version or entry["by"] != CONDITION:
        known = {"since": "", "event": None, **(entry or _NOTHING)}
        profile.object(MEMBERSHIPS)[one.id] = {**known, "by": CONDITION, "definition": one.version}


def apply_list(
    profile: Draft, segments: Segments, at: At, *, add: Collection[str], remove: Collection[str], by: By
) -> list[Crossing]:
    """
    A list or a flow lets the profile into segments, and out of others.

    Only those that are defined, switched on and have no condition: of the others their condition says who is in them.
    """
    crossings = []
    for id in sorted({*add, *remove}):
        one = segments.every.get(id)
        if one is None or one.is_frozen or one.met is not None:
            continue
        is_in = id in profile.doc["segments"]
        if id in add and id not in remove and not is_in:
            crossings.append(enter(profile, one, by, at))
        elif id in remove and is_in:
            crossings.append(leave(profile, id, one.name))
    return crossings
