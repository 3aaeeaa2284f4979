"""The runs of flows of the store in memory."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from hub.flows.kept import OVER, KeptRun, RunDocuments
from hub.model import Alias, Person
from hub.store.port import check_size


class FlowRunsInMemory:
    """As `hub.store.sqlite.flow_runs` has it, on dicts."""

    _lock: threading.RLock
    _profiles: dict[str, tuple[int, bytes]]
    _sessions: dict[str, tuple[str, int, bytes]]
    _aliases: dict[str, Alias]

    def __init__(self) -> None:
        """There are none."""
        self._runs: dict[str, bytes] = {}  # JSON: nobody can change what is stored
        self._run_numbers: dict[str, int] = {}
        self._newest_run = 0

    def flow_runs(self, ids: Sequence[str]) -> dict[str, KeptRun]:
        """See the port."""
        with self._lock:
            return {id: _decode(self._runs[id]) for id in ids if id in self._runs}

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        """See the port."""
        with self._lock:
            into = {id: self.survivor(id) for id in profiles}
            return RunDocuments(
                self.events_to_copy(events),
                {id: self._profiles[one][1] for id, one in into.items() if one in self._profiles},
                {id: self._sessions[id][2] for id in sessions if id in self._sessions},
                frozenset(id for id, one in into.items() if one != id and one not in self._profiles),
            )

    def save_flow_runs(self, runs: Sequence[KeptRun], *, durable: bool = False) -> list[str]:  # noqa: ARG002 - the port
        """See the port."""
        refused = []
        with self._lock:
            for run in runs:
                before = _decode(self._runs[run.id]).turn if run.id in self._runs else 0
                is_there = not run.profile_id or run.profile_id in self._profiles or run.profile_id in self._aliases
                if before != run.turn - 1 or (run.turn == 1 and not is_there):
                    refused.append(run.id)
                    continue
                if run.turn == 1:
                    self._newest_run += 1
                    self._run_numbers[run.id] = self._newest_run
                self._runs[run.id] = msgspec.json.encode(run)
        return refused

    def cancel_flow_run(self, id: str, at_ms: int) -> KeptRun | None:
        """See the port."""
        with self._lock:
            run = self.flow_runs([id]).get(id)
            if run is not None and run.state not in OVER:
                run = replace(run, state="cancelled", changed_ms=at_ms, due_ms=None, waits=[], turn=run.turn + 1)
                self._runs[id] = msgspec.json.encode(run)
            return run

    def due_flow_runs(self, until_ms: int, after: tuple[int, str] | None, most: int) -> list[KeptRun]:
        """See the port."""
        due = [(run.due_ms, run.id, run) for run in self._every_run() if run.due_ms is not None]
        due.sort(key=lambda one: one[:2])
        return [run for at_ms, id, run in due if at_ms <= until_ms and (after is None or (at_ms, id) > after)][:most]

    def due_seconds(self, most: int, after_s: int = 0) -> list[int]:
        """See the port."""
        found = {-(-run.due_ms // 1_000) for run in self._every_run() if run.due_ms is not None}
        return sorted(one for one in found if one > after_s)[:most]

    def left_flow_runs(self, before_ms: int, most: int) -> list[str]:
        """See the port."""
        left = sorted((run.changed_ms, run.id) for run in self._every_run() if run.state == "waiting")
        return [id for changed_ms, id in left if changed_ms < before_ms][:most]

    def waiting_flow_runs(self, profile_ids: Sequence[str], event_type: str) -> list[KeptRun]:
        """See the port."""
        return [
            run
            for run in self._every_run()
            if run.state == "paused" and event_type in run.waits and run.profile_id in profile_ids
        ]

    def waited_types(self) -> set[str]:
        """See the port."""
        return {type for run in self._every_run() for type in run.waits}

    def list_flow_runs(
        self,
        size: int,
        before: int | None,
        *,
        flow: str = "",
        state: str = "",
        profile_id: str = "",
        sessions: Sequence[str] = (),
    ) -> tuple[list[KeptRun], int | None]:
        """See the port."""
        check_size(size)
        with self._lock:
            ids = self._person(self.survivor(profile_id)) if profile_id else ()
            found = [
                (self._run_numbers[run.id], run)
                for run in self._every_run()
                if flow in ("", run.flow)
                and state in ("", run.state)
                and (not profile_id or run.profile_id in ids)
                and (not sessions or (not run.profile_id and run.session_id in sessions))
            ]
        rest = sorted((one for one in found if before is None or one[0] < before), key=lambda one: -one[0])
        return [run for _, run in rest[:size]], rest[size - 1][0] if len(rest) > size else None

    def forget_flow_runs(self, before_ms: int, most: int) -> int:
        """See the port."""
        with self._lock:
            old = sorted(
                (run.changed_ms, run.id)
                for run in self._every_run()
                if run.state in OVER and run.changed_ms < before_ms
            )[:most]
            return self._drop_runs(id for _, id in old)

    def survivor(self, id: str) -> str:
        """See the port."""
        raise NotImplementedError

    def events_to_copy(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """See the port."""
        raise NotImplementedError

    def _person(self, id: str) -> list[str]:
        raise NotImplementedError

    def _every_run(self) -> list[KeptRun]:
        with self._lock:
            return [_decode(text) for text in self._runs.values()]

    def _erase_runs(self, person: Person) -> int:
        return self._drop_runs(
            run.id
            for run in self._every_run()
            if run.profile_id in person.ids or (not run.profile_id and run.session_id in person.sessions)
        )

    def _erase_runs_of_events(self, hosts: Sequence[str], events: Collection[str]) -> int:
        return self._drop_runs(
            run.id for run in self._every_run() if run.profile_id in hosts and run.event and run.event[1] in events
        )

    def _drop_runs(self, ids: Iterable[str]) -> int:
        dropped: list[Any] = [(self._runs.pop(id), self._run_numbers.pop(id)) for id in ids]
        return len(dropped)


def _decode(text: bytes) -> KeptRun:
    return msgspec.json.decode(text, type=KeptRun)
