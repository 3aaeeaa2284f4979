"""`hub doctor` on real servers: nothing to say of a set-up that is well, and each class of fault is found and named."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from hub.cli.serve import validators
from hub.definitions.kinds import KINDS
from hub.doctor import kafka as broker
from hub.doctor.definitions import definitions, read
from hub.doctor.finding import Finding
from hub.doctor.groups import Group, groups
from hub.doctor.look import Patient, examine
from hub.doctor.processes import processes
from hub.doctor.redis import redis
from hub.doctor.store import store
from hub.health import serve_health
from hub.log.admin import LogAdmin
from hub.log.config import admin_config, consumer_config
from hub.log.progress import collector_group
from hub.model import Batch, Progress
from hub.redis import client
from hub.settings import Api, Health, Kafka, Redis, Settings
from hub.stack import doctor, ports
from hub.store.factory import open_store
from schemas.topics import DEFINITIONS, EVENTS, Topic
from tests.kafka_tools import define, eventually, write
from tests.servers.running import Own, own


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with own("valkey", tmp_path_factory.mktemp("valkey")) as made:
        yield made


def faults(found: Iterator[Finding]) -> dict[str, Finding]:
    """Those that are no ok, by subject."""
    return {one.subject: one for one in found if one.level != "ok"}


def alter(ours: Kafka, name: str, config: Mapping[str, str]) -> None:
    entries = [ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET) for key, value in config.items()]
    wanted = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    admin = AdminClient(admin_config(ours))  # what it answers is gone with it
    for future in admin.incremental_alter_configs([wanted]).values():
        future.result()


def files(folder: Path) -> list[Path]:
    """Without those that SQLite makes for whoever reads."""
    return sorted(path for path in folder.rglob("*") if not path.name.endswith(("-wal", "-shm")))


def test_a_set_up_that_is_well_has_no_failures(ours: Kafka, namespace: str, valkey: Own, tmp_path: Path) -> None:
    settings = Settings(
        kafka=ours,
        namespace=namespace,
        data=tmp_path,
        redis=Redis(url=valkey.url),
        api=Api(port=ports.free_port()),
        secret_key="s3cret-of-the-test",
    )
    open_store(settings.store_url).close()
    needs = doctor.Needs(tmp_path, tmp_path, namespace, ours, settings.redis, settings.api, settings.store_url)
    environ = {"HUB_NAMESPACE": namespace, "HUB_SECRET_KEY": "env:OF_THE_TEST", "HUB_SLIP": "1"}
    before = files(tmp_path)
    found = list(examine(Patient(settings, needs, environ, ["HUB_SLIP"], validators())))
    assert [one for one in found if one.level == "fail"] == []
    told = {one.subject: one.detail for one in found}
    assert {f"topic {EVENTS.name(namespace)}", "Redis", "Redis memory", "clock", "store", "definitions"} <= told.keys()
    assert told["rights on topics"] == "read, write and describe"
    assert told["setting HUB_SECRET_KEY"] == "is set, from the variable OF_THE_TEST"
    assert told["setting HUB_NAMESPACE"] == f"is {namespace}, from the environment"
    assert "s3cret-of-the-test" not in repr(found)
    warned = {one.subject for one in found if one.level == "warn"}
    assert {"setting HUB_SLIP", "HUB_IDENTITY__KEY", f"group {collector_group(namespace)}"} <= warned
    assert files(tmp_path) == before  # it changes nothing
    assert client(valkey.url).dbsize() == 0


@pytest.mark.parametrize(
    ("topic", "config", "level", "words"),
    [
        (EVENTS, {"cleanup.policy": "compact"}, "fail", "cleanup.policy is compact"),
        (DEFINITIONS, {"cleanup.policy": "delete"}, "fail", "cleanup.policy is delete"),
        (EVENTS, {"retention.ms": "3600000"}, "warn", "keeps records for 1.0 hours; 7.0 days"),
        (EVENTS, {"retention.bytes": "1000000"}, "warn", "retention.bytes is 1000000"),
        (EVENTS, {"max.message.bytes": "1000"}, "fail", "max.message.bytes is 1000"),
        (EVENTS, {"min.insync.replicas": "2"}, "fail", "min.insync.replicas is 2, and there are 1 copies"),
    ],
)
def test_a_topic_with_another_setting(
    ours: Kafka, namespace: str, topic: Topic, config: dict[str, str], level: str, words: str
) -> None:
    alter(ours, topic.name(namespace), config)
    cluster = broker.Cluster(ours, namespace)
    subject = f"topic {topic.name(namespace)}"
    found = eventually(lambda: faults(broker.topics(cluster)))
    assert found.keys() == {subject}
    assert found[subject].level == level
    assert words in found[subject].detail
    assert found[subject].mend


def test_topics_that_are_missing_or_have_other_partitions(ours: Kafka, namespace: str) -> None:
    admin = AdminClient(admin_config(ours))
    name, other = f"{namespace}.dead.v1", DEFINITIONS.name(namespace)
    for future in admin.delete_topics([name, other]).values():
        future.result()
    cluster = broker.Cluster(ours, namespace)
    eventually(lambda: not cluster.has(DEFINITIONS))
    config = {"cleanup.policy": "compact", **DEFINITIONS.broker_config()}
    admin.create_topics([NewTopic(other, 2, 1, config=config)])[other].result()
    found = eventually(lambda: faults(broker.topics(cluster)) if cluster.has(DEFINITIONS) else {})
    assert (found[f"topic {name}"].level, found[f"topic {name}"].detail) == ("fail", "is not there")
    assert found[f"topic {other}"].detail.startswith("has 2 partitions; 1 is what it has to have")
    told = faults(broker.topics(broker.Cluster(ours.model_copy(update={"partitions": 6}), namespace)))
    assert told[f"topic {EVENTS.name(namespace)}"].level == "warn"
    assert faults(broker.topics(broker.Cluster(ours, f"{namespace}x")))["topics"].level == "warn"


def test_brokers_that_are_away_or_too_few(ours: Kafka, namespace: str) -> None:
    nobody = Kafka(bootstrap=f"127.0.0.1:{ports.free_port()}")
    assert faults(broker.brokers(broker.Cluster(nobody, namespace)))["Kafka"].level == "fail"
    three = ours.model_copy(update={"replication": 3})
    assert "3 copies of a topic do not fit" in faults(broker.brokers(broker.Cluster(three, namespace)))["Kafka"].detail


@contextmanager
def member(ours: Kafka, group: str, topic: str) -> Iterator[Consumer]:
    """One that has joined and read."""
    consumer = Consumer(consumer_config(ours, group, **{"auto.offset.reset": "earliest"}))
    with closing(consumer):
        consumer.subscribe([topic])
        eventually(lambda: consumer.poll(0.05) is not None)
        yield consumer


def test_a_group_without_members_and_one_that_stands_still(ours: Kafka, namespace: str) -> None:
    topic, name = EVENTS.name(namespace), collector_group(namespace)
    cluster, wanted = broker.Cluster(ours, namespace), [Group(name, EVENTS, "hub collector")]
    assert faults(groups(cluster, wanted))[f"group {name}"].level == "warn"  # none, and nothing waits
    write(ours, topic, [(b"k", b"v")] * 10_002)
    left = faults(groups(cluster, wanted))[f"group {name}"]
    assert (left.level, "10,002 records of events.v1 wait; 0 members: nobody reads them" in left.detail) == (
        "fail",
        True,
    )
    assert left.mend.startswith("Start `hub collector`")
    with member(ours, name, topic) as consumer:
        still = faults(groups(cluster, wanted, lambda _: None))[f"group {name}"]
        assert (still.level, "none was taken" in still.detail) == ("fail", True)

        def commits(_: float) -> None:
            consumer.commit(offsets=[TopicPartition(topic, 0, 1)], asynchronous=False)

        assert faults(groups(cluster, wanted, commits))[f"group {name}"].level == "warn"
        consumer.commit(offsets=[TopicPartition(topic, 0, 10_000)], asynchronous=False)
        assert faults(groups(cluster, wanted, lambda _: None)) == {}


def test_a_member_that_is_gone_is_named(ours: Kafka, namespace: str) -> None:
    """Of two, one gets on: as after a kill that Kafka has not noticed."""
    topic, name = f"{namespace}.two.v1", f"{namespace}.two"
    admin = AdminClient(admin_config(ours))
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result()
    cluster = broker.Cluster(ours, namespace)
    two = Topic("two.v1", carries="", key="", written_by=(), read_by=(), retention=None)
    with member_of_two(ours, name, topic) as (lives, gone):
        (number,) = [place.partition for place in lives.assignment()]

        def commits(_: float) -> None:
            lives.commit(offsets=[TopicPartition(topic, number, 5)], asynchronous=False)

        found = faults(groups(cluster, [Group(name, two, "hub collector")], commits))[f"group {name}"]
        assert found.level == "warn"
        assert f"{gone.memberid()} has [{1 - number}]" in found.detail


@contextmanager
def member_of_two(ours: Kafka, group: str, topic: str) -> Iterator[tuple[Consumer, Consumer]]:
    consumers = [Consumer(consumer_config(ours, group, **{"auto.offset.reset": "earliest"})) for _ in range(2)]
    with closing(consumers[0]), closing(consumers[1]):
        for consumer in consumers:
            consumer.subscribe([topic])

        def is_shared() -> bool:
            for consumer in consumers:
                consumer.poll(0.05)
            return [len(consumer.assignment()) for consumer in consumers] == [1, 1]

        eventually(is_shared)
        write(ours, topic, [(str(n).encode(), b"v") for n in range(40)])
        yield consumers[0], consumers[1]


def test_a_redis_that_forgets_evicts_or_is_away(valkey: Own) -> None:
    with closing(client(valkey.url)) as asked:
        before = {name: asked.config_get(name)[name] for name in ("appendonly", "maxmemory", "maxmemory-policy")}
        try:
            assert faults(redis(valkey.url, time.time)) == {}
            asked.config_set("appendonly", "no")
            asked.config_set("maxmemory-policy", "allkeys-lru")
            found = faults(redis(valkey.url, time.time))
            assert {name: one.level for name, one in found.items()} == {
                "Redis persistence": "warn",
                "Redis memory": "warn",
            }
            asked.config_set("maxmemory", "100mb")
            assert faults(redis(valkey.url, time.time))["Redis memory"].level == "fail"
        finally:
            for name, value in before.items():
                asked.config_set(name, str(value))
    ahead = faults(redis(valkey.url, lambda: time.time() + 60))["clock"]
    assert (ahead.level, "60.0 s ahead of" in ahead.detail) == ("fail", True)
    away = faults(redis(f"redis://:s3cret-of-the-test@127.0.0.1:{ports.free_port()}/0", time.time))["Redis"]
    assert away.level == "fail"
    assert "s3cret-of-the-test" not in repr(away)


def test_a_store_that_is_behind_what_the_log_still_has(ours: Kafka, namespace: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hub.sqlite"
    admin, topic = LogAdmin(ours, namespace), EVENTS.name(namespace)
    write(ours, topic, [(b"k", b"v")] * 8)
    assert faults(store(url, ours, namespace))["store"].level == "warn"  # not there yet
    with closing(open_store(url)) as opened:
        epoch = opened.epoch(admin.topic_id(EVENTS))
        opened.write(applied(epoch, 0, 2))
        assert "store position" not in faults(store(url, ours, namespace))
        kafka = AdminClient(admin_config(ours))
        for future in kafka.delete_records([TopicPartition(topic, 0, 5)]).values():
            future.result()
        gap = faults(store(url, ours, namespace))["store position"]
        assert (gap.level, "partition 0: 2 to 4" in gap.detail) == ("fail", True)
        opened.write(applied(epoch, 2, 100))
        assert "more of partitions [0] than the log" in faults(store(url, ours, namespace))["store position"].detail
        opened.write(applied(opened.epoch("another topic"), 0, 1))
        assert faults(store(url, ours, namespace))["store position"].level == "warn"


def applied(epoch: int, before: int, after: int) -> Batch:
    progress = {0: Progress(before, after)}
    return Batch(epoch=epoch, progress=progress, events=[], profiles=[], sessions=[], dead_letters=[], counters={})


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write anywhere."""
    if os.geteuid():
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_nobody_may_write_to_and_a_file_that_is_no_store() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        (folder / "hub.sqlite").write_bytes(b"no database, but long enough to be taken for one" * 100)
        (folder / "hub.sqlite").chmod(0o644)
        folder.chmod(0o555)
        with unprivileged():
            found = faults(store(f"sqlite:///{folder}/new.sqlite", None, "hub"))
        folder.chmod(0o755)
        assert found["store folder"].level == "fail"
        assert str(folder) in found["store folder"].detail
        assert faults(store(f"sqlite:///{folder}/hub.sqlite", None, "hub"))["store"].level == "fail"


