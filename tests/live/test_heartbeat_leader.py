"""What the leader makes of due times that passed while nobody led, of pauses and of deletions: with a real Valkey."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import REGISTRY
from redis import Redis

from hub.definitions.catalogue import Catalogue
from hub.errors import Fenced, Unavailable
from hub.redis import client
from hub.store.memory import MemoryStore
from schemas.heartbeats import Asked, Keys, Order, Run, Slice, encode
from schemas.records import Trigger
from tests.contracts.batches import batch, profile
from tests.servers import running
from workers.agents.heartbeats import Heartbeats
from workers.agents.leader import Leader
from workers.agents.ledger import Ledger

MINUTE = 60_000
START = 1_800_000_000_000
PROFILES = 5


class Site:
    """Leaders, one after the other, on one Valkey and one clock; and agents that do each slice they are given."""

    def __init__(self, redis: Redis) -> None:
        self.redis, self.keys = redis, Keys(f"t{secrets.token_hex(6)}")
        self.ledger, self.catalogue, self.store = Ledger(redis, self.keys), Catalogue(), MemoryStore()
        self.store.write(batch(*(profile(f"p{n}") for n in range(PROFILES))))
        self.now_ms, self.id = START, f"h{secrets.token_hex(4)}"
        self.sent: list[Order] = []
        self.is_away = False
        self.heartbeats = Heartbeats(self.catalogue, self.store, self.ledger, self._send, lambda: self.now_ms)
        self.leader = self.another()

    def _send(self, triggers: Sequence[Trigger]) -> None:
        if self.is_away:
            raise Unavailable("kafka", "it is away")
        self.sent += [msgspec.json.decode(one["data"], type=Order) for one in triggers]

    def define(self, **spec: Any) -> None:
        value = msgspec.json.encode({"kind": "heartbeat", "id": self.id, "spec": spec, "updated_at_ms": START})
        self.catalogue.apply(f"heartbeat/{self.id}".encode(), value, self.catalogue.offset + 1)

    def another(self) -> Leader:
        """The one that leads now; the lease of the one before has run out."""
        self.redis.delete(self.keys.leader)
        leader = Leader(self.redis, self.keys, secrets.token_hex(4))
        assert leader.claim()
        return leader

    def step(self) -> None:
        assert self.leader.claim()  # its lease is short, and this machine may be slow
        self.heartbeats.step(self.leader.term)

    def work(self) -> None:
        """Agents do what they were given."""
        orders, self.sent = self.sent, []
        for one in orders:
            done = Slice(after=one.after, until=one.until, profiles=PROFILES, state="done", events=PROFILES)
            self.ledger.note(one.run, one.number, done)

    def settle(self) -> None:
        """Until nothing more is due."""
        for _ in range(30):
            self.step()
            self.work()

    def runs(self) -> list[Run]:
        """The oldest first."""
        ids: Any = self.redis.lrange(self.keys.runs(self.id), 0, -1)
        return [run for id in reversed(ids) if (run := self.ledger.run(id.decode())) is not None]

    def due(self) -> list[int]:
        """Of all runs, minutes after START."""
        return [(run.due_ms - START) // MINUTE for run in self.runs()]


@pytest.fixture
def at(shared_folder: Path) -> Iterator[Site]:
    with running.shared("valkey", shared_folder / "valkey") as url, closing(client(url)) as redis:
        yield Site(redis)


@pytest.mark.parametrize(
    ("catch_up", "due", "missed"),
    [("all", [10, 20, 30, 40, 50, 60], 0), ("last", [50, 60], 4), ("none", [60], 5)],
)
@pytest.mark.parametrize("when", [{"every": "10m"}, {"cron": "*/10 * * * *", "time_zone": "Europe/London"}])
def test_what_was_due_while_nobody_led_is_made_up_as_catch_up_says(
    at: Site, when: dict[str, str], catch_up: str, due: list[int], missed: int
) -> None:
    at.define(event_type="checked", catch_up=catch_up, **when)
    at.step()
    at.now_ms += 55 * MINUTE
    at.leader = at.another()
    at.settle()
    at.now_ms += 5 * MINUTE
    at.settle()
    assert at.due() == due
    assert {run.state for run in at.runs()} == {"done"}
    assert (REGISTRY.get_sample_value("hub_heartbeat_missed_total", {"heartbeat": at.id}) or 0) == missed
    assert sum(run.missed for run in at.runs()) == (missed if catch_up == "last" else 0)


def test_a_run_that_takes_longer_than_the_time_to_the_next_one_is_not_overtaken(at: Site) -> None:
    at.define(event_type="checked", every="10m", catch_up="all")
    at.step()
    at.now_ms += 35 * MINUTE
    at.step()
    at.step()
    assert at.due() == [10], "its slices are not done"
    assert {one.run for one in at.sent} == {run.id for run in at.runs()}
    at.settle()
    assert at.due() == [10, 20, 30]


def test_what_is_due_during_a_pause_is_not_made_up(at: Site) -> None:
    spec = {"event_type": "checked", "every": "10m", "catch_up": "all"}
    at.define(**spec)
    at.now_ms += 10 * MINUTE
    at.settle()
    at.define(**spec, enabled=False)
    for _ in range(4):
        at.now_ms += 10 * MINUTE + 1
        at.settle()
    at.define(**spec)
    at.settle()
    assert at.due() == [10]
    at.now_ms += 10 * MINUTE
    at.settle()
    assert at.due() == [10, 60]


def test_who_leads_no_more_begins_nothing_and_gives_nothing_out(at: Site) -> None:
    at.define(event_type="checked", every="10m")
    at.step()
    late, at.leader = at.leader, at.another()
    at.now_ms += 10 * MINUTE
    with pytest.raises(Fenced):
        at.heartbeats.step(late.term)
    assert (at.sent, at.runs()) == ([], [])
    at.settle()
    assert at.due() == [10]


def test_slices_that_could_not_be_sent_are_sent_by_the_next_leader(at: Site) -> None:
    at.define(event_type="checked", every="10m")
    at.step()
    at.now_ms += 10 * MINUTE
    at.is_away = True
    with pytest.raises(Unavailable):
        at.step()
    at.is_away = False
    at.leader = at.another()
    at.step()
    assert [(one.number, one.due_ms) for one in at.sent] == [(0, START + 10 * MINUTE)]
    at.settle()
    assert [(run.state, run.slices) for run in at.runs()] == [("done", 1)]


def test_who_is_deleted_runs_no_more(at: Site) -> None:
    """A run that is under way stops, and what somebody has asked for is dropped."""
    at.define(event_type="checked", every="10m")
    at.step()
    at.now_ms += 10 * MINUTE
    at.step()
    at.redis.hset(at.keys.asked, "r1", encode(Asked(at.id, at.now_ms)))
    at.catalogue.apply(f"heartbeat/{at.id}".encode(), None, at.catalogue.offset + 1)
    at.settle()
    assert [run.state for run in at.runs()] == ["stopped"]
    assert at.ledger.books().asked == {}


def test_when_redis_has_forgotten_it_what_was_due_for_a_day_is_made_up_under_the_same_ids(at: Site) -> None:
    at.define(event_type="checked", every="6h", catch_up="all")
    at.now_ms += 3 * 24 * 60 * MINUTE
    at.settle()
    ids = [run.id for run in at.runs()]
    assert len(ids) == 4
    at.redis.delete(*at.redis.keys(f"{at.keys.leader.partition(':')[0]}:*"))
    at.leader = at.another()
    at.settle()
    assert [run.id for run in at.runs()] == ids
