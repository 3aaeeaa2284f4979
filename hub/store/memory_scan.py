"""What agents ask of the store in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hub.conditions.python import compile_python
from hub.model import Alias, StoredEvent
from hub.store.port import Cut, IdleSession, Scope, check_size, ended_ms
from hub.store.query import prepare


class ScanInMemory:
    """As `hub.store.sqlite.scan` has it, on the dicts of `hub.store.memory`."""

    _lock: threading.RLock
    _events: dict[str, dict[str, StoredEvent]]
    _profiles: dict[str, tuple[int, bytes]]
    _sessions: dict[str, tuple[str, int, bytes]]
    _aliases: dict[str, Alias]

    def next_cut(self, scope: Scope, after: str, size: int, query: str = "") -> Cut:
        """See the port."""
        holds = compile_python(prepare(query, "profiles"))
        with self._lock:
            ids = _between(self._profiles if scope == "profiles" else self._sessions, after, "")
            if query:
                ids = [id for id in ids if holds(msgspec.json.decode(self._profiles[id][1]))]
        return Cut(ids[size - 1], size) if len(ids) >= size else Cut("", len(ids))

    def profile_ids(self, query: str, after: str, until: str, most: int) -> list[str]:
        """See the port."""
        check_size(most)
        holds = compile_python(prepare(query, "profiles"))
        with self._lock:
            ids = _between(self._profiles, after, until)
            return [id for id in ids if holds(msgspec.json.decode(self._profiles[id][1]))][:most]

    def active(self, ids: Sequence[str], event_type: str, since_ms: int) -> set[str]:
        """See the port."""
        with self._lock:
            whose = {
                self._end_of(event.profile_id)
                for event in self._all_events()
                if event.profile_id and event.type == event_type and event.time_ms >= since_ms
            }
        return whose & set(ids)

    def idle_sessions(self, after: str, until: str, since_ms: int, before_ms: int, most: int) -> list[IdleSession]:
        """See the port."""
        check_size(most)
        found = []
        with self._lock:
            for id in _between(self._sessions, after, until):
                profile_id, _, text = self._sessions[id]
                metadata: dict[str, Any] = msgspec.json.decode(text)["metadata"]
                end = metadata["time"].get("end")
                if not profile_id or end is None or metadata["status"] == "ended":
                    continue
                if since_ms <= ended_ms(end) < before_ms:
                    found.append(IdleSession(id, profile_id, ended_ms(end), self._source(id, ended_ms(end))))
        return found[:most]

    def _source(self, session_id: str, time_ms: int) -> str:
        events = [
            event
            for event in self._all_events()
            if event.session_id == session_id and event.time_ms >= time_ms and not event.source.startswith("@")
        ]
        return max(events, key=lambda event: event.time_ms).source if events else ""

    def _all_events(self) -> Iterator[StoredEvent]:
        for events in self._events.values():
            yield from events.values()

    def _end_of(self, id: str) -> str:
        while id in self._aliases:
            id = self._aliases[id].into
        return id


def _between(documents: Mapping[str, Any], after: str, until: str) -> list[str]:
    return sorted(id for id in documents if id > after and (not until or id <= until))
