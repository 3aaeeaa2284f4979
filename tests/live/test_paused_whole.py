"""Flows that pause, by real workers, agents and a collector on a real Valkey, Kafka and store: whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from hub.definitions.catalogue import Catalogue
from hub.flows.kept import KeptRun, Order
from hub.flows.trace import Fired
from hub.jobs.queue import JobQueue
from hub.log.follower import Follower
from hub.redis import client
from hub.segments.timers import now_ms
from hub.store.port import DefinitionVersion
from schemas.jobs import SCHEDULER, queue_name
from tests.kafka_tools import eventually
from tests.live.collector import collector
from tests.live.killing import kill_at_work, shake
from tests.live.segment_site import Site, purchase, sign_in, site, worker
from tests.servers import running
from tests.unit.flow_cases import spec
from workers import flow_runner
from workers.agents.outbox import Outbox

pytestmark = pytest.mark.slow

DAY_MS = 86_400_000
GRACE = {"wait": "3d", "grace": "1h"}


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with running.shared("valkey", shared_folder / "valkey") as url:
        yield url


def paused(config: Mapping[str, Any], told: str = "told") -> dict[str, Any]:
    """Counts, pauses, counts and tells: each once."""
    return {
        "start": ("start", {}, "first"),
        "first": ("increment", {"field": "traits.first", "by": 1}, "wait"),
        "wait": ("pause", dict(config), {"out": "then", "timeout": "timeout", "late": "late"}),
        "then": ("increment", {"field": "traits.then", "by": 1}, "tell"),
        "tell": ("raise-event", {"event_type": told}),
        "late": ("raise-event", {"event_type": "too-late"}),
        "timeout": ("raise-event", {"event_type": "stayed-away"}),
    }


def define(at: Site, nodes: Mapping[str, Any], id: str = "f", **more: Any) -> int:
    """A flow; the store has its version, as an API process sees to. Returns it."""
    flow = spec(dict(nodes), **more).model_dump(mode="json")
    version = at.define("flow", id, **flow)
    at.store.keep_versions([DefinitionVersion("flow", id, version, now_ms(), msgspec.json.encode(flow).decode())])
    return version


def people(at: Site, *ids: str) -> None:
    at.send(*(sign_in(id, 1) for id in ids))
    eventually(lambda: at.profiles() >= len(ids))


def begin(at: Site, flow: str, version: int, ids: Sequence[str]) -> list[KeptRun]:
    """Runs of these profiles, as a worker begins them."""
    with ExitStack() as stack:
        catalogue, redis = Catalogue(), stack.enter_context(closing(client(at.settings.redis.url)))
        stack.enter_context(Follower(at.kafka, at.namespace, catalogue))
        outbox = stack.enter_context(closing(Outbox(at.kafka)))
        runner = flow_runner.made(at.settings, catalogue, at.store, redis, outbox, now_ms=now_ms)
        at_ms, runs = now_ms(), list[KeptRun]()
        for one in range(0, len(ids), 100):
            some = ids[one : one + 100]
            runs += runner.begin([Order(flow, version, Fired(f"{flow}-{id}", "manual", at_ms, {}), id) for id in some])
        return runs


def traits(at: Site) -> dict[str, dict[str, int]]:
    found, after = dict[str, dict[str, int]](), ""
    while page := at.store.profiles_after(after, 1_000):
        for id, text in page:
            values = msgspec.json.decode(text)["traits"]
            found[id] = {name: values.get(name, 0) for name in ("first", "then")}
        after = page[-1][0]
    return found


def count(at: Site, type: str) -> int:
    return at.store.count("events", f"type = {type}")


def state(at: Site, run: KeptRun) -> str:
    return at.store.flow_runs([run.id])[run.id].state


@contextmanager
def process(at: Site, *command: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the hub that stops cleanly at the end of the block."""
    environment = {
        **os.environ,
        "HUB_KAFKA__BOOTSTRAP": at.kafka.bootstrap,
        "HUB_NAMESPACE": at.namespace,
        "HUB_DATA": str(at.folder),
        "HUB_REDIS__URL": at.settings.redis.url,
        **variables,
    }
    with (at.folder / "processes.log").open("ab") as log:
        one = subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=log, stderr=log)
    try:
        yield one
        one.send_signal(signal.SIGTERM)
        assert one.wait(30) == 0, (at.folder / "processes.log").read_text()
    finally:
        one.kill()
        one.wait()


