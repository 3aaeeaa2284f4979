"""The servers of `hub up`, each by itself: real Kafka, real Valkey, `kill -9`."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from hub.stack import jars, kafka, ports, training, valkey
from hub.stack.process import Child, Program
from tests.waiting import wait_for

Run = Callable[[Program], Child]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Starts a program and waits until it is ready; it is gone after the test."""
    children: list[Child] = []

    def run(program: Program) -> Child:
        if program.prepare:
            program.prepare()
        changed = threading.Event()
        log = tmp_path / f"{program.name}.log"

        def take(_: str, line: str) -> None:
            with log.open("a") as file:
                file.write(line + "\n")

        child = Child(program, take, changed.set)
        children.append(child)
        while not child.ready:
            assert changed.wait(60), child.last_words()
            changed.clear()
            assert child.code is None, child.last_words()
        return child

    yield run
    for child in children:
        child.stop()


@pytest.fixture
def broker(tmp_path: Path) -> kafka.Broker:
    """An embedded broker of this test only, not started."""
    cache = jars.default_cache(os.environ.get("XDG_CACHE_HOME"))
    listeners = kafka.Listeners(**ports.choose(tmp_path / "ports.json", kafka.Listeners._fields))
    return kafka.Broker(tmp_path / "kafka", jars.resolve(cache), listeners)


def produce(bootstrap: str, value: str) -> None:
    """Returns when it is acknowledged."""
    errors: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    producer.produce("things", value, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0
    assert errors == [None]


def consume(bootstrap: str, count: int) -> list[bytes]:
    """The first `count` values of the topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test", "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe(["things"])
        return [message.value() for message in consumer.consume(count, timeout=20)]
    finally:
        consumer.close()


@pytest.mark.slow
@pytest.mark.parametrize("same_ports", [True, pytest.param(False, marks=pytest.mark.long)])
def test_kafka_has_after_a_kill_what_it_had_acknowledged(run: Run, broker: kafka.Broker, same_ports: bool) -> None:
    """Under the same cluster id, and also when its ports were taken in between."""
    child = run(kafka.program(broker))
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("things", 1, 1)])["things"].result(20)
    cluster = admin.list_topics(timeout=10).cluster_id
    produce(broker.bootstrap, "before")
    child.send(signal.SIGKILL)
    wait_for("it is gone", lambda: child.code == -signal.SIGKILL)
    if not same_ports:
        broker = broker._replace(listeners=kafka.Listeners(ports.free_port(), ports.free_port()))
    run(kafka.program(broker))
    produce(broker.bootstrap, "after")
    assert consume(broker.bootstrap, 2) == [b"before", b"after"]
    assert AdminClient({"bootstrap.servers": broker.bootstrap}).list_topics(timeout=10).cluster_id == cluster


def test_kafka_is_for_this_machine_only_and_makes_no_topics_by_itself(run: Run, broker: kafka.Broker) -> None:
    """Nothing of it listens to the network; a mistyped topic is an error, not a new topic."""
    child = run(kafka.program(broker))
    listening = [c.laddr for c in psutil.Process(child.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
    assert {address.port for address in listening} == set(broker.listeners)
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    assert admin.list_topics("nope", timeout=10).topics["nope"].error is not None


def test_kafka_maps_the_classes_that_were_kept_of_an_earlier_start(run: Run, broker: kafka.Broker) -> None:
    training.ensure(broker.class_path, lambda: None, pytest.fail)
    child = run(kafka.program(broker))
    mapped = {map.path for map in psutil.Process(child.pid).memory_maps()}
    assert str(kafka.kept(broker.class_path)) in mapped


@pytest.mark.slow
def test_kafka_starts_without_kept_classes_and_with_spoilt_ones(run: Run, broker: kafka.Broker, tmp_path: Path) -> None:
    """They only make it faster. Under other paths, so that no other test uses them."""
    elsewhere = tmp_path / "jars"
    elsewhere.mkdir()
    class_path = [elsewhere / f"{number}-{jar.name}" for number, jar in enumerate(broker.class_path)]
    for link, jar in zip(class_path, broker.class_path, strict=True):
        link.symlink_to(jar)
    broker = broker._replace(class_path=class_path)
    kept = kafka.kept(class_path)
    assert not kept.exists()
    kafka.prepare(broker)
    kept.write_bytes(b"no classes")
    run(kafka.program(broker))


def test_every_write_goes_to_disk_only_when_that_is_set(tmp_path: Path, broker: kafka.Broker) -> None:
    """HUB_KAFKA__FSYNC: slow, survives a power cut."""
    properties = tmp_path / "kafka/server.properties"
    kafka.prepare(broker)
    assert "log.flush.interval.messages" not in properties.read_text()
    kafka.prepare(broker._replace(fsync=True))
    assert "log.flush.interval.messages=1\n" in properties.read_text()


def test_valkey_has_after_a_kill_what_it_had_a_second_before(run: Run, tmp_path: Path) -> None:
    """Append-only file on; nothing is ever evicted."""
    port = ports.free_port()
    child = run(valkey.program(tmp_path / "valkey", port))
    with redis.Redis.from_url(valkey.url(port)) as client:
        client.set("key", "value")
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert client.waitaof(1, 0, 5000)[0] == 1  # on disk: everysec
    child.send(signal.SIGKILL)
    wait_for("it is gone", lambda: child.code == -signal.SIGKILL)
    run(valkey.program(tmp_path / "valkey", port))
    with redis.Redis.from_url(valkey.url(port)) as client:
        assert client.get("key") == b"value"
