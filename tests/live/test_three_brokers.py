"""
Three Kafka brokers, three collectors, two search nodes, one of each killed after the other: nothing is lost or doubled.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from hub.errors import Unavailable
from hub.log.admin import ensure_topics
from hub.log.config import admin_config
from hub.settings import Kafka, Store
from hub.store import open_store
from tests import stores
from tests.bench import processes
from tests.kafka_tools import define, eventually
from tests.live.numbered_load import Load
from tests.servers.elasticsearch_nodes import COUNT as SEARCH_NODES
from tests.servers.elasticsearch_nodes import nodes
from tests.servers.kafka_cluster import COUNT, Cluster, cluster

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
NAMESPACE = "three"


class Collectors:
    """Three of them; one that ends is started again, as a supervisor does."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self._folder = folder
        own = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
        self._environment = own | variables
        self._running = [self._start(number) for number in range(COUNT)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        with (self._folder / f"collector-{number}.log").open("ab") as log:
            command = [sys.executable, "-m", "hub", "collector"]
            return subprocess.Popen(command, cwd=processes.ROOT, env=self._environment, stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        self._running[number].kill()
        self._running[number].wait()

    def restart(self) -> None:
        """Those that have ended: killed, or because Kafka was not there for too long."""
        for number, one in enumerate(self._running):
            if one.poll() is not None:
                self._running[number] = self._start(number)

    def close(self) -> None:
        for one in self._running:
            one.terminate()
        for one in self._running:
            try:
                one.wait(30)
            finally:
                one.kill()


@contextmanager
def collectors(folder: Path, variables: dict[str, str]) -> Iterator[Collectors]:
    some = Collectors(folder, variables)
    try:
        yield some
    finally:
        some.close()


def copies(kafka: Kafka) -> set[int]:
    """How many copies the hub's partitions have."""
    topics = AdminClient(admin_config(kafka)).list_topics(timeout=20).topics
    ours = [topic for name, topic in topics.items() if name.startswith(f"{NAMESPACE}.")]
    assert len(ours) >= 7
    return {len(partition.replicas) for topic in ours for partition in topic.partitions.values()}


def test_one_of_each_after_the_other_is_killed(tmp_path: Path) -> None:
    """A broker, with it whoever leads the controllers; and a collector."""
    with cluster(tmp_path / "kafka") as brokers:
        kafka = brokers.settings
        ensure_topics(kafka, NAMESPACE)
        assert copies(kafka) == {COUNT}
        define(kafka, NAMESPACE, "source", "web", {"type": ["rest"]})
        variables = stores.settings() | {
            "HUB_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "HUB_KAFKA__REPLICATION": str(COUNT),
            "HUB_NAMESPACE": NAMESPACE,
            "HUB_DATA": str(tmp_path),
        }
        with (
            processes.api(tmp_path, variables) as api,
            collectors(tmp_path, variables) as some,
            Load(f"http://127.0.0.1:{api.port}") as load,
        ):
            load.more()
            for number in range(COUNT):
                kill(brokers, some, number, load)
            load.stop()
            some.restart()
            load.check(kafka, NAMESPACE, stores.store_url(tmp_path, NAMESPACE))


def test_a_search_node_is_killed_too(tmp_path: Path) -> None:
    """In turn with the brokers; the other one goes on, and has all that was stored."""
    with cluster(tmp_path / "kafka") as brokers, nodes(tmp_path / "nodes") as search:
        kafka = brokers.settings
        ensure_topics(kafka, NAMESPACE)
        define(kafka, NAMESPACE, "source", "web", {"type": ["rest"]})
        store = Store(url=f"elasticsearch+http://{','.join(search.hosts)}", copies=1, refresh_ms=100)
        variables = {
            "HUB_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "HUB_KAFKA__REPLICATION": str(COUNT),
            "HUB_NAMESPACE": NAMESPACE,
            "HUB_DATA": str(tmp_path),
            "HUB_STORE__URL": store.url,
            "HUB_STORE__COPIES": str(store.copies),
            "HUB_STORE__REFRESH_MS": str(store.refresh_ms),
        }
        with (
            collectors(tmp_path, variables) as some,
            processes.api(tmp_path, variables) as api,
            Load(f"http://127.0.0.1:{api.port}") as load,
            closing(open_store(store.located(NAMESPACE), readonly=True)) as opened,
        ):

            def stored() -> int:
                """0: a node that was just killed was asked."""
                try:
                    return sum(counts.stored for _, counts in opened.counters())
                except Unavailable:
                    return 0

            load.more()
            for number in range(SEARCH_NODES):
                search.wait()
                search.kill(number)
                before = load.count
                load.more()
                eventually(lambda before=before: stored() > before, 180)  # type: ignore[misc]
                kill(brokers, some, number, load)
                search.start(number)
                some.restart()
                load.more()
            load.stop()
            some.restart()
            search.wait()
            load.check(kafka, NAMESPACE, store.located(NAMESPACE))


def kill(brokers: Cluster, some: Collectors, number: int, load: Load) -> None:
    """While one is away the next one is killed; the hub goes on with what is left, and then all come back."""
    brokers.kill(number)
    load.more()
    some.kill(number)
    load.more()
    brokers.start(number)
    some.restart()
    brokers.wait()
    load.more()
