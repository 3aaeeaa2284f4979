"""The way out of a bridge: its producer is there only while there is something to send."""

from __future__ import annotations

import asyncio
import secrets
import threading

import pytest
import uvloop
from structlog.testing import capture_logs

from bridges.outlet import OPTIONS, Outlet
from bridges.reserve import Reserve
from hub.errors import Unavailable
from hub.log.admin import ensure_topics
from hub.log.config import producer_config
from hub.settings import Kafka
from schemas.topics import EVENTS, MAX_RECORD_BYTES
from tests.kafka_tools import read


async def test_a_producer_that_has_nothing_to_send_goes_and_comes_back(kafka: str, namespace: str) -> None:
    before = set(threading.enumerate())
    ours = Kafka(bootstrap=kafka, partitions=1)
    await asyncio.to_thread(ensure_topics, ours, namespace)
    outlet = Outlet(producer_config(ours, **OPTIONS), EVENTS.name(namespace), rest_s=0.1)
    assert outlet.resting
    for number in range(3):
        shipment = await outlet.send([(b"k", b"%d" % number, 1)])
        assert not outlet.resting
        await shipment.on_done
        async with asyncio.timeout(20):
            while not outlet.resting:  # noqa: ASYNC110 - its own thread decides that
                await asyncio.sleep(0.01)
    await outlet.close()
    assert {thread.name for thread in set(threading.enumerate()) - before} & {"bridge-outlet"} == set()
    records = await asyncio.to_thread(read, ours, namespace, EVENTS)
    assert [record.value() for record in records] == [b"0", b"1", b"2"]


def test_on_the_loop_that_bridges_run_on_all_that_is_sent_is_acknowledged(kafka: str, namespace: str) -> None:
    """uvloop rounds times to milliseconds, and calls at once what is due in less."""
    ours = Kafka(bootstrap=kafka, partitions=1)
    ensure_topics(ours, namespace)

    async def send() -> None:
        outlet = Outlet(producer_config(ours, **OPTIONS), EVENTS.name(namespace))
        async with asyncio.timeout(30):
            for number in range(200):
                shipments = [await outlet.send([(b"k", b"%d" % number, 1)])]
                while number % 20 == 0 and len(shipments) < 50:
                    shipments.append(await outlet.send([(b"k", b"%d" % number, 1)]))
                    await asyncio.sleep(0)
                for shipment in shipments:
                    await shipment.on_done
        await outlet.close()

    uvloop.run(send())
    assert len(read(ours, namespace, EVENTS)) == 200 + 10 * 49


async def test_after_a_rest_it_sends_by_the_producer_that_waits(kafka: str, namespace: str) -> None:
    """And each time another one waits for the next."""
    ours, nowhere = Kafka(bootstrap=kafka, partitions=1), Kafka(bootstrap="127.0.0.1:1")
    await asyncio.to_thread(ensure_topics, ours, namespace)
    with Reserve(producer_config(ours, **OPTIONS)) as reserve:
        assert reserve.is_empty
        # by a producer of its own it would not get anywhere
        config = producer_config(nowhere, **OPTIONS)
        outlet = Outlet(config, EVENTS.name(namespace), rest_s=0.1, reserve=reserve)
        async with asyncio.timeout(30):
            for number in range(3):
                assert not reserve.is_empty
                await (await outlet.send([(b"k", b"%d" % number, 1)])).on_done
                while not outlet.resting:  # noqa: ASYNC110 - its own thread decides that
                    await asyncio.sleep(0.01)
        await outlet.close()
    assert reserve.is_empty
    records = await asyncio.to_thread(read, ours, namespace, EVENTS)
    assert [record.value() for record in records] == [b"0", b"1", b"2"]


async def test_what_a_producer_that_waits_complains_of_is_heard_and_not_told() -> None:
    """Unheard, it would fill the memory; told, the log."""
    with Reserve(producer_config(Kafka(bootstrap="127.0.0.1:1"), **OPTIONS)) as reserve, capture_logs() as lines:
        assert reserve.look() == 0
        reserve.prepare()
        async with asyncio.timeout(20):
            while not reserve.look():  # noqa: ASYNC110 - its own threads complain
                await asyncio.sleep(0.01)
        assert not lines
        mine = reserve.take()
        async with asyncio.timeout(20):
            while not any("127.0.0.1:1" in line["error"] for line in lines):  # it may say first that all are down
                mine.poll(0)
                await asyncio.sleep(0.01)


async def test_what_is_under_way_keeps_its_producer(namespace: str) -> None:
    """However long our Kafka is away."""
    outlet = Outlet(producer_config(Kafka(bootstrap="127.0.0.1:1"), **OPTIONS), EVENTS.name(namespace), rest_s=0.05)
    shipment = await outlet.send([(b"k", b"v", 1)])
    async with asyncio.timeout(20):
        await asyncio.wait([shipment.on_done], timeout=0.5)
    assert not shipment.on_done.done()
    assert not outlet.resting
    shipment.on_done.cancel()
    await outlet.close()


async def test_of_a_fatal_error_the_bridge_is_told_so_that_it_begins_again(kafka: str, namespace: str) -> None:
    """An idempotent producer never comes back from one."""
    ours = Kafka(bootstrap=kafka, partitions=1)
    await asyncio.to_thread(ensure_topics, ours, namespace)
    # with this librdkafka counts it as fatal that the broker refuses one record of several
    fatal = {"enable.gapless.guarantee": True, "message.max.bytes": 3 * MAX_RECORD_BYTES}
    outlet = Outlet(producer_config(ours, **OPTIONS, **fatal), EVENTS.name(namespace))
    large = secrets.token_bytes(2 * MAX_RECORD_BYTES)
    async with asyncio.timeout(30):
        shipment = await outlet.send([(b"k", large, 1), (b"k", b"v", 1)])
        with pytest.raises(Unavailable):
            await shipment.on_done
        with pytest.raises(Unavailable):
            await (await outlet.send([(b"k", b"v", 1)])).on_done
    await outlet.close()
