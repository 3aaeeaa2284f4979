"""What the collector remembers of the partitions it owns, and how it asks the store for the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, TypeVar

from hub.model import KnownEvent, Position, Profile, Session, StoredEvent, Wanted, partition_of
from hub.pipeline.process import Outcome, State
from hub.pipeline.records import Decoded, wanted
from hub.settings import Collector as CollectorSettings
from hub.store.port import Writing

V = TypeVar("V")


class Memory:
    """
    The newest profiles, sessions and event ids, valid while their partitions are owned.

    It holds at least what the last batches changed, so that the next batch may be processed before they are written.
    """

    def __init__(self, settings: CollectorSettings) -> None:
        """Starts empty."""
        self._profiles: Final[OrderedDict[str, Profile]] = OrderedDict()
        self._sessions: Final[OrderedDict[str, Session]] = OrderedDict()
        self._events: Final[OrderedDict[str, KnownEvent]] = OrderedDict()
        self._settings = settings

    def clear(self) -> None:
        """Forget everything: after a partition was lost, or a write failed."""
        self._profiles.clear()
        self._sessions.clear()
        self._events.clear()

    def load(self, records: Sequence[Decoded], epoch: int, progress: dict[int, int], store: Writing) -> State:
        """What `process` needs to know for these records. Raises Unavailable."""
        want = wanted(records)
        profiles = _take(self._profiles, want.profiles)
        sessions = _take(self._sessions, want.sessions)
        events = _take(self._events, [key.id for key in want.events])
        missing = Wanted(
            [key for key in want.profiles if key not in profiles],
            [key for key in want.sessions if key not in sessions],
            [key for key in want.events if key.id not in events],
        )
        if missing.profiles or missing.sessions or missing.events:
            known = store.known(missing)
            profiles.update(known.profiles)
            sessions.update(known.sessions)
            events.update(known.events)
        replayed = _replays(records, epoch, events)
        return State(epoch, progress, profiles, sessions, events, dict(store.outcomes(replayed)) if replayed else {})

    def keep(self, outcome: Outcome) -> None:
        """Remember what a batch changed."""
        for profile in outcome.batch.profiles:
            self._profiles[profile.id] = profile
            self._profiles.move_to_end(profile.id)
        for session in outcome.batch.sessions:
            self._sessions[session.id] = session
            self._sessions.move_to_end(session.id)
        self._events.update(outcome.known)

    def trim(self, events: list[StoredEvent]) -> None:
        """Forget the oldest beyond the limits, but nothing of the next batch to be written, whose events these are."""
        busy = len(events)
        _trim(self._profiles, max(self._settings.cache_profiles, 2 * busy))
        _trim(self._sessions, max(self._settings.cache_profiles, 2 * busy))
        _trim(self._events, max(self._settings.cache_events, 2 * busy))


def _take(cache: OrderedDict[str, V], keys: Sequence[str]) -> dict[str, V]:
    found = {}
    for key in keys:
        value = cache.get(key)
        if value is not None:
            found[key] = value
            cache.move_to_end(key)
    return found


def _trim(cache: OrderedDict[str, V], most: int) -> None:
    while len(cache) > most:
        cache.popitem(last=False)


def _replays(records: Sequence[Decoded], epoch: int, known: dict[str, KnownEvent]) -> list[tuple[str, str]]:
    """(event id, time partition) of the events that lie in the store at their own coordinates."""
    found = []
    for decoded in records:
        for place, event in enumerate(decoded.events):
            stored = known.get(event["id"])
            position = Position(epoch, decoded.record.partition, decoded.record.offset, place)
            if stored is not None and stored.position == position and decoded.inbound is not None:
                received_ms = decoded.inbound["received_at_ms"]
                own_ms = event["time_ms"]
                found.append((event["id"], partition_of(received_ms if own_ms is None else own_ms, received_ms)))
    return found
