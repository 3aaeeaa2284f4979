"""
Whose pauses end: because their time has come, or because of an event.

An event ends a pause if the hub received it after the pause began and no later than its time (`Pause.since_ms`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from hub.flows.kept import KeptRun
from hub.flows.searches import written
from hub.pipeline.documents import iso

Resumed: TypeAlias = "dict[str, dict[str, Mapping[str, Any] | None]]"
"""By id of the run, by node: the event that ends its pause; None: its time has come."""
OLDEST: Final = 100
"""Events among which the first one is looked for that may have ended a pause."""


class Page(Protocol):
    """Documents that were found."""

    @property
    def items(self) -> Sequence[Mapping[str, Any]]:
        """The newest first."""
        ...


class Events(Protocol):
    """Where events are looked for: the store's port."""

    def survivor(self, id: str) -> str:
        """The id of who a profile is part of by now. Raises Unavailable."""
        ...

    def get(self, kind: Literal["profiles"], id: str) -> Mapping[str, Any] | None:
        """A document. Raises Unavailable."""
        ...

    def search(self, kind: Literal["events"], query: str, size: int, cursor: None) -> Page:
        """Documents that match, newest first. Raises Unavailable."""
        ...


class Awaited(NamedTuple):
    """
    A pause that an event may have ended.

    Attributes:
        since_ms, until_ms: When the hub received it, milliseconds since 1970: after the first, not after the second.
    """

    run: KeptRun
    node: str
    event_type: str
    since_ms: int
    until_ms: int

    def query(self, ids: Iterable[str]) -> str:
        """On events (docs/query.md). Args: ids: all that the profile has; an event lies under that of its time."""
        return (
            f"type = {written(self.event_type)} AND profile.id IN ({', '.join(map(written, ids))})"
            f" AND metadata.time.insert > {written(iso(self.since_ms))}"
            f" AND metadata.time.insert <= {written(iso(self.until_ms))}"
        )


def by_time(events: Events, runs: Iterable[KeptRun], now_ms: int) -> Resumed:
    """
    Which pauses end by now; `resumed` of `Runner.go_on`.

    What an event has ended before its time came is ended by the event, whoever should have noticed that.

    Args: now_ms: milliseconds since 1970. Raises Unavailable.
    """
    found: Resumed = {}
    for run in runs:
        nodes: dict[str, Mapping[str, Any] | None] = {
            node: None for node, pause in run.saved.paused.items() if pause.until_ms <= now_ms
        }
        nodes |= {one.node: first(events, one) for one in awaited(run, now_ms) if one.node in nodes}
        if nodes:
            found[run.id] = nodes
    return found


def by_then(events: Events, runs: Iterable[KeptRun], now_ms: int) -> Resumed:
    """
    Which pauses of runs that have just been saved an event has ended meanwhile; `resumed` of `Runner.go_on`.

    Whoever hears of an event looks for runs that are saved, and whoever has saved a run looks for events that are
    stored: so one of the two finds the other.

    Args: now_ms: milliseconds since 1970. Raises Unavailable.
    """
    found: Resumed = {}
    for run in runs:
        for one in awaited(run, now_ms):
            event = first(events, one)
            if event is not None:
                found.setdefault(run.id, {})[one.node] = event
    return found


def by_event(event: Mapping[str, Any], runs: Iterable[KeptRun]) -> Resumed:
    """
    What an event ends of these runs, which wait for events of its type; `resumed` of `Runner.go_on`.

    Args: event: its document.
    """
    received_ms, found = received(event), dict[str, dict[str, Mapping[str, Any] | None]]()
    for run in runs:
        nodes = {
            node: event
            for node, pause in run.saved.paused.items()
            if pause.event_type == event["type"] and pause.since_ms < received_ms <= pause.until_ms
        }
        if nodes:
            found[run.id] = dict(nodes)
    return found


def awaited(run: KeptRun, now_ms: int) -> Iterator[Awaited]:
    """Its pauses that an event could have ended by now. Args: now_ms: milliseconds since 1970."""
    for node, pause in run.saved.paused.items():
        if pause.event_type and run.profile_id:
            yield Awaited(run, node, pause.event_type, pause.since_ms, min(pause.until_ms, now_ms))


def first(events: Events, one: Awaited) -> Mapping[str, Any] | None:
    """The event that has ended a pause; None: none has. Raises Unavailable."""
    id = events.survivor(one.run.profile_id)
    profile = events.get("profiles", id)
    ids = {one.run.profile_id, id, *(profile["ids"] if profile is not None else ())}
    items = events.search("events", one.query(sorted(ids)), OLDEST, None).items
    return items[-1] if items else None


def received(event: Mapping[str, Any]) -> int:
    """When the hub received an event, milliseconds since 1970. Args: event: its document."""
    return round(datetime.fromisoformat(event["metadata"]["time"]["insert"]).timestamp() * 1_000)
