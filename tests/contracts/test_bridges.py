"""What every bridge promises, on its real server: nothing lost, nothing acknowledged early, order, rubbish aside."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from bridges.base import WAIT_S, Batch, Bridge, Context, Delivery
from bridges.convert import Converter
from bridges.forward import Forwarder
from bridges.outlet import OPTIONS, Outlet
from bridges.registry import spec_of
from hub.definitions.catalogue import Catalogue
from hub.log.config import producer_config
from hub.pipeline.stop_rule import StopRule
from hub.settings import Kafka, Limits
from hub.store.memory import MemoryStore
from schemas.codec import decode_inbound
from schemas.records import REFUSED, Inbound
from schemas.topics import EVENTS
from tests.kafka_tools import eventually, read
from tests.letters import Buried, telling, told
from tests.sources import FURTHER, NAMES, Source, World, open_source, promises, unwrapped

pytestmark = pytest.mark.slow

NOWHERE = "127.0.0.1:1"
"""A Kafka that is away."""
NOW_MS = 1_780_000_000_000
WITHIN_S = 110.0


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.long if name in FURTHER else ()) for name in NAMES])
def source(request: pytest.FixtureRequest, kafka: str, shared_folder: Path, namespace: str) -> Iterator[Source]:
    with open_source(request.param, World(kafka, shared_folder, namespace)) as made:
        yield made


class Recorder:
    """An Observer that can be waited for."""

    def __init__(self) -> None:
        self.taken_messages = self.acknowledged_messages = self.most_in_flight = 0
        self.reasons: list[str] = []
        self.stalls = self.resumptions = 0
        self._changed = asyncio.Event()

    def taken(self, messages: int, in_flight: int, lag: int | None) -> None:
        self.taken_messages += messages
        self.most_in_flight = max(self.most_in_flight, in_flight)
        self._changed.set()

    def refused(self, reason: str) -> None:
        self.reasons.append(reason)
        self._changed.set()

    def acknowledged(self, messages: int, in_flight: int) -> None:
        self.acknowledged_messages += messages
        self._changed.set()

    def stalled(self, waiting_s: float) -> None:
        self.stalls += 1
        self._changed.set()

    def resumed(self) -> None:
        self.resumptions += 1
        self._changed.set()

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not reached():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[Bridge]:
    spec = spec_of(source.kind)
    bridge = spec.build(spec.settings.model_validate(source.settings), Context("contract", "t", os.environ))
    await bridge.connect()
    try:
        yield bridge
    finally:
        await bridge.close()


async def take(bridge: Bridge, count: int) -> list[Batch]:
    """Batches with `count` messages in all."""
    batches: list[Batch] = []
    async with asyncio.timeout(WITHIN_S):
        while (left := count - sum(len(batch.deliveries) for batch in batches)) > 0:
            batches.append(await bridge.take(left))
    return [batch for batch in batches if batch.deliveries]


def flat(batches: list[Batch]) -> list[Delivery]:
    return [delivery for batch in batches for delivery in batch.deliveries]


def put(source: Source, deliveries: list[Delivery]) -> list[bytes]:
    """What was put of which these came."""
    return [unwrapped(source, delivery.body) for delivery in deliveries]


@asynccontextmanager
async def forwarding(
    bridge: Bridge, ours: Kafka, namespace: str, *, in_flight: int = 1000, blobs: MemoryStore | None = None
) -> AsyncIterator[tuple[Recorder, Callable[[], Awaitable[None]]]]:
    """A forwarder that runs; gives its recorder, and a call that stops it and waits for its end."""
    catalogue = Catalogue()
    catalogue.apply(b"source/shop", json.dumps({"spec": {}, "updated_at_ms": 0}).encode(), 0)
    converter = Converter(
        bridge="contract", kind="any", source="shop", mapping=None, catalogue=catalogue, limits=Limits()
    )
    outlet = Outlet(producer_config(ours, **OPTIONS), EVENTS.name(namespace))
    recorder = Recorder()
    forwarder = Forwarder(
        bridge,
        converter,
        outlet,
        blobs or MemoryStore(),
        recorder,
        in_flight=in_flight,
        stall_s=ours.delivery_timeout_s,
        stop_rule=StopRule(1, 1),
        now_ms=lambda: NOW_MS,
    )
    running = asyncio.create_task(forwarder.run())

    async def stop() -> None:
        forwarder.stop()
        async with asyncio.timeout(WITHIN_S):
            await running

    try:
        yield recorder, stop
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await outlet.close()


def payload(number: int, **more: Any) -> bytes:
    event = {"type": "made", "properties": {"number": number, **more}}
    return json.dumps({"profile": {"id": f"p{number % 7}"}, "events": [event]}).encode()


def forwarded(ours: Kafka, namespace: str) -> list[Inbound]:
    return [decode_inbound(message.value() or b"") for message in read(ours, namespace, EVENTS)]


def numbers(records: list[Inbound]) -> list[int]:
    return [json.loads(event["properties"])["number"] for record in records for event in record["body"][1]["events"]]  # type: ignore[typeddict-item]


def arranged(source: Source, found: list[Any]) -> list[Any]:
    """As it came; sorted when the broker promises no order."""
    return found if promises(source, "in_order") else sorted(found)


def arranged_records(source: Source, records: list[Inbound]) -> list[dict[str, Any]]:
    """As they would be had they come at the same time."""
    same = [{**record, "received_at_ms": 0} for record in records]
    return same if promises(source, "in_order") else sorted(same, key=lambda record: record["id"])


async def test_everything_comes_once_in_the_order_of_the_source(source: Source) -> None:
    source.put([payload(n) for n in range(500)])
    async with opened(source) as bridge:
        batches = await take(bridge, 500)
        came = [json.loads(body)["events"][0]["properties"]["number"] for body in put(source, flat(batches))]
        assert arranged(source, came) == list(range(500))
        assert len({delivery.position for delivery in flat(batches)}) == 500
        for batch in batches:
            await bridge.ack(batch)
    source.put([payload(500)])
    async with opened(source) as bridge:
        assert put(source, flat(await take(bridge, 1))) == [payload(500)]


async def test_take_gives_no_more_than_it_is_asked_for_and_nothing_when_there_is_nothing(source: Source) -> None:
    source.put([payload(n) for n in range(20)])
    async with opened(source) as bridge:
        await take(bridge, 1)
        second = len((await bridge.take(7)).deliveries)
        assert second <= 7
        await take(bridge, 19 - second)
        async with asyncio.timeout(WAIT_S + 4):
            assert (await bridge.take(10)).deliveries == []


async def test_what_was_not_acknowledged_comes_again_with_the_same_ids(source: Source) -> None:
    source.put([payload(n) for n in range(50)])
    async with opened(source) as bridge:
        first = flat(await take(bridge, 50))
    async with opened(source) as bridge:
        again = flat(await take(bridge, 50))
    once, twice = ([(d.body, d.time_ms, d.key) for d in came] for came in (first, again))
    assert arranged(source, once) == arranged(source, twice)
    if promises(source, "keeps_ids"):
        assert arranged(source, [d.position for d in first]) == arranged(source, [d.position for d in again])


async def test_acknowledging_the_later_batch_first_loses_nothing(source: Source) -> None:
    source.put([payload(n) for n in range(20)])
    async with opened(source) as bridge:
        first, second = flat(await take(bridge, 10)), await take(bridge, 10)
        for batch in second:
            await bridge.ack(batch)
    async with opened(source) as bridge:
        again = flat(await take(bridge, 10))[:10]
        assert arranged(source, [d.body for d in again]) == arranged(source, [d.body for d in first])


async def test_acknowledging_the_earlier_batch_leaves_the_later_one(source: Source) -> None:
    source.put([payload(n) for n in range(20)])
    async with opened(source) as bridge:
        first, second = await take(bridge, 10), flat(await take(bridge, 10))
        for batch in first:
            await bridge.ack(batch)
    async with opened(source) as bridge:
        again = flat(await take(bridge, 10))
        assert arranged(source, [d.body for d in again]) == arranged(source, [d.body for d in second])


async def test_killed_between_take_and_acknowledgement(source: Source) -> None:
    """Half was acknowledged, half was not; after the kill the second half comes again, whatever comes besides."""
    source.put([payload(n) for n in range(100)])
    command = [sys.executable, "-m", "tests.bridge_taker", source.kind, json.dumps(source.settings), "100"]
    killed = await asyncio.to_thread(subprocess.run, command, stdout=subprocess.PIPE, timeout=60, check=False)
    assert killed.returncode == -9
    bodies = json.loads(killed.stdout.splitlines()[-1])
    assert len(bodies) == 100
    found: set[str] = set()
    async with opened(source) as bridge, asyncio.timeout(WITHIN_S):
        while not found >= set(bodies[50:]):
            found |= {delivery.body.decode() for delivery in (await bridge.take(100)).deliveries}


@pytest.mark.parametrize("turns", [3, 300])
async def test_a_stop_in_the_middle_of_a_take_loses_nothing(source: Source, turns: int) -> None:
    """What it was about to give comes again, and what it had given before can still be acknowledged."""
    bodies = [payload(n) for n in range(40)]
    source.put(bodies)
    async with opened(source) as bridge:
        batches = await take(bridge, 5)
        taking = asyncio.create_task(bridge.take(20))
        for _ in range(turns):
            await asyncio.sleep(0)
        taking.cancel()
        with suppress(asyncio.CancelledError):
            batches.append(await taking)
        for batch in batches:
            await bridge.ack(batch)
    early = put(source, flat(batches))
    async with opened(source) as bridge:
        late = put(source, flat(await take(bridge, 40 - len(early))))
    assert sorted(early + late) == sorted(bodies)


async def test_forwarded_in_order_and_acknowledged_after_our_kafka_has_it(
    source: Source, ours: Kafka, namespace: str
) -> None:
    source.put([payload(n) for n in range(1200)])
    async with opened(source) as bridge, forwarding(bridge, ours, namespace) as (recorder, stop):
        await recorder.until(lambda: recorder.acknowledged_messages == 1200)
        await stop()
    records = forwarded(ours, namespace)
    assert arranged(source, numbers(records)) == list(range(1200))
    assert len({record["id"] for record in records}) == 1200
    if promises(source, "tells_time"):
        assert all(record["body"][1]["events"][0]["time_ms"] for record in records)  # type: ignore[typeddict-item]
    source.put([payload(1200)])
    async with opened(source) as bridge:
        assert put(source, flat(await take(bridge, 1))) == [payload(1200)]


async def test_redelivered_messages_get_the_same_ids(source: Source, ours: Kafka, namespace: str) -> None:
    source.put([payload(n) for n in range(30)])
    async with opened(source) as bridge, forwarding(bridge, ours, namespace) as (recorder, _):
        # killed on the way: our Kafka has them, the source was never told
        bridge.ack = lambda _: asyncio.sleep(3600)  # type: ignore[method-assign]
        await recorder.until(lambda: recorder.taken_messages == 30)
        await asyncio.to_thread(eventually, lambda: len(forwarded(ours, namespace)) == 30)
    async with opened(source) as bridge, forwarding(bridge, ours, namespace) as (recorder, stop):
        await recorder.until(lambda: recorder.acknowledged_messages == 30)
        await stop()
    records = forwarded(ours, namespace)
    assert len(records) == 60
    assert arranged(source, numbers(records)) == arranged(source, [*range(30), *range(30)])
    if promises(source, "keeps_ids"):
        early, late = (arranged_records(source, part) for part in (records[:30], records[30:]))
        assert early == late
        assert len({record["id"] for record in records}) == 30


async def test_our_kafka_is_away(source: Source, namespace: str) -> None:
    """Nothing is acknowledged, no more than the limit is taken, it is said, and the source still has everything."""
    source.put([payload(n) for n in range(300)])
    away = Kafka(bootstrap=NOWHERE, delivery_timeout_s=0.5)
    async with opened(source) as bridge, forwarding(bridge, away, namespace, in_flight=40) as (recorder, stop):
        await recorder.until(lambda: recorder.stalls == 1)
        taken = recorder.taken_messages
        await stop()
        assert (recorder.acknowledged_messages, recorder.resumptions) == (0, 0)
        assert 0 < taken == recorder.taken_messages <= 40
    async with opened(source) as bridge:
        again = put(source, flat(await take(bridge, 300)))
        assert arranged(source, again) == arranged(source, [payload(n) for n in range(300)])


async def test_never_more_in_flight_than_the_limit(source: Source, ours: Kafka, namespace: str) -> None:
    source.put([payload(n) for n in range(400)])
    async with opened(source) as bridge, forwarding(bridge, ours, namespace, in_flight=16) as (recorder, stop):
        await recorder.until(lambda: recorder.acknowledged_messages == 400)
        await stop()
    assert 0 < recorder.most_in_flight <= 16


async def test_rubbish_is_put_aside_and_the_others_go_through(source: Source, ours: Kafka, namespace: str) -> None:
    deep = b"[" * 10_000 + b"]" * 10_000
    rubbish = {
        b"\xff\xfe not json": "not_json",
        b"": "not_json",
        deep: "too_deep",
        b'{"events": [{"type": "a", "type": "b"}]}': "duplicate_key",
        b'{"events": [{"type": "a", "properties": {"x": "\\u0000"}}]}': "nul_character",
        b'{"events": [{"type": "a", "properties": {"x": "\\ud800"}}]}': "lone_surrogate",
        b'{"events": [{"type": "a", "properties": {"x": 9223372036854775808}}]}': "number_out_of_range",
        b'{"events": [{"type": "a", "properties": {"x": NaN}}]}': "number_out_of_range",
        b'{"events": [{"type": 5}]}': "wrong_type",
        b'{"events": [{"type": "a", "time": {"insert": "0000-01-01T00:00:00Z"}}]}': "bad_time",
        b'{"source": {"id": "nobody"}, "events": [{"type": "a"}]}': "unknown_source",
        b'{"source": {"id": "@internal"}, "events": [{"type": "a"}]}': "source_type",
    }
    bodies = [payload(0)]
    for number, body in enumerate(rubbish, 1):
        bodies += [body, payload(number)]
    source.put(bodies)
    async with opened(source) as bridge, forwarding(bridge, ours, namespace) as (recorder, stop):
        await recorder.until(lambda: recorder.acknowledged_messages == len(bodies))
        await stop()
    assert arranged(source, recorder.reasons) == arranged(source, list(rubbish.values()))
    records = forwarded(ours, namespace)
    good = [record for record in records if record["body"][0] != REFUSED]
    refused = [record["body"][1] for record in records if record["body"][0] == REFUSED]
    assert arranged(source, numbers(good)) == list(range(len(rubbish) + 1))
    assert {unwrapped(source, body["body"]): body["reason"] for body in refused} == rubbish  # type: ignore[typeddict-item]
    assert all(record["origin"].startswith("bridge:contract:") for record in records)


async def test_a_dead_letter_is_sent_again_with_all_that_its_message_had(source: Source) -> None:
    """Also what its broker alone knows of it, such as a topic, an offset or a routing key; edited, too."""
    source.put([b'{"n": 1}'])
    async with opened(source) as bridge:
        [delivery] = flat(await take(bridge, 1))
    meta = delivery.meta()
    letter = Buried(delivery, source.kind, source.settings, telling(meta))
    id, [event] = told(letter.direct)
    assert event[2] == {name: value for name, value in meta.items() if value is not None}
    for body in (None, edited(source, delivery.body)):
        assert told(await letter.replay(body)) == (id, [event])


def edited(source: Source, body: bytes) -> bytes:
    """Edited: a blank more, where the source's messages are what was put."""
    return body if hasattr(source, "unwrapped") else body + b" "


