"""The store in memory: the port's promises in the fewest words, for tests and trials."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hub.errors import Fenced
from hub.model import (
    OUTLIERS,
    Batch,
    CounterKey,
    Counts,
    DeadLetter,
    Known,
    KnownEvent,
    Profile,
    Session,
    StoredEvent,
    Wanted,
)
from hub.store.cursor import Cursor, decode_cursor, encode_cursor
from hub.store.documents import body_view, dead_letter_document
from hub.store.port import Kind, Page, check_size
from hub.store.query import for_kind, parse
from hub.store.query.python import compile_python


class MemoryStore:
    """Everything in dicts under one lock; gone when the object is. A later entry of a dict was created later."""

    def __init__(self) -> None:
        """Starts empty."""
        self._lock = threading.RLock()
        self._epochs: dict[str, int] = {}
        self._progress: dict[int, dict[int, int]] = {}
        self._events: dict[str, dict[str, StoredEvent]] = {}  # by partition, then id
        self._profiles: dict[str, tuple[int, bytes]] = {}  # version, JSON: nobody can change what is stored
        self._sessions: dict[str, tuple[str, int, bytes]] = {}  # profile id, version, JSON
        self._dead_letters: dict[str, DeadLetter] = {}
        self._counters: dict[CounterKey, Counts] = {}
        self._blobs: dict[str, bytes] = {}

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
            )

    def outcomes(self, ids: Sequence[tuple[str, str]]) -> Mapping[str, bytes]:
        """See the port."""
        with self._lock:
            return {
                id: self._events[partition][id].doc for id, partition in ids if id in self._events.get(partition, {})
            }

    def write(self, batch: Batch) -> None:
        """See the port."""
        profiles = [(p.id, (p.version, msgspec.json.encode(p.doc))) for p in batch.profiles]
        sessions = [(s.id, (s.profile_id, s.version, msgspec.json.encode(s.doc))) for s in batch.sessions]
        with self._lock:
            progress = self._progress.setdefault(batch.epoch, {})
            for partition, step in batch.progress.items():
                if progress.get(partition, step.before) != step.before:
                    raise Fenced("store", f"partition {partition} stands at {progress[partition]}, not {step.before}")
            for event in batch.events:
                self._events.setdefault(event.partition, {}).setdefault(event.id, event)
            for id, profile in profiles:
                if id not in self._profiles or self._profiles[id][0] < profile[0]:
                    self._profiles[id] = profile
            for id, session in sessions:
                if id not in self._sessions or self._sessions[id][1] < session[1]:
                    self._sessions[id] = session
            for letter in batch.dead_letters:
                self._dead_letters.setdefault(letter.id, letter)
            for key, counts in batch.counters.items():
                self._counters[key] = _sum(self._counters.get(key, Counts()), counts)
            progress.update((partition, step.after) for partition, step in batch.progress.items())

    # Reading

    def ping(self) -> None:
        """See the port."""

    def get(self, kind: Kind, id: str) -> dict[str, Any] | None:
        """See the port."""
        with self._lock:
            return next((document for _, document in self._documents(kind) if document["id"] == id), None)

    def search(self, kind: Kind, query: str, size: int, cursor: str | None) -> Page:
        """See the port."""
        check_size(size)
        matches = compile_python(for_kind(parse(query), kind))
        after = None if cursor is None else _order(decode_cursor(cursor, kind))
        with self._lock:
            found = sorted(
                ((place, document) for place, document in self._documents(kind) if matches(document)),
                key=lambda item: _order(item[0]),
                reverse=True,
            )
        rest = [item for item in found if after is None or _order(item[0]) < after]
        page = rest[:size]
        return Page([document for _, document in page], encode_cursor(page[-1][0]) if len(rest) > size else None)

    def count(self, kind: Kind, query: str) -> int:
        """See the port."""
        matches = compile_python(for_kind(parse(query), kind))
        with self._lock:
            return sum(matches(document) for _, document in self._documents(kind))

    def counters(self) -> list[tuple[CounterKey, Counts]]:
        """See the port."""
        with self._lock:
            return sorted(self._counters.items(), key=lambda item: (item[0].minute, item[0]))

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """See the port."""
        with self._lock:
            epoch = len(self._epochs)
            return epoch, self.progress(epoch)

    def dead_letter_body(self, id: str) -> bytes | None:
        """See the port."""
        with self._lock:
            letter = self._dead_letters.get(id)
            return None if letter is None else self._body(letter)

    # Blobs

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

    def _documents(self, kind: Kind) -> Iterator[tuple[Cursor, dict[str, Any]]]:
        if kind == "events":
            for partition in sorted(self._events, key=_rank, reverse=True):
                for seq, event in enumerate(self._events[partition].values()):
                    yield Cursor(kind, partition, event.time_ms, seq), msgspec.json.decode(event.doc)
        elif kind == "dead-letters":
            for seq, letter in enumerate(self._dead_letters.values()):
                document = dead_letter_document(letter) | body_view(self._body(letter), letter.body_size)
                yield Cursor(kind, "", letter.at_ms, seq), document
        else:
            docs = [doc for *_, doc in (self._profiles if kind == "profiles" else self._sessions).values()]
            for seq, doc in enumerate(docs):
                yield Cursor(kind, "", 0, seq), msgspec.json.decode(doc)

    def _profile(self, id: str) -> Profile:
        version, doc = self._profiles[id]
        return Profile(id, version, msgspec.json.decode(doc))

    def _session(self, id: str) -> Session:
        profile_id, version, doc = self._sessions[id]
        return Session(id, profile_id, version, msgspec.json.decode(doc))

    def _body(self, letter: DeadLetter) -> bytes:
        return letter.body if letter.body_sha256 is None else self._blobs.get(letter.body_sha256, letter.body)


def _rank(partition: str) -> str:
    return "" if partition == OUTLIERS else partition


def _order(cursor: Cursor) -> tuple[str, int, int]:
    return _rank(cursor.partition), cursor.time_ms, cursor.seq


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(*(a + b for a, b in zip(msgspec.structs.astuple(one), msgspec.structs.astuple(other), strict=True)))
