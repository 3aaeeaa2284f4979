"""Paused runs of flows that go on when their time has come, page by page; and what is missing on their queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import structlog

from hub.errors import PortError
from hub.flows.ended import Resumed, by_time
from hub.flows.kept import OVER, KeptRun, failed
from hub.flows.scheduled import Scheduled
from hub.jobs.queue import Call, JobQueue
from hub.jobs.turns import Turns
from hub.model import FOREVER_MS
from hub.store.port import FlowRuns, Reading
from schemas.jobs import DUE, GO_ON, RESUME, due_at, due_span, job_id, place_of

log: Final = structlog.get_logger()

PAGE: Final = 250
"""Runs of one job. It puts the next page on the queue before it does its own: so several workers share a second."""
MOST_SECONDS: Final = 500
"""So many of the next seconds at which runs are due are looked for in Redis."""
MOST_LEFT: Final = 1_000
"""So many runs that nobody seems to go on with are looked for in Redis."""
LEFT_MS: Final = 10_000
"""A run that has been `waiting` for longer has a job, or is to get one."""
SLACK_S: Final = 5
"""What RQ's scheduler has not put on the queue so long after its time is put there without it."""
FEW: Final = 20
"""Seconds that are over and missing get a job each if they are no more, else one for all of them."""
LAST: Final = "z"
"""Behind all ids of runs, which are UUIDs."""


class Store(FlowRuns, Reading, Protocol):
    """Where runs and events are."""


class GoesOn(Protocol):
    """`hub.flows.runner.Runner`."""

    def concurrency(self, run: KeptRun) -> int:
        """How many runs of its flow may ask other systems at once; 0: any number."""
        ...

    def go_on(
        self,
        ids: Sequence[str],
        *,
        resumed: Mapping[str, Mapping[str, Mapping[str, Any] | None]] = {},
        may_block: bool = True,
    ) -> list[KeptRun]:
        """Go on with runs that were kept. Args: resumed: by id, by node of a pause that ends, the event or None."""
        ...


