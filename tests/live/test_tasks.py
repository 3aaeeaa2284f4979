"""Tasks by real workers on a real Valkey, Kafka, store and collector: whatever is killed, the effect is exact."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from hub.copying.requests import requests
from hub.jobs.queue import Call, JobQueue
from hub.log.admin import ensure_topics
from hub.pipeline.requests import reevaluate
from hub.redis import client
from hub.segments.sender import Sender
from hub.segments.timers import now_ms
from hub.settings import Kafka
from hub.stack.ports import free_port
from hub.task import OVER, Planned, Task, summed
from schemas.jobs import DO, EVENT_TO_PROFILE, PROPERTIES_TO_TRAITS, QUEUES, queue_name
from tests.factories import event, track
from tests.kafka_tools import eventually
from tests.live.collector import collector
from tests.live.killing import kill_again_and_again
from tests.live.segment_site import Site, site, worker
from tests.plain_http import NO_TLS
from tests.servers import running

pytestmark = pytest.mark.slow

LATE = {
    "event_type": "purchase",
    "fields": [
        {"event": "properties.n", "profile": "traits.total", "op": "add"},
        {"event": "properties.n", "profile": "traits.last"},
        {"event": "properties.n", "profile": "traits.first", "op": "set-if-empty"},
        {"profile": "traits.count", "op": "increment", "value": 1},
    ],
}
TYPE = {"description": "As bought", "copied": {"traits.amount": "properties.n"}}


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with running.shared("valkey", shared_folder / "valkey") as url:
        yield url


def purchases(at: Site, events: int, profiles: int) -> dict[str, dict[str, Any]]:
    """Sent and stored. Returns what the traits of each profile are to be, once they are copied."""
    began_ms, model = now_ms() - 10 * events, dict[str, dict[str, Any]]()
    records = []
    for number in range(events):
        id, n = f"p{number * 7919 % profiles:04}", number % 97
        records.append(track(id, event(f"e{number}", time_ms=began_ms + number, n=n), received_at_ms=now_ms()))
        traits = model.setdefault(id, {"total": 0, "first": n, "count": 0})
        traits |= {"total": traits["total"] + n, "last": n, "count": traits["count"] + 1}
    at.send(*records)
    eventually(lambda: at.store.count("events", "") == events)
    return model


def traits(at: Site) -> dict[str, Any]:
    found, after = dict[str, Any](), ""
    while page := at.store.profiles_after(after, 1_000):
        found |= {id: msgspec.json.decode(document)["traits"] for id, document in page}
        after = page[-1][0]
    return found


def ask(at: Site, kind: str, queue: str, id: str = "t1", **arguments: Any) -> None:
    assert at.store.add_task(Task(id=id, kind=kind, queue=queue, arguments=arguments, asked_ms=now_ms()))


def copied(at: Site, id: str = "t1", **arguments: Any) -> None:
    ask(at, "copy-events-to-profiles", EVENT_TO_PROFILE, id, **arguments)


def ended(at: Site, id: str = "t1", within_s: float = 60) -> Task:
    def look() -> Task | None:
        task = at.store.task(id)
        return task if task is not None and task.state in OVER else None

    found = eventually(look, within_s)
    assert found is not None
    return found


def done(at: Site, id: str = "t1") -> int:
    return summed(at.store.slices(id)).done


def counts(at: Site, id: str = "t1") -> Mapping[str, int]:
    return summed(at.store.slices(id)).counts


@contextmanager
def crew(at: Site, queue: str, slice_events: int, processes: int = 2) -> Iterator[list[psutil.Process]]:
    """`hub worker --processes`. Yields its processes, as they are now each time that they are asked for."""
    options = ("--processes", str(processes))
    variables = {"HUB_TASKS__SLICE_EVENTS": str(slice_events)}
    with worker(at, variables, queue=queue, options=options) as one:
        yield [psutil.Process(one.process.pid)]


def test_events_are_copied_into_profiles_once(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        model = purchases(at, 500, 20)
        at.define("mapping", "late", **LATE)
        newer = now_ms() + 1
        at.send(track("p0000", event("newest", time_ms=newer, n=1_000), received_at_ms=newer))
        eventually(lambda: at.store.count("events", "") == 501)
        one = model["p0000"]
        model["p0000"] = {**one, "total": one["total"] + 1_000, "count": one["count"] + 1, "last": 1_000}
        with worker(at, {"HUB_TASKS__SLICE_EVENTS": "100"}, queue=EVENT_TO_PROFILE):
            copied(at, "dry", dry_run=True)
            assert ended(at, "dry").state == "done"
            assert counts(at, "dry") == {"to_copy": 500, "applied_already": 1}
            shown = at.store.slices("dry")[0].sample
            assert shown[0]["changes"][0].keys() == {"field", "before", "after"}
            assert traits(at)["p0001"] == {}
            copied(at)
            assert ended(at).state == "done"
            assert traits(at) == model
            copied(at, "again")
            assert ended(at, "again").state == "done"
            assert counts(at, "again") == {"applied_already": 501}
        assert traits(at) == model
        assert len(at.store.slices("t1")) == 6


def test_index_fields_are_made_anew(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        purchases(at, 300, 20)
        assert at.store.count("events", "traits.amount = 5") == 0
        before = at.store.get("events", "e5")
        at.define("event-type", "purchase", **TYPE)
        kind = "copy-properties-to-traits"
        with worker(at, {"HUB_TASKS__SLICE_EVENTS": "100"}, queue=PROPERTIES_TO_TRAITS):
            ask(at, kind, PROPERTIES_TO_TRAITS, "dry", dry_run=True, where="properties.n >= 0")
            assert ended(at, "dry").state == "done"
            assert counts(at, "dry")["to_index"] == 300
            assert at.store.slices("dry")[0].sample[0]["after"]["traits"].keys() == {"amount"}
            assert at.store.get("events", "e5") == before
            ask(at, kind, PROPERTIES_TO_TRAITS)
            assert ended(at).state == "done"
            assert counts(at) == {"indexed": 300}
            ask(at, kind, PROPERTIES_TO_TRAITS, "again")
            ended(at, "again")
            assert counts(at, "again") == {"unchanged": 300}
        assert before is not None
        after = at.store.get("events", "e5")
        assert after is not None
        assert after["traits"] == {"amount": 5}
        assert {**after, "traits": 0, "data": 0} == {**before, "traits": 0, "data": 0}
        assert at.store.count("events", "traits.amount = 5") == 4


class Counting:
    """A window that lets all through."""

    def __init__(self) -> None:
        self.entered: list[int] = []
        self.stored: list[tuple[int, int, int]] = []

    def wait(self, events: int) -> None:
        self.entered.append(events)

    def landed(self, events: int, partition: int, offset: int) -> None:
        self.stored.append((events, partition, offset))

    def lost(self, events: int) -> None:
        raise AssertionError(events)


def test_live_events_wait_for_no_more_copies_than_for_other_bulk(kafka: str, namespace: str) -> None:
    """A request counts for as many events as it is about."""
    settings, window = Kafka(bootstrap=kafka, partitions=1), Counting()
    ensure_topics(settings, namespace)
    copies = {"ann": [{"id": f"e{number}"} for number in range(70)], "bob": [{"id": "e70"}]}
    asked = list(requests(copies, "2026-11", [], task="t", at_ms=now_ms(), definitions_offset=0))
    look = reevaluate("ann", None, id="r", at_ms=now_ms(), definitions_offset=0)
    with Sender(settings, namespace, window) as sender:
        landed = sender.send([*asked, look])
    assert window.entered == [50, 20, 1, 1]
    assert window.stored == [(50, 0, 0), (20, 0, 1), (1, 0, 2), (1, 0, 3)]
    assert sorted(landed) == [(0, number) for number in range(4)]


def test_a_mapping_that_is_not_there_or_switched_off(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, worker(at, queue=EVENT_TO_PROFILE):
        copied(at, mappings=["nowhere"])
        found = ended(at)
        assert (found.state, found.error) == ("failed", "there is no mapping 'nowhere'")
        lines = [{"event": "properties.n", "profile": "traits.n"}]
        at.define("mapping", "off", event_type="view", fields=lines, enabled=False)
        copied(at, "t2", mappings=["off"])
        found = ended(at, "t2")
        assert found.state == "failed"
        assert "the mapping 'off' is switched off" in found.error


@pytest.mark.timeout(300)
def test_cancelled_it_stops(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        purchases(at, 3_000, 20)
        at.define("mapping", "late", **LATE)
        with worker(at, {"HUB_TASKS__SLICE_EVENTS": "20"}, queue=EVENT_TO_PROFILE):
            copied(at)
            eventually(lambda: done(at) > 0)
            at.store.cancel_task("t1", now_ms())
            copied(at, "t2", where="properties.n = 1")
            assert ended(at, "t2", within_s=240).state == "done"
        assert done(at) < 3_000
        assert counts(at, "t2")


def test_a_worker_that_dies_of_a_slice_again_and_again(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    """The slice has failed, and the others are done: nothing goes round for ever."""
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        model = purchases(at, 200, 20)
        at.define("mapping", "late", **LATE)
        with worker(at, {"HUB_TASKS__SLICE_EVENTS": "100"}, queue=EVENT_TO_PROFILE):
            copied(at, "plan")
            ended(at, "plan")
        assert traits(at) == model
        copied(at)
        spec = at.store.slices("plan")[0].spec
        at.store.plan_task("t1", [Planned(spec, 100), Planned(spec, 100)], now_ms())
        for _ in range(5):  # as a worker does that dies before its first page is saved
            at.store.begin_slice("t1", 0)
        with worker(at, queue=EVENT_TO_PROFILE):
            found = ended(at)
        assert found.state == "failed"
        assert "died 5 times" in found.error
        assert [one.state for one in at.store.slices("t1")] == ["failed", "done"]


def _killed(kafka: str, namespace: str, tmp_path: Path, *, events: int, kills: int, slice_events: int) -> None:
    """Workers killed in the middle, Valkey killed twice and emptied once."""
    with (
        running.own("valkey", tmp_path / "valkey") as valkey,
        site(kafka, namespace, tmp_path, valkey.url) as at,
        collector(kafka, namespace, tmp_path),
    ):
        model = purchases(at, events, 200)
        at.define("mapping", "late", **LATE)
        copied(at)
        with crew(at, EVENT_TO_PROFILE, slice_events) as (boss,):
            kill_again_and_again(valkey, boss, kills, done=lambda: done(at), over=lambda: ended_already(at))
            assert ended(at, within_s=240).state == "done"
        assert traits(at) == model
        assert done(at) == events
        assert counts(at).keys() <= {"copied", "applied_already"}
        assert sum(counts(at).values()) == events


def ended_already(at: Site) -> bool:
    task = at.store.task("t1")
    return task is not None and task.state in OVER


@pytest.mark.timeout(300)
def test_killed_three_times(kafka: str, namespace: str, tmp_path: Path) -> None:
    _killed(kafka, namespace, tmp_path, events=4_000, kills=3, slice_events=100)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_ten_times(kafka: str, namespace: str, tmp_path: Path) -> None:
    _killed(kafka, namespace, tmp_path, events=30_000, kills=10, slice_events=400)


def test_rq_shows_the_queues(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    """They are ordinary RQ: its own tools see queues, jobs and workers."""
    rq = Path(sys.executable).with_name("rq")
    with site(kafka, namespace, tmp_path, redis_url) as at:
        with client(redis_url) as redis:
            for queue in QUEUES:
                JobQueue(redis, namespace, queue).enqueue([Call(DO, "t1", 0)])
        command = [str(rq), "info", "--raw", "--url", redis_url]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for queue in QUEUES:
            assert f"queue {queue_name(namespace, queue)} 1" in found
        port = free_port()
        with worker(at, {"HUB_HEALTH__PORT": str(port)}, queue=EVENT_TO_PROFILE) as one:
            eventually(lambda: b"worker.started" in one.log.read_bytes())
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert f"worker {namespace}-" in shown
            # what it knows nothing of, it leaves
            eventually(lambda: f"queue {queue_name(namespace, EVENT_TO_PROFILE)} 0" in _raw(command))
            # and it says itself how many it has done
            ready = {"ready": True, "state": "idle", "done": 1}
            eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/ready", verify=NO_TLS).json() == ready)


def test_a_worker_that_redis_has_forgotten_is_known_again(kafka: str, namespace: str, tmp_path: Path) -> None:
    """Else `GET /tasks` says that no worker does it, as long as it lives."""
    with (
        running.own("valkey", tmp_path / "valkey") as valkey,
        site(kafka, namespace, tmp_path, valkey.url) as at,
        client(valkey.url) as redis,
        worker(at, queue=EVENT_TO_PROFILE),
    ):
        queue = JobQueue(redis, namespace, EVENT_TO_PROFILE)
        for _ in range(2):
            eventually(lambda: queue.living() == 1)
            redis.flushall()
        eventually(lambda: queue.living() == 1)


def _raw(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
