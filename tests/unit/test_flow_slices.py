"""A flow for many profiles: each is run for once, whoever dies; slices, numbers, who stops it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.flows.kept import KeptRun, Order, begun
from hub.flows.run import run_id
from hub.jobs.flow_runs import KIND, RunFlow, check, due_task, fired
from hub.jobs.kind import Kind
from hub.jobs.queue import Call
from hub.store.memory import MemoryStore
from hub.store.query import QueryError
from hub.task import Task, summed
from schemas.jobs import SEGMENTATION
from tests.contracts.batches import NOW_MS, batch, profile
from workers import flow_slices
from workers.flow_slices import FlowSlices, planned
from workers.jobs.desk import Desk
from workers.jobs.tasks import Doer

FLOW = {"nodes": {"start": {"type": "start"}}}


class Killed(BaseException):
    """SIGKILL."""


class Runs:
    """
    What `Runner.begin` promises: a run that is begun again is the same one.

    Attributes:
        began: By run, how often it was asked for.
        trouble: What happens at the next pages, behind their effect: an exception, or None.
    """

    def __init__(self) -> None:
        self.began: dict[str, int] = {}
        self.orders: list[Order] = []
        self.trouble: list[BaseException | None] = []

    def begin(self, orders: Sequence[Order]) -> list[KeptRun]:
        found = []
        for order in orders:
            id = run_id(order.flow, order.version, order.fired)
            self.began[id] = self.began.get(id, 0) + 1
            self.orders.append(order)
            found.append(_ended(id, order))
        if self.trouble and (trouble := self.trouble.pop(0)) is not None:
            raise trouble
        return found


def _ended(id: str, order: Order) -> KeptRun:
    made = begun(id, order, NOW_MS)
    failed = order.profile_id.endswith("7")
    return KeptRun(
        **{name: getattr(made, name) for name in made.__struct_fields__}
        | {"state": "failed" if failed else "done", "error": "add: no number" if failed else ""}
    )


class Site:
    """Workers on one store. `runs`: of all of them."""

    def __init__(self, profiles: int, **arguments: Any) -> None:
        self.store, self.runs, self.catalogue = MemoryStore(), Runs(), Catalogue()
        self.store.write(batch(*(profile(f"p{n:03}", n=n) for n in range(profiles))))
        self.define(FLOW)
        given = {"flow": "tea", "version": 0, "at_ms": NOW_MS, "cause": "c", **arguments}
        self.task = Task(id="t", kind=KIND, queue=SEGMENTATION, arguments=RunFlow(**given).model_dump(mode="json"))
        self.store.add_task(self.task)
        self.jobs: list[Call] = []

    def define(self, spec: Any) -> None:
        offset = self.catalogue.offset + 1
        value = None if spec is None else json.dumps({"spec": spec, "updated_at_ms": NOW_MS}).encode()
        self.catalogue.apply(b"flow/tea", value, offset)

    def enqueue(self, calls: Any) -> int:
        self.jobs += (new := [one for one in calls if one not in self.jobs])
        return len(new)

    def finish(self) -> Task:
        """What workers do that are started again when they die."""
        for _ in range(100):
            desk: Any = Desk(None, SEGMENTATION, self.store, None, None, None, None, lambda: 5, lambda: False)  # type: ignore[arg-type]
            kind = Kind(KIND, SEGMENTATION, RunFlow, "none", "Runs.")
            doer = Doer(desk, ExitStack(), {KIND: kind}, self)  # type: ignore[arg-type]
            doer._works[KIND] = FlowSlices(self.store, lambda: self.catalogue, self.runs)
            try:
                doer.reconcile()
                if not self.jobs:
                    break
                while self.jobs:
                    call = self.jobs.pop(0)
                    doer.do(call.run, call.number)
            except Killed:
                continue
        found = self.store.task("t")
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_slices, "PAGE", 10)


def test_everybody_who_matches_has_one_run() -> None:
    site = Site(55, query="traits.n >= 5", data={"why": "spring"})
    assert site.finish().state == "done"
    assert [order.profile_id for order in site.runs.orders] == [f"p{n:03}" for n in range(5, 55)]
    (first, *_) = site.runs.orders
    assert (first.flow, first.version, first.event, first.session_id) == ("tea", 0, None, "")
    assert (first.fired.kind, first.fired.at_ms, first.fired.data) == ("manual", NOW_MS, {"why": "spring"})
    total = summed(site.store.slices("t"))
    assert (total.done, total.total, total.counts) == (50, 50, {"runs_done": 45, "runs_failed": 5})
    sample = [one for part in site.store.slices("t") for one in part.sample]
    assert {one["profile"] for one in sample} == {"p007", "p017", "p027", "p037", "p047"}
    assert sample[0] == {
        "run": run_id("tea", 0, fired(RunFlow(**site.task.arguments), "p007")),
        "profile": "p007",
        "state": "failed",
        "error": "add: no number",
    }


@given(st.lists(st.sampled_from([None, Killed(), ValueError("oh")]), max_size=8), st.integers(0, 60))
def test_whoever_dies_everybody_has_one_run(trouble: list[BaseException | None], profiles: int) -> None:
    site = Site(profiles)
    site.runs.trouble = list(trouble)
    task = None
    for _ in range(20):
        try:
            task = site.finish()
        except ValueError:
            continue
        break
    assert task is not None
    if any(part.state == "failed" for part in site.store.slices("t")):
        return  # five times at the same page: that is a slice's own affair
    assert task.state == "done"
    assert len(site.runs.began) == profiles
    assert summed(site.store.slices("t")).done == profiles


def test_another_cause_or_version_is_another_run() -> None:
    """And the same cause is the same run, whoever asks."""

    def of(**changes: Any) -> str:
        given = RunFlow(**{"flow": "tea", "version": 3, "at_ms": NOW_MS, "cause": "c", **changes})
        return run_id(given.flow, given.version, fired(given, "p1"))

    assert of() == of(at_ms=NOW_MS + 1, query="traits.n > 1")
    assert len({of(), of(cause="d"), of(flow="coffee"), of(version=4), of(fired="schedule")}) == 5
    due = [RunFlow(**due_task("tea", 3, query, NOW_MS, NOW_MS).arguments) for query in ("", "traits.n > 1")]
    assert fired(due[0], "p1") == fired(due[1], "p1"), "who meets two schedules that are due at once has one run"
    ids = {due_task("tea", version, query, NOW_MS, NOW_MS).id for version in (3, 4) for query in ("", "traits.n > 1")}
    assert len(ids) == 2, "another version of the flow is the same due time"


def test_one_profile_alone() -> None:
    site = Site(5, profile="p003")
    assert site.finish().state == "done"
    assert [order.profile_id for order in site.runs.orders] == ["p003"]


def test_switched_off_or_deleted_it_stops() -> None:
    for spec, words in (({**FLOW, "enabled": False}, "is switched off"), (None, "there is no flow 'tea'")):
        site = Site(25)
        task = FlowSlices(site.store, lambda site=site: site.catalogue, site.runs)  # type: ignore[misc]
        site.store.begin_plan("t")
        site.store.plan_task("t", list(task.plan(site.task)), NOW_MS)
        pages = task.pages(site.task, site.store.slices("t")[0])
        next(pages)
        site.define(spec)
        found = site.finish()
        assert (found.state, words in found.error) == ("failed", True), found.error
        assert len(site.runs.began) == 10


def test_a_version_that_has_not_come_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow_slices, "KNOWN_S", 0.0)
    site = Site(5, version=1)
    with pytest.raises(Unavailable, match="has not come yet"):
        FlowSlices(site.store, lambda: site.catalogue, site.runs).plan(site.task)
    site.define(FLOW)
    assert site.finish().state == "done"


def test_slices_are_of_those_who_match() -> None:
    site = Site(30)
    assert [(one.spec, one.total) for one in planned(site.store, "traits.n >= 10", 8)] == [
        ({"after": "", "until": "p017"}, 8),
        ({"after": "p017", "until": "p025"}, 8),
        ({"after": "p025", "until": ""}, 4),
    ]
    assert list(planned(site.store, "traits.n > 100", 8)) == []


def test_what_nobody_may_ask_for() -> None:
    with pytest.raises(ValidationError, match="either `profile` or `query`"):
        RunFlow(flow="tea", version=1, at_ms=0, cause="c", profile="p", query="traits.n > 1")
    with pytest.raises(QueryError):
        check(RunFlow(flow="tea", version=1, at_ms=0, cause="c", query="traits.n >"))
