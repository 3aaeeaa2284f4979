"""A Kafka bridge that has nothing to do: it rests, and is there as soon as something happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from bridges.base import Context
from bridges.kafka import KafkaBridge, KafkaSettings
from hub.errors import Unavailable
from tests.live.reading import opened, taken
from tests.live.test_bridge_kafka_remade import remake
from tests.sources.kafka import KafkaSource

pytestmark = pytest.mark.slow

WITHIN_S = 60.0


@asynccontextmanager
async def resting(source: KafkaSource, protocol: str = "consumer") -> AsyncIterator[KafkaBridge]:
    """One that rests as soon as nothing comes."""
    wanted = KafkaSettings.model_validate(settings(source, protocol))
    bridge = KafkaBridge(wanted, Context("b", "t", {}), rest_after_s=0.0)
    try:
        await bridge.connect()
        await until_rest(bridge)
        yield bridge
    finally:
        await bridge.close()


def settings(source: KafkaSource, protocol: str) -> dict[str, Any]:
    return {**source.settings, "protocol": protocol, "group": f"{source.topic}.group"}


async def until_rest(bridge: KafkaBridge) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not bridge.resting:
            batch = await bridge.take(100)
            assert not batch.deliveries


async def until_parts(each: int, *bridges: KafkaBridge) -> None:
    """Each has so many partitions, and rests."""
    async with asyncio.timeout(WITHIN_S):
        while not all(len(bridge.parts()) == each and bridge.resting for bridge in bridges):
            for bridge in bridges:
                assert not (await bridge.take(1)).deliveries


@pytest.fixture
def source(kafka: str, namespace: str) -> KafkaSource:
    return KafkaSource(kafka, f"{namespace}.source")


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_what_comes_while_it_rests_is_taken_once_and_in_order(source: KafkaSource, protocol: str) -> None:
    async with resting(source, protocol) as bridge:
        for again in range(3):
            bodies = [b"%d/%d" % (again, n) for n in range(50)]
            await asyncio.to_thread(source.put, bodies)
            assert [delivery.body for delivery in await taken(bridge, 50)] == bodies
            await until_rest(bridge)
        assert (bridge.lag(), bridge.parts()[0].position) == (0, f"{source.topic}/0/149")


async def test_it_does_not_rest_with_something_in_hand(source: KafkaSource) -> None:
    """It would commit nothing meanwhile."""
    async with resting(source) as bridge:
        await asyncio.to_thread(source.put, [b"a"])
        async with asyncio.timeout(WITHIN_S):
            while not (batch := await bridge.take(1)).deliveries:
                continue
        assert not (await bridge.take(1)).deliveries
        assert not bridge.resting
        await bridge.ack(batch)
        await until_rest(bridge)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_partitions_come_and_go_while_it_rests(kafka: str, source: KafkaSource, protocol: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    await asyncio.to_thread(admin.create_partitions([NewPartitions(source.topic, 2)])[source.topic].result)
    async with resting(source, protocol) as first:
        await until_parts(2, first)
        async with resting(source, protocol) as second:
            await until_parts(1, first, second)
        await until_parts(2, first)
        await asyncio.to_thread(source.put, [b"%d" % n for n in range(40)])
        assert len(await taken(first, 40)) == 40


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
async def test_a_topic_that_is_made_again_while_it_rests(kafka: str, source: KafkaSource, protocol: str) -> None:
    """The bridge notices, or the group does: in any case the new one is read from its beginning."""
    admin = AdminClient({"bootstrap.servers": kafka})
    new = [b"new%d" % n for n in range(60)]
    found: list[bytes] = []
    async with resting(source, protocol) as bridge:
        await asyncio.to_thread(source.put, [b"old%d" % n for n in range(30)])
        await taken(bridge, 30)
        await until_rest(bridge)
        await asyncio.to_thread(remake, admin, source.topic, 0.0)
        await asyncio.to_thread(source.put, new)
        with suppress(Unavailable):
            found = [delivery.body for delivery in await taken(bridge, 60)]
    if not found:
        async with opened("kafka", settings(source, protocol)) as again:
            found = [delivery.body for delivery in await taken(again, 60)]
    assert found == new