def test_after_a_pause_of_seconds_by_the_clock_of_all_of_us(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    """RQ's own scheduler puts the one job of the second on the queue, and `rq info` shows it."""
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        version = define(at, paused({"wait": "4s"}))
        people(at, "ann", "bob")
        began_ms = now_ms()
        runs = begin(at, "f", version, ["ann", "bob"])
        assert [run.state for run in runs] == ["paused", "paused"]
        with client(redis_url) as redis:
            assert len(JobQueue(redis, namespace, SCHEDULER).scheduled()) in (1, 2)
        with process(at, "hub", "scheduler"):
            eventually(lambda: count(at, "told") == 2)
            shown = subprocess.run(
                [str(Path(sys.executable).with_name("rq")), "info", "--raw", "--url", redis_url],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            assert f"queue {queue_name(namespace, SCHEDULER)} 0" in shown
            assert f"worker {namespace}-" in shown
        for run in runs:
            (_, leg) = at.store.flow_runs([run.id])[run.id].legs
            assert leg.at_ms >= began_ms + 4_000
        eventually(lambda: traits(at) == {one: {"first": 1, "then": 1} for one in ("ann", "bob")})


def test_three_days_later_all_is_new_but_the_flow(kafka: str, namespace: str, tmp_path: Path) -> None:
    """It was changed meanwhile, all processes were restarted, the store closed, and Valkey has lost everything."""
    with running.own("valkey", tmp_path / "valkey") as valkey:
        with site(kafka, namespace, tmp_path, valkey.url) as at, collector(kafka, namespace, tmp_path):
            first = define(at, paused(GRACE, told="first"))
            people(at, "ann")
            (run,) = begin(at, "f", first, ["ann"])
            define(at, paused(GRACE, told="second"))
            with process(at, "tests.clocked_worker", SCHEDULER, "0"), client(valkey.url) as redis:
                eventually(lambda: JobQueue(redis, namespace, SCHEDULER).living() == 1)
            assert state(at, run) == "paused"
        valkey.kill()
        valkey.start()
        with client(valkey.url) as redis:
            redis.flushall()
        with site(kafka, namespace, tmp_path, valkey.url) as at, collector(kafka, namespace, tmp_path):
            with process(at, "tests.clocked_worker", SCHEDULER, str(3 * DAY_MS)):
                eventually(lambda: count(at, "first") == 1)
            assert state(at, run) == "done"
            assert count(at, "second") == 0
            eventually(lambda: traits(at) == {"ann": {"first": 1, "then": 1}})


def test_a_worker_that_was_down_for_a_day_is_late(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        version = define(at, paused(GRACE))
        people(at, "ann")
        (run,) = begin(at, "f", version, ["ann"])
        with process(at, "tests.clocked_worker", SCHEDULER, str(4 * DAY_MS)):
            eventually(lambda: count(at, "too-late") == 1)
        assert state(at, run) == "done"
        assert count(at, "told") == 0


def test_an_event_ends_a_pause_by_agents(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    with site(kafka, namespace, tmp_path, redis_url) as at, collector(kafka, namespace, tmp_path):
        nodes = paused({"wait": "1h", "event_type": "purchase"})
        define(at, nodes, triggers=[{"type": "event", "event_type": "sign-in"}])
        with process(at, "hub", "agents"):
            people(at, "ann", "bob")
            eventually(lambda: len(at.store.waiting_flow_runs(["ann", "bob"], "purchase")) == 2)
            at.send(purchase("p1", "ann", now_ms()), purchase("p2", "ann", now_ms()))
            eventually(lambda: count(at, "told") == 1)
            eventually(lambda: traits(at)["ann"] == {"first": 1, "then": 1})
            eventually(lambda: traits(at)["bob"] == {"first": 1, "then": 0})
            # one that comes at once with what lets the flow run: who is faster does not matter
            at.send(sign_in("eve", 1), purchase("p3", "eve", now_ms() + 1))
            eventually(lambda: count(at, "told") == 2)
        assert count(at, "stayed-away") == 0


def test_on_one_machine_there_is_a_worker_when_it_is_needed_and_it_calls(
    kafka: str, namespace: str, tmp_path: Path, redis_url: str
) -> None:
    """`hub up` has the worker of segments alone; the call is a job of its own, behind the pause."""
    with (
        site(kafka, namespace, tmp_path, redis_url) as at,
        collector(kafka, namespace, tmp_path),
        shop() as (url, keys),
    ):
        nodes = {
            "start": ("start", {}, "wait"),
            "wait": ("pause", {"wait": "2s"}, "ask"),
            "ask": ("http-call", {"method": "POST", "url": url, "body": {"id": "profile@id"}}, "tell"),
            "tell": ("raise-event", {"event_type": "told"}),
        }
        version = define(at, nodes)
        people(at, "ann")
        (run,) = begin(at, "f", version, ["ann"])
        variables = {"HUB_TASKS__ON_DEMAND": "true", "HUB_FLOWS__PRIVATE_NETWORKS": '["127.0.0.0/8"]'}
        with worker(at, variables):
            eventually(lambda: count(at, "told") == 1)
        assert state(at, run) == "done"
        assert len(keys) == 1
        assert keys[0]


@contextmanager
def shop() -> Iterator[tuple[str, list[str]]]:
    """Another system. Yields where it is, and the idempotency keys of its calls."""
    keys: list[str] = []

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers.get("Idempotency-Key", ""))
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/points", keys
        server.shutdown()
        thread.join()


def _killed(kafka: str, namespace: str, tmp_path: Path, *, wave: int, kills: int) -> None:
    """As many waves of runs as kills, each in the middle of one; Valkey killed twice and emptied once: effects once."""
    draw = random.Random(kills)
    with (
        running.own("valkey", tmp_path / "valkey") as valkey,
        site(kafka, namespace, tmp_path, valkey.url) as at,
        collector(kafka, namespace, tmp_path),
    ):
        ids = [f"p{number:05}" for number in range(wave * kills)]
        people(at, *ids)
        version = define(at, paused({"wait": "3s"}))
        with worker(at, queue=SCHEDULER, options=("--processes", "2")) as crew:
            boss = psutil.Process(crew.process.pid)
            for number in range(kills):
                begin(at, "f", version, ids[number * wave : (number + 1) * wave])
                eventually(lambda: kill_at_work(valkey, boss, draw), 120)
                shake(valkey, number, kills)
            runs = every(at)
            assert len(runs) == len(ids)
            eventually(lambda: states(at, runs) == {"done": len(ids)}, 240)
        eventually(lambda: count(at, "told") == len(ids))
        eventually(lambda: traits(at) == {id: {"first": 1, "then": 1} for id in ids})


def every(at: Site) -> list[str]:
    found, before = list[str](), None
    while True:
        page, before = at.store.list_flow_runs(1_000, before)
        found += [run.id for run in page]
        if before is None:
            return found


def states(at: Site, ids: Sequence[str]) -> Counter[str]:
    return Counter(run.state for run in at.store.flow_runs(ids).values())


@pytest.mark.first
@pytest.mark.timeout(300)
def test_killed_three_times(kafka: str, namespace: str, tmp_path: Path) -> None:
    _killed(kafka, namespace, tmp_path, wave=250, kills=3)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_killed_ten_times(kafka: str, namespace: str, tmp_path: Path) -> None:
    _killed(kafka, namespace, tmp_path, wave=1_500, kills=10)
