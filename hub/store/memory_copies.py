"""The copies of stored events of the store in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from msgspec.structs import replace

from hub.conditions.python import Matcher
from hub.model import Copied, StoredEvent
from hub.store.memory_segments import is_void
from hub.store.port import EventSpan, Kind, Removal


class CopiesInMemory:
    """As `hub.store.sqlite.copies` has it, on the dicts of `hub.store.memory`."""

    _lock: threading.RLock
    _events: dict[str, dict[str, StoredEvent]]

    def events_to_copy(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """See the port."""
        with self._lock:
            void = self.removals()
            found = [self._events[partition][id] for partition, id in keys if id in self._events.get(partition, {})]
            return {one.id: one.doc for one in found if not any(is_void(one, removal) for removal in void)}

    def events_cut(self, partition: str, after: int, size: int) -> int:
        """See the port."""
        with self._lock:
            events = list(self._events[partition].values())
        until = min(len(events), after + size)
        while 0 < until < len(events) and events[until].position[:3] == events[until - 1].position[:3]:
            until += 1
        return until if until > after else 0

    def count_between(self, span: EventSpan, query: str, types: Sequence[str]) -> int:
        """See the port."""
        return sum(1 for _ in self._between(span, query, types))

    def events_between(self, span: EventSpan, query: str, types: Sequence[str], most: int) -> list[tuple[int, bytes]]:
        """See the port."""
        return list(self._between(span, query, types))[:most]

    def owners_between(self, span: EventSpan, query: str, types: Sequence[str]) -> list[tuple[str, int]]:
        """See the port."""
        with self._lock:
            owners = [event.profile_id for event in self._events[span.partition].values()]
        return sorted((owners[seq - 1], seq) for seq, _ in self._between(span, query, types))

    def events_at(self, partition: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """See the port."""
        with self._lock:
            every = dict(enumerate(self._events[partition].values(), 1))
        return [(number, every[number].doc) for number in sorted(numbers) if number in every]

    def rewrite_events(self, partition: str, documents: Sequence[tuple[int, bytes, bytes]]) -> int:
        """See the port."""
        written = 0
        with self._lock:
            every = dict(enumerate(self._events[partition].values(), 1))
            for seq, old, new in documents:
                event = every.get(seq)
                if event is not None and event.doc == old:
                    self._events[partition][event.id] = replace(event, doc=new)
                    written += 1
        return written

    def removals(self) -> list[Removal]:
        """See the port."""
        raise NotImplementedError

    def _copied_events(self, ids: Sequence[str]) -> list[bytes]:
        every = [event for _, events in sorted(self._events.items()) for event in events.values()]
        return [one.doc for one in every if one.profile_id in ids and b'"copied":' in one.doc]

    def _write_copied(self, copied: Iterable[Copied]) -> None:
        for one in copied:
            event = self._events.get(one.partition, {}).get(one.id)
            if event is not None:
                document = msgspec.json.decode(event.doc)
                document["outcome"]["mapped"] = msgspec.json.decode(one.mapped)
                document["outcome"]["copied"] = msgspec.json.decode(one.copied)
                self._events[one.partition][one.id] = replace(event, doc=msgspec.json.encode(document))

    def _between(self, span: EventSpan, query: str, types: Sequence[str]) -> Iterator[tuple[int, bytes]]:
        matches = self._matcher(query, "events")
        with self._lock:
            events = list(enumerate(self._events[span.partition].values(), 1))
        for seq, event in events:
            if span.after < seq <= span.until and event.type in types and matches(msgspec.json.decode(event.doc)):
                yield seq, event.doc

    def _matcher(self, query: str, kind: Kind) -> Matcher:
        raise NotImplementedError
