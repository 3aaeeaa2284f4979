"""Processes that start while what they need is away: they say what they wait for, and begin when it is there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from hub.chaos.proxy import Proxy
from hub.jobs.queue import Call, JobQueue
from hub.redis import client
from hub.settings import Store as StoreSettings
from hub.stack import ports
from hub.store.factory import open_store, remove_store
from schemas.jobs import LOOK_AT, SEGMENTATION, job_id
from schemas.processes import Keys, decode
from tests.kafka_tools import eventually
from tests.live.api import ADMIN, KEY
from tests.live.test_store_faults import Link
from tests.live.whole_hub import ROOT, environment
from tests.plain_http import NO_TLS
from tests.servers.running import Own, own, shared

pytestmark = pytest.mark.slow

KINDS: Final = ("api", "collector", "bridges", "agents", "worker")
STOP_S: Final = 10.0


class Starting:
    """One `hub …` that nobody waits for. Attributes: port: of its API or its health."""

    def __init__(self, kind: str, folder: Path, variables: dict[str, str]) -> None:
        self.kind = kind
        self.log = folder / f"{kind}.log"
        self.port = ports.free_port()
        own = {"HUB_API__PORT" if kind == "api" else "HUB_HEALTH__PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "hub", kind], cwd=ROOT, env={**variables, **own}, stdout=log, stderr=log
            )

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and answer of /ready; 0 while nobody listens."""
        assert self.popen.poll() is None, self.log.read_text()
        with suppress(httpx.TransportError):
            answer = httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=10, verify=NO_TLS)
            return answer.status_code, answer.json()
        return 0, {}

    def until_waiting(self, words: str) -> None:
        """For something that is named so."""
        eventually(lambda: words in self.ready()[1].get("waiting_for", ""))
        assert self.ready()[0] == 503
        assert httpx.get(f"http://127.0.0.1:{self.port}/live", verify=NO_TLS).status_code == 200

    def until_ready(self) -> None:
        eventually(lambda: self.ready()[0] == 200)

    def stop(self) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(STOP_S)


@contextmanager
def started(kinds: tuple[str, ...], folder: Path, **variables: str) -> Iterator[dict[str, Starting]]:
    """Processes by kind; killed afterwards if they still run."""
    everything = environment(HUB_DATA=str(folder), HUB_ADMIN_KEY=KEY, PYTHONUNBUFFERED="1", **variables)
    with ExitStack() as stack:
        running = {}
        for kind in kinds:
            running[kind] = Starting(kind, folder, everything)
            stack.callback(running[kind].popen.wait)
            stack.callback(running[kind].popen.kill)
        yield running


def said(log: Path, event: str) -> list[dict[str, Any]]:
    """Lines of a log."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("event") == event]


@pytest.mark.sqlite
def test_while_kafka_is_away_each_process_waits_and_then_works(namespace: str, tmp_path: Path) -> None:
    kafka = Own("kafka", tmp_path / "kafka")  # not started: only its port is known
    bootstrap = kafka.url.removeprefix("kafka://")
    with (
        own("valkey", tmp_path / "valkey") as valkey,
        started(
            KINDS,
            tmp_path,
            HUB_KAFKA__BOOTSTRAP=bootstrap,
            HUB_NAMESPACE=namespace,
            HUB_REDIS__URL=valkey.url,
            HUB_LOG__JSON_LINES="true",
        ) as running,
    ):
        for process in running.values():
            process.until_waiting(f"no broker of {bootstrap} (HUB_KAFKA__BOOTSTRAP) answers")
        url = f"http://127.0.0.1:{running['api'].port}"
        assert httpx.post(f"{url}/track", json={}, verify=NO_TLS).status_code == 503
        with closing(client(valkey.url)) as redis:
            eventually(lambda: waiting(redis, namespace) == 5)
        assert running["bridges"].stop() == 0
        kafka.start()
        try:
            left = [process for kind, process in running.items() if kind != "bridges"]
            for process in left:
                process.until_ready()
                assert len(said(process.log, "process.waits")) == len(said(process.log, "process.goes_on")) == 1
            with httpx.Client(base_url=url, headers=ADMIN, timeout=30, verify=NO_TLS) as api:
                assert api.put("/definitions/source/shop", json={}).status_code == 201
                sent = {"source": {"id": "shop"}, "events": [{"type": "view"}]}
                assert api.post("/track", json=sent).status_code == 200
                eventually(lambda: api.get("/balance").json()["totals"]["stored"] == 1)
            for process in left:
                assert process.stop() == 0
        finally:
            kafka.stop()


def waiting(redis: Any, namespace: str) -> int:
    """Processes that tell that they wait for Kafka."""
    keys = Keys(namespace)
    living = [decode(text) for id in redis.zrange(keys.all, 0, -1) if (text := redis.get(keys.of(id.decode())))]
    return sum(one.state == "waiting" and "no broker" in one.detail for one in living)


@contextmanager
def cut(url: str) -> Iterator[Link]:
    """A link to a server that nobody can reach, until it is healed."""
    with Link(url) as link:
        link.do(Proxy.cut)
        yield link


@pytest.mark.long
@pytest.mark.sqlite
def test_workers_and_agents_wait_for_their_store_and_redis(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path
) -> None:
    valkey = Own("valkey", tmp_path / "valkey")
    with (
        shared("elasticsearch", shared_folder / "elasticsearch") as engine,
        cut(engine) as link,
        started(
            ("agents", "worker"),
            tmp_path,
            HUB_KAFKA__BOOTSTRAP=kafka,
            HUB_KAFKA__PARTITIONS="1",
            HUB_NAMESPACE=namespace,
            HUB_REDIS__URL=valkey.url,
            HUB_STORE__URL=f"elasticsearch+{link.url}",
            HUB_STORE__COPIES="0",
        ) as running,
    ):
        running["worker"].until_waiting("Redis does not answer (HUB_REDIS__URL)")
        running["agents"].until_waiting(link.url)
        store_url = StoreSettings(url=f"elasticsearch+{engine}", copies=0).located(namespace)
        valkey.start()
        try:
            running["worker"].until_waiting(link.url)
            link.do(Proxy.heal)
            open_store(store_url).close()  # as a collector would have
            for process in running.values():
                process.until_ready()
            eventually(lambda: running["agents"].ready()[1]["leads"])
            with closing(client(valkey.url)) as redis:
                JobQueue(redis, namespace, SEGMENTATION).enqueue([Call(LOOK_AT, "of-no-run", 0)])
                job = Job.fetch(job_id(namespace, "of-no-run", 0), connection=redis, serializer=JSONSerializer)
                eventually(lambda: job.get_status() == "finished")
            assert [process.stop() for process in running.values()] == [0, 0]
        finally:
            valkey.stop()
            link.do(Proxy.heal)
    remove_store(store_url)
