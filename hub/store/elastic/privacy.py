"""Who is erased or suppressed, and what is still to be removed. What a batch does of it: `hub.store.elastic.orders`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from hub.model import DAY_MS, OUTLIERS, Alias, Person, Void, month_of
from hub.pipeline.crossed import is_void_to_send, moved_by
from hub.store.elastic import documents as made
from hub.store.elastic.apply import Applying
from hub.store.elastic.blobs import remove_blobs
from hub.store.elastic.changes import Change, is_there
from hub.store.elastic.client import Action, Engine, Found, Result
from hub.store.elastic.documents import Fields
from hub.store.elastic.flow_runs import erase_runs, erase_runs_of_events
from hub.store.elastic.head import Head, HeadDocument, Pending
from hub.store.elastic.indices import ALIVE, EVENTS, LETTERS, PROFILES, ROWS, SESSIONS, events_index
from hub.store.elastic.orders import ORDERS, VOIDS, void_changes
from hub.store.elastic.paging import PAGE, Query, every, first, sources, term
from hub.store.elastic.undo import parts_of
from hub.store.port import Expired, LetterPart, Looked, OrderRow, Passed, Removal, Removed
from hub.store.stays import NO_PROFILE, is_theirs, way_of
from schemas.codec import decode_inbound

EXPIRED: Final = "expired"
_AT_ONCE: Final = 10_000
"""Values of one query."""
_GONE: Final[Query] = {"exists": {"field": "gone"}}
_decode: Final = msgspec.json.Decoder().decode


class PrivacySide:
    """The privacy part of the port. Nothing here asks what was not refreshed before: it may be written by others."""

    _engine: Engine
    _head: HeadDocument
    _applying: Applying
    _settle: Callable[[Pending], None]
    survivor: Callable[[str], str]
    aliases: Callable[[Sequence[str]], dict[str, Alias]]
    get_blob: Callable[[str], bytes | None]

    def voiding(self) -> tuple[int, int]:
        """See the port. Raises Unavailable."""
        head = self._head.read()
        for entry in head.pending:
            if entry.is_alone and entry.parts is None:  # the number is told once what it stands for is there
                self._settle(entry)
        return head.voids, head.expired

    def voids(self, marks: Sequence[str]) -> dict[str, list[Void]]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(ROWS)
        found: defaultdict[str, list[Void]] = defaultdict(list)
        for begin in range(0, len(marks), _AT_ONCE):
            for void in self._voids([term("mark", list(marks[begin : begin + _AT_ONCE]))]):
                found[void.mark].append(void)
        return dict(found)

    def voids_after(self, after: tuple[str, int], most: int) -> list[Void]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(ROWS)
        mark, since_ms = after
        behind: list[Query] = [{"range": {"mark": {"gt": mark}}}]
        within: list[Query] = [term("mark", mark), {"range": {"since_ms": {"gt": since_ms}}}]
        query = {"bool": {"should": [*behind, {"bool": {"filter": within}}], "minimum_should_match": 1}}
        return [void for void, _ in zip(self._voids([query]), range(most), strict=False)]

    def expired(self) -> list[Expired]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(ROWS)
        rows = sources(every(self._engine, ROWS, [term("table", EXPIRED)], ["key"]))
        return [Expired(row["key"], row["before_ms"]) for row in rows]

    def expire(self, rows: Sequence[Expired]) -> None:
        """See the port. Raises Unavailable."""
        self._applying.run([Change(ROWS, made.row_id(EXPIRED, row.event_type), _older(row)) for row in rows])
        self._head.change(lambda head: msgspec.structs.replace(head, expired=head.expired + 1))

    def keep_voids(self, voids: Sequence[Void], expired: Sequence[Expired]) -> None:
        """See the port. Raises Unavailable."""
        self._applying.run(void_changes(voids, None))
        self._head.change(lambda head: msgspec.structs.replace(head, voids=head.voids + 1))
        self.expire(expired)

    def person(self, id: str) -> Person:
        """See the port. Raises Unavailable."""
        self._engine.refresh(f"{PROFILES},{SESSIONS},{ROWS},{EVENTS}")
        ids = dict.fromkeys((id, *parts_of(self._engine, id)), -1)
        merged: dict[str, Alias] = {}
        found = [id]
        while found:
            rows = sources(every(self._engine, PROFILES, [term("into", found)], ["merged"], made.ALIAS))
            more = {row["merged"]: alias for row in rows if (alias := made.alias_of(row)) is not None}
            more = {part: alias for part, alias in more.items() if part not in merged}
            merged |= more
            found = list(more)
        ids.update({part: alias.version for part, alias in merged.items()})
        there = self._engine.many(ROWS, [made.row_id(made.MERGES, one.merge_id) for one in merged.values()], ["gone"])
        known = {key for key, one in there.items() if is_there(one.source)}
        coming = {
            part: alias.version
            for part, alias in merged.items()
            if made.row_id(made.MERGES, alias.merge_id) not in known
        }
        sessions = sources(every(self._engine, SESSIONS, [term("profile_id", list(ids))], source=["id"]))
        hosts = self._hosts_of(ids)
        claims = {row["key"]: row for row in self._claims(list(ids))}
        if hosts:
            claims |= self._lent(id, hosts)
        held = {name: (row["label"], row["uses"]) for name, row in claims.items()}
        return Person(ids, [one["id"] for one in sessions], held, self._latest_of(coming), hosts)

    def has_order(self, id: str) -> bool:
        """See the port. Raises Unavailable."""
        return self._engine.get(ROWS, made.row_id(ORDERS, id)) is not None

    def order(self, id: str) -> OrderRow | None:
        """See the port. Raises Unavailable."""
        found = self._engine.get(ROWS, made.row_id(ORDERS, id))
        return None if found is None else _order(found.source)

    def orders(self, size: int, before: int | None) -> list[OrderRow]:
        """See the port. Raises Unavailable."""
        query = [term("table", ORDERS), *([] if before is None else [{"range": {"seq": {"lt": before}}}])]
        hits = every(self._engine, ROWS, query, [{"seq": "desc"}], size=size)
        return [_order(hit["_source"]) for hit in first(hits, size)]

    def removals(self) -> list[Removal]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(ROWS)
        rows = sources(every(self._engine, ROWS, [term("table", ORDERS), term("open", True)]))
        return [Removal(row["key"], msgspec.json.decode(row["person"], type=Person), row["until_ms"]) for row in rows]

    def removed(self) -> Removed:
        """See the port. Raises Unavailable."""
        self._engine.refresh(EVENTS)
        head = self._head.read()
        events = self._engine.count(EVENTS, _GONE)
        return Removed(events, head.voids + events, bool(self.removals()))

    # What removes in small steps

    def remove_events(self, removal: Removal, after: Looked | None, most: int) -> tuple[int, Looked | None]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(EVENTS)
        person = removal.person
        head = self._head.read()
        for partition in head.months:
            for id in sorted({NO_PROFILE, *person.ids, *person.hosts}):
                if after is not None and (partition, id) < after[:2]:
                    continue
                start = after[2:] if after is not None and (partition, id) == after[:2] else None
                query = [term("profile_id", id)]
                if id == NO_PROFILE:
                    query.append(_among("session_id", [one for one in person.sessions if one]))
                hits = self._next(partition, query, start, most)
                if hits:
                    theirs = [hit for hit in hits if _is_void(hit["_source"], removal, id)]
                    self._remove_theirs(removal, partition, theirs, head)
                    return len(theirs), Looked(partition, id, *hits[-1]["sort"])
        return 0, None

    def remove_expired(self, after: Passed | None, most: int) -> tuple[int, Passed | None]:
        """See the port. Raises Unavailable."""
        before = dict(self.expired())
        if not before:
            return 0, None
        self._engine.refresh(EVENTS)
        head = self._head.read()
        for partition, type in self._old(head, before):
            if after is not None and (partition, type) < after[:2]:
                continue
            start = after[2:] if after is not None and (partition, type) == after[:2] else None
            before_ms = before.get(type, before.get("*", 0))
            query = [term("type", type)]
            if partition != OUTLIERS:
                # an event is received a day before its own time at the earliest, unless that is out of range
                query.append({"range": {"time_ms": {"lt": before_ms + DAY_MS}}})
            hits = self._next(partition, query, start, most)
            if hits:
                old = [hit for hit in hits if hit["_source"]["received_at_ms"] < before_ms]
                self._remove(partition, old, head, "")
                return len(old), Passed(partition, type, *hits[-1]["sort"])
        return 0, None

    def letters_after(self, seq: int, most: int) -> list[LetterPart]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(LETTERS)
        hits = every(self._engine, LETTERS, [ALIVE, {"range": {"seq": {"gt": seq}}}], size=most)
        return [self._letter(hit["_source"]) for hit in first(hits, most)]

    def remove_letters(self, removal: Removal, ids: Sequence[str]) -> None:
        """See the port. Raises Unavailable."""
        head = self._head.read()
        found = {id: one for id, one in self._engine.many(LETTERS, ids).items() if is_there(one.source)}
        hashes = {one.source["body_sha256"] for one in found.values()} - {None}
        self._engine.bulk(_removing(LETTERS, id, one, head, removal.id) for id, one in found.items())
        self._engine.refresh(LETTERS)
        unused = [
            sha256
            for sha256 in hashes
            if not self._engine.count(LETTERS, {"bool": {"filter": [ALIVE, term("body_sha256", sha256)]}})
        ]
        remove_blobs(self._engine, unused)
        self._count_removed(removal.id, dead_letters=self._engine.count(LETTERS, term("cause", removal.id)))

    def end_removal(self, removal: Removal, at_ms: int) -> None:
        """See the port. Raises Unavailable."""
        self._engine.refresh(f"{PROFILES},{SESSIONS},{ROWS}")
        sent = 0
        for row in every(self._engine, ROWS, [term("table", made.OUTBOX)], ["key"], source=[]):
            sent += self._remove_outgoing(row["_id"], removal)
        for name in (PROFILES, SESSIONS, ROWS):
            self._remove_stubs(name, removal.id)
        # of whoever was held up between a look at the profile and a new run, or killed there
        runs = erase_runs(self._engine, removal.person)
        more = {"records_to_send": sent, "flow_runs": runs}
        self._count_removed(removal.id, add=more, done_ms=at_ms, person=None, open=False)

    def _remove_stubs(self, name: str, cause: str) -> None:
        """What tells by its id who it was. Who has to be kept from writing it again has come long ago, or is dead."""
        body = {"query": {"bool": {"filter": [_GONE, term("cause", cause)]}}, "size": PAGE, "_source": False}
        while hits := self._engine.hits(name, {**body, "seq_no_primary_term": True}):
            self._engine.bulk(
                Action("delete", name, hit["_id"], if_=Result(hit["_seq_no"], hit["_primary_term"])) for hit in hits
            )
            self._engine.refresh(name)

    def _voids(self, query: Sequence[Query]) -> Iterator[Void]:
        rows = sources(every(self._engine, ROWS, [term("table", VOIDS), *query], ["mark", "since_ms"]))
        return (Void(row["mark"], row["since_ms"], row["until_ms"], row["cause"]) for row in rows)

    def _claims(self, holders: list[str]) -> Iterator[Mapping[str, Any]]:
        return sources(every(self._engine, ROWS, [term("table", made.CLAIMS), term("profile_id", holders)]))

    def _lent(self, id: str, hosts: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Identifiers that came with the profile alone, and are held by who it was part of then."""
        own = self._came(id)
        return {
            row["key"]: row
            for row in self._claims(list(hosts))
            if row["key"] in own and row["key"] not in self._came(self.survivor(row["profile_id"]))
        }

    def _came(self, id: str) -> Mapping[str, Any]:
        """Identifiers that a profile has come with."""
        found = self._engine.many(PROFILES, [id], ["doc", "gone"]).get(id)
        if found is None or "doc" not in found.source:
            return {}
        identifiers: dict[str, Any] = _decode(found.source["doc"]).get("metadata", {}).get("identifiers", {})
        return identifiers

    def _hosts_of(self, ids: Mapping[str, int]) -> list[str]:
        """Profiles that these were part of once, and are not any more."""
        found = dict.fromkeys(ids)
        latest = list(ids)
        while latest:
            query = [term("table", made.MERGES), term("undone", True), term("loser_id", latest)]
            rows = sources(every(self._engine, ROWS, query, source=["survivor_id"]))
            latest = [host for host in dict.fromkeys(row["survivor_id"] for row in rows) if host not in found]
            found |= dict.fromkeys(latest)
        return list(found)[len(ids) :]

    def _latest_of(self, versions: Mapping[str, int]) -> int:
        """When the newest event of these profiles was received, each up to its version; 0: there is none."""
        latest_ms = 0
        for id, version in versions.items():
            query = [term("profile_id", id), {"range": {"profile_version": {"lte": version}}}]
            body = {
                "query": {"bool": {"filter": query}},
                "size": 0,
                "aggs": {"ms": {"max": {"field": "received_at_ms"}}},
            }
            found = self._engine.search(EVENTS, body).get("aggregations", {}).get("ms", {}).get("value")
            latest_ms = max(latest_ms, round(found or 0))
        return latest_ms

    def _next(self, partition: str, query: list[Query], start: Sequence[Any] | None, most: int) -> list[dict[str, Any]]:
        """The next events of a partition by time."""
        hits = every(self._engine, events_index(partition), [ALIVE, *query], ["time_ms", "seq"], size=most, after=start)
        return first(hits, most)

    def _old(self, head: Head, before: Mapping[str, int]) -> Iterator[tuple[str, str]]:
        """(partition, type) in which there may be events that are too old, in order."""
        newest = month_of(max(before.values()) + DAY_MS)
        for partition in head.months:
            if partition == OUTLIERS or partition <= newest:
                types = sorted(before)
                if "*" in before:
                    types = self._types(partition)
                yield from ((partition, type) for type in types)

    def _types(self, partition: str) -> list[str]:
        about: dict[str, Any] = {"size": _AT_ONCE, "sources": [{"type": {"terms": {"field": "type"}}}]}
        body = {"query": ALIVE, "size": 0, "aggs": {"types": {"composite": about}}}
        found = self._engine.search(events_index(partition), body)["aggregations"]["types"]["buckets"]
        return [bucket["key"]["type"] for bucket in found]

    def _remove_theirs(self, removal: Removal, partition: str, hits: list[dict[str, Any]], head: Head) -> None:
        if not hits:
            return
        person, ids = removal.person, [hit["_source"]["id"] for hit in hits]
        runs = 0
        if person.hosts:
            self._unclaim(person.hosts, frozenset(ids))
            runs = erase_runs_of_events(self._engine, person.hosts, ids)
        self._remove(partition, hits, head, removal.id)
        self._engine.refresh(EVENTS)
        self._count_removed(
            removal.id, add={"flow_runs": runs}, events=self._engine.count(EVENTS, term("cause", removal.id))
        )
        latest_ms = max(hit["_source"]["received_at_ms"] for hit in hits)
        if latest_ms > removal.until_ms:
            # by the clock of another edge: the same record again is void, too
            query = [term("table", VOIDS), term("cause", removal.id), term("since_ms", 0)]
            rows = list(sources(every(self._engine, ROWS, query, ["mark"])))
            self._applying.run(void_changes([_void(row)._replace(until_ms=latest_ms) for row in rows], None))
            self._head.change(lambda head: msgspec.structs.replace(head, voids=head.voids + 1))

    def _remove(self, partition: str, hits: list[dict[str, Any]], head: Head, cause: str) -> None:
        name = events_index(partition)
        found = {hit["_source"]["id"]: Found(hit["_source"], hit["_seq_no"], hit["_primary_term"], -1) for hit in hits}
        conflicts = self._engine.bulk(_removing(name, id, one, head, cause) for id, one in found.items())
        while conflicts:  # others have changed them meanwhile
            found = self._engine.many(name, [one.id for one in conflicts])
            conflicts = self._engine.bulk(
                _removing(name, id, one, head, cause) for id, one in found.items() if is_there(one.source)
            )

    def _unclaim(self, hosts: Sequence[str], events: frozenset[str]) -> None:
        """An identifier that a host has come with, too, stays its own; by which event it was claimed is not kept."""
        rows = [row for row in self._claims(list(hosts)) if row["event_id"] in events]

        def without(old: Fields | None) -> Fields | None:
            return {**old, "event_id": ""} if old is not None and old.get("event_id") in events else None

        self._applying.run([Change(ROWS, made.row_id(made.CLAIMS, row["key"]), without) for row in rows])

    def _letter(self, source: Mapping[str, Any]) -> LetterPart:
        document = _decode(source["doc"])
        first_ms = round(datetime.fromisoformat(document["first_at"]).timestamp() * 1000)
        body = made.bytes_of(source["body"])
        if source["body_sha256"] is not None:
            body = self.get_blob(source["body_sha256"]) or body
        key = (document["key"] or "").encode("latin-1")
        return LetterPart(source["seq"], source["id"], document["stage"], key, body, first_ms)

    def _remove_outgoing(self, id: str, removal: Removal) -> int:
        removed = 0

        def without(old: Fields | None) -> Fields | None:
            nonlocal removed
            items = [] if old is None else old["items"]
            left = [item for item in items if not self._is_void_to_send(item, removal)]
            removed = len(items) - len(left)
            return {**old, "items": left} if old is not None and removed else None

        self._applying.run([Change(ROWS, id, without)])
        return removed

    def _is_void_to_send(self, item: list[Any], removal: Removal) -> bool:
        one = made.outgoing_of(item)
        if one.key.decode() not in (*removal.person.ids, *removal.person.hosts):
            return False
        inbound = decode_inbound(one.value)
        moved = moved_by(inbound)
        alias = None if moved is None else self.aliases([moved.profile_id]).get(moved.profile_id)
        return is_void_to_send(inbound, removal.person, removal.until_ms, alias)

    def _count(self, id: str, **more: int) -> None:
        """So many more of an order are gone."""
        self._count_removed(id, add=more)

    def _count_removed(self, id: str, *, add: Mapping[str, int] | None = None, **more: Any) -> None:
        """What of an order is gone, and how it stands. Args: add: more than before. more: all of it, or fields."""
        fields: dict[str, Any] = {str(name): more.pop(name) for name in ("done_ms", "person", "open") if name in more}

        def counted(old: Fields | None) -> Fields | None:
            if old is None:
                return None
            removed = {**old["removed"], **more}
            for name, number in (add or {}).items():
                removed[name] = removed.get(name, 0) + number
            return {**old, **fields, "removed": removed}

        self._applying.run([Change(ROWS, made.row_id(ORDERS, id), counted)])


