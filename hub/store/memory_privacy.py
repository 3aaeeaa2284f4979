"""The privacy part of the store in memory."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec

from hub.model import (
    FOREVER_MS,
    Alias,
    Ask,
    Batch,
    Claimed,
    DeadLetter,
    MergeEntry,
    Outgoing,
    Person,
    StoredEvent,
    Void,
)
from hub.pipeline.crossed import is_void_to_send, moved_by
from hub.store.forgotten import forgotten, joinable
from hub.store.memory_segments import is_void
from hub.store.port import Expired, LetterPart, Looked, OrderRow, Passed, Removal, Removed
from hub.store.stays import NO_PROFILE
from schemas.codec import decode_inbound


class PrivacyInMemory:
    """As `hub.store.sqlite.privacy` has it, on the dicts of `hub.store.memory`."""

    _lock: threading.RLock
    _events: dict[str, dict[str, StoredEvent]]
    _profiles: dict[str, tuple[int, bytes]]
    _sessions: dict[str, tuple[str, int, bytes]]
    _dead_letters: dict[str, tuple[DeadLetter, dict[str, Any]]]
    _blobs: dict[str, bytes]
    _claims: dict[str, Claimed]
    _aliases: dict[str, Alias]
    _merges: dict[str, MergeEntry]
    _undone: dict[str, int]
    _asks: dict[str, Ask]
    _outbox: list[Outgoing]
    _forget_samples: Callable[[], None]
    _erase_runs: Callable[[Person], int]
    _erase_runs_of_events: Callable[[Sequence[str], Collection[str]], int]

    def __init__(self) -> None:
        """Nobody has asked for anything."""
        self._labels: dict[str, str] = {}
        self._voiding = self._moved = self._removed = 0
        self._voids: dict[tuple[str, int], Void] = {}
        self._orders: dict[str, OrderRow] = {}
        self._people: dict[str, Person] = {}
        self._before: dict[str, int] = {}

    def voiding(self) -> tuple[int, int]:
        """See the port."""
        return self._voiding, self._moved

    def voids(self, marks: Sequence[str]) -> dict[str, list[Void]]:
        """See the port."""
        found: defaultdict[str, list[Void]] = defaultdict(list)
        with self._lock:
            for (mark, _), void in sorted(self._voids.items()):
                if mark in marks:
                    found[mark].append(void)
        return dict(found)

    def expired(self) -> list[Expired]:
        """See the port."""
        with self._lock:
            return [Expired(*item) for item in sorted(self._before.items())]

    def person(self, id: str) -> Person:
        """See the port."""
        with self._lock:
            listed = msgspec.json.decode(self._profiles[id][1]).get("ids", []) if id in self._profiles else []
            ids = dict.fromkeys((id, *listed), -1)
            found = [id]
            parts: dict[str, int] = {}
            on_the_way = []
            while found:
                into = found.pop()
                more = {key: alias.version for key, alias in self._aliases.items() if alias.into == into}
                parts |= more
                found += more
                on_the_way += [key for key in more if self._aliases[key].merge_id not in self._merges]
            ids |= parts
            sessions = [key for key, (holder, _, _) in self._sessions.items() if holder and holder in ids]
            claims = {
                key: (self._labels.get(key, ""), one.uses) for key, one in self._claims.items() if one.profile_id in ids
            }
            latest_ms = max(
                (
                    event.received_at_ms
                    for event in self._every_event()
                    if event.profile_id in on_the_way and event.profile_version <= parts[event.profile_id]
                ),
                default=0,
            )
            hosts = self._hosts(ids)
            claims |= self._lent(id, hosts)
        return Person(ids, sessions, claims, latest_ms, hosts)

    def _hosts(self, ids: Iterable[str]) -> list[str]:
        found = list(ids)
        own = len(found)
        for id in found:
            into = (one.survivor_id for key, one in self._merges.items() if key in self._undone and one.loser_id == id)
            found += [host for host in dict.fromkeys(into) if host not in found]
        return found[own:]

    def _lent(self, id: str, hosts: Sequence[str]) -> dict[str, tuple[str, int]]:
        """Identifiers that came with the profile alone, and are held by who it was part of then."""
        return {
            key: (self._labels.get(key, ""), one.uses)
            for key, one in self._claims.items()
            if one.profile_id in hosts
            and key in self._came(id)
            and key not in self._came(self.survivor(one.profile_id))
        }

    def _came(self, id: str) -> Collection[str]:
        """Identifiers that a profile has come with."""
        if id not in self._profiles:
            return ()
        found: dict[str, Any] = msgspec.json.decode(self._profiles[id][1])
        identifiers: dict[str, Any] = found.get("metadata", {}).get("identifiers", {})
        return identifiers.keys()

    def has_order(self, id: str) -> bool:
        """See the port."""
        return id in self._orders

    def order(self, id: str) -> OrderRow | None:
        """See the port."""
        return self._orders.get(id)

    def orders(self, size: int, before: int | None) -> list[OrderRow]:
        """See the port."""
        with self._lock:
            rows = [row for row in self._orders.values() if before is None or row.seq < before]
        return sorted(rows, reverse=True)[:size]

    def removals(self) -> list[Removal]:
        """See the port."""
        with self._lock:
            return [Removal(id, person, self._orders[id].until_ms) for id, person in self._people.items()]

    def remove_events(self, removal: Removal, after: Looked | None, most: int) -> tuple[int, Looked | None]:
        """See the port."""
        places = {NO_PROFILE, *removal.person.ids, *removal.person.hosts}
        with self._lock:
            every = sorted(
                # a number that stays when others are removed
                (Looked(event.partition, event.profile_id, event.time_ms, crc32(event.id.encode())), event)
                for event in self._every_event()
                if event.profile_id in places
            )
            looked = [item for item in every if after is None or item[0] > after][:most]
            found = [event for _, event in looked if is_void(event, removal)]
            for event in found:
                del self._events[event.partition][event.id]
            self._removed += len(found)
            self._count(removal.id, events=len(found))
            if removal.person.hosts:
                runs = self._erase_runs_of_events(removal.person.hosts, [event.id for event in found])
                self._count(removal.id, flow_runs=runs)
            latest_ms = max((event.received_at_ms for event in found), default=0)
            if latest_ms > removal.until_ms:
                for key, void in self._voids.items():
                    if void.cause == removal.id and not void.since_ms:
                        self._voids[key] = void._replace(until_ms=max(void.until_ms, latest_ms))
                self._voiding += 1
        return len(found), looked[-1][0] if looked else None

    def letters_after(self, seq: int, most: int) -> list[LetterPart]:
        """See the port."""
        with self._lock:
            every = [
                LetterPart(number, letter.id, letter.stage, letter.key or b"", self._body(letter), _first_ms(document))
                for number, (letter, document) in enumerate(self._dead_letters.values(), 1)
            ]
        return every[seq : seq + most]

    def remove_letters(self, removal: Removal, ids: Sequence[str]) -> None:
        """See the port."""
        with self._lock:
            gone = [self._dead_letters.pop(id)[0] for id in ids if id in self._dead_letters]
            used = {letter.body_sha256 for letter, _ in self._dead_letters.values()}
            for letter in gone:
                if letter.body_sha256 is not None and letter.body_sha256 not in used:
                    self._blobs.pop(letter.body_sha256, None)
            self._count(removal.id, dead_letters=len(gone))

    def end_removal(self, removal: Removal, at_ms: int) -> None:
        """See the port."""
        with self._lock:
            left = [one for one in self._outbox if not self._is_void_to_send(one, removal)]
            self._count(removal.id, records_to_send=len(self._outbox) - len(left))
            self._outbox = left
            self._people.pop(removal.id, None)
            self._orders[removal.id] = self._orders[removal.id]._replace(done_ms=at_ms)

    def _is_void_to_send(self, one: Outgoing, removal: Removal) -> bool:
        if one.key.decode() not in (*removal.person.ids, *removal.person.hosts):
            return False
        inbound = decode_inbound(one.value)
        moved = moved_by(inbound)
        alias = None if moved is None else self._aliases.get(moved.profile_id)
        return is_void_to_send(inbound, removal.person, removal.until_ms, alias)

    def expire(self, rows: Sequence[Expired]) -> None:
        """See the port."""
        with self._lock:
            for type, before_ms in rows:
                self._before[type] = max(self._before.get(type, 0), before_ms)
            self._moved += 1

    def remove_expired(self, after: Passed | None, most: int) -> tuple[int, Passed | None]:
        """See the port."""
        start = ("", "", 0, -1) if after is None else after
        with self._lock:
            every = sorted(
                # a number that stays when others are removed
                (Passed(event.partition, event.type, event.time_ms, crc32(event.id.encode())), event)
                for event in self._every_event()
                if event.type in self._before or "*" in self._before
            )
            looked = [item for item in every if item[0] > start][:most]
            most_ms = self._before.get("*", 0)
            old = [one for _, one in looked if one.received_at_ms < self._before.get(one.type, most_ms)]
            for one in old:
                del self._events[one.partition][one.id]
            self._removed += len(old)
        return len(old), looked[-1][0] if looked else None

    def voids_after(self, after: tuple[str, int], most: int) -> list[Void]:
        """See the port."""
        with self._lock:
            return [void for key, void in sorted(self._voids.items()) if key > after][:most]

    def removed(self) -> Removed:
        """See the port."""
        with self._lock:
            return Removed(self._removed, self._voiding + self._removed, bool(self._people))

    def keep_voids(self, voids: Sequence[Void], expired: Sequence[Expired]) -> None:
        """See the port."""
        with self._lock:
            self._add(voids)
            self._voiding += 1
            self.expire(expired)

    def _write_privacy(self, batch: Batch) -> None:
        if batch.voids:
            self._add(batch.voids)
            self._voiding += 1
        order = batch.privacy
        if order is None or order.id in self._orders:
            return
        until_ms = max((void.until_ms for void in order.voids if not void.since_ms), default=0)
        self._orders[order.id] = OrderRow(
            len(self._orders) + 1,
            order.id,
            order.kind,
            order.mark,
            order.at_ms,
            order.reason,
            order.is_suppressed,
            until_ms,
            None if order.kind == "erase" else order.at_ms,
            {},
        )
        self._add(order.voids)
        self._voiding += 1
        if order.kind == "lift":
            causes = {
                void.cause for void in self._voids.values() if void.mark in order.marks and void.until_ms == FOREVER_MS
            }
            for key, void in self._voids.items():
                if void.cause in causes and void.until_ms == FOREVER_MS:
                    self._voids[key] = void._replace(until_ms=max(void.since_ms, order.at_ms))
        elif order.kind == "erase":
            self._erase(order.id, order.person, order.shared)
            self._forget_samples()

    def _erase(self, id: str, person: Person, shared: Sequence[str]) -> None:
        for name in shared:
            if name in self._claims:
                self._claims[name] = Claimed("", self._claims[name].uses)
        ids = person.ids
        counts: dict[str, int] = {}
        counts["profiles"] = _drop(self._profiles, [key for key in ids if key in self._profiles])
        counts["sessions"] = _drop(
            self._sessions, [key for key, (holder, _, _) in self._sessions.items() if holder and holder in ids]
        )
        counts["identifiers"] = _drop(self._claims, [key for key, one in self._claims.items() if one.profile_id in ids])
        counts["aliases"] = _drop(self._aliases, [key for key in ids if key in self._aliases])
        lent = [key for key in person.identifiers if key in self._claims and self._claims[key].profile_id]
        counts["identifiers"] += _drop(self._claims, lent)
        counts["merges"] = self._forget_merges(person)
        counts["flow_runs"] = self._erase_runs(person)
        for host in {self.survivor(host) for host in person.hosts} & self._profiles.keys():
            version, doc = self._profiles[host]
            document = joinable(msgspec.json.decode(doc), ids)
            if document is not None:
                self._profiles[host] = version, msgspec.json.encode(document)
        for key, ask in self._asks.items():
            asked, asker = ("" if one in ids else one for one in (ask.asked, ask.asker))
            if (asked, asker) != (ask.asked, ask.asker):
                self._asks[key] = Ask(key, asked, asker, id, ask.is_done)
        self._count(id, **counts, events=0, dead_letters=0, records_to_send=0)
        self._people[id] = person

    def _forget_merges(self, person: Person) -> int:
        ids, every = person.ids, {*person.ids, *person.hosts}
        held = [
            key
            for key, one in self._merges.items()
            if key not in self._undone and (one.survivor_id in ids or one.loser_id in ids)
        ]
        found = _drop(self._merges, held)
        for key, entry in list(self._merges.items()):
            left = forgotten(entry, ids) if entry.survivor_id in every or entry.loser_id in every else entry
            if left is None:
                del self._merges[key], self._undone[key]
            else:
                self._merges[key] = left
            found += left is not entry
        return found

    def _add(self, voids: Sequence[Void]) -> None:
        for void in voids:
            kept = self._voids.get((void.mark, void.since_ms), void)
            self._voids[void.mark, void.since_ms] = kept._replace(until_ms=max(kept.until_ms, void.until_ms))

    def _count(self, id: str, **more: int) -> None:
        row = self._orders[id]
        removed = dict(row.removed)
        for name, number in more.items():
            removed[name] = removed.get(name, 0) + number
        self._orders[id] = row._replace(removed=removed)

    def _every_event(self) -> Iterator[StoredEvent]:
        return (event for events in list(self._events.values()) for event in list(events.values()))

    def _body(self, letter: DeadLetter) -> bytes:
        raise NotImplementedError

    def survivor(self, id: str) -> str:
        """See the port."""
        raise NotImplementedError


def _first_ms(document: dict[str, Any]) -> int:
    return round(datetime.fromisoformat(document["first_at"]).timestamp() * 1000)


def _drop(table: dict[str, Any], keys: Sequence[str]) -> int:
    for key in keys:
        del table[key]
    return len(keys)
