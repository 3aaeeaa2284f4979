"""A member of a consumer group that has ended without a word, and that Kafka does not miss."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import admin_config, consumer_config
from hub.log.ghosts import Ghosts
from hub.log.leaving import leave_for
from hub.log.progress import collector_group
from hub.settings import Kafka
from schemas.topics import EVENTS
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


@contextmanager
def looking(ours: Kafka, namespace: str, *mine: int, patience_s: float = 0.0) -> Iterator[Ghosts]:
    group = collector_group(namespace)
    with closing(Ghosts(ours, namespace, group, lambda: mine, patience_s=patience_s)) as ghosts:
        yield ghosts


def test_one_whose_records_wait_is_taken_out_and_others_get_its_partitions(
    ours: Kafka, namespace: str, ghost: str
) -> None:
    group = collector_group(namespace)
    with looking(ours, namespace) as ghosts:
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
    write(ours, EVENTS.name(namespace), [(b"k", b"1")])
    with looking(ours, namespace, patience_s=3600) as ghosts:
        assert ghosts.look() == []
        assert ghosts.look() == []
    # ours do not get on either: there is another reason
    with looking(ours, namespace, *LogAdmin(ours, namespace).partitions(EVENTS)) as ghosts:
        assert ghosts.look() == []
        assert ghosts.look() == []
    assert members(ours, collector_group(namespace)) == [ghost]


def test_one_that_has_left_already_may_be_taken_out(ours: Kafka, namespace: str) -> None:
    leave_for(ours, collector_group(namespace), "nobody")


def test_while_kafka_is_away_nobody_can_be_taken_out() -> None:
    with pytest.raises(Unavailable, match="cannot take one out of the group g"):
        leave_for(Kafka(bootstrap="127.0.0.1:1"), "g", "one")