class Paused:
    """What the jobs of `scheduler:live` do. For one thread."""

    def __init__(
        self,
        store: Store,
        runner: GoesOn,
        jobs: JobQueue,
        scheduled: Scheduled,
        turns: Turns,
        *,
        namespace: str,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970."""
        self._turns = turns
        self._waiting_s: dict[str, float] = {}
        """Of runs that were `waiting` at the last look: time.monotonic of the first one that saw them so."""
        self._store = store
        self._runner = runner
        self._jobs = jobs
        self._scheduled = scheduled
        self._namespace = namespace
        self._now_ms = now_ms

    def resume(self, due: str, second: int, *, is_last: bool) -> int:
        """
        Go on with a page of those whose pauses end in a second.

        Args:
            due: as of `schemas.jobs.RESUME`.
            is_last: What fails is not tried again: runs that are at fault are ended then.

        Returns: how many. Raises: Unavailable; whatever is a fault: the others of the page have been done.
        """
        place = place_of(due) or ((second - 1) * 1_000, LAST)
        runs = self._store.due_flow_runs(second * 1_000, place, PAGE)
        if len(runs) == PAGE:
            last = runs[-1]
            behind = (last.due_ms or 0, last.id)
            self._jobs.enqueue([Call(RESUME, due_at(behind), second)], is_first=True)
        # whoever has made the job may have a clock that is ahead
        resumed = by_time(self._store, runs, max(self._now_ms(), second * 1_000))
        self._go(resumed, is_last=is_last, may_block=False)
        return len(runs)

    def go_on(self, id: str, *, is_last: bool) -> str:
        """
        Go on with one run, whatever it waits for, or because its time has come. A call is waited for. If as many runs
        of its flow do that as may, it is left until one of them has done so.

        Args: as of `resume`. Returns what there was to do. Raises: Unavailable; whatever is a fault.
        """
        run = self._store.flow_runs([id]).get(id)
        if run is None:
            return "over"
        most = self._runner.concurrency(run)
        if most and run.state not in OVER and not self._turns.take(run.flow, id, most, self._now_ms()):
            return "waits for its turn"
        try:
            return "over" if run.state in OVER else self._go_on(run, is_last=is_last)
        finally:
            if most:
                self._next(run)

    def _next(self, run: KeptRun) -> None:
        """A run needs its turn no more."""
        following = self._turns.give_back(run.flow, run.id)
        if following:
            self._jobs.enqueue([Call(GO_ON, following, 0)])

    def _go_on(self, run: KeptRun, *, is_last: bool) -> str:
        resumed = by_time(self._store, [run], self._now_ms()) if run.state == "paused" else {run.id: {}}
        if not resumed:
            return "paused"
        self._go(resumed, is_last=is_last, may_block=True)
        return "done"

    def keep_up(self) -> None:
        """
        Put on the queue what is missing there: whatever has become of Redis, the store knows who is to go on.

        Raises Unavailable.
        """
        now_ms = self._now_ms()
        seconds = self._store.due_seconds(MOST_SECONDS)
        left = self._left(now_ms)
        if not seconds and not left:
            return
        # in the order in which they move on, so that one that moves meanwhile is seen
        scheduled, there, lost = self._jobs.scheduled(), self._jobs.there(), self._jobs.failed()
        now_s = now_ms // 1_000
        at_hand = self._spans(there) + [one for one in self._spans(scheduled) if one[1] > now_s - SLACK_S]
        missing = [second for second in seconds if not _covered(second, at_hand)]
        late = self._without_faults([one for one in missing if one <= now_s], lost, there)
        if len(late) > FEW:
            begin = ((late[0] - 1) * 1_000, LAST)
            self._jobs.enqueue([Call(RESUME, due_at(begin), now_s)], is_first=True)
        else:
            self._jobs.enqueue([Call(RESUME, DUE, second) for second in late], is_first=True)
        later = [second for second in missing if second > now_s]
        if later:
            self._scheduled.at(later)
        self._alone(left, lost, there)
        if late or later:
            log.info("flows.enqueued", late=len(late), later=len(later))

    def _left(self, now_ms: int) -> list[str]:
        """Runs that have been `waiting` for LEFT_MS, as the store says or as was seen: a clock may have been ahead."""
        now_s = time.monotonic()
        waiting = self._store.left_flow_runs(FOREVER_MS, MOST_LEFT)
        self._waiting_s = {id: self._waiting_s.get(id, now_s) for id in waiting}
        seen = [id for id, since_s in self._waiting_s.items() if now_s - since_s >= LEFT_MS / 1_000]
        return list(dict.fromkeys([*self._store.left_flow_runs(now_ms - LEFT_MS, MOST_LEFT), *seen]))

    def _go(self, resumed: Resumed, *, is_last: bool, may_block: bool) -> None:
        """Raises: as of `resume`."""
        if not resumed:
            return
        try:
            self._runner.go_on(list(resumed), resumed=resumed, may_block=may_block)
            return
        except PortError:
            raise
        except Exception as exc:
            if len(resumed) == 1:
                if is_last:
                    self._end(next(iter(resumed)), f"it cannot go on: {type(exc).__name__}: {exc}")
                raise
            log.warning("flows.page_failed", runs=len(resumed), error=str(exc), what="each goes on by itself")
        fault: Exception | None = None
        for id, nodes in resumed.items():
            try:
                self._go({id: nodes}, is_last=is_last, may_block=may_block)
            except PortError:
                raise
            except Exception as exc:  # noqa: BLE001 - it is raised once the others are done
                fault = exc
        if fault is not None:
            raise fault

    def _without_faults(self, late: list[int], lost: set[str], there: set[str]) -> list[int]:
        """
        Of seconds that are over and have no job, those of which none has failed. Of the others each run gets a job of
        its own: so the one at fault, of which perhaps its worker dies, keeps no other from going on.
        """
        spans = self._spans(lost)
        for second in [one for one in late if _covered(one, spans)]:
            runs = self._store.due_flow_runs(second * 1_000, ((second - 1) * 1_000, LAST), MOST_LEFT)
            self._alone([run.id for run in runs], lost, there)
        return [one for one in late if not _covered(one, spans)]

    def _alone(self, ids: Iterable[str], lost: set[str], there: set[str]) -> None:
        jobs = {id: job_id(self._namespace, id, 0) for id in ids}
        for id, job in jobs.items():
            if job in lost and job not in there:
                self._end(id, "whoever went on with it has failed or died of it, again and again")
        self._jobs.enqueue(Call(GO_ON, id, 0) for id, job in jobs.items() if job not in lost and job not in there)

    def _end(self, id: str, error: str) -> None:
        run = self._store.flow_runs([id]).get(id)
        if run is None or run.state in OVER:
            return
        log.error("flow.run_failed", flow=run.flow, run=id, error=error)
        self._store.save_flow_runs([failed(run, error, self._now_ms())], durable=True)
        self._next(run)

    def _spans(self, ids: Iterable[str]) -> list[tuple[int, int]]:
        return [span for id in ids if (span := due_span(self._namespace, id)) is not None]


def _covered(second: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(behind_ms < second * 1_000 and second <= until for behind_ms, until in spans)
