"""The segments part of the store in memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hub.conditions.ast import Condition
from hub.conditions.python import compile_python
from hub.model import Alias, Batch, MergeEntry, StoredEvent
from hub.store.port import Differing, Removal, Rule
from hub.store.stays import is_theirs, way_of


class SegmentsInMemory:
    """As `hub.store.sqlite.segments` has it, on the dicts of `hub.store.memory`."""

    _lock: threading.RLock
    _events: dict[str, dict[str, StoredEvent]]
    _profiles: dict[str, tuple[int, bytes]]
    _aliases: dict[str, Alias]
    _merges: dict[str, MergeEntry]
    _undone: dict[str, int]

    def __init__(self) -> None:
        """Nothing is due."""
        self._due: dict[str, int] = {}
        self._sizes: dict[tuple[str, int], int] = {}

    def _write_due(self, batch: Batch) -> None:
        for id, at_ms in batch.due.items():
            if at_ms is None:
                self._due.pop(id, None)
            else:
                self._due[id] = at_ms
        if self._due:
            # whoever was merged or erased
            self._due = {id: at_ms for id, at_ms in self._due.items() if id in self._profiles}

    def due(self, until_ms: int, limit: int, after: tuple[int, str] = (-1, "")) -> list[tuple[str, int]]:
        """See the port."""
        with self._lock:
            rows = sorted((at_ms, id) for id, at_ms in self._due.items() if at_ms <= until_ms)
        return [(id, at_ms) for at_ms, id in rows if (at_ms, id) > after][:limit]

    def note_due(self, rows: Sequence[tuple[str, int]]) -> None:
        """See the port."""
        with self._lock:
            for id, at_ms in rows:
                if id in self._profiles:
                    self._due[id] = min(at_ms, self._due.get(id, at_ms))

    def differing(self, rules: Sequence[Rule], after: str, until: str, most: int, now_us: int) -> Differing:
        """See the port."""
        holds = [(rule.segment, compile_python(rule.condition, lambda: now_us)) for rule in rules]
        with self._lock:
            ids = sorted(id for id in self._profiles if id > after and (not until or id <= until))[:most]
            documents = {id: msgspec.json.decode(self._profiles[id][1]) for id in ids}
            overdue = {id for id in ids if self._due.get(id, now_us) <= now_us // 1_000}
        rows = []
        for id, document in documents.items():
            within = document.get("segments") or ()
            differs = [segment for segment, is_met in holds if is_met(document) != (segment in within)]
            if differs:
                rows.append((id, differs))
        last = ids[-1] if ids else None
        return Differing(rows, last, len(ids), frozenset(id for id, _ in rows if id in overdue))

    def with_events(self, ids: Sequence[str], types: Sequence[str]) -> set[str]:
        """See the port."""
        with self._lock:
            parts = {alias.into for alias in self._aliases.values()}
            parts |= {one.loser_id for one in self._merges.values() if one.id in self._undone}
            owners = {event.profile_id for event in self._every() if event.type in types}
        return {id for id in ids if id in parts or id in owners}

    def history(self, id: str, types: Sequence[str]) -> list[bytes]:
        """See the port."""
        with self._lock:
            ids = {id}
            hosts = [(one.loser_id, one.survivor_id) for one in self._merges.values() if one.id in self._undone]
            while (
                more := {
                    *(key for key, alias in self._aliases.items() if alias.into in ids),
                    *(host for guest, host in hosts if guest in ids),
                }
                - ids
            ):
                ids |= more
            void = self.removals()
            found = [
                event
                for event in self._every()
                if event.profile_id in ids and event.type in types and not any(is_void(event, one) for one in void)
            ]
        return [event.doc for event in sorted(found, key=lambda event: event.time_ms)]

    def satisfying(self, condition: Condition, size: int, now_us: int) -> tuple[int, list[dict[str, Any]]]:
        """See the port."""
        holds = compile_python(condition, lambda: now_us)
        with self._lock:
            documents = [msgspec.json.decode(doc) for _, doc in self._profiles.values()]
        found = [document for document in documents if holds(document)]
        return len(found), found[::-1][:size]

    def members(self, segment: str, size: int, before: int | None) -> tuple[list[dict[str, Any]], int | None]:
        """See the port."""
        with self._lock:
            documents = [msgspec.json.decode(doc) for _, doc in self._profiles.values()]
        rows = [
            (seq, document)
            for seq, document in enumerate(documents, 1)
            if segment in (document.get("segments") or ()) and (before is None or seq < before)
        ][::-1]
        return [document for _, document in rows[:size]], rows[size - 1][0] if len(rows) > size else None

    def segment_sizes(self) -> dict[str, int]:
        """See the port."""
        with self._lock:
            documents = [msgspec.json.decode(doc) for _, doc in self._profiles.values()]
        return dict(Counter(segment for document in documents for segment in document.get("segments") or ()))

    def keep_sizes(self, hour: int, sizes: Mapping[str, int], oldest: int) -> None:
        """See the port."""
        with self._lock:
            for segment, members in sizes.items():
                self._sizes.setdefault((segment, hour), members)
            self._sizes = {key: members for key, members in self._sizes.items() if key[1] >= oldest}

    def kept_sizes(self, segment: str, since: int, until: int) -> list[tuple[int, int]]:
        """See the port."""
        with self._lock:
            rows = [(hour, members) for (id, hour), members in self._sizes.items() if id == segment]
        return sorted((hour, members) for hour, members in rows if since <= hour < until)

    def removals(self) -> list[Removal]:
        """See the port."""
        raise NotImplementedError

    def _every(self) -> list[StoredEvent]:
        return [event for events in self._events.values() for event in events.values()]


def is_void(event: StoredEvent, removal: Removal) -> bool:
    """Whether it is to be removed, and is there only because nobody has come to that."""
    version = removal.person.ids.get(event.profile_id, -1)
    if event.received_at_ms > removal.until_ms and event.profile_version > version:
        return False
    return is_theirs(removal.person, event.profile_id, *way_of(msgspec.json.decode(event.doc)))
