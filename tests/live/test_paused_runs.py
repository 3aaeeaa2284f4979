"""Paused runs on a real store and a real Valkey, by RQ's worker and a clock of the test's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from hub.flows.ended import by_event
from hub.flows.kept import KeptRun
from hub.flows.scheduled import second
from hub.jobs import paused
from hub.jobs.flow_queue import MOST_LATER, SOON_S
from hub.jobs.long_turns import LongTurns
from hub.jobs.paused import PAGE, SLACK_S
from hub.jobs.queue import Call
from hub.jobs.turns import Turns
from hub.redis import client
from schemas.jobs import DUE, GO_ON, RESUME, SCHEDULER, due_at, due_span, job_id, place_of, queue_name
from tests.live.paused_site import ASKED, DAY_MS, LATER, Site
from tests.servers.running import Own, own
from tests.unit.flow_cases import NOW_MS
from workers.jobs.worker import worker_of

DUE_MS = NOW_MS + 3 * DAY_MS
THEN_MS = DUE_MS + SLACK_S * 1_000
"""RQ's scheduler goes by another clock: so the reconciler has to notice that it has done nothing."""


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis(valkey: Own) -> Iterator[Redis]:
    with client(valkey.url) as opened:
        yield opened


@pytest.fixture
def at(tmp_path: Path, redis: Redis) -> Iterator[Site]:
    made = Site(tmp_path, redis, f"t{secrets.token_hex(6)}")
    yield made
    made.close()


def test_a_run_that_pauses_goes_on_when_its_time_has_come(at: Site) -> None:
    at.define(LATER)
    at.person("ann")
    (run,) = at.begin("ann")
    assert (run.state, run.due_ms) == ("paused", DUE_MS)
    assert at.scheduled() == [second(run.due_ms or 0)]
    assert at.work() == 0
    at.now_ms = THEN_MS
    assert at.work() == 1
    assert at.run("ann").state == "done"
    assert at.raised() == {"told": 1}
    assert at.work() == 0


def test_after_three_days_it_goes_on_with_the_version_it_began_with(at: Site, valkey: Own) -> None:
    """The flow was changed meanwhile, and deleted; everything was started anew, and Valkey has lost all."""
    first = at.define(LATER)
    at.person("ann", "bob")
    at.begin("ann")
    changed = {**LATER, "tell": ("raise-event", {"event_type": "told", "properties": {"version": "second"}})}
    newer = at.define(changed)
    at.now_ms += DAY_MS
    at.begin("bob", version=newer)
    at.restart()
    valkey.kill()
    valkey.start()
    at.redis.flushall()
    at.now_ms = DUE_MS
    assert at.work() == 1
    assert list(at.sent.values()) == [("told", {"version": "first"})]
    at.now_ms = THEN_MS + DAY_MS
    assert at.work() == 1
    assert sorted(properties["version"] for _, properties in at.sent.values()) == ["first", "second"]
    assert (at.run("ann", first).version, at.run("bob", newer).version) == (first, newer)


def test_who_comes_too_late_goes_on_at_the_port_late(at: Site) -> None:
    at.define(LATER)
    at.person("ann", "bob")
    at.begin("ann")
    at.now_ms += 1
    at.begin("bob")
    at.now_ms = DUE_MS + 3_600_001  # a millisecond beyond the grace of the first
    at.restart()
    at.work()
    assert at.raised() == {"told": 1, "too-late": 1}
    assert [step.port for step in at.run("ann").legs[-1].steps if step.node == "wait"] == ["late"]


def test_many_that_are_due_in_a_second_are_one_job_until_then(at: Site) -> None:
    at.define(LATER)
    people = [f"p{number:04}" for number in range(2 * PAGE + 20)]
    at.person(*people)
    at.begin(*people)
    at.paused.keep_up()
    assert len(at.scheduled()) == 1
    assert at.jobs.there() == set()
    at.now_ms = THEN_MS
    assert at.work() == 3  # one puts the next on the queue: several workers share them
    assert at.raised() == {"told": len(people)}
    assert at.puts == len(people)


