"""The leader's part of heartbeats: begins runs that are due, gives out their slices, ends them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

import msgspec
import structlog
from prometheus_client import Counter

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.heartbeats import VISIT_ENDED, heartbeats
from hub.definitions.kinds import Heartbeat
from hub.definitions.schedule import duration_ms
from hub.store.port import Scanning
from schemas.heartbeats import KIND, Order, Run, RunState, Slice, Work
from schemas.records import Trigger
from workers.agents import plan
from workers.agents.events import run_id, trigger_id
from workers.agents.ledger import Books, Ledger
from workers.agents.schedule import decide

log: Final = structlog.get_logger()

NEW_MS: Final = 86_400_000
"""A heartbeat of which Redis knows nothing, and that is older than this, begins with what was due since then."""
SWEEP_MS: Final = 2_000
"""Between two looks for slices that were left because of a pause."""

RUNS: Final = Counter("hub_heartbeat_runs_total", "Runs of heartbeats that have ended.", ["heartbeat", "state"])
MISSED: Final = Counter(
    "hub_heartbeat_missed_total", "Due times of heartbeats that were left out, as catch_up says.", ["heartbeat"]
)

Send = Callable[[Sequence[Trigger]], None]
"""Writes triggers to the log; returns when Kafka has them. Raises Unavailable."""


class Heartbeats:
    """Does one step at a time, each safe to do again. Blocks. For one thread."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Scanning,
        ledger: Ledger,
        send: Send,
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            now_ms: The clock, milliseconds since 1970.
        """
        self._catalogue = catalogue
        self._store = store
        self._ledger = ledger
        self._send = send
        self._now_ms = now_ms
        self._swept_ms = 0

    def step(self, term: str) -> None:
        """
        What can be done now.

        Raises: Fenced: the term is over. Unavailable: Redis, Kafka or the store is away.
        """
        wanted = heartbeats(self._catalogue)
        books = self._ledger.books()
        now_ms = self._now_ms()
        is_swept = not 0 <= now_ms - self._swept_ms < SWEEP_MS
        for run in books.open.values():
            self._advance(term, run, wanted, now_ms, sweep=is_swept)
        if is_swept:
            self._swept_ms = now_ms
        for wish, asked in books.asked.items():
            if asked.heartbeat not in wanted:
                self._ledger.drop(wish)
        for id, entry in wanted.items():
            if id not in books.open:
                begun = self._begin(term, id, entry, books, now_ms)
                if begun is not None:
                    self._advance(term, begun, wanted, now_ms, sweep=False)

    def _begin(self, term: str, id: str, entry: Entry, books: Books, now_ms: int) -> str | None:
        """Returns: the run that has begun."""
        spec = cast("Heartbeat", entry.spec)
        for wish, asked in books.asked.items():
            if asked.heartbeat == id:
                return self._open(term, self._run(wish, id, entry, asked.due_ms, now_ms, by="person"), None)
        cursor_ms = books.cursors.get(id)
        if cursor_ms is None:
            # what came before it was saved is none of its; of one that is older Redis has forgotten how far it was
            cursor_ms = max(entry.updated_at_ms, now_ms - NEW_MS) if entry.updated_at_ms else now_ms
            self._ledger.move(term, id, cursor_ms)
        if not spec.enabled:
            # what is due while it is paused is not made up
            if cursor_ms < now_ms - SWEEP_MS:
                self._ledger.move(term, id, now_ms)
            return None
        decision = decide(spec.schedule, spec.catch_up, cursor_ms, now_ms)
        if decision.missed:
            MISSED.labels(id).inc(decision.missed)
            log.warning("heartbeat.missed", heartbeat=id, due_times=decision.missed, catch_up=spec.catch_up)
        if decision.due_ms is None:
            if decision.cursor_ms < cursor_ms or decision.cursor_ms - cursor_ms > SWEEP_MS:
                self._ledger.move(term, id, decision.cursor_ms)
            return None
        run = self._run(run_id(id, decision.due_ms), id, entry, decision.due_ms, now_ms, missed=decision.missed)
        return self._open(term, run, decision.cursor_ms)

    def _run(
        self, run: str, id: str, entry: Entry, due_ms: int, now_ms: int, *, by: str = "schedule", missed: int = 0
    ) -> Run:
        spec, work = cast("Heartbeat", entry.spec), _work(id, entry)
        jitter_ms = duration_ms(spec.jitter)
        return Run(
            id=run,
            heartbeat=id,
            due_ms=due_ms,
            work=work,
            by="person" if by == "person" else "schedule",
            started_ms=now_ms,
            missed=missed,
            jitter_ms=jitter_ms,
            total=self._store.next_cut(work.scope, "", _ALL, work.condition).size if jitter_ms else 0,
            paced_ms=now_ms,
        )

    def _open(self, term: str, run: Run, cursor_ms: int | None) -> str | None:
        if not self._ledger.begin(term, run, cursor_ms):
            return None
        log.info("heartbeat.begins", heartbeat=run.heartbeat, run=run.id, due_ms=run.due_ms, by=run.by)
        return run.id

    def _advance(self, term: str, id: str, wanted: Mapping[str, Entry], now_ms: int, *, sweep: bool) -> None:
        run = self._ledger.run(id)
        if run is None:
            return  # forgotten by Redis between two looks
        entry = wanted.get(run.heartbeat)
        counts = self._ledger.counts(id)
        if entry is None:
            self._close(term, run, "stopped", now_ms)
            return
        if not entry.spec.enabled:
            if run.state != "paused":
                run.state = "paused"
                self._ledger.cut(term, run, [])
            return
        if run.state == "paused":
            run.state, run.paced_ms, run.paced = "running", now_ms, run.profiles
            self._ledger.cut(term, run, [])
        if sweep:
            self._ledger.again(term, id)
        plan.pace(run, now_ms)
        self._cut(term, run, plan.room(run, counts, now_ms))
        self._give_out(run)
        state = plan.ended(run, counts)
        if state is not None:
            self._close(term, run, state, now_ms)

    def _cut(self, term: str, run: Run, most: int) -> None:
        new: list[tuple[int, Slice]] = []
        store, size = self._store, plan.size(run.work.rate_limit)
        # where time counts, slices are cut of those who match: else it would pass over the others, too
        query = run.work.condition if run.work.rate_limit or run.jitter_ms else ""
        was_cut = run.is_cut
        while len(new) < most and not run.is_cut:
            cut = store.next_cut(run.work.scope, run.cut, size, query)
            if cut.size:
                new.append((run.slices, Slice(after=run.cut, until=cut.until, profiles=cut.size)))
                run.slices += 1
                run.profiles += cut.size
            run.cut, run.is_cut = cut.until, not cut.until
        if new or run.is_cut != was_cut:
            self._ledger.cut(term, run, new)

    def _give_out(self, run: Run) -> None:
        waiting = self._ledger.waiting(run.id)
        if waiting:
            self._send([_trigger(run, number, one) for number, one in waiting])
            self._ledger.sent(run.id, [number for number, _ in waiting])

    def _close(self, term: str, run: Run, state: RunState, now_ms: int) -> None:
        run.state = state
        run.ended_ms = now_ms
        self._ledger.end(term, run)
        RUNS.labels(run.heartbeat, state).inc()
        log.info("heartbeat.ended", heartbeat=run.heartbeat, run=run.id, state=state, profiles=run.profiles)


_ALL: Final = 1 << 62
"""A slice of everything: so its size is how many there are."""


def _work(id: str, entry: Entry) -> Work:
    """What a run that begins now does."""
    spec = cast("Heartbeat", entry.spec)
    return Work(
        scope="sessions" if id == VISIT_ENDED else "profiles",
        event_type=spec.event_type,
        properties=msgspec.json.encode(spec.properties).decode(),
        condition=spec.condition,
        unless_type=spec.unless.event_type if spec.unless else "",
        unless_ms=duration_ms(spec.unless.within) if spec.unless else 0,
        rate_limit=spec.rate_limit,
        version=entry.version,
    )


def _trigger(run: Run, number: int, one: Slice) -> Trigger:
    order = Order(run=run.id, number=number, due_ms=run.due_ms, work=run.work, after=one.after, until=one.until)
    return {
        "id": trigger_id(run.id, number),
        "kind": KIND,
        "target": run.heartbeat,
        "profile_id": "",
        "event_id": None,
        "at_ms": run.due_ms,
        "data": msgspec.json.encode(order),
    }
