"""Slices of a task end with every thing done once, whoever dies, stops or does them at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from hub.errors import Unavailable
from hub.jobs.kind import Failed, Kind
from hub.jobs.queue import Call
from hub.store.memory import MemoryStore
from hub.task import Page, Planned, Slice, Task, summed
from schemas.jobs import PLAN
from workers.jobs.desk import Desk
from workers.jobs.tasks import MOST_BEGUN, Doer


class Killed(BaseException):
    """SIGKILL."""


class Counting:
    """
    Work that notes the things that it has done: those of a slice are numbers.

    Attributes:
        done: Times that each was done.
        trouble: What happens at the next pages, one after the other, behind their effect: an exception, or None.
    """

    def __init__(self) -> None:
        self.done: dict[int, int] = {}
        self.trouble: list[BaseException | None] = []
        self.plans: list[BaseException | None] = []

    def plan(self, task: Task) -> Iterable[Planned]:
        for begin in range(0, task.arguments["things"], 10):
            if self.plans and (trouble := self.plans.pop(0)) is not None:
                raise trouble
            yield Planned({"begin": begin}, 10)

    def pages(self, task: Task, part: Slice) -> Iterator[Page]:
        at = part.spec["begin"] if part.at is None else part.at["next"]
        while at < part.spec["begin"] + 10:
            some = range(at, min(at + 3, part.spec["begin"] + 10))
            for number in some:
                self.done[number] = self.done.get(number, 0) + 1
            if self.trouble and (trouble := self.trouble.pop(0)) is not None:
                raise trouble
            at = some[-1] + 1
            yield Page({"next": at}, len(some), {"counted": len(some)}, [at])


class Nothing(BaseModel):
    things: int


class Lines:
    """Of jobs, in the order they were put there."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def enqueue(self, calls: Iterable[Call]) -> int:
        new = [one for one in calls if one not in self.calls]
        self.calls += new
        return len(new)


class Site:
    """Workers on one store and one queue. `work`: of all of them."""

    def __init__(self, things: int = 30) -> None:
        self.store, self.work, self.queue, self.stopping = MemoryStore(), Counting(), Lines(), False
        self.store.add_task(Task(id="t", kind="count", queue="q", arguments={"things": things}))

    def doer(self) -> Doer:
        desk: Any = Desk(None, "q", self.store, None, None, None, None, lambda: 5, lambda: self.stopping)  # type: ignore[arg-type]
        kind = Kind("count", "q", Nothing, "none", "Counts.")
        made = Doer(desk, ExitStack(), {"count": kind}, self.queue)  # type: ignore[arg-type]
        made._works["count"] = self.work
        return made

    @property
    def task(self) -> Task:
        found = self.store.task("t")
        assert found is not None
        return found

    def finish(self) -> None:
        """What workers without trouble do."""
        doer = self.doer()
        for _ in range(100):
            doer.reconcile()
            if not self.queue.calls:
                return
            call = self.queue.calls.pop(0)
            doer.do(call.run, call.number)
        raise AssertionError("it goes round for ever")


def test_all_is_done_once() -> None:
    site = Site()
    site.finish()
    assert site.work.done == dict.fromkeys(range(30), 1)
    total = summed(site.store.slices("t"))
    assert (site.task.state, total.done, total.total, total.counts) == ("done", 30, 30, {"counted": 30})
    assert (total.slices, total.slices_done, total.is_exact) == (3, 3, True)


troubles = st.lists(
    st.sampled_from([None, None, Killed(), ValueError("oh"), Unavailable("kafka", "away"), "stop"]), max_size=12
)


@given(troubles)
@settings(max_examples=200)
def test_whatever_happens_each_thing_counts_once(trouble: list[Any]) -> None:
    site = Site()
    site.doer().do("t", PLAN)
    for one in trouble:
        number = next(iter(site.store.open_slices("t")), None)
        if number is None:
            break
        site.stopping = one == "stop"
        site.work.trouble = [None if one == "stop" else one]
        try:
            # an outage would be waited for
            part = site.store.begin_slice("t", number)
            assert part is not None
            site.doer()._pages(site.task, Kind("count", "q", Nothing, "", ""), [part], 1e18)
        except (Killed, ValueError, Unavailable):
            pass
        if site.store.slices("t")[number].begun >= MOST_BEGUN - 1:
            break
    site.stopping, site.work.trouble = False, []
    site.finish()
    assert site.task.state == "done"
    assert summed(site.store.slices("t")).done == 30
    # a page that was done and not noted is done again: that has to do no harm, and is seldom
    assert site.work.done.keys() == set(range(30))


def test_what_is_bad_has_failed_at_once_and_the_others_go_on() -> None:
    site = Site()
    site.doer().do("t", PLAN)
    site.work.trouble = [Failed("row 7 is no row")]
    assert site.doer().do("t", 0) == "failed"
    site.finish()
    assert (site.task.state, site.task.error) == ("failed", "row 7 is no row")
    assert [part.state for part in site.store.slices("t")] == ["failed", "done", "done"]