def test_pages_are_on_the_queue_before_those_before_them_are_done(at: Site) -> None:
    """So a second worker has something to do."""
    at.define(LATER)
    people = [f"p{number:04}" for number in range(PAGE + 1)]
    at.person(*people)
    runs = sorted(run.id for run in at.begin(*people))
    seen: list[set[str]] = []
    put = at.runner._put

    def looking(records: Any) -> None:
        seen.append(at.jobs.there())
        put(records)

    at.runner._put = looking
    at.now_ms = DUE_MS
    at.paused.resume(DUE, second(DUE_MS), is_last=False)
    assert seen[0] == {job_id(at.namespace, due_at((DUE_MS, runs[PAGE - 1])), second(DUE_MS))}
    assert at.work() == 1
    assert at.puts == PAGE + 1


def test_a_far_future_does_not_lie_in_redis(at: Site) -> None:
    now_s = NOW_MS // 1_000
    at.queue.at(now_s + SOON_S + one for one in range(2 * MOST_LATER))
    assert len(at.scheduled()) == MOST_LATER + 1
    at.queue.at([now_s + 10, now_s + 10, now_s + 5 * SOON_S])
    assert len(at.scheduled()) == MOST_LATER + 2


def test_what_redis_has_lost_is_put_back(at: Site, redis: Redis) -> None:
    at.define(LATER)
    at.person("ann", "bob")
    at.begin("ann")
    at.now_ms += 60_000
    at.begin("bob")
    redis.flushall()
    at.now_ms = DUE_MS
    at.paused.keep_up()
    assert at.scheduled() == [(at.now_ms + 60_000) // 1_000]
    assert at.jobs.there() == {job_id(at.namespace, DUE, at.now_ms // 1_000)}
    at.paused.keep_up()  # another worker, at the same time
    assert at.work() == 1
    assert at.raised() == {"told": 1}


def test_after_a_long_time_without_workers_one_job_is_about_all_that_is_late(at: Site, redis: Redis) -> None:
    at.define(LATER)
    people = [f"p{number:02}" for number in range(40)]
    at.person(*people)
    for number, one in enumerate(people):
        at.now_ms = NOW_MS + number * 60_000
        at.begin(one)
    redis.flushall()
    at.now_ms = NOW_MS + 4 * DAY_MS
    at.paused.keep_up()
    assert len(at.jobs.there()) == 1
    assert at.work() == 1
    assert at.raised() == {"too-late": 40}


def killed_between_two_saves(at: Site) -> None:
    """A run that is `waiting`, and that no job is about."""
    at.define(LATER)
    at.person("ann")
    at.begin("ann")
    at.now_ms += 3 * DAY_MS
    put = at.runner._put

    def killed(_: Any) -> None:
        raise SystemExit

    at.runner._put = killed
    with pytest.raises(SystemExit):
        at.paused.resume(DUE, second(at.now_ms), is_last=False)
    at.runner._put = put
    assert at.run("ann").state == "waiting"


def test_whoever_was_killed_with_a_clock_that_was_ahead_is_gone_on_with(
    at: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_between_two_saves(at)
    at.now_ms -= 300_000
    at.work()
    assert at.run("ann").state == "waiting", "whoever saved it may be at it"
    monkeypatch.setattr(paused, "LEFT_MS", 0)  # as after ten seconds
    at.work()
    assert at.run("ann").state == "done"


def test_whoever_was_killed_between_two_saves_is_gone_on_with(at: Site) -> None:
    killed_between_two_saves(at)
    at.now_ms += 10_001
    at.work()
    assert at.run("ann").state == "done"
    assert at.raised() == {"told": 1}, "it is not late: its pause had ended in time"


def test_a_run_that_cannot_go_on_keeps_no_other_from_it(at: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    at.define(LATER)
    at.person("ann", "bob", "eve")
    bad = at.begin("ann", "bob", "eve")[1].id
    go_on = at.runner.go_on

    def failing(ids: Any, **more: Any) -> list[KeptRun]:
        if bad in ids:
            raise RuntimeError("a fault of ours")
        return go_on(ids, **more)

    monkeypatch.setattr(at.runner, "go_on", failing)
    at.now_ms = THEN_MS
    at.work()
    assert at.raised() == {"told": 2}
    bob = at.run("bob")
    assert (bob.state, bob.error) == ("failed", "it cannot go on: RuntimeError: a fault of ours")
    assert at.store.due_seconds(10) == []


def test_no_more_runs_of_a_flow_than_may_ask_others_at_once(at: Site) -> None:
    """The others wait, in their order, and none holds up a worker."""
    at.define(LATER, limits={"concurrency": 1})
    at.person("ann", "bea", "cid")
    runs = [one.id for one in at.begin("ann", "bea", "cid")]
    at.now_ms += 3 * DAY_MS
    turns = Turns(at.redis, at.namespace)
    assert turns.take("f", runs[0], 1, at.now_ms)
    assert turns.take("f", runs[0], 1, at.now_ms), "whoever died with it has it still"
    for id in (*runs[1:], runs[1]):
        at.now_ms += 1
        assert at.paused.go_on(id, is_last=True) == "waits for its turn"

    assert at.paused.go_on(runs[0], is_last=True) == "done"
    (job,) = at.jobs.there()
    assert runs[1] in job
    assert at.work() == 2, "one lets the next one go on"
    assert at.raised() == {"told": 3}


def test_a_turn_that_nobody_gives_back_ends(at: Site) -> None:
    turns = Turns(at.redis, at.namespace)
    assert turns.take("f", "r1", 1, at.now_ms)
    assert not turns.take("f", "r2", 1, at.now_ms + 3_599_000)
    assert turns.take("g", "r2", 1, at.now_ms), "of another flow"
    assert turns.take("f", "r2", 1, at.now_ms + 3_601_000)


def test_of_several_workers_one_is_left_by_long_nodes(at: Site) -> None:
    """So that pauses and calls of other runs go on meanwhile."""
    turns = LongTurns(Turns(at.redis, at.namespace), at.jobs, lambda: at.now_ms)
    for workers in (1, 2):
        worker_of(at.redis, at.namespace, SCHEDULER).register_birth()  # type: ignore[no-untyped-call]
        assert at.jobs.living() == workers
        with turns("r1") as first, turns("r2") as second:
            assert (first, second) == (True, False)
            assert at.jobs.there() == set()
        assert at.jobs.there() == {job_id(at.namespace, "r2", 0)}, "it goes on when the first one has ended"
        at.work()
    worker_of(at.redis, at.namespace, SCHEDULER).register_birth()  # type: ignore[no-untyped-call]
    with turns("r1") as first, turns("r2") as second, turns("r3") as third:
        assert (first, second, third) == (True, True, False)


def test_what_came_of_a_long_node_outlives_redis(at: Site, valkey: Own) -> None:
    turns = LongTurns(Turns(at.redis, at.namespace), at.jobs, lambda: at.now_ms)
    with turns("r1") as first:
        assert first
        valkey.kill()
    valkey.start()


def test_a_run_of_which_workers_die_is_ended(at: Site) -> None:
    """Its page has failed, and then its own job: the others of the page are done."""
    at.define(LATER)
    at.person("ann", "bob")
    ann, bob = at.begin("ann", "bob")
    at.now_ms = THEN_MS
    dead(at, Call(RESUME, DUE, second(DUE_MS)))
    at.paused.keep_up()
    assert at.jobs.there() == {job_id(at.namespace, ann.id, 0), job_id(at.namespace, bob.id, 0)}
    dead(at, Call(GO_ON, bob.id, 0))
    at.work()
    assert at.raised() == {"told": 1}
    assert at.run("bob").state == "failed"
    assert "died of it" in at.run("bob").error


def dead(at: Site, call: Call) -> None:
    """A job whose workers have died once too often."""
    at.jobs.enqueue([call])
    registry = FailedJobRegistry(queue_name(at.namespace, SCHEDULER), at.redis, serializer=JSONSerializer)
    queue = Queue(queue_name(at.namespace, SCHEDULER), connection=at.redis, serializer=JSONSerializer)
    job = queue.fetch_job(job_id(at.namespace, call.run, call.number))
    assert job is not None
    queue.remove(job)
    registry.add(job, ttl=1_000, exc_string="died")


def test_an_event_ends_a_pause(at: Site) -> None:
    at.define(ASKED)
    at.person("ann", "bob")
    at.begin("ann", "bob")
    assert at.store.waited_types() == {"visit"}
    at.now_ms += 1_000
    event = at.event("v1", "ann")
    ended = by_event(event, at.store.waiting_flow_runs(["ann"], "visit"))
    at.runner.go_on(list(ended), resumed=ended)
    assert list(at.sent.values()) == [("came", {"by": "v1"})]
    assert by_event(at.event("v2", "ann"), at.store.waiting_flow_runs(["ann"], "visit")) == {}
    at.now_ms = THEN_MS
    at.work()
    assert at.raised() == {"came": 1, "stayed-away": 1}


def test_an_event_that_nobody_has_told_of_ends_it_when_its_time_has_come(at: Site) -> None:
    """The agents were down, say: what was first wins all the same."""
    at.define(ASKED)
    at.person("ann", "bob")
    at.begin("ann", "bob")
    at.event("before", "ann", at_ms=NOW_MS)
    at.event("v1", "ann", at_ms=NOW_MS + 1)
    at.event("v2", "ann", at_ms=NOW_MS + 2)
    at.event("too-late", "bob", at_ms=DUE_MS + 1)
    at.now_ms = THEN_MS
    at.work()
    assert sorted(at.sent.values(), key=str) == [("came", {"by": "v1"}), ("stayed-away", {})]


def test_an_event_of_who_a_profile_is_part_of_by_now_ends_it(at: Site) -> None:
    at.define(ASKED)
    at.person("ann", "ben")
    at.begin("ben")
    at.merge("ben", into="ann")
    at.now_ms += 1_000
    event = at.event("v1", "ann")
    ended = by_event(event, at.store.waiting_flow_runs(["ann", "ben"], "visit"))
    assert list(ended) == [at.run("ben").id]
    at.now_ms = THEN_MS  # nobody has told
    at.work()
    assert list(at.sent.values()) == [("came", {"by": "v1"})]


def test_an_event_between_the_trigger_and_the_pause_ends_it(at: Site) -> None:
    """It came before anybody could know that a run waits for it."""
    at.define(ASKED)
    at.person("ann")
    order = at.order("ann")
    at.event("v1", "ann", at_ms=NOW_MS + 1)
    at.now_ms += 5_000
    (run,) = at.runner.begin([order])
    assert run.state == "done"
    assert list(at.sent.values()) == [("came", {"by": "v1"})]


def test_of_an_event_and_the_time_the_second_does_nothing(at: Site) -> None:
    at.define(ASKED)
    at.person("ann")
    (run,) = at.begin("ann")
    at.now_ms = DUE_MS
    other = at.made()
    waiting = at.store.waiting_flow_runs(["ann"], "visit")
    assert at.paused.resume(DUE, second(at.now_ms), is_last=False) == 1
    ended = by_event(at.event("v1", "ann"), waiting)  # whoever has read it before it went on
    assert list(ended) == [run.id]
    (found,) = other.go_on(list(ended), resumed=ended)
    assert found.state == "done"
    assert at.raised() == {"stayed-away": 1}


def test_a_second_that_is_not_over_by_this_clock(at: Site) -> None:
    """Whoever has made the job has a clock that is ahead."""
    at.define(LATER)
    at.person("ann")
    at.begin("ann")
    at.now_ms += 3 * DAY_MS - 700
    assert at.paused.resume(DUE, second(DUE_MS), is_last=False) == 1
    assert at.run("ann").state == "done"


def test_names_of_jobs() -> None:
    place = (NOW_MS + 5, "0d4f-11-a")
    assert place_of(due_at(place)) == place
    assert place_of(DUE) is None
    assert due_span("hub-1", job_id("hub-1", DUE, 12)) == (11_000, 12)
    assert due_span("hub-1", job_id("hub-1", due_at(place), 12)) == (NOW_MS + 5, 12)
    assert due_span("hub-1", job_id("hub-1", "0d4f11", 0)) is None
    assert due_span("hub-1", job_id("hub-1", "t", -1)) is None
