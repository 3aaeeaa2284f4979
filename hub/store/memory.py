"""The store in memory: the port's promises in the fewest words, for tests and trials."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from hub.conditions.python import Matcher, compile_python
from hub.conditions.times import read_time
from hub.conditions.truth import at
from hub.errors import Fenced, Unavailable
from hub.model import (
    OUTLIERS,
    Alias,
    Ask,
    Batch,
    Claim,
    Claimed,
    CounterKey,
    Counts,
    DeadLetter,
    Known,
    KnownEvent,
    MergeEntry,
    Outgoing,
    Position,
    Profile,
    Progress,
    Session,
    Stay,
    StoredEvent,
    Undo,
    Wanted,
)
from hub.pipeline.applied import Promoted
from hub.pipeline.documents import CLAIMED_BY
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.store.cursor import Cursor, decode_cursor, encode_cursor
from hub.store.documents import OPEN, body_view, dead_letter_document, failed_again, resolved
from hub.store.fences import GROWN, fenced_by, older_log
from hub.store.memory_copies import CopiesInMemory
from hub.store.memory_flow_runs import FlowRunsInMemory
from hub.store.memory_keys import KeysInMemory
from hub.store.memory_privacy import PrivacyInMemory
from hub.store.memory_scan import ScanInMemory
from hub.store.memory_segments import SegmentsInMemory
from hub.store.memory_tasks import TasksInMemory
from hub.store.port import (
    MAX_ROWS,
    MAX_WRONG,
    MOST_GROUPS,
    MOST_LATER,
    OVERTAKEN,
    AliasRow,
    Books,
    CountedMinute,
    CountedValue,
    DefinitionVersion,
    EventPlace,
    Histogram,
    Kind,
    MergeRow,
    Neighbour,
    Owned,
    Page,
    Promotion,
    Span,
    check_size,
)
from hub.store.query import field_for, of_people, prepare
from hub.store.query.facets import BEFORE_MS, BEGAN, NOTHING, group_of, keys_of, make_histogram, most_frequent, value_of
from hub.store.query.functions import bucket_of
from hub.store.stays import stays
from hub.store.told_apart import Row, beginning


class MemoryStore(
    PrivacyInMemory,
    KeysInMemory,
    SegmentsInMemory,
    ScanInMemory,
    TasksInMemory,
    CopiesInMemory,
    FlowRunsInMemory,
):
    """Everything in dicts under one lock; gone when the object is. A later entry of a dict was created later."""

    def __init__(self) -> None:
        """Starts empty."""
        super().__init__()
        SegmentsInMemory.__init__(self)
        KeysInMemory.__init__(self)
        TasksInMemory.__init__(self)
        FlowRunsInMemory.__init__(self)
        self._lock = threading.RLock()
        self._epochs: dict[str, int] = {}
        self._progress: dict[int, dict[int, int]] = {}
        self._events: dict[str, dict[str, StoredEvent]] = {}  # by partition, then id
        self._profiles: dict[str, tuple[int, bytes]] = {}  # version, JSON: nobody can change what is stored
        self._sessions: dict[str, tuple[str, int, bytes]] = {}  # profile id, version, JSON
        self._dead_letters: dict[str, tuple[DeadLetter, dict[str, Any]]] = {}  # its document beside it
        self._counters: dict[CounterKey, Counts] = {}
        self._blobs: dict[str, bytes] = {}
        self._claims: dict[str, Claimed] = {}
        self._aliases: dict[str, Alias] = {}
        self._merges: dict[str, MergeEntry] = {}
        self._asks: dict[str, Ask] = {}
        self._undone: dict[str, int] = {}
        self._forwarded: set[str] = set()
        self._outbox: list[Outgoing] = []
        self._promoted_from: list[str] = []
        self._promoted: list[Promoted] = []
        self._versions: set[DefinitionVersion] = set()
        self._writes: list[tuple[int, int, Progress, int]] = []  # epoch, partition, step, milliseconds since 1970

    def close(self) -> None:
        """Nothing to give back."""

    # Writing

    def epoch(self, topic_id: str) -> int:
        """See the port."""
        with self._lock:
            return self._epochs.setdefault(topic_id, len(self._epochs) + 1)

    def progress(self, epoch: int) -> dict[int, int]:
        """See the port."""
        with self._lock:
            return dict(self._progress.get(epoch, {}))

    def known(self, wanted: Wanted) -> Known:
        """See the port."""
        with self._lock:
            found = {
                key.id: self._events[partition][key.id]
                for key in wanted.events
                for partition in key.partitions
                if key.id in self._events.get(partition, {})
            }
            return Known(
                profiles={id: self._profile(id) for id in wanted.profiles if id in self._profiles},
                sessions={id: self._session(id) for id in wanted.sessions if id in self._sessions},
                events={id: KnownEvent(event.position, event.digest) for id, event in found.items()},
                aliases={id: self._aliases[id] for id in wanted.profiles if id in self._aliases},
                forwarded=self._forwarded.intersection(wanted.forwarded),
                merges=set(wanted.merges) & self._merges.keys(),
            )

    def outcomes(self, ids: Sequence[tuple[str, str]]) -> Mapping[str, bytes]:
        """See the port."""
        with self._lock:
            return {
                id: self._events[partition][id].doc for id, partition in ids if id in self._events.get(partition, {})
            }

    def write(self, batch: Batch, *, at_ms: int | None = None) -> list[str]:
        """See the port."""
        profiles = [(p.id, (p.version, msgspec.json.encode(p.doc))) for p in batch.profiles]
        sessions = [(s.id, (s.profile_id, s.version, msgspec.json.encode(s.doc))) for s in batch.sessions]
        with self._lock:
            if self._promoted_from:
                raise fenced_by(self._promoted_from[-1])
            progress = self._progress.setdefault(batch.epoch, {})
            for partition, step in batch.progress.items():
                if progress.get(partition, step.before) != step.before:
                    raise Fenced("store", f"partition {partition} stands at {progress[partition]}, not {step.before}")
            self._check_answers(batch)
            self._write_identity(batch)
            for event in batch.events:
                self._events.setdefault(event.partition, {}).setdefault(event.id, event)
            self._write_copied(batch.copied)
            for id, profile in profiles:
                if id not in self._profiles or self._profiles[id][0] < profile[0]:
                    self._profiles[id] = profile
            taken = () if batch.identity is None else batch.identity.taken
            for id, session in sessions:
                holder, version, _ = self._sessions.get(id, (session[0], -1, b""))
                if id in taken or (holder == session[0] and version < session[1]):
                    self._sessions[id] = session
            for letter in batch.dead_letters:
                self._dead_letters.setdefault(letter.id, (letter, dead_letter_document(letter)))
            self._follow_replays(batch)
            self._write_privacy(batch)
            self._write_due(batch)
            for key, counts in batch.counters.items():
                self._counters[key] = _sum(self._counters.get(key, Counts()), counts)
            progress.update((partition, step.after) for partition, step in batch.progress.items())
            if at_ms is not None:
                self._writes += [(batch.epoch, number, step, at_ms) for number, step in batch.progress.items()]
            return [id for id, session in sessions if id in self._sessions and self._sessions[id][0] != session[0]]

    # Identity

    def claim(self, claims: Iterable[Claim]) -> dict[str, Claimed]:
        """See the port."""
        with self._lock:
            claims = list(claims)
            self._labels.update((claim.identifier, claim.label) for claim in claims)
            return {
                claim.identifier: self._claims.setdefault(claim.identifier, Claimed(claim.profile_id, 0))
                for claim in claims
            }

    def claim_sessions(self, sessions: Sequence[Session]) -> dict[str, Session]:
        """See the port."""
        with self._lock:
            for one in sessions:
                self._sessions.setdefault(one.id, (one.profile_id, one.version, msgspec.json.encode(one.doc)))
            return {one.id: self._session(one.id) for one in sessions}

    def aliases(self, ids: Sequence[str]) -> dict[str, Alias]:
        """See the port."""
        with self._lock:
            return {id: self._aliases[id] for id in ids if id in self._aliases}

    def asks(self, ids: Sequence[str]) -> dict[str, Ask]:
        """See the port."""
        with self._lock:
            return {id: self._asks[id] for id in ids if id in self._asks}

    def outbox(self, epoch: int, partitions: Sequence[int]) -> list[Outgoing]:
        """See the port."""
        with self._lock:
            found = [
                one for one in self._outbox if one.position.epoch == epoch and one.position.partition in partitions
            ]
        return sorted(found, key=lambda one: one.position)

    def undo(self, merge_id: str) -> Undo | None:
        """See the port."""
        with self._lock:
            entry = self._merges.get(merge_id)
            if entry is None or merge_id in self._undone:
                return None
            journal = sorted(
                (one for one in self._merges.values() if one.survivor_id == entry.survivor_id),
                key=lambda one: one.version,
            )
            rows = [Row(one.id, one.loser_id, one.version, one.id in self._undone) for one in journal]
            first = beginning(entry, rows, self._merges.__getitem__)
            if first is None:
                return None
            later = [one for one in journal if one.version >= first.version and one.id != merge_id]
            away = stays(first, self._ended)
            events = [
                event
                for partition in self._events.values()
                for event in partition.values()
                if (event.profile_id == entry.survivor_id and event.profile_version > first.version)
                or _was_handed_to(event, away)
            ]
            named = {event.session_id for event in events}
            parts = self._profile(entry.survivor_id).doc.get("ids", ()) if entry.survivor_id in self._profiles else ()
            own = [id for id, (holder, _, _) in self._sessions.items() if holder in (entry.survivor_id, *parts)]
            held = {
                id: session
                for id in own
                if CLAIMED_BY in (session := self._session(id)).doc["metadata"]
                or (id in named and session.profile_id == entry.survivor_id)
            }
            merges, undone = (
                [one for one in later if (one.id in self._undone) == is_undone] for is_undone in (False, True)
            )
        if len(events) > MOST_LATER:
            return None
        copied = self._copied_events(self._person(entry.survivor_id))
        return Undo(entry, first, merges, undone, [event.doc for event in events], held, away, copied)

    def _ended(self, loser_id: str) -> list[MergeEntry]:
        return [entry for id, entry in self._merges.items() if id in self._undone and entry.loser_id == loser_id]

    def merges(self, ids: Sequence[str]) -> list[MergeRow]:
        """See the port."""
        with self._lock:
            return [
                self._merge_row(one)
                for one in self._merges.values()
                if (one.survivor_id in ids or one.loser_id in ids) and (one.survivor or one.id not in self._undone)
            ]

    def merge(self, id: str) -> MergeRow | None:
        """See the port."""
        with self._lock:
            return self._merge_row(self._merges[id]) if id in self._merges else None

    def _merge_row(self, one: MergeEntry) -> MergeRow:
        reason, changes = msgspec.json.decode(one.reason), msgspec.json.decode(one.changes)
        undone_ms = self._undone.get(one.id)
        return MergeRow(one.id, one.loser_id, one.survivor_id, one.version, one.at_ms, reason, changes, undone_ms)

    def identifier_uses(self, identifiers: Sequence[str]) -> dict[str, Claimed]:
        """See the port."""
        with self._lock:
            return {id: self._claims[id] for id in identifiers if id in self._claims}

    def survivor(self, id: str) -> str:
        """See the port."""
        with self._lock:
            while id in self._aliases:
                id = self._aliases[id].into
        return id

    def _check_answers(self, batch: Batch) -> None:
        """Raises Fenced: one of two was erased after it was read what the other one is asked."""
        answered = () if batch.identity is None else batch.identity.answered
        if any(id in self._asks and self._asks[id].cause and not self._asks[id].is_done for id in answered):
            raise Fenced("store", OVERTAKEN)

    def _write_identity(self, batch: Batch) -> None:
        self._outbox = [one for one in self._outbox if not _was_sent(one, batch)]
        identity = batch.identity
        if identity is None:
            return
        for id in identity.restored:
            self._aliases.pop(id, None)
        self._aliases.update(identity.aliases)
        for id in identity.aliases:
            self._profiles.pop(id, None)
        for id, more in identity.uses.items():
            if id in self._claims:
                held = self._claims[id]
                self._claims[id] = Claimed(held.profile_id, held.uses + more)
        for entry in identity.merges:
            self._merges.setdefault(entry.id, entry)
        self._undone.update(identity.undone)
        self._forwarded.update(identity.forwarded)
        self._outbox += identity.outbox
        for ask in identity.asks:
            self._asks.setdefault(ask.id, ask)
        for id in identity.answered:
            if id in self._asks:
                self._asks[id] = msgspec.structs.replace(self._asks[id], is_done=True)

    # Reading

    def ping(self) -> None:
        """See the port."""

    def get(self, kind: Kind, id: str) -> dict[str, Any] | None:
        """See the port."""
        with self._lock:
            id = self.survivor(id) if kind == "profiles" else id
            return next((document for _, document in self._documents(kind) if document["id"] == id), None)

    def search(self, kind: Kind, query: str, size: int, cursor: str | None, span: Span | None = None) -> Page:
        """See the port."""
        check_size(size)
        matches = self._matcher(query, kind)
        after = None if cursor is None else _order(decode_cursor(cursor, kind))
        with self._lock:
            found = sorted(
                (
                    (place, document)
                    for place, document in self._documents(kind)
                    if _lies_in(span, place, document) and matches(document)
                ),
                key=lambda item: _order(item[0]),
                reverse=True,
            )
        rest = [item for item in found if after is None or _order(item[0]) < after]
        page = rest[:size]
        return Page([document for _, document in page], encode_cursor(page[-1][0]) if len(rest) > size else None)

    def count(self, kind: Kind, query: str, span: Span | None = None) -> int:
        """See the port."""
        matches = self._matcher(query, kind)
        with self._lock:
            return sum(_lies_in(span, place, one) and matches(one) for place, one in self._documents(kind))

    def histogram(
        self, kind: Kind, query: str, edges: Sequence[int], group_by: str = "", groups: int = MOST_GROUPS
    ) -> Histogram:
        """See the port."""
        matches = self._matcher(query, kind)
        field = field_for(group_by, kind) if group_by else None
        rows: list[tuple[int, str, int]] = []
        with self._lock:
            for place, document in self._documents(kind):
                bucket = bucket_of(_time_ms(place, document), list(edges))
                if bucket is not None and matches(document):
                    rows.append((bucket, NOTHING if field is None else group_of(document, field), 1))
        totals: Counter[str] = Counter()
        for _, key, count in rows:
            totals[key] += count
        return make_histogram(rows, len(edges) - 1, most_frequent(totals, groups) if field is not None else [])

    def values(self, kind: Kind, query: str, field: str, prefix: str = "", most: int = 20) -> list[CountedValue]:
        """See the port."""
        matches, place = self._matcher(query, kind), field_for(field, kind)
        with self._lock:
            found = Counter(key for _, one in self._documents(kind) if matches(one) for key in keys_of(one, place))
        fitting = Counter({key: count for key, count in found.items() if key[1:].startswith(prefix)})
        return [CountedValue(value_of(key), fitting[key]) for key in most_frequent(fitting, most)]

    def counters(self) -> list[tuple[CounterKey, Counts]]:
        """See the port."""
        with self._lock:
            return sorted(self._counters.items(), key=lambda item: (item[0].minute, item[0]))

    def books(self, since: int, until: int, *, count_events: bool = False) -> Books:
        """See the port."""
        with self._lock:
            totals: dict[str, Counts] = {}
            minutes: dict[tuple[int, str], Counts] = {}
            for key, counts in self._counters.items():
                totals[key.source] = _sum(totals.get(key.source, Counts()), counts)
                at = (key.minute, key.source)
                minutes[at] = _sum(minutes.get(at, Counts()), counts)
            stored_events = self._removed + sum(map(len, self._events.values())) if count_events else None
            epoch, progress = self.latest_progress()
        newest_first = [CountedMinute(*at, minutes[at]) for at in sorted(minutes, reverse=True)]
        rows = [row for row in newest_first if since <= row.minute < until]
        wrong = [row for row in newest_first if row.counts.difference]
        return Books(epoch, progress, totals, rows[: MAX_ROWS + 1], wrong[: MAX_WRONG + 1], stored_events)

    def written_at(self, position: Position) -> int | None:
        """See the port."""
        with self._lock:
            for epoch, partition, step, at_ms in self._writes:
                if (epoch, partition) == position[:2] and step.before <= position.offset < step.after:
                    return at_ms
        return None

    def neighbours(self, id: str, most: int) -> tuple[list[Neighbour], list[Neighbour]]:
        """See the port."""
        with self._lock:
            placed = [
                ((_rank(partition), event.time_ms, seq), event)
                for partition, events in self._events.items()
                for seq, event in enumerate(events.values())
            ]
        own = next((event for _, event in placed if event.id == id), None)
        if own is None or not own.profile_id:
            return [], []
        line = [event for _, event in sorted(placed, key=lambda item: item[0]) if event.profile_id == own.profile_id]
        there = line.index(own)
        older, newer = line[max(0, there - most) : there], line[there + 1 : there + 1 + most]
        return [_neighbour(event) for event in reversed(older)], [_neighbour(event) for event in newer]

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """See the port."""
        with self._lock:
            epoch = len(self._epochs)
            return epoch, self.progress(epoch)

    def open_dead_letters(self, query: str, size: int, after: int) -> tuple[list[dict[str, Any]], int | None]:
        """See the port."""
        check_size(size)
        found = [(seq, document) for seq, document in self._open(query) if seq > after]
        return [document for _, document in found[:size]], found[size - 1][0] if len(found) > size else None

    def count_open_dead_letters(self, query: str) -> int:
        """See the port."""
        return len(self._open(query))

    def dead_letter_body(self, id: str) -> bytes | None:
        """See the port."""
        with self._lock:
            found = self._dead_letters.get(id)
            return None if found is None else self._body(found[0])

    # Walking

    def known_epoch(self, topic_id: str) -> int | None:
        """See the port."""
        with self._lock:
            return self._epochs.get(topic_id)

    def event_places(self, after: EventPlace | None, most: int) -> list[EventPlace]:
        """See the port."""
        with self._lock:
            places = [
                EventPlace(partition, seq, event.position, event.received_at_ms)
                for partition, events in sorted(self._events.items())
                for seq, event in enumerate(events.values(), 1)
            ]
        return [place for place in places if after is None or place[:2] > after[:2]][:most]

    def event_documents(self, partition: str, seqs: Sequence[int]) -> list[bytes]:
        """See the port."""
        with self._lock:
            events = list(self._events[partition].values())
        return [events[seq - 1].doc for seq in seqs]

    def profiles_after(self, id: str, most: int) -> list[tuple[str, bytes]]:
        """See the port."""
        with self._lock:
            return sorted((key, doc) for key, (_, doc) in self._profiles.items() if key > id)[:most]

    def event_partitions(self) -> list[str]:
        """See the port."""
        with self._lock:
            return sorted(self._events)

    def events_since(self, partition: str, seq: int, most: int) -> list[Owned]:
        """See the port."""
        with self._lock:
            found = [
                Owned(n, one.id, one.profile_id)
                for n, one in enumerate(self._events[partition].values(), 1)
                if n > seq and one.source != SEGMENTS
            ]
        return found[:most]

    def event_owners(self, partition: str, ids: Sequence[str]) -> dict[str, str]:
        """See the port."""
        with self._lock:
            events = self._events.get(partition, {})
            return {id: events[id].profile_id for id in ids if id in events}

    def claims_since(self, seq: int, most: int) -> list[Owned]:
        """See the port."""
        with self._lock:
            found = [Owned(n, id, held.profile_id) for n, (id, held) in enumerate(self._claims.items(), 1)]
        return found[seq : seq + most]

    def aliases_after(self, id: str, most: int) -> list[AliasRow]:
        """See the port."""
        with self._lock:
            settled = self._merges.keys() - self._undone.keys()
            found = [AliasRow(key, one.into, one.merge_id in settled) for key, one in sorted(self._aliases.items())]
        return [row for row in found if row.id > id][:most]

    # Promoting

    @contextmanager
    def promotion(self, origin: str, *, at_ms: int, most_s: float) -> Iterator[Promotion]:  # noqa: ARG002 - the port's
        """See the port. Others wait for the block to end, and learn then that `most_s` was over."""
        with self._lock:
            pause = _Pause(time.monotonic() + most_s)
            yield pause
            pause.check()
            for id, doc in pause.replaced.items():
                if id in self._profiles:
                    self._profiles[id] = (self._profiles[id][0], doc)
            self._promoted_from.append(origin)
            epoch = max(self._progress, default=0)
            mapped = {type: dict(lines) for type, lines in pause.mapped.items()}
            self._promoted.append(Promoted(epoch, dict(self._progress.get(epoch, {})), mapped))

    def promoted(self) -> list[Promoted]:
        """See the port."""
        with self._lock:
            return [one for one in self._promoted if one.mapped]

    def new_epoch(self, topic_id: str, *, at_ms: int) -> int:  # noqa: ARG002 - the port's
        """See the port."""
        with self._lock:
            old = self._epochs.pop(topic_id, None)
            if old is not None:
                self._epochs[older_log(topic_id, old)] = old
            new = self._epochs[topic_id] = len(self._epochs) + 1
            if old is not None:
                self._progress[new] = dict(self._progress.get(old, {}))
                self._outbox = [
                    msgspec.structs.replace(one, position=one.position._replace(epoch=new))
                    if one.position.epoch == old
                    else one
                    for one in self._outbox
                ]
            self._promoted_from.append(GROWN)
            return new

    # Blobs

    def keep_versions(self, versions: Iterable[DefinitionVersion]) -> None:
        """See the port."""
        with self._lock:
            kept = {version[:4] for version in self._versions}
            self._versions.update(version for version in versions if version[:4] not in kept)

    def versions(self, kind: str, id: str, size: int, before: int | None) -> list[DefinitionVersion]:
        """See the port."""
        check_size(size)
        with self._lock:
            found = [
                version
                for version in self._versions
                if (version.kind, version.id) == (kind, id) and (before is None or version.version < before)
            ]
        return sorted(found, key=lambda version: (-version.version, -version.at_ms))[:size]

    def version(self, kind: str, id: str, version: int) -> DefinitionVersion | None:
        """See the port."""
        found = self.versions(kind, id, 1, version + 1)
        return found[0] if found and found[0].version == version else None

    def ever_defined(self, kind: str) -> set[str]:
        """See the port."""
        with self._lock:
            return {version.id for version in self._versions if version.kind == kind}

    def put_blob(self, data: bytes) -> str:
        """See the port."""
        sha256 = hashlib.sha256(data).hexdigest()
        with self._lock:
            self._blobs[sha256] = data
        return sha256

    def get_blob(self, sha256: str) -> bytes | None:
        """See the port."""
        with self._lock:
            return self._blobs.get(sha256)

    def _matcher(self, query: str, kind: Kind) -> Matcher:
        return compile_python(of_people(prepare(query, kind), self._person))

    def _person(self, id: str) -> list[str]:
        into, document = self.survivor(id), self.get("profiles", id)
        return list(dict.fromkeys((into, *(() if document is None else document.get("ids", ())), id)))

    def _documents(self, kind: Kind) -> Iterator[tuple[Cursor, dict[str, Any]]]:
        if kind == "events":
            for partition in sorted(self._events, key=_rank, reverse=True):
                for seq, event in enumerate(self._events[partition].values()):
                    yield Cursor(kind, partition, event.time_ms, seq), msgspec.json.decode(event.doc)
        elif kind == "dead-letters":
            for seq, (letter, document) in enumerate(self._dead_letters.values()):
                shown = document | body_view(self._body(letter), letter.body_size)
                yield Cursor(kind, "", letter.at_ms, seq), shown
        else:
            docs = [doc for *_, doc in (self._profiles if kind == "profiles" else self._sessions).values()]
            for seq, doc in enumerate(docs):
                yield Cursor(kind, "", 0, seq), msgspec.json.decode(doc)

    def _open(self, query: str) -> list[tuple[int, dict[str, Any]]]:
        """With their running numbers, from 1."""
        matches = compile_python(prepare(query, "dead-letters"))
        with self._lock:
            documents = [document for _, document in self._dead_letters.values()]
        return [
            (seq, document)
            for seq, document in enumerate(documents, 1)
            if document["status"] == OPEN and matches(document)
        ]

    def _follow_replays(self, batch: Batch) -> None:
        for letter in batch.failed_again:
            kept, document = self._dead_letters.get(letter.id, (letter, None))
            document = dead_letter_document(letter) if document is None else failed_again(document, letter)
            self._dead_letters[letter.id] = (msgspec.structs.replace(kept, at_ms=letter.at_ms), document)
        for id, at_ms in batch.resolved.items():
            if id in self._dead_letters:
                kept, document = self._dead_letters[id]
                self._dead_letters[id] = (kept, resolved(document, at_ms))

    def _profile(self, id: str) -> Profile:
        version, doc = self._profiles[id]
        return Profile(id, version, msgspec.json.decode(doc))

    def _session(self, id: str) -> Session:
        profile_id, version, doc = self._sessions[id]
        return Session(id, profile_id, version, msgspec.json.decode(doc))

    def _body(self, letter: DeadLetter) -> bytes:
        return letter.body if letter.body_sha256 is None else self._blobs.get(letter.body_sha256, letter.body)


class _Pause:
    """A promotion under way."""

    def __init__(self, deadline: float) -> None:
        self.replaced: dict[str, bytes] = {}
        self.mapped: Mapping[str, Mapping[str, str]] = {}
        self._deadline = deadline

    def note_mapped(self, mapped: Mapping[str, Mapping[str, str]]) -> None:
        self.mapped = mapped

    def replace(self, profiles: Sequence[tuple[str, bytes]]) -> None:
        self.check()
        self.replaced.update(profiles)

    def check(self) -> None:
        if time.monotonic() > self._deadline:
            raise Unavailable("store", "the time for a promotion is over: nothing was changed")


def _was_handed_to(event: StoredEvent, hosts: Sequence[Stay]) -> bool:
    there = any(event.profile_id == stay.host and event.profile_version > stay.since for stay in hosts)
    return there and "sent_as" in msgspec.json.decode(event.doc)["metadata"]


def _was_sent(one: Outgoing, batch: Batch) -> bool:
    step = batch.progress.get(one.position.partition)
    return step is not None and one.position.epoch == batch.epoch and one.position.offset < step.before


def _rank(partition: str) -> str:
    return "" if partition == OUTLIERS else partition


def _order(cursor: Cursor) -> tuple[str, int, int]:
    return _rank(cursor.partition), cursor.time_ms, cursor.seq


def _lies_in(span: Span | None, place: Cursor, document: Mapping[str, Any]) -> bool:
    return span is None or span.since_ms <= _time_ms(place, document) < span.until_ms


def _time_ms(place: Cursor, document: Mapping[str, Any]) -> int:
    """Of a document in a histogram; before all time where it has none."""
    if place.kind in {"events", "dead-letters"}:
        return place.time_ms
    us = read_time(found) if isinstance(found := at(document, BEGAN), str) else None
    return BEFORE_MS if us is None else us // 1_000


def _neighbour(event: StoredEvent) -> Neighbour:
    return Neighbour(event.id, event.type, event.time_ms, event.position)


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(*(a + b for a, b in zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)))