def _older(row: Expired) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        before_ms = max(row.before_ms, 0 if old is None else old["before_ms"])
        return {"table": EXPIRED, "key": row.event_type, "at": 0, "before_ms": before_ms}

    return of


def _removing(name: str, id: str, found: Found, head: Head, cause: str) -> Action:
    """What is left of it keeps its running number: it was there."""
    at = max(head.number, found.source["at"])
    gone: Fields = {"gone": True, "at": at, "seq": found.source["seq"], **({"cause": cause} if cause else {})}
    return Action("index", name, id, gone, if_=found)


def _among(field: str, values: Sequence[str]) -> Query:
    """One of these, however many: a search engine takes 65,536 in one clause."""
    some = [term(field, [*values[begin : begin + _AT_ONCE]]) for begin in range(0, max(1, len(values)), _AT_ONCE)]
    return {"bool": {"should": some, "minimum_should_match": 1}}


def _is_void(source: Mapping[str, Any], removal: Removal, id: str) -> bool:
    version = removal.person.ids.get(id, -1)
    is_late = source["received_at_ms"] <= removal.until_ms or source["profile_version"] <= version
    return is_late and is_theirs(removal.person, id, *way_of(_decode(source["doc"])))


def _void(row: Mapping[str, Any]) -> Void:
    return Void(row["mark"], row["since_ms"], row["until_ms"], row["cause"])


def _order(row: Mapping[str, Any]) -> OrderRow:
    return OrderRow(
        row["seq"],
        row["key"],
        row["kind"],
        row["mark"],
        row["at_ms"],
        row["reason"],
        row["is_suppressed"],
        row["until_ms"],
        row["done_ms"],
        row["removed"],
    )
