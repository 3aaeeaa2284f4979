"""Schedules of flows in a real Valkey, by a clock of the test's: each due time is one task, whatever is forgotten."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from hub import redis
from hub.definitions.catalogue import Catalogue
from hub.errors import Fenced
from hub.store.memory import MemoryStore
from hub.task import Task
from schemas.heartbeats import Keys
from schemas.jobs import SEGMENTATION
from tests.servers.running import Own, own
from workers.agents.flow_schedules import FlowSchedules
from workers.agents.leader import Leader
from workers.agents.ledger import Ledger

HOUR_MS = 3_600_000
NOW = 1_800_000_000_000 // HOUR_MS * HOUR_MS + 5


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def client(valkey: Own) -> Iterator[Redis]:
    with redis.client(valkey.url) as opened:
        yield opened


class Site:
    """Agents with one store and one Valkey. `called`: tasks that workers were told of."""

    def __init__(self, client: Redis) -> None:
        self.client, self.now_ms, self.called = client, NOW, list[str]()
        self.store, self.catalogue, self.keys = MemoryStore(), Catalogue(), Keys(f"t{secrets.token_hex(6)}")
        self.lead()

    def lead(self) -> None:
        """Another process leads from now on."""
        self.client.delete(self.keys.leader)
        self.leader = Leader(self.client, self.keys, secrets.token_hex(4))
        assert self.leader.claim()
        self.schedules = FlowSchedules(
            self.catalogue,
            self.store,
            self.store,
            Ledger(self.client, self.keys),
            call=lambda task: self.called.append(task.id),
            now_ms=lambda: self.now_ms,
        )

    def forget(self) -> None:
        """Redis is emptied."""
        self.client.delete(self.keys.flow_cursors, self.keys.leader)
        self.lead()

    def define(self, *triggers: dict[str, Any], id: str = "tea", **more: Any) -> int:
        """Saved now. Returns its version."""
        spec = {
            "nodes": {"start": {"type": "start"}},
            "triggers": [{"type": "schedule", **one} for one in triggers],
            **more,
        }
        value = json.dumps({"spec": spec, "updated_at_ms": self.now_ms}).encode()
        self.catalogue.apply(f"flow/{id}".encode(), value, self.catalogue.offset + 1)
        return self.catalogue.offset

    def step(self, by_ms: int = 0) -> None:
        """Time passes, and the leader looks."""
        self.now_ms += by_ms
        self.schedules.step(self.leader.term)

    def finish(self) -> None:
        """What is under way is done."""
        for task in self.store.open_tasks(SEGMENTATION):
            assert self.store.plan_task(task.id, [], self.now_ms)

    def catch_up(self) -> None:
        """All that is due is planned and done."""
        planned = -1
        while planned < len(self.tasks()):
            planned = len(self.tasks())
            self.finish()
            self.step()

    def tasks(self, flow: str = "tea") -> list[Task]:
        """The oldest first."""
        return [task for _, task in reversed(self.store.tasks(1_000)) if task.arguments["flow"] == flow]

    def due(self, flow: str = "tea") -> list[int]:
        """Hours after the first, of its tasks."""
        return [round((task.arguments["at_ms"] - NOW + 5) / HOUR_MS) for task in self.tasks(flow)]


@pytest.fixture
def site(client: Redis) -> Site:
    return Site(client)


def test_each_due_time_is_one_task(site: Site) -> None:
    version = site.define({"every": "1h", "condition": "traits.plan = gold"})
    site.step()
    assert site.tasks() == [], "what came before it was saved is none of its"
    for _ in range(3):
        site.step(HOUR_MS)
        site.step()
        site.finish()
    assert site.due() == [1, 2, 3]
    assert site.called == [task.id for task in site.tasks()]
    first = site.tasks()[0]
    assert (first.kind, first.queue, first.by) == ("run-flow", SEGMENTATION, "schedule")
    assert first.arguments == {
        "flow": "tea",
        "version": version,
        "profile": "",
        "query": "traits.plan = gold",
        "fired": "schedule",
        "at_ms": NOW - 5 + HOUR_MS,
        "cause": str(NOW - 5 + HOUR_MS),
        "data": {},
    }


def test_while_one_is_under_way_the_next_waits(site: Site) -> None:
    for catch_up in ("all", "last", "none"):
        site.define({"every": "1h", "catch_up": catch_up}, id=catch_up)
    site.step(HOUR_MS)
    for _ in range(3):
        site.step(HOUR_MS)
    assert [site.due(id) for id in ("all", "last", "none")] == [[1], [1], [1]]
    site.step(HOUR_MS // 2)
    for _ in range(5):
        site.finish()
        site.step()
    assert [site.due(id) for id in ("all", "last", "none")] == [[1, 2, 3, 4], [1, 4], [1]]


@pytest.mark.parametrize("catch_up", ["all", "last", "none"])
def test_what_was_planned_is_not_planned_again_when_redis_has_forgotten_it(site: Site, catch_up: str) -> None:
    site.define({"every": "1h", "catch_up": catch_up})
    site.step()
    for _ in range(3):
        site.step(HOUR_MS)
        site.finish()
    site.forget()
    site.now_ms += 50_000
    site.catch_up()
    assert site.due() == [1, 2, 3]
    assert len(site.called) == 3
    site.step(HOUR_MS)
    assert site.due() == [1, 2, 3, 4]


def test_who_leads_no_more_writes_nothing_and_plans_nothing_twice(site: Site) -> None:
    site.define({"every": "1h"})
    site.step()
    late, term = site.schedules, site.leader.term
    site.lead()
    site.now_ms += HOUR_MS
    with pytest.raises(Fenced):  # behind the task, which is the same as the leader's
        late.step(term)
    site.step()
    site.finish()
    site.step(HOUR_MS)
    assert site.due() == [1, 2]


def test_switched_off_it_makes_nothing_up(site: Site) -> None:
    trigger = {"every": "1h", "catch_up": "all"}
    site.define(trigger)
    site.step(HOUR_MS)
    site.finish()
    site.define(trigger, enabled=False)
    site.step(3 * HOUR_MS)
    site.define(trigger)
    site.step(HOUR_MS)
    assert site.due() == [1, 5]


def test_schedules_that_are_gone_are_forgotten(site: Site) -> None:
    site.define({"every": "1h"}, {"cron": "30 * * * *", "condition": "traits.a = 1"})
    site.step()
    assert site.client.hkeys(site.keys.flow_cursors) == [b"0:tea", b"1:tea"]
    site.define({"every": "1h"})
    site.step()
    assert site.client.hkeys(site.keys.flow_cursors) == [b"0:tea"]


actions = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(1, 5 * HOUR_MS)),
        st.tuples(st.sampled_from(["forget", "lead", "edit", "finish", "step"]), st.just(0)),
    ),
    max_size=15,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions)
def test_no_due_time_is_lost_and_none_comes_twice(client: Redis, done: list[tuple[str, int]]) -> None:
    """With catch_up all: whoever leads, whatever Redis forgets within a day."""
    site = Site(client)
    site.define({"every": "1h", "catch_up": "all"})
    site.step()
    for what, by_ms in done:
        if what == "pass":
            site.now_ms += min(by_ms, NOW + 23 * HOUR_MS - site.now_ms)
            continue
        if what == "edit":
            site.catch_up()  # what was due before an edit is not known any more when Redis forgets all right after it
        {"forget": site.forget, "lead": site.lead, "finish": site.finish, "step": site.step}.get(
            what, lambda: site.define({"every": "1h", "catch_up": "all"}, name="another")
        )()
    site.catch_up()
    assert site.due() == list(range(1, (site.now_ms - NOW + 5) // HOUR_MS + 1))