def test_definitions_that_cannot_be_used(ours: Kafka, namespace: str) -> None:
    define(ours, namespace, "source", "shop", {})
    define(ours, namespace, "bridge", "well", kafka_bridge("shop"))
    define(ours, namespace, "bridge", "lost", kafka_bridge("nowhere"))
    define(ours, namespace, "bridge", "odd", {**kafka_bridge("shop"), "settings": {"bootstrap": 7}})
    write(ours, DEFINITIONS.name(namespace), [(b"source/torn", b'{"spec": {"type": 12'), (b"moon/new", b"{}")])
    found = faults(definitions(read(ours, namespace), sorted(KINDS), validators()))
    assert {name: one.level for name, one in found.items()} == {
        "bridge lost": "warn",
        "bridge odd": "fail",
        "source torn": "fail",
        "moon new": "fail",
    }
    assert "settings" in found["bridge odd"].detail


def kafka_bridge(source: str) -> dict[str, Any]:
    return {"type": "kafka", "source": source, "settings": {"bootstrap": "127.0.0.1:1", "topics": "t"}}


def test_a_process_that_is_not_ready_or_away(ours: Kafka, tmp_path: Path) -> None:
    health = Health(port=ports.free_port())
    settings = Settings(kafka=ours, data=tmp_path, health=health, api=Api(port=ports.free_port()))
    state: dict[str, Any] = {"ready": False, "waiting_for": "kafka: no answer"}
    with serve_health(health, lambda: state):
        found = faults(processes(settings))
        assert (found["process api"].level, found["process health port"].level) == ("warn", "fail")
        assert "kafka: no answer" in found["process health port"].detail
        state.update(ready=True, bridges=[{"bridge": "orders", "state": "failed", "last_error": "no such topic"}])
        assert "orders: failed: no such topic" in faults(processes(settings))["process health port"].detail
        state.update(bridges=[])
        assert faults(processes(settings)).keys() == {"process api"}


def test_what_is_printed_is_for_people_or_for_machines(tmp_path: Path) -> None:
    """Also with a check that fails: the exit code says so."""
    from tests.live.whole_hub import hub  # noqa: PLC0415 - only here

    port = str(ports.free_port())
    ill = hub("doctor", "--data", tmp_path, "--port", port, HUB_KAFKA__BOOTSTRAP=f"127.0.0.1:{ports.free_port()}")
    assert ill.returncode == 1
    assert [line[:6] for line in ill.stdout.splitlines() if "Kafka: 127.0.0.1" in line] == ["fail  "]
    well = hub("doctor", "--data", tmp_path, "--port", port, "--json", HUB_LOG__LEVEL="warning")
    assert well.returncode == 0, well.stdout
    told = json.loads(well.stdout)
    assert told["fail"] == 0
    assert len(told["findings"]) == told["ok"] + told["warn"]
    assert {"level", "subject", "detail", "mend"} == told["findings"][0].keys()
