"""A topic that is deleted and made again: the bridge notices, and reads the new one from its beginning."""

from __future__ import annotations

import asyncio
import time

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.live.reading import Pump
from tests.sources.kafka import KafkaSource
from tests.waiting import wait_for

FIRST, SECOND = 50, 300


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("settled", [True, False], ids=["idle", "busy"])
@pytest.mark.parametrize("for_s", [0.5, 3.0])
async def test_a_topic_that_is_made_again_is_read_from_its_beginning(
    kafka: str, namespace: str, protocol: str, settled: bool, for_s: float
) -> None:
    """`settled`: all is committed when it is deleted. `for_s`: how long it is gone."""
    source = KafkaSource(kafka, f"{namespace}.source")
    group = f"{namespace}.group"
    pump = Pump("kafka", {**source.settings, "protocol": protocol, "group": group})
    admin = AdminClient({"bootstrap.servers": kafka})
    await asyncio.to_thread(source.put, bodies(0, FIRST))
    await pump.until(bodies(0, FIRST))
    if settled:
        await asyncio.to_thread(wait_for, "all is committed", lambda: committed(kafka, group, source.topic) == FIRST)
    await asyncio.to_thread(remake, admin, source.topic, for_s)
    await asyncio.to_thread(source.put, bodies(FIRST, SECOND))
    await pump.until(bodies(FIRST, SECOND))  # those of before had the same positions
    await pump.end()
    assert pump.order == bodies(0, SECOND)


def remake(admin: AdminClient, topic: str, for_s: float) -> None:
    admin.delete_topics([topic])[topic].result()
    time.sleep(for_s)
    wait_for("the topic is gone", lambda: topic not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()


def committed(kafka: str, group: str, topic: str) -> int:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    [place] = consumer.committed([TopicPartition(topic, 0)], 10)
    consumer.close()
    return int(place.offset)
