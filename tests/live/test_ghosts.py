"""A member of a consumer group that has ended without a word, and that Kafka does not miss."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import closing

import pytest
import structlog
from confluent_kafka import Consumer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from bridges.base import Context
from bridges.kafka import KafkaBridge, KafkaSettings
from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import admin_config, consumer_config
from hub.log.ghosts import Ghosts
from hub.log.leaving import leave_for
from hub.log.progress import collector_group
from hub.settings import Kafka
from schemas.topics import EVENTS, STORED
from tests.kafka_tools import eventually, write

JOINS = """
import sys
from confluent_kafka import Consumer
from hub.log.config import consumer_config
from hub.settings import Kafka
consumer = Consumer(consumer_config(Kafka(bootstrap=sys.argv[1]), sys.argv[2]))
consumer.subscribe([sys.argv[3]], on_assign=lambda *_: print("has it", flush=True))
while True:
    consumer.poll(1)
"""


def members(kafka: Kafka, group: str) -> list[str]:
    client = AdminClient(admin_config(kafka))
    return [one.member_id for one in client.describe_consumer_groups([group])[group].result().members]


@pytest.fixture
def ghost(ours: Kafka, namespace: str) -> str:
    """Id of a member of the collectors' group that has all partitions, and was killed."""
    group = collector_group(namespace)
    # the broker of the tests misses members after seconds: none shall be gone before it is looked for
    patient = ConfigEntry("consumer.session.timeout.ms", "60000", incremental_operation=AlterConfigOpType.SET)
    wanted = ConfigResource(ResourceType.GROUP, group, incremental_configs=[patient])
    client = AdminClient(admin_config(ours))
    client.incremental_alter_configs([wanted])[wanted].result()
    with subprocess.Popen(
        [sys.executable, "-c", JOINS, ours.bootstrap, group, EVENTS.name(namespace)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "has it\n"
        finally:
            process.kill()
    (member,) = members(ours, group)
    return member


def looking(ours: Kafka, namespace: str, *mine: int, patience_s: float = 0.0) -> Ghosts:
    topic = EVENTS.name(namespace)
    every = [(topic, number) for number in LogAdmin(ours, namespace).partitions(EVENTS)]
    had = [(topic, number) for number in mine]
    return Ghosts(ours, collector_group(namespace), lambda: had, lambda: every, patience_s=patience_s)


def test_one_whose_records_wait_is_taken_out_and_others_get_its_partitions(
    ours: Kafka, namespace: str, ghost: str
) -> None:
    group = collector_group(namespace)
    ghosts = looking(ours, namespace)
    assert ghosts.look() == []  # nothing waits
    assert members(ours, group) == [ghost]
    write(ours, EVENTS.name(namespace), [(b"k", b"1")])
    assert ghosts.look() == []  # it may come to it yet
    assert ghosts.look() == [ghost]
    assert members(ours, group) == []
    with closing(Consumer({**consumer_config(ours, group), "auto.offset.reset": "earliest"})) as next:
        next.subscribe([EVENTS.name(namespace)])
        found = eventually(lambda: next.poll(0.2))
        assert found is not None
        assert found.value() == b"1"


def test_nobody_is_taken_out_who_may_only_be_slow(ours: Kafka, namespace: str, ghost: str) -> None:
    topic = EVENTS.name(namespace)
    write(ours, topic, [(b"k", b"1")])
    ghosts = looking(ours, namespace, patience_s=3600)
    assert ghosts.look() == []
    assert ghosts.look() == []
    # ours do not get on either: there is another reason
    (waits,) = [number for number, end in LogAdmin(ours, namespace).end_offsets().items() if end]
    ghosts = looking(ours, namespace, waits)
    assert ghosts.look() == []
    assert ghosts.look() == []
    assert members(ours, collector_group(namespace)) == [ghost]


def test_who_was_held_up_with_us_gets_time_to_get_on_again(ours: Kafka, namespace: str, ghost: str) -> None:
    """As when the store was away: who comes back first shall not take the others for gone."""
    topic, own = EVENTS.name(namespace), (STORED.name(namespace), 0)
    write(ours, topic, [(b"k", b"1")])
    write(ours, own[0], [(b"k", b"1")])
    now, every = [0.0], {(topic, 0), own}
    ghosts = Ghosts(ours, collector_group(namespace), lambda: [own], lambda: every, clock=lambda: now[0])

    def at(seconds: float) -> list[str]:
        now[0] = seconds
        return ghosts.look()

    for seconds in (0, 5, 10, 15, 25):
        assert at(seconds) == []
    every.remove(own)  # ours gets on
    assert at(30) == []
    assert at(44) == []
    assert at(45) == [ghost]


async def test_a_bridge_gets_the_partitions_of_one_that_was_killed(ours: Kafka, namespace: str, ghost: str) -> None:
    """Long before the cluster would miss it, if it ever does."""
    topic, group = EVENTS.name(namespace), collector_group(namespace)
    write(ours, topic, [(b"k", b"1")])
    settings = KafkaSettings(bootstrap=ours.bootstrap, topics=[topic], group=group, protocol="consumer")
    bridge = KafkaBridge(settings, Context("b", namespace, {}), look_s=0.1, patience_s=0.0)
    await bridge.connect()
    try:
        with structlog.testing.capture_logs() as logs:
            async with asyncio.timeout(30):
                while not (batch := await bridge.take(10)).deliveries:
                    pass
    finally:
        await bridge.close()
    assert [one.body for one in batch.deliveries] == [b"1"]
    assert ghost in {line.get("member") for line in logs}


def test_one_that_has_left_already_may_be_taken_out(ours: Kafka, namespace: str) -> None:
    def has_left() -> bool:
        try:
            leave_for(ours, collector_group(namespace), "nobody")
        except Unavailable:
            return False  # a cluster that has just begun makes the topic of the groups' offsets first
        return True

    eventually(has_left)


def test_while_kafka_is_away_nobody_can_be_taken_out() -> None:
    with pytest.raises(Unavailable, match="cannot take one out of the group g"):
        leave_for(Kafka(bootstrap="127.0.0.1:1"), "g", "one")
