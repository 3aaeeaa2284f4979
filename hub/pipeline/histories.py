"""What is kept of a profile's events so that conditions can ask for them: `metadata.history` of its document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import msgspec

from hub.conditions.code import Met, write_out
from hub.conditions.history import NONE, Series, State, is_enough, joined, note, prune, pruned
from hub.conditions.keys import HISTORY
from hub.edge.paths import found_at
from hub.pipeline.draft import Draft
from hub.pipeline.rules.hand import INVALID

SOURCE: Final = "@segments"
"""Event source of the hub's own events on segments, which go into no history."""
_BY_SESSION: Final = "session"
_NOTHING: Final[Mapping[str, Any]] = {}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


class Noted(NamedTuple):
    """A history that events of a type go into. `holds`: whether one does; None: all do."""

    series: Series
    holds: Met | None


def noted_of(series: Iterable[Series]) -> dict[str, list[Noted]]:
    """By event type, what its events go into."""
    found: defaultdict[str, list[Noted]] = defaultdict(list)
    for one in series:
        found[one.event_type].append(Noted(one, None if one.where is None else write_out(one.where)))
    return dict(found)


def begin(profile: Draft, series: Iterable[str]) -> None:
    """A new profile has had none of these events: that is known, so it is no gap in its history. Args: series: keys."""
    empty = dict.fromkeys(series, 0)
    if empty:
        profile.object(HISTORY).update(empty)


def lacking(profile: Mapping[str, Any], series: Mapping[str, Series], now_ms: int) -> list[Series]:
    """
    Which of these have to be made anew, as the profile does not have them, or not for as long as is asked for by now.

    Args: profile: its document. now_ms: milliseconds since 1970.
    """
    states = profile["metadata"].get("history", _NOTHING)
    return [one for key, one in series.items() if not is_enough(states.get(key), one, now_ms)]


def level(profile: Draft, series: Mapping[str, Series], filled: Mapping[str, State]) -> None:
    """
    Bring a profile's histories level with those that are asked for.

    Those that nobody asks for any more go, as nothing is added to them: asked for again, they are made anew.

    Args: filled: by key, those that were made of what is stored.
    """
    states = profile.doc["metadata"].get("history", _NOTHING)
    if not filled and states.keys() <= series.keys():
        return
    own = profile.object(HISTORY)
    for key in states.keys() - series.keys():
        del own[key]
    own.update((key, state if state["count"] else 0) for key, state in filled.items() if key in series)
    if not own:
        profile.remove(HISTORY)


def note_event(
    profile: Draft, some: Collection[Noted], event: Mapping[str, Any], time_ms: int, now_ms: int
) -> list[str]:
    """
    The profile has had an event.

    Args:
        some: What events of its type go into.
        event: Its document, as far as `where` may ask for it.
        time_ms, now_ms: When it happened, and until when nothing is too old: milliseconds since 1970.

    Returns: keys of the histories that have changed. One that the profile does not have is left out: it has a gap.
    """
    if "history" not in profile.doc["metadata"]:
        return []
    own, changed = profile.object(HISTORY), []
    for series, holds in some:
        state = own.get(series.key)
        if state is not None and (holds is None or holds(event, 0)):
            grown = note(state, series, time_ms, _value(series, event))
            prune(grown, series, now_ms)
            own[series.key] = grown
            changed.append(series.key)
    return changed


def join(profile: Draft, other: Mapping[str, Any]) -> None:
    """Two profiles become one: what only one of them keeps has a gap, and goes. Args: other: its document."""
    ours, theirs = profile.doc["metadata"].get("history"), other["metadata"].get("history", _NOTHING)
    if ours is None:
        return
    shared = ((key, state, theirs[key]) for key, state in ours.items() if key in theirs)
    both = {key: joined(one, two) if one or two else 0 for key, one, two in shared}
    if both:
        profile.set(HISTORY, both)
    else:
        profile.remove(HISTORY)


def types_of(series: Iterable[Series]) -> list[str]:
    """The event types that go into these."""
    return sorted({one.event_type for one in series})


def made_of(
    documents: Iterable[bytes], ids: Collection[str], series: Iterable[Series], now_ms: int
) -> dict[str, State]:
    """
    Histories made of what is stored, by key.

    Args:
        documents: Of events, in any order; perhaps of other profiles, too.
        ids: Of the profile, and of all that were merged into it.
        now_ms: Until when nothing is too old: milliseconds since 1970.
    """
    series = list(series)
    by_type = noted_of(series)
    states: dict[str, State] = {one.key: dict(NONE) for one in series}
    own = frozenset(ids)
    events = (msgspec.json.decode(document) for document in documents)
    for time_ms, event in sorted(((times_ms(one)[0], one) for one in events if is_of(one, own)), key=_when):
        for one, holds in by_type.get(event["type"], ()):
            if holds is None or holds(event, 0):
                states[one.key] = note(states[one.key], one, time_ms, _value(one, event))
    return {one.key: pruned(states[one.key], one, now_ms) for one in series}


def is_of(event: Mapping[str, Any], ids: Collection[str]) -> bool:
    """
    Whether a stored event went into a profile, and still belongs to it.

    It belongs to the id that it was sent with, as when a merge is undone (`hub.pipeline.undo`); one that came by its
    session to whom it came.

    Args: event: its document. ids: of the profile, and of all that were merged into it.
    """
    metadata = event["metadata"]
    if event["source"]["id"] == SOURCE or INVALID in metadata["flags"] or not event["outcome"]["profile_version"]:
        return False
    sent_as = None if metadata.get("forwarded_for") == _BY_SESSION else metadata.get("sent_as")
    return (sent_as or event["profile"]["id"]) in ids


def _when(one: tuple[int, Mapping[str, Any]]) -> tuple[int, str]:
    return one[0], one[1]["id"]


def times_ms(event: Mapping[str, Any]) -> tuple[int, int]:
    """When a stored event happened, as histories have it, and when it was received: milliseconds since 1970."""
    metadata = event["metadata"]
    received, own = metadata["time"]["insert"], metadata["time"]["create"]
    at = received if own is None or "time_out_of_range" in metadata["flags"] else own
    return _ms(at), _ms(received)


def _ms(at: str) -> int:
    return (datetime.fromisoformat(at) - _EPOCH) // _MS


def _value(series: Series, event: Mapping[str, Any]) -> float | None:
    """The number that the event has there, if it has one."""
    found = None if series.field is None else found_at(event, series.field)
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None