def test_what_fails_again_and_again_has_failed() -> None:
    site = Site()
    site.doer().do("t", PLAN)
    for attempt in range(1, MOST_BEGUN + 1):
        site.work.trouble = [ValueError("a fault")]
        with pytest.raises(ValueError, match="a fault"):
            site.doer().do("t", 0)
        assert site.store.slices("t")[0].state == ("failed" if attempt == MOST_BEGUN else "open")
    assert site.store.slices("t")[0].error == "ValueError: a fault"


def test_progress_between_two_faults_is_no_circle() -> None:
    """Ten kills in a slice are no poison, if each leaves it further than the one before."""
    site = Site(10)
    site.doer().do("t", PLAN)
    for _ in range(3):
        site.work.trouble = [None, Killed()]
        with pytest.raises(Killed):
            site.doer().do("t", 0)
    assert site.store.slices("t")[0].begun == 0 or site.store.slices("t")[0].begun == 1
    site.finish()
    assert site.task.state == "done"


def test_a_slice_that_kills_its_workers_is_left() -> None:
    site = Site(10)
    site.doer().do("t", PLAN)
    for _ in range(MOST_BEGUN):
        site.work.trouble = [Killed()]
        with pytest.raises(Killed):
            site.doer().do("t", 0)
    assert site.doer().do("t", 0) == "failed"
    assert site.task.state == "failed"
    assert "died 5 times" in site.task.error


def test_a_plan_that_kills_its_workers_is_left() -> None:
    site = Site()
    for _ in range(MOST_BEGUN):
        site.work.plans = [None, Killed()]
        with pytest.raises(Killed):
            site.doer().do("t", PLAN)
    assert site.store.slices("t") == []
    assert site.doer().do("t", PLAN) == "failed"
    assert site.task.state == "failed"


def test_a_plan_that_is_bad() -> None:
    site = Site()
    site.work.plans = [Failed("there is no such file")]
    assert site.doer().do("t", PLAN) == "failed"
    assert (site.task.state, site.task.error) == ("failed", "there is no such file")


def test_what_a_task_waits_for_is_told_meanwhile() -> None:
    seen: list[str] = []

    class Waiting(Counting):
        def plan(self, task: Task) -> Iterable[Planned]:
            seen.append(site.task.error)
            return super().plan(task)

        def pages(self, task: Task, part: Slice) -> Iterator[Page]:
            seen.append(site.store.slices("t")[0].error)
            return super().pages(task, part)

    site = Site(10)
    site.work = Waiting()
    site.work.plans = [Unavailable("import", "nobody answers")]
    assert site.doer().do("t", PLAN) == "done"
    site.work.trouble = [Unavailable("import", "they hung up")]
    assert site.doer().do("t", 0) == "done"
    assert seen == ["", "import: nobody answers", "", "import: they hung up"]
    assert (site.task.state, site.task.error, site.store.slices("t")[0].error) == ("done", "", "")


def test_stopped_it_goes_on_where_it_was() -> None:
    site = Site(10)
    site.doer().do("t", PLAN)
    part = site.store.begin_slice("t", 0)
    assert part is not None
    site.stopping = True
    assert site.doer()._pages(site.task, Kind("count", "q", Nothing, "", ""), [part], 1e18) == "stopped"
    assert site.store.slices("t")[0].done == 3
    assert site.doer().do("t", 0) == "stopped"
    site.stopping = False
    site.finish()
    assert site.work.done == dict.fromkeys(range(10), 1)


def test_who_was_thought_dead_stops() -> None:
    site = Site(10)
    site.doer().do("t", PLAN)
    slow = site.doer()
    part = site.store.begin_slice("t", 0)
    assert part is not None
    site.finish()
    assert slow._pages(site.task, Kind("count", "q", Nothing, "", ""), [part], 1e18) == "over"
    assert summed(site.store.slices("t")).done == 10


def test_cancelled_nothing_more_is_done() -> None:
    site = Site()
    site.doer().do("t", PLAN)
    site.doer().do("t", 0)
    site.store.cancel_task("t", 6)
    assert site.doer().do("t", 1) == "over"
    assert site.doer().do("t", PLAN) == "over"
    site.queue.calls.clear()
    site.doer().reconcile()
    assert site.queue.calls == []
    assert site.work.done == dict.fromkeys(range(10), 1)


def test_a_turn_is_limited_so_that_others_get_theirs() -> None:
    site = Site(10)
    site.doer().do("t", PLAN)
    part = site.store.begin_slice("t", 0)
    assert part is not None
    assert site.doer()._pages(site.task, Kind("count", "q", Nothing, "", ""), [part], 0.0) == "goes on"
    assert site.store.slices("t")[0].done == 3


def test_unknown_kinds_wait_for_a_newer_hub() -> None:
    site = Site()
    site.store.add_task(Task(id="new", kind="juggle", queue="q", arguments={}))
    site.finish()
    assert site.doer().do("new", PLAN) == "unknown"
    found = site.store.task("new")
    assert found is not None
    assert found.state == "waiting"
