"""When all profiles are looked at, and what becomes of a look that is broken off: with a real Valkey."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis

from hub.definitions.catalogue import Catalogue
from hub.log.partitions import partition_of_key
from hub.pipeline.patches import operations_of
from hub.redis import client
from hub.segments.backfill import Backfill, Forgotten
from hub.segments.jobs import Jobs
from hub.segments.planner import Planner, Ways
from hub.segments.runs import Runs
from hub.store.memory import MemoryStore
from schemas.records import Inbound
from schemas.segments import Run
from tests.contracts.batches import NOW_MS, batch
from tests.contracts.test_store_segments import member
from tests.servers import running
from tests.unit.test_segments_due import define

PARTITIONS = 3


class Log:
    """Takes records of events.v1, and tells where each lies."""

    def __init__(self) -> None:
        self.records: list[Inbound] = []
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.broken = False

    def send(self, records: Iterable[Inbound]) -> list[tuple[int, int]]:
        places = []
        for record in records:
            partition = partition_of_key(record["profile_id"].encode(), PARTITIONS)
            places.append((partition, self.ends[partition]))
            self.ends[partition] += 1
            self.records.append(record)
            if self.broken:
                raise ConnectionError("killed")
        return places


class Queue:
    """Takes jobs."""

    def __init__(self) -> None:
        self.jobs: list[tuple[str, int]] = []

    def enqueue(self, run: str, numbers: Iterable[int]) -> None:
        self.jobs += [(run, number) for number in numbers if (run, number) not in self.jobs]


class Site:
    """A planner, and the others of it at hand."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        self.redis, self.namespace = redis, namespace
        self.store, self.log, self.queue, self.catalogue = MemoryStore(), Log(), Queue(), Catalogue()
        self.epoch = self.store.epoch("topic")
        self.runs = Runs(redis, namespace)
        self.now_ms = NOW_MS
        ways = Ways(self.store, self.runs, self.queue, self.log, lambda: PARTITIONS)
        self.planner = Planner(ways, self.catalogue, self._clock, check_every_s=60, slice_profiles=4)
        self.backfill = Backfill(self.runs, self.store, self.log, lambda: self.now_ms * 1_000)
        self.written = dict.fromkeys(range(PARTITIONS), 0)
        self.store.write(batch(*(member(f"p{n}", n=n) for n in range(10))))
        self.runs.begin(Run(id="before", kind="check", rules=[], offset=-1, asked_ms=NOW_MS, state="done", ended_ms=0))
        self.runs.save(Run(id="before", kind="check", rules=[], offset=-1, state="done", ended_ms=0))

    def _clock(self) -> int:
        self.now_ms += 1
        return self.now_ms

    def collected(self, *partitions: int) -> None:
        """The collector has come to the end of these."""
        steps = {one: (self.written[one], self.log.ends[one]) for one in partitions}
        self.store.write(batch(progress=steps, epoch=self.epoch))
        self.written |= {one: self.log.ends[one] for one in partitions}

    def work(self) -> None:
        """A worker does all that is in the queue."""
        while self.queue.jobs:
            self.backfill.run(*self.queue.jobs.pop(0), stopping=lambda: False)

    def run(self, segment: str) -> Run:
        found = self.runs.run(self.runs.filled()[segment].run)
        assert found is not None
        return found

    def whole(self, segment: str) -> Run:
        """Plan, wait for all collectors, work, end."""
        self.planner.tick()
        self.collected(*range(PARTITIONS))
        self.planner.tick()
        self.work()
        self.planner.tick()
        return self.run(segment)

    def asked(self) -> dict[str, list[str] | None]:
        """By profile, which segments its owner was asked to look at; those of nobody left out."""
        return {
            one["profile_id"]: operations_of(one)[0].segments  # type: ignore[union-attr]
            for one in self.log.records
            if not one["profile_id"].startswith("@")
        }


@pytest.fixture
def at(shared_folder: Path, namespace: str) -> Iterator[Site]:
    with running.shared("valkey", shared_folder / "valkey") as url, closing(client(url)) as redis:
        yield Site(redis, namespace)


def high(at: Site, offset: int, condition: str = "traits.n >= 7", **more: Any) -> None:
    define(at.catalogue, "high", offset, condition=condition, **more)


def test_a_look_begins_when_every_collector_knows_what_it_is_about(at: Site) -> None:
    high(at, 5)
    at.planner.tick()
    assert at.run("high").state == "waiting"
    # a record on each partition, that asks nobody for anything, but cannot be passed without the definition
    assert at.log.ends == dict.fromkeys(range(PARTITIONS), 1)
    assert {one["definitions_offset"] for one in at.log.records} == {5}
    at.collected(0, 2)
    at.planner.tick()
    assert (at.run("high").state, at.queue.jobs) == ("waiting", [])
    at.collected(1)
    at.planner.tick()
    run = at.run("high")
    assert (run.state, run.slices, run.profiles) == ("running", 3, 10)
    assert at.queue.jobs == [(run.id, number) for number in range(3)]


def test_only_those_are_asked_who_differ_and_once(at: Site) -> None:
    high(at, 5)
    assert at.whole("high").state == "done"
    assert at.asked() == {f"p{n}": ["high"] for n in (7, 8, 9)}
    at.planner.tick()
    at.planner.tick()
    assert at.runs.open() == []
    progress = at.runs.progress(at.run("high").id)
    assert (progress.looked, progress.asked) == (10, 3)


