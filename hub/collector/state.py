"""What the collector remembers of the partitions it owns, and how it asks the store for the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec

from hub.model import Alias, Claimed, KnownEvent, Position, Profile, Session, StoredEvent, Undo, Wanted, partition_of
from hub.model import Known as KnownInStore
from hub.pipeline.definitions import Definitions
from hub.pipeline.identity import Known
from hub.pipeline.process import Outcome, State
from hub.pipeline.records import Decoded, claims, wanted
from hub.settings import Collector as CollectorSettings
from hub.store.port import Writing
from schemas.records import MERGE, TRACK

NO_DEFINITIONS: Final = Definitions(-1, {})
NOTHING: Final = KnownInStore({}, {}, {})
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
        self._aliases: Final[OrderedDict[str, Alias]] = OrderedDict()
        self._claimed: Final[OrderedDict[str, Claimed]] = OrderedDict()
        self._settings = settings

    def clear(self) -> None:
        """Forget everything: after a partition was lost, or a write failed."""
        self._profiles.clear()
        self._sessions.clear()
        self._events.clear()
        self._aliases.clear()
        self._claimed.clear()

    def load(
        self,
        records: Sequence[Decoded],
        epoch: int,
        progress: dict[int, int],
        store: Writing,
        *,
        definitions: Definitions = NO_DEFINITIONS,
        finish: Callable[[], None] = lambda: None,
    ) -> State:
        """
        What `process` needs to know for these records.

        Args: finish: waits until the store has everything that was kept here; called when these records need that.

        Raises: Unavailable.
        """
        want = wanted(records)
        if want.forwarded or want.merges:
            # what the batch before did of these is in no cache
            finish()
        profiles = _take(self._profiles, want.profiles)
        sessions = _take(self._sessions, want.sessions)
        events = _take(self._events, [key.id for key in want.events])
        aliases = _take(self._aliases, want.profiles) if self._aliases else {}
        missing = Wanted(
            [key for key in want.profiles if key not in profiles and key not in aliases],
            [key for key in want.sessions if key not in sessions],
            [key for key in want.events if key.id not in events],
            want.forwarded,
            want.merges,
        )
        known = store.known(missing) if any(msgspec.structs.astuple(missing)) else NOTHING
        profiles.update(known.profiles)
        sessions.update(known.sessions)
        events.update(known.events)
        aliases.update(known.aliases)
        for id, alias in known.aliases.items():
            self._aliases[id] = alias
        claimed = self._claim(records, aliases, store, definitions, finish) if definitions.points else {}
        identity = Known(
            aliases,
            self._roots(records, sessions, claimed, store),
            claimed,
            frozenset(known.forwarded),
            frozenset(known.merges),
            _undos(records, store) if want.merges else {},
        )
        replayed = _replays(records, epoch, events)
        documents = dict(store.outcomes(replayed)) if replayed else {}
        return State(epoch, progress, profiles, sessions, events, documents, identity)

    def _claim(
        self,
        records: Sequence[Decoded],
        aliases: Mapping[str, Alias],
        store: Writing,
        definitions: Definitions,
        finish: Callable[[], None],
    ) -> dict[str, Claimed]:
        """Who holds the identifiers of these records; those that are new go to who came first."""
        # a profile that was merged claims nothing: its records go to the survivor
        wanted = {
            claim.identifier: claim
            for claim in reversed(list(claims(records, definitions.points, definitions.identity_key)))
            if claim.profile_id not in aliases
        }
        if not wanted:
            return {}
        if any(name not in self._claimed for name in wanted):
            finish()  # new ones have to be written, and only one of two connections can write at a time
        claimed = store.claim(reversed(wanted.values()))
        for name, found in claimed.items():
            # what others have counted since, and what of ours is still being written
            kept = self._claimed.get(name, found)
            claimed[name] = self._claimed[name] = Claimed(found.profile_id, max(found.uses, kept.uses))
            self._claimed.move_to_end(name)
        return claimed

    def _roots(
        self,
        records: Sequence[Decoded],
        sessions: Mapping[str, Session],
        claimed: Mapping[str, Claimed],
        store: Writing,
    ) -> dict[str, str]:
        """Of the profiles that these records may be joined with: which one each is part of now."""
        ids = {one.profile_id for one in claimed.values()}
        ids.update(*(_others(record, sessions) for record in records))
        ways: dict[str, str] = {}
        asked: set[str] = set()
        while ids:
            asked |= ids
            known = {id: self._aliases[id] for id in ids if id in self._aliases}
            known |= store.aliases([id for id in ids if id not in known])
            ways.update((id, alias.into) for id, alias in known.items())
            ids = {alias.into for alias in known.values()} - asked
        return {id: _end(ways, id) for id in ways}

    def keep(self, outcome: Outcome) -> None:
        """Remember what a batch changed."""
        for profile in outcome.batch.profiles:
            self._profiles[profile.id] = profile
            self._profiles.move_to_end(profile.id)
        for session in outcome.batch.sessions:
            self._sessions[session.id] = session
            self._sessions.move_to_end(session.id)
        self._events.update(outcome.known)
        identity = outcome.batch.identity
        if identity is None:
            return
        for id in identity.restored:
            self._aliases.pop(id, None)
        if identity.restored:
            # what the survivor wrote to them meanwhile is in the store
            for session in [one for one in self._sessions.values() if one.profile_id in identity.restored]:
                self._sessions.pop(session.id)
        for id, alias in identity.aliases.items():
            self._profiles.pop(id, None)
            self._aliases[id] = alias
            self._aliases.move_to_end(id)
        for id, more in identity.uses.items():
            if id in self._claimed:
                held = self._claimed[id]
                self._claimed[id] = Claimed(held.profile_id, held.uses + more)

    def trim(self, events: list[StoredEvent]) -> None:
        """Forget the oldest beyond the limits, but nothing of the next batch to be written, whose events these are."""
        busy = len(events)
        _trim(self._profiles, max(self._settings.cache_profiles, 2 * busy))
        _trim(self._sessions, max(self._settings.cache_profiles, 2 * busy))
        _trim(self._events, max(self._settings.cache_events, 2 * busy))
        _trim(self._claimed, self._settings.cache_events)
        # a batch has at most a record for each of its merges
        _trim(self._aliases, max(self._settings.cache_profiles, 2 * self._settings.batch_records))


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


def _others(record: Decoded, sessions: Mapping[str, Session]) -> list[str]:
    """Profiles that one record may have to do with, other than its own."""
    inbound = record.inbound
    if inbound is None:
        return []
    if inbound["body"][0] == MERGE:
        return [inbound["body"][1]["loser_id"]]
    session = sessions.get(inbound["body"][1]["session_id"] or "") if inbound["body"][0] == TRACK else None
    if session is None or session.profile_id in ("", inbound["profile_id"]):
        return []
    return [session.profile_id]


def _end(ways: Mapping[str, str], id: str) -> str:
    # every step goes to a smaller id, so there is no circle
    while id in ways:
        id = ways[id]
    return id


def _undos(records: Sequence[Decoded], store: Writing) -> dict[str, Undo]:
    found = {}
    for record in records:
        inbound = record.inbound
        if inbound is not None and inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "undo":
            undo = store.undo(inbound["id"])
            if undo is not None:
                found[inbound["id"]] = undo
    return found


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
