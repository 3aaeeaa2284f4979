"""What the collector remembers of the partitions it owns, and how it asks the store for the rest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from hub.collector.copied import naming, to_copy
from hub.collector.filled import fill, told_before
from hub.collector.voided import Voided, handed_on, place_of
from hub.model import Alias, Claimed, KnownEvent, Position, Profile, Session, StoredEvent, Undo, Wanted, partition_of
from hub.model import Known as KnownInStore
from hub.pipeline import system_events
from hub.pipeline.definitions import Definitions
from hub.pipeline.documents import iso, new_session
from hub.pipeline.holders import Holders, claims_as, onward
from hub.pipeline.identity import FOR_SENDER, Known, Reason, has_left
from hub.pipeline.made_sessions import in_hand
from hub.pipeline.modes import has_system_events
from hub.pipeline.process import Outcome
from hub.pipeline.records import Decoded, claims, wanted
from hub.pipeline.referral import Referral, referred
from hub.pipeline.sealed import with_shredded
from hub.pipeline.state import State
from hub.settings import Collector as CollectorSettings
from hub.store.port import Writing
from schemas.records import MERGE, TRACK, Inbound

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
        self._given: Final[set[str]] = set()  # sessions that another profile gets with the last batch
        self._lost: Final[set[str]] = set()  # sessions that another profile had first, as it came out since `load`
        self._settings = settings
        self._privacy: Final = Voided(self.clear)

    def clear(self) -> None:
        """Forget everything: after a partition was lost, or a write failed."""
        self._profiles.clear()
        self._sessions.clear()
        self._events.clear()
        self._aliases.clear()
        self._claimed.clear()
        self._given.clear()
        self._lost.clear()

    def lose(self, sessions: Iterable[str]) -> None:
        """Forget sessions that another profile holds, as a write has found out: the store knows better."""
        for id in sessions:
            self._sessions.pop(id, None)
            self._lost.add(id)

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
        judged = with_shredded(self._privacy.judge(records, store, definitions, finish), records)
        every = records
        if judged.records:
            records = [one for one in records if place_of(one) not in judged.records]
        want = wanted(records)
        want.forwarded.extend(handed_on(every) if judged.records else ())
        if want.forwarded or want.merges or self._given:
            # what the batch before did of these is in no cache
            finish()
        for id in self._given:
            self._sessions.pop(id, None)
        self._given.clear()
        self._lost.clear()
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
        made = list(in_hand(records, profiles))
        if made:
            self._add(sessions, [session_id for _, session_id in made], store)
        for id, alias in known.aliases.items():
            self._aliases[id] = alias
        led = list(referred(records, sessions))
        if led:
            finish()  # as only one of two connections can write at a time
            self._lead(led, sessions, store)
        roots = self._roots(_others(records, sessions, made), store)
        left = [id for id, one in sessions.items() if one.profile_id in roots and id in self._sessions] if roots else []
        if left:
            # by a profile of ours that was merged: its survivor may have written them since
            finish()
            for id in left:
                del self._sessions[id]
            sessions |= store.known(Wanted([], left, [])).sessions
            roots |= self._roots(_others(records, sessions, made), store)
        claimed: dict[str, Claimed] = {}
        if definitions.points:
            parts = _parts(records, profiles) if want.forwarded else {}
            claimed = self._claim(records, _Held(parts, sessions, aliases, roots), store, definitions, finish)
            roots |= self._roots({one.profile_id for one in claimed.values()}, store)
        identity = Known(
            aliases,
            roots,
            claimed,
            frozenset(known.forwarded),
            frozenset(known.merges),
            _undos(records, store) if want.merges else {},
            _left(records, store) if want.forwarded else {},
        )
        replayed = [*_replays(records, epoch, events), *_caused(records, progress)]
        documents = dict(store.outcomes(replayed)) if replayed else {}
        if definitions.segments or definitions.flows:
            documents.update(told_before(records, epoch, progress, store))
        person = self._privacy.person(every, aliases, store, finish)
        expired = self._privacy.expired
        filled = fill(records, profiles, definitions.segments, store, finish)
        return State(
            epoch,
            progress,
            profiles,
            sessions,
            events,
            documents,
            identity,
            judged,
            person,
            expired,
            filled,
            to_copy(records, store, finish),
        )

    def _add(self, sessions: dict[str, Session], ids: Sequence[str], store: Writing) -> None:
        """What is known of these sessions, to those that are known already."""
        wanted = [id for id in ids if id not in sessions]
        found = _take(self._sessions, wanted)
        missing = [id for id in wanted if id not in found]
        sessions.update(found)
        if missing:
            sessions.update(store.known(Wanted([], missing, [])).sessions)

    def _lead(self, led: Sequence[tuple[Inbound, str, Referral]], sessions: dict[str, Session], store: Writing) -> None:
        """Let who somebody was on another site hold the session here, if the session there was theirs."""
        self._add(sessions, [said.session for _, _, said in led], store)
        there = {said.session: sessions[said.session].profile_id for _, _, said in led if said.session in sessions}
        roots = self._roots({*there.values(), *(said.profile for _, _, said in led)} - {""}, store)
        claims: dict[str, Session] = {}
        for inbound, id, said in led:
            holder = there.get(said.session, "")
            holder = roots.get(holder, holder)
            if holder and holder == roots.get(said.profile, said.profile):
                doc = new_session(id, holder, iso(inbound["received_at_ms"]), holder)
                claims.setdefault(id, Session(id, holder, -1, doc))
        if claims:
            sessions.update(store.claim_sessions(list(claims.values())))

    def _claim(
        self,
        records: Sequence[Decoded],
        held: _Held,
        store: Writing,
        definitions: Definitions,
        finish: Callable[[], None],
    ) -> dict[str, Claimed]:
        """Who holds the identifiers of these records; those that are new go to who came first."""
        points, key = definitions.points, definitions.identity_key
        whose = _Whose(held)
        every = list(claims(records, points, key, whose, definitions.rules))
        if not every:
            return {}
        new = [inbound for claim, inbound in every if claim.identifier not in self._claimed]
        if new:
            finish()  # new ones have to be written, and only one of two connections can write at a time
            if _claim_sessions(new, whose.first, held.sessions, store):
                held.roots.update(self._roots(_others(records, held.sessions), store))
                every = list(claims(records, points, key, _Whose(held), definitions.rules))
        wanted = {claim.identifier: claim for claim, _ in reversed(every)}
        claimed = store.claim(reversed(wanted.values()))
        for name, found in claimed.items():
            # what others have counted since, and what of ours is still being written
            kept = self._claimed.get(name, found)
            claimed[name] = self._claimed[name] = Claimed(found.profile_id, max(found.uses, kept.uses))
            self._claimed.move_to_end(name)
        return claimed

    def _roots(self, ids: set[str], store: Writing) -> dict[str, str]:
        """Which profile each of these is part of now, if that is another."""
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
            if session.id not in self._lost:
                self._sessions[session.id] = session
                self._sessions.move_to_end(session.id)
        self._events.update(outcome.known)
        self._privacy.keep(outcome.batch)
        identity = outcome.batch.identity
        if identity is None:
            return
        for id in identity.restored:
            self._aliases.pop(id, None)
        if identity.restored:
            # what the survivor wrote to theirs meanwhile is in the store, as is all that was before this batch
            self._sessions.clear()
        if identity.undone:
            # whoever has them from now on writes them, perhaps in another process
            self._given.update(identity.taken)
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


class _Held(NamedTuple):
    """
    What is known of the sessions of a batch and their holders. `parts`: as `_parts` has it. `aliases`, `roots`: as in
    `Known`.
    """

    parts: Mapping[str, Collection[str]]
    sessions: dict[str, Session]
    aliases: Mapping[str, Alias]
    roots: dict[str, str]


class _Whose:
    """Which profile a record is for; to be asked for every record that has one, in their order."""

    def __init__(self, held: _Held) -> None:
        self._held = held
        self._holders = Holders(held.sessions)

    @property
    def first(self) -> Mapping[str, Inbound]:
        """By session that nobody held, the record that came with it first."""
        return self._holders.first

    def __call__(self, inbound: Inbound) -> str:
        """Empty: that will be seen where the record goes, as its own profile was merged."""
        if self._goes_back(inbound):
            return inbound.get("sent_as") or ""
        holder, profile_id = self._holders.of(inbound), inbound["profile_id"]
        if profile_id in self._held.aliases:
            return ""
        holder = self._held.roots.get(holder, holder)
        way = None if holder == profile_id else onward(inbound, holder)
        return profile_id if way is None else way[0]

    def _goes_back(self, inbound: Inbound) -> bool:
        """Whether it was handed on for somebody who is no part of its profile (yet): it begins no session here."""
        profile_id = inbound["profile_id"]
        if inbound.get("forwarded_for") not in FOR_SENDER or profile_id in self._held.aliases:
            return False
        return inbound.get("sent_as") not in self._held.parts[profile_id]


def _parts(records: Sequence[Decoded], profiles: Mapping[str, Profile]) -> dict[str, set[str]]:
    """
    Of the profiles of these records all ids, with those that come with this batch. Args: profiles: before it.

    Only what was handed on asks for it: that lies behind the data of its merge.
    """
    found = {id: set(profile.doc["ids"]) for id, profile in profiles.items()}
    for decoded in records:
        inbound = decoded.inbound
        if inbound is not None:
            own = found.setdefault(inbound["profile_id"], {inbound["profile_id"]})
            if inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "data":
                body = inbound["body"][1]
                if not has_left(msgspec.json.decode(body["reason"], type=Reason), own):
                    own.update(msgspec.json.decode(body["snapshot"])["ids"])
    return found


def _claim_sessions(
    records: Sequence[Inbound], first: Mapping[str, Inbound], sessions: dict[str, Session], store: Writing
) -> bool:
    """
    Let who comes first with the sessions of these records hold them, whatever becomes of the batch.

    An identifier is claimed for good before its record is processed. So the profile that the record goes to must be the
    same when it is read again, after a crash, or comes by another way, after a merge.

    Args: first: as `Holders` has it. sessions: gets what the store then has of them.

    Returns: whether others hold some of them by now.
    """
    wanted: dict[str, Session] = {}
    for inbound in records:
        id = inbound["body"][1]["session_id"] if inbound["body"][0] == TRACK else None
        if id and id in first and id not in wanted:
            profile_id, at = first[id]["profile_id"], iso(first[id]["received_at_ms"])
            wanted[id] = Session(id, profile_id, -1, new_session(id, profile_id, at, claims_as(first[id])))
    if not wanted:
        return False
    found = store.claim_sessions(list(wanted.values()))
    sessions.update(found)
    return any(found[id].profile_id != one.profile_id for id, one in wanted.items())


def _others(
    records: Sequence[Decoded], sessions: Mapping[str, Session], made: Sequence[tuple[str, str]] = ()
) -> set[str]:
    """
    Profiles that these records may have to do with, because of a merge or a session, other than their own.

    Args: made: see `in_hand`.
    """
    found = {
        sessions[session_id].profile_id
        for profile_id, session_id in made
        if session_id in sessions and sessions[session_id].profile_id != profile_id
    }
    for record in records:
        inbound = record.inbound
        if inbound is None:
            continue
        if inbound["body"][0] == MERGE:
            found.add(inbound["body"][1]["loser_id"])
        elif inbound["body"][0] == TRACK:
            session = sessions.get(inbound["body"][1]["session_id"] or "")
            if session is not None and session.profile_id not in ("", inbound["profile_id"]):
                found.add(session.profile_id)
    return found


def _end(ways: Mapping[str, str], id: str) -> str:
    # every step goes to a smaller id, so there is no circle
    while id in ways:
        id = ways[id]
    return id


def _left(records: Sequence[Decoded], store: Writing) -> dict[str, int]:
    """By sender of a record that was handed on to where it is now, its own version as it went there."""
    senders = {
        inbound.get("sent_as") or ""
        for inbound in (record.inbound for record in records)
        if inbound is not None and inbound.get("forwarded_for") == "alias"
    }
    return {id: alias.version for id, alias in store.aliases(sorted(senders)).items()} if senders else {}


def _undos(records: Sequence[Decoded], store: Writing) -> dict[str, Undo]:
    found = {}
    for record in records:
        inbound = record.inbound
        if inbound is not None and inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "undo":
            undo = store.undo(inbound["id"])
            if undo is not None:
                found[inbound["id"]] = naming(undo, store)
    return found


def _caused(records: Sequence[Decoded], progress: Mapping[int, int]) -> Iterator[tuple[str, str]]:
    """(event id, time partition) of the system events that records may have caused that are told again."""
    for decoded in records:
        inbound = decoded.inbound
        if inbound is None or decoded.record.offset >= progress.get(decoded.record.partition, 0):
            continue
        if inbound["body"][0] != TRACK or not has_system_events(inbound["body"][1]):
            continue
        received_ms = inbound["received_at_ms"]
        for event in decoded.events:
            own_ms = event["time_ms"]
            month = partition_of(received_ms if own_ms is None else own_ms, received_ms)
            yield from ((system_events.id_of(type, event["id"]), month) for type in system_events.EVERY)


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