async def test_a_message_of_50_mb(source: Source, ours: Kafka, namespace: str) -> None:
    """Too large for a record: its bytes go to the store, the refusal names their hash, and the next message goes on."""
    if source.most_bytes < 50 * 1024 * 1024 + 1_000:
        pytest.skip(f"this broker takes no message over {source.most_bytes} bytes")
    large = payload(1, text="x" * 50 * 1024 * 1024)
    source.put([payload(0), large, payload(2)])
    store = MemoryStore()
    async with opened(source) as bridge, forwarding(bridge, ours, namespace, blobs=store) as (recorder, stop):
        await recorder.until(lambda: recorder.acknowledged_messages == 3)
        await stop()
    records = forwarded(ours, namespace)
    [refused] = [record["body"][1] for record in records if record["body"][0] == REFUSED]
    sha256 = hashlib.sha256(large).hexdigest()
    assert refused["reason"] == "body_too_large"  # type: ignore[typeddict-item]
    assert (refused["body_sha256"], refused["body_size"]) == (sha256, len(large))  # type: ignore[typeddict-item]
    assert store.get_blob(sha256) == large
    assert numbers([record for record in records if record["body"][0] != REFUSED]) == [0, 2]


@pytest.mark.parametrize("settings", [{}, {"nonsense": 1}])
def test_settings_are_checked(source: Source, settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"Field required|Extra inputs"):
        spec_of(source.kind).settings.model_validate(settings)
