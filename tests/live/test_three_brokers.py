"""Three Kafka brokers and three collectors, one of each killed after the other: nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from hub.log.admin import ensure_topics
from hub.log.config import admin_config
from hub.settings import Kafka
from tests import stores
from tests.bench import processes
from tests.kafka_tools import define
from tests.live.numbered_load import Load
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
