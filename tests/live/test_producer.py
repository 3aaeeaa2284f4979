"""The publisher, and its topics, on a real Kafka: acknowledged or failed, never in between."""

from __future__ import annotations

import asyncio
import secrets
import socket

import pytest

from hub.collector.growing import KNOWN_S
from hub.errors import PortError, Refused, Unavailable
from hub.log.admin import LogAdmin, ensure_topics
from hub.log.config import producer_config
from hub.log.hold import Hold
from hub.log.partitions import partition_of_key
from hub.log.producer import Publisher
from hub.settings import Kafka
from schemas.topics import DEFINITIONS, EVENTS, MAX_RECORD_BYTES


@pytest.fixture
async def publisher(kafka, namespace):
    ensure_topics(Kafka(bootstrap=kafka), namespace)
    publisher = Publisher(producer_config(Kafka(bootstrap=kafka)))
    yield publisher
    await publisher.close()


async def test_an_acknowledgement_has_the_records_offset(publisher, kafka, namespace):
    topic = DEFINITIONS.name(namespace)
    offsets = await asyncio.gather(*[publisher.publish(topic, b"k", b"v") for _ in range(1000)])
    assert offsets == list(range(1000))
    assert await publisher.publish(topic, b"k", None) == 1000
    admin = LogAdmin(Kafka(bootstrap=kafka), namespace)
    assert await asyncio.to_thread(admin.end_offsets, DEFINITIONS) == {0: 1001}


def test_topics_wait_for_as_many_brokers_as_they_have_copies(kafka, namespace):
    with pytest.raises(Unavailable, match=r"3 copies \(HUB_KAFKA__REPLICATION\) need as many brokers"):
        ensure_topics(Kafka(bootstrap=kafka, replication=3), namespace)


async def test_after_a_fatal_error_it_goes_on_with_a_new_producer(kafka, namespace):
    """Else one broker's slip would end a process that could serve on: an idempotent producer never recovers."""
    ours, topic = Kafka(bootstrap=kafka), DEFINITIONS.name(namespace)
    ensure_topics(ours, namespace)
    # with this librdkafka counts it as fatal that the broker refuses one record of several
    fatal = {"enable.gapless.guarantee": True, "message.max.bytes": 3 * MAX_RECORD_BYTES}
    publisher = Publisher(producer_config(ours, **fatal))
    assert await publisher.publish(topic, b"k", b"v") == 0
    held = [publisher.publish(topic, b"k", secrets.token_bytes(size)) for size in (1, 2 * MAX_RECORD_BYTES, 1, 1)]
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(*held, return_exceptions=True)
        assert any(isinstance(outcome, PortError) for outcome in outcomes)
        assert all(isinstance(outcome, int | PortError) for outcome in outcomes), "each is told what became of it"
        while True:
            try:
                assert await publisher.publish(topic, b"k", b"v") >= 1
                break
            except Unavailable:
                await asyncio.sleep(0.05)
        await publisher.close()


async def test_a_record_beyond_the_topics_limit_is_refused_for_good(publisher, namespace):
    with pytest.raises(Refused):
        await publisher.publish(DEFINITIONS.name(namespace), b"k", b"v" * (MAX_RECORD_BYTES + 1))


async def is_taken(publisher, topic):
    try:
        await publisher.publish(topic, b"k", b"v")
    except Unavailable:
        return False
    return True


async def test_while_the_log_is_held_a_record_may_be_sent_again(publisher, kafka, namespace):
    """It is not too large, whatever the broker says; and afterwards the same producer goes on."""
    hold, topic = Hold(Kafka(bootstrap=kafka), namespace), EVENTS.name(namespace)
    await asyncio.to_thread(hold.begin)
    async with asyncio.timeout(20):  # the broker knows it a moment later
        while await is_taken(publisher, topic):
            pass
    outcomes = await asyncio.gather(*[publisher.publish(topic, b"k", b"v") for _ in range(9)], return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unavailable}
    assert "as its partitions grow" in str(outcomes[0])
    await asyncio.to_thread(hold.end)
    async with asyncio.timeout(20):
        while not await is_taken(publisher, topic):
            pass
    assert await is_taken(publisher, topic)


async def test_partitions_that_were_added_are_known_to_a_producer_that_had_nothing_to_send(publisher, kafka, namespace):
    """After REFRESH_S; `hub partitions grow` waits half as long again."""
    admin, topic = LogAdmin(Kafka(bootstrap=kafka), namespace), EVENTS.name(namespace)
    landed: list[tuple[int, int]] = []
    await publisher.publish(topic, b"k", b"v")
    await asyncio.to_thread(admin.add_partitions, EVENTS, 12)
    await asyncio.sleep(KNOWN_S)
    keys = [b"%d" % number for number in range(50)]
    for key in keys:
        await publisher.publish(topic, key, b"v", landed=lambda *place: landed.append(place))
    assert [partition for partition, _ in landed] == [partition_of_key(key, 12) for key in keys]


async def test_a_full_queue_and_a_dead_broker_are_told_apart_and_close_settles_all():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = Kafka(bootstrap=f"127.0.0.1:{unused.getsockname()[1]}", delivery_timeout_s=60)
        publisher = Publisher(producer_config(dead, **{"queue.buffering.max.messages": 2}))
        waiting = [asyncio.create_task(publisher.publish("t", b"k", b"v")) for _ in range(3)]
        with pytest.raises(Unavailable, match="queue"):
            await waiting[2]
        with pytest.raises(Unavailable):
            await asyncio.to_thread(publisher.ping)
        assert not any(task.done() for task in waiting[:2])
        await publisher.close(timeout_s=0.1)
        for task in waiting[:2]:
            with pytest.raises(Unavailable):
                await task


async def test_whoever_stops_waiting_disturbs_nobody(publisher, namespace):
    topic = DEFINITIONS.name(namespace)
    gone = asyncio.create_task(publisher.publish(topic, b"k", b"v"))
    await asyncio.sleep(0)
    gone.cancel()
    assert await publisher.publish(topic, b"k", b"v") == 1


async def test_a_producer_that_gets_nothing_acknowledged_is_replaced():
    """librdkafka's may lose its way for ever; the broker that is away here is only the simplest way to silence."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        dead = Kafka(bootstrap=f"127.0.0.1:{unused.getsockname()[1]}", delivery_timeout_s=0.2)
        publisher = Publisher(producer_config(dead))
        before = publisher._producer
        async with asyncio.timeout(30):
            while publisher._producer is before:
                with pytest.raises(Unavailable):
                    await publisher.publish("t", b"k", b"v")
        await publisher.close(timeout_s=0.1)
