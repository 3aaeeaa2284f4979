"""The leader's part of flows with a schedule: a task for each due time, which workers do (`workers.flow_slices`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, cast

import structlog
from prometheus_client import Counter

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.flows import OnSchedule
from hub.definitions.kinds import Flow
from hub.jobs.flow_runs import KIND, due_task
from hub.store.port import Tasks
from hub.task import Task
from schemas.jobs import SEGMENTATION
from workers.agents.heartbeats import NEW_MS, SWEEP_MS
from workers.agents.ledger import Ledger
from workers.agents.schedule import decide

log: Final = structlog.get_logger()

MOST_AT_ONCE: Final = 2_000
"""Due times that a step looks at: when Redis has forgotten everything, those of a day are found in the store again."""

MISSED: Final = Counter(
    "hub_flow_missed_total", "Due times of flows' schedules that were left out, as catch_up says.", ["flow"]
)


class Adding(Protocol):
    """`hub.jobs.late.LateTasks`."""

    def add_task(self, task: Task) -> bool:
        """As of the port."""
        ...


class Scheduled(NamedTuple):
    """One schedule of a flow. `name`: of its cursor."""

    name: str
    flow: str
    entry: Entry
    trigger: OnSchedule


class FlowSchedules:
    """
    Does one step at a time, each safe to do again. Blocks. For one thread.

    What was planned is in the store, under an id of flow and due time. So who leads without knowing that another does
    by now plans nothing twice, and neither does anybody when Redis has forgotten the cursors. The fence keeps these.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        store: Tasks,
        tasks: Adding,
        ledger: Ledger,
        *,
        call: Callable[[Task], None],
        now_ms: Callable[[], int],
    ) -> None:
        """
        Args:
            store: To look which tasks are open.
            call: Lets a worker begin a task at once, if it can.
            now_ms: The clock, milliseconds since 1970.
        """
        self._catalogue = catalogue
        self._store = store
        self._tasks = tasks
        self._ledger = ledger
        self._call = call
        self._now_ms = now_ms

    def step(self, term: str) -> None:
        """
        Plan what is due.

        Raises: Fenced: the term is over. Unavailable: Redis or the store is away.
        """
        wanted = self._catalogue.compiled("flow", scheduled)
        cursors = self._ledger.flow_cursors()
        gone = cursors.keys() - {one.name for one in wanted}
        if gone:
            self._ledger.forget_flows(term, sorted(gone))
        now_ms = self._now_ms()
        for one in wanted:
            self._look(term, one, cursors.get(one.name), now_ms)

    def _look(self, term: str, one: Scheduled, cursor_ms: int | None, now_ms: int) -> None:
        if cursor_ms is None:
            # as of heartbeats: what came before it was saved is none of its
            cursor_ms = max(one.entry.updated_at_ms, now_ms - NEW_MS) if one.entry.updated_at_ms else now_ms
            self._ledger.move_flow(term, one.name, cursor_ms)
        if not one.entry.spec.enabled:
            if cursor_ms < now_ms - SWEEP_MS:
                self._ledger.move_flow(term, one.name, now_ms)
            return
        for _ in range(MOST_AT_ONCE):
            decision = decide(one.trigger.schedule, one.trigger.catch_up, cursor_ms, now_ms)
            if decision.due_ms is None:
                if decision.cursor_ms < cursor_ms or decision.cursor_ms - cursor_ms > SWEEP_MS:
                    self._ledger.move_flow(term, one.name, decision.cursor_ms)
                return
            if self._is_under_way(one):
                return  # the cursor stays: afterwards it is decided by catch_up
            task = due_task(one.flow, one.entry.version, one.trigger.condition, decision.due_ms, now_ms)
            is_new = self._tasks.add_task(task)
            self._ledger.move_flow(term, one.name, decision.cursor_ms)
            if is_new:
                self._tell(one, task, decision.due_ms, decision.missed)
                return
            cursor_ms = decision.cursor_ms  # it was planned before: Redis has forgotten that

    def _is_under_way(self, one: Scheduled) -> bool:
        """Whether the profiles of an earlier due time are still gone through."""
        asked = {"flow": one.flow, "query": one.trigger.condition, "fired": "schedule"}
        return any(
            task.kind == KIND and asked.items() <= task.arguments.items()
            for task in self._store.open_tasks(SEGMENTATION)
        )

    def _tell(self, one: Scheduled, task: Task, due_ms: int, missed: int) -> None:
        if missed:
            MISSED.labels(one.flow).inc(missed)
            log.warning("flow.missed", flow=one.flow, due_times=missed, catch_up=one.trigger.catch_up)
        log.info("flow.due", flow=one.flow, version=one.entry.version, task=task.id, due_ms=due_ms)
        self._call(task)


def scheduled(flows: Mapping[str, Entry]) -> Sequence[Scheduled]:
    """All schedules, also those of flows that are switched off. Args: flows: by id."""
    return [
        Scheduled(f"{number}:{id}", id, entry, trigger)
        for id, entry in sorted(flows.items())
        for number, trigger in enumerate(cast("Flow", entry.spec).triggers)
        if isinstance(trigger, OnSchedule)
    ]
