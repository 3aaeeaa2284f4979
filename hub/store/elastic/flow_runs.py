"""
Runs of flows, without transactions.

A run is a row that is changed by compare-and-set: its `turn` and the version of its row tell apart what two do at once.
Several that are saved together are saved one by one: after Unavailable some of them may be. Whoever tries again is
refused those, as if somebody else had saved them, reads them anew and goes on; whoever does not, leaves runs that
`left_flow_runs` and `due_flow_runs` give to the next.

A run of somebody who is erased just now: a new one is kept only while its profile is there, which is looked at once
more after it was saved. Of who is killed right between the two, the sweeper removes it when the removal ends, by
`erase_runs` once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hub.flows.kept import OVER, KeptRun, RunDocuments
from hub.model import Person
from hub.store.elastic.changes import is_there
from hub.store.elastic.client import Action, Engine
from hub.store.elastic.copies import documents_of
from hub.store.elastic.indices import PROFILES, SESSIONS
from hub.store.elastic.people import PeopleSide
from hub.store.elastic.rows import PAGE, Fields, Row, Table, between, equal, text_of
from hub.store.port import Removal, check_size

_OVER: Final = equal("state", sorted(OVER))
_TERMS: Final = 10_000  # of one query; the engines take 65,536


class FlowRunSide(PeopleSide):
    """`FlowRuns` of the port."""

    removals: Callable[[], list[Removal]]

    def flow_runs(self, ids: Sequence[str]) -> dict[str, KeptRun]:
        """See the port. Raises Unavailable."""
        return {id: _run(found.source) for id, found in self._runs.many(ids).items()}

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        """
        See the port: not all of one moment. Profiles are read before events, so that an event that has changed one is
        never without that. Raises Unavailable.
        """
        into = self._survivors(profiles)
        people = self._engine.many(PROFILES, into.values(), ["doc", "gone"])
        there = {id: one.source["doc"].encode() for id, one in people.items() if is_there(one.source)}
        kept = self._engine.many(SESSIONS, sessions, ["doc", "gone"])
        return RunDocuments(
            documents_of(self._engine, events, self.removals),
            {id: there[one] for id, one in into.items() if one in there},
            {id: one.source["doc"].encode() for id, one in kept.items() if is_there(one.source)},
            frozenset(id for id, one in into.items() if one != id and one not in there),
        )

    def save_flow_runs(self, runs: Sequence[KeptRun], *, durable: bool = False) -> list[str]:  # noqa: ARG002
        """See the port: what a bulk has acknowledged is on disk, `durable` or not. Raises Unavailable: some may be."""
        refused: set[int] = set()
        rest = list(range(len(runs)))
        while rest:  # a run that is given several times is saved so often, in that order
            now: dict[str, int] = {}
            for place in rest:
                now.setdefault(runs[place].id, place)
            refused.update(now[id] for id in self._save([runs[place] for place in now.values()]))
            rest = [place for place in rest if now[runs[place].id] != place]
        return [runs[place].id for place in sorted(refused)]

    def cancel_flow_run(self, id: str, at_ms: int) -> KeptRun | None:
        """See the port. Raises Unavailable."""
        kept: KeptRun | None = None

        def cancel(row: Fields | None) -> Fields | None:
            nonlocal kept
            kept = None if row is None else _run(row)
            if row is None or kept is None or kept.state in OVER:
                return None
            kept = replace(kept, state="cancelled", changed_ms=at_ms, due_ms=None, waits=[], turn=kept.turn + 1)
            return _row(kept, row["seq"])

        self._runs.change(id, cancel)
        return kept

    def due_flow_runs(self, until_ms: int, after: tuple[int, str] | None, most: int) -> list[KeptRun]:
        """See the port. Raises Unavailable."""
        self._runs.refresh()  # one that was saved for this second in this second
        rows = self._runs.find([between("due_ms", lte=until_ms)], ["due_ms", "key"], most, after)
        return [_run(row.fields) for row in rows]

    def due_seconds(self, most: int, after_s: int = 0) -> list[int]:
        """See the port. Raises Unavailable."""
        return [int(second) for second in self._runs.distinct([between("due_s", gt=after_s)], "due_s", most)]

    def left_flow_runs(self, before_ms: int, most: int) -> list[str]:
        """See the port. Raises Unavailable."""
        where = [equal("state", "waiting"), between("changed_ms", lt=before_ms)]
        return [row.key for row in self._runs.find(where, ["changed_ms", "key"], most)]

    def waiting_flow_runs(self, profile_ids: Sequence[str], event_type: str) -> list[KeptRun]:
        """See the port. Raises Unavailable."""
        self._runs.refresh()  # the event is not told of again: one that began to wait before it has to be found
        where = [equal("state", "paused"), equal("waits", event_type), equal("profile_id", profile_ids)]
        return [_run(row.fields) for row in self._runs.every(where, ["seq"])]

    def waited_types(self) -> set[str]:
        """See the port. Raises Unavailable."""
        self._runs.refresh()
        found: set[str] = set()
        last: str | None = None
        while some := self._runs.distinct([], "waits", PAGE, last):
            found.update(some)
            last = some[-1]
        return found

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
        """See the port. Raises Unavailable, and ValueError for a size outside 1 to 1,000."""
        check_size(size)
        where = [equal(name, value) for name, value in (("flow", flow), ("state", state)) if value]
        if before is not None:
            where.append(between("seq", lt=before))
        if profile_id:
            where.append(equal("profile_id", self._ids_of(profile_id)))
        if sessions:
            where += [equal("profile_id", ""), equal("session_id", list(sessions))]
        rows = self._runs.find(where, ["-seq"], size + 1)
        found = [_run(row.fields) for row in rows[:size]]
        return found, rows[size - 1].fields["seq"] if len(rows) > size else None

    def forget_flow_runs(self, before_ms: int, most: int) -> int:
        """See the port. Raises Unavailable."""
        rows = self._runs.find([_OVER, between("changed_ms", lt=before_ms)], ["changed_ms", "key"], most)
        conflicts = self._runs.apply(self._runs.removing(row.key, row.found) for row in rows)
        return len(rows) - len(conflicts)

    @property
    def _runs(self) -> Table:
        return _table(self._engine)

    def _save(self, runs: Sequence[KeptRun]) -> set[str]:
        """Each of another id. Returns ids of those that were refused."""
        new = [run for run in runs if run.turn == 1]
        refused = self._begin(new) if new else set()
        old = [run for run in runs if run.turn != 1]
        there = self._runs.many(run.id for run in old) if old else {}
        changes: list[Action] = []
        for run in old:
            found = there.get(run.id)
            if found is None or found.source["turn"] != run.turn - 1:
                refused.add(run.id)
            else:
                changes.append(self._runs.putting(run.id, _row(run, found.source["seq"]), found))
        return refused | self._runs.apply(changes) if changes else refused

    def _begin(self, new: Sequence[KeptRun]) -> set[str]:
        """Returns ids of new runs that are not kept."""
        asked = {run.profile_id for run in new if run.profile_id}
        there = self._there(asked)
        makes = [run for run in new if not run.profile_id or run.profile_id in there]
        refused = {run.id for run in new} - {run.id for run in makes}
        if makes:
            numbers = self._runs.numbers(len(makes))
            refused |= self._runs.apply(
                self._runs.creating(run.id, _row(run, number)) for run, number in zip(makes, numbers, strict=True)
            )
        made = [run for run in makes if run.id not in refused]
        gone = there - self._there(there) if made else set()
        late = {run.id for run in made if run.profile_id in gone}
        if late:  # somebody has been erased meanwhile
            self._runs.apply(self._runs.removing(id) for id in sorted(late))
        return refused | late

    def _there(self, profiles: Iterable[str]) -> set[str]:
        """Those of these profiles that are there, or part of another one."""
        asked = sorted(profiles)
        if not asked:
            return set()
        found = self._engine.many(PROFILES, asked, ["gone", "into"])
        return {id for id, one in found.items() if not one.source.get("gone") or "into" in one.source}


def erase_runs(engine: Engine, person: Person) -> int:
    """
    Remove those of somebody who is erased, whatever becomes of them meanwhile. Returns how many; doing it again
    removes what has come since.
    """
    removed = 0
    for begin in range(0, len(person.ids), _TERMS):
        ids = sorted(person.ids)[begin : begin + _TERMS]
        removed += _remove(engine, [equal("profile_id", ids)])
    for begin in range(0, len(person.sessions), _TERMS):
        sessions = list(person.sessions)[begin : begin + _TERMS]
        removed += _remove(engine, [equal("profile_id", ""), equal("session_id", [id for id in sessions if id])])
    return removed


def erase_runs_of_events(engine: Engine, hosts: Sequence[str], events: Iterable[str]) -> int:
    """Remove those that events of somebody have triggered while they were part of another profile."""
    removed = 0
    every = sorted(events)
    for begin in range(0, len(every), _TERMS):
        some = every[begin : begin + _TERMS]
        removed += _remove(engine, [equal("profile_id", [id for id in hosts if id]), equal("event_id", some)])
    return removed


def _remove(engine: Engine, where: Sequence[dict[str, Any]]) -> int:
    runs = _table(engine)
    runs.refresh()
    rows: list[Row] = list(runs.every(where, ["seq"]))
    runs.apply(runs.removing(row.key) for row in rows)
    return len(rows)


def _table(engine: Engine) -> Table:
    return Table(engine, "runs")


def _row(run: KeptRun, seq: int) -> dict[str, Any]:
    return {
        "seq": seq,
        "flow": run.flow,
        "state": run.state,
        "profile_id": run.profile_id,
        "session_id": run.session_id,
        "event_id": run.event[1] if run.event else None,
        "changed_ms": run.changed_ms,
        "due_ms": run.due_ms,
        "due_s": None if run.due_ms is None else -(-run.due_ms // 1_000),
        "waits": run.waits,
        "turn": run.turn,
        "doc": text_of(run),
    }


def _run(row: Fields) -> KeptRun:
    return msgspec.json.decode(row["doc"], type=KeptRun)
