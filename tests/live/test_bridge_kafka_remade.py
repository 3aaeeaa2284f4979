"""A topic that is deleted and made again: the bridge notices, and reads the new one from its beginning."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from tests.live.reading import Pump, opened, taken
from tests.sources.kafka import KafkaSource
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

FIRST, SECOND = 50, 300


def bodies(first: int, after: int) -> list[bytes]:
    return [f"m{n}".encode() for n in range(first, after)]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("settled", [True, False], ids=["idle", "busy"])
@pytest.mark.parametrize("for_s", [0.0, 0.5, 3.0])
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
        await asyncio.to_thread(
            wait_for, "all is committed", lambda: committed(kafka, group, source.topic).offset == FIRST
        )
    await asyncio.to_thread(remake, admin, source.topic, for_s)
    await asyncio.to_thread(source.put, bodies(FIRST, SECOND))
    await pump.until(bodies(FIRST, SECOND))  # those of before had the same positions
    await pump.end()
    assert pump.order == bodies(0, SECOND)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("start", ["earliest", "latest"])
async def test_a_commit_that_comes_when_the_topic_is_made_again_already_skips_nothing(
    kafka: str, namespace: str, protocol: str, start: str
) -> None:
    """The broker takes it for one of the new topic: it has the same name. The bridge knows better."""
    source = KafkaSource(kafka, f"{namespace}.source")
    group = f"{namespace}.group"
    settings = {**source.settings, "protocol": protocol, "group": group}
    await asyncio.to_thread(source.put, bodies(0, FIRST))
    await read(settings, FIRST)
    late = await asyncio.to_thread(committed, kafka, group, source.topic)
    assert late.offset == FIRST
    await asyncio.to_thread(remake, AdminClient({"bootstrap.servers": kafka}), source.topic, 0.0)
    await asyncio.to_thread(source.put, bodies(FIRST, SECOND))
    await asyncio.to_thread(commit, kafka, group, late)
    assert await read({**settings, "start": start}, SECOND - FIRST) == bodies(FIRST, SECOND)
    # and that is the place in the new one
    await asyncio.to_thread(source.put, [b"more"])
    assert await read(settings, 1) == [b"more"]


async def test_a_place_that_somebody_else_has_set_counts(kafka: str, namespace: str) -> None:
    """Tools that set a group back write nothing beside the offset."""
    source = KafkaSource(kafka, f"{namespace}.source")
    settings = {**source.settings, "group": f"{namespace}.group"}
    await asyncio.to_thread(source.put, bodies(0, FIRST))
    await asyncio.to_thread(commit, kafka, settings["group"], TopicPartition(source.topic, 0, 20))
    assert await read(settings, FIRST - 20) == bodies(20, FIRST)


async def read(settings: dict[str, Any], count: int) -> list[bytes]:
    """The next ones, acknowledged."""
    async with opened("kafka", settings) as reading:
        return [delivery.body for delivery in await taken(reading, count)]


def remake(admin: AdminClient, topic: str, for_s: float) -> None:
    admin.delete_topics([topic])[topic].result()
    time.sleep(for_s)
    wait_for("the topic is gone", lambda: topic not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()


def committed(kafka: str, group: str, topic: str) -> TopicPartition:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    [place] = consumer.committed([TopicPartition(topic, 0)], 10)
    consumer.close()
    return place


def commit(kafka: str, group: str, place: TopicPartition) -> None:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": group})
    consumer.commit(offsets=[place], asynchronous=False)
    consumer.close()