def test_several_new_segments_are_one_look_and_each_version_gets_its_own(at: Site) -> None:
    high(at, 5)
    define(at.catalogue, "low", 6, condition="traits.n < 2")
    define(at.catalogue, "list", 7)
    define(at.catalogue, "off", 8, condition="traits.n < 5", enabled=False)
    first = at.whole("high")
    assert first.id == at.run("low").id
    assert set(at.runs.filled()) == {"high", "low"}
    high(at, 9, "traits.n >= 8")
    second = at.whole("high")
    assert second.id != first.id
    assert [(rule.id, rule.version) for rule in second.rules] == [("high", 9)]
    assert {one["definitions_offset"] for one in at.log.records} == {8, 9}


def test_what_is_defined_during_a_look_is_looked_at_together_afterwards(at: Site) -> None:
    high(at, 5)
    at.planner.tick()
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    define(at.catalogue, "low", 6, condition="traits.n < 2")
    define(at.catalogue, "middle", 7, condition="traits.n = 5")
    at.planner.tick()
    (first,) = at.runs.open()
    at.work()
    at.planner.tick()
    at.planner.tick()
    (second,) = at.runs.open()
    assert [rule.id for rule in first.rules] == ["high"]
    assert [rule.id for rule in second.rules] == ["low", "middle"]


def test_a_look_at_what_has_changed_again_is_left_off(at: Site) -> None:
    high(at, 5)
    at.planner.tick()
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    (old,) = at.runs.open()
    high(at, 6, "traits.n >= 8")
    assert at.whole("high").state == "done"
    left = at.runs.run(old.id)
    assert left is not None
    assert left.state == "overtaken"
    assert set(at.asked()) == {"p8", "p9"}


def test_a_slice_that_is_killed_goes_on_where_it_was_with_the_same_records(at: Site) -> None:
    high(at, 5, "traits.n >= 0")
    at.planner.tick()
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    jobs, before = list(at.queue.jobs), len(at.log.records)
    at.log.broken = True
    with pytest.raises(ConnectionError):
        at.backfill.run(*jobs[0], stopping=lambda: False)
    (half,) = at.log.records[before:]
    at.log.broken = False
    # nobody has noted it, so it is still to be done
    at.queue.jobs.clear()
    at.planner.tick()
    assert at.queue.jobs == jobs
    at.work()
    at.planner.tick()
    assert at.run("high").state == "done"
    again = [one for one in at.log.records[before + 1 :] if one["profile_id"] == half["profile_id"]]
    assert [one["id"] for one in again] == [half["id"]]
    assert set(at.asked()) == {f"p{n}" for n in range(10)}


def test_what_redis_forgets_is_planned_anew(at: Site) -> None:
    high(at, 5)
    at.planner.tick()
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    (job, *_) = at.queue.jobs
    at.redis.delete(*at.redis.keys(f"{at.namespace}:*"))
    with pytest.raises(Forgotten):
        at.backfill.run(*job, stopping=lambda: False)
    at.queue.jobs.clear()
    assert at.whole("high").state == "done"
    assert set(at.asked()) == {"p7", "p8", "p9"}


def test_a_look_that_cannot_be_done_says_why_and_is_done_again_when_somebody_asks(at: Site) -> None:
    high(at, 5)
    at.planner.tick()
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    run, number = at.queue.jobs.pop()
    at.backfill.fail(run, number, "the disk is full")
    at.work()
    at.planner.tick()
    failed = at.run("high")
    assert (failed.state, failed.error) == ("failed", "the disk is full")
    at.planner.tick()
    assert at.run("high").id == failed.id
    at.runs.want("high")
    assert at.whole("high").state == "done"


def test_everybody_leaves_a_segment_that_is_gone(at: Site) -> None:
    high(at, 5)
    at.whole("high")
    at.store.write(batch(*(member(f"p{n}", "high", version=2, n=n) for n in (7, 8, 9))))
    at.log.records.clear()
    at.catalogue.apply(b"segment/high", None, 6)
    at.planner.tick()
    at.planner.tick()
    (run,) = at.runs.open()
    assert (run.offset, at.runs.filled()) == (6, {})
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    at.work()
    assert at.asked() == {f"p{n}": ["high"] for n in (7, 8, 9)}


def test_a_second_opinion_comes_when_it_is_time_and_counts_what_nothing_would_mend(at: Site) -> None:
    high(at, 5)
    at.whole("high")
    members = [member(f"p{n}", *(["high"] if n in (5, 7, 8) else []), version=2, n=n) for n in range(10)]
    at.store.write(msgspec.structs.replace(batch(*members), due={"p5": NOW_MS}))
    at.log.records.clear()
    at.planner.tick()
    assert at.runs.open() == []
    at.now_ms += 60_000
    at.planner.tick()
    (run,) = at.runs.open()
    assert run.kind == "check"
    at.collected(*range(PARTITIONS))
    at.planner.tick()
    at.work()
    at.planner.tick()
    # p9 belongs there and nobody knows; p5 is due, and leaves by itself
    progress = at.runs.progress(run.id)
    assert (progress.looked, progress.asked, progress.differed) == (10, 2, 1)
    assert set(at.asked()) == {"p5", "p9"}


def test_one_plans_at_a_time(at: Site) -> None:
    high(at, 5)
    with at.runs.planning() as alone:
        assert alone
        at.planner.tick()
        assert at.runs.open() == []
    at.planner.tick()
    assert len(at.runs.open()) == 1


def test_jobs_are_on_the_queue_of_their_namespace(at: Site) -> None:
    other = f"{at.namespace}-x"
    Jobs(at.redis, at.namespace).enqueue("run", [0, 1])
    Jobs(at.redis, other).enqueue("run", [0])
    lengths = [at.redis.llen(f"rq:queue:{namespace}:segmentation:live") for namespace in (at.namespace, other)]
    assert lengths == [2, 1]
