"""A process of bridges: follows its definitions, bad ones fail alone, survives a kill of itself and of our Kafka."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from bridges.registry import BridgeError, validate
from bridges.runner import Hub, Runner
from bridges.state import Status
from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Bridge
from hub.log.admin import ensure_topics
from hub.settings import Kafka, Limits
from hub.stack import jars, ports
from hub.stack import kafka as embedded
from hub.stack.process import Child
from hub.store.memory import MemoryStore
from schemas.codec import decode_inbound
from schemas.records import REFUSED, TRACK
from schemas.topics import EVENTS
from tests.kafka_tools import define, eventually, read
from tests.sources.kafka import KafkaSource

WITHIN_S = 60.0


class Process:
    """A Runner with a catalogue that the test writes."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        self.catalogue = Catalogue()
        self._offset = 0
        self._stop = asyncio.Event()
        self.runner = Runner(Hub(kafka, namespace, Limits(), 500, self.catalogue, MemoryStore(), {}))
        self._task = asyncio.create_task(self.runner.run(self._stop))
        self.define("source", "shop")

    def define(self, kind: str, id: str, **spec: Any) -> None:
        value = json.dumps({"spec": spec, "updated_at_ms": 0}).encode()
        self.catalogue.apply(f"{kind}/{id}".encode(), value, self._offset)
        self._offset += 1

    def delete(self, kind: str, id: str) -> None:
        self.catalogue.apply(f"{kind}/{id}".encode(), None, self._offset)
        self._offset += 1

    async def until(self, id: str, **wanted: Any) -> Status:
        """Wait for a bridge's status; a number is a least."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                for status in self.runner.statuses():
                    if status.bridge == id and all(_reached(getattr(status, name), w) for name, w in wanted.items()):
                        return status
                await asyncio.sleep(0.02)

    async def gone(self, id: str) -> None:
        """Wait until a bridge has stopped."""
        async with asyncio.timeout(WITHIN_S):
            while any(status.bridge == id for status in self.runner.statuses()):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        self._stop.set()
        await self._task


def _reached(found: Any, wanted: Any) -> bool:
    return found >= wanted if isinstance(wanted, int) else found == wanted


@pytest.fixture
async def process(ours: Kafka, namespace: str) -> AsyncIterator[Process]:
    made = Process(ours, namespace)
    yield made
    await made.end()


def body(number: int) -> bytes:
    return json.dumps({"n": number, "who": f"p{number % 5}"}).encode()


MAPPING = {"profile": "who", "event": {"type": "'counted'", "properties": {"n": "n", "at": "meta('offset')"}}}


def bridge(source: KafkaSource, **changes: Any) -> dict[str, Any]:
    return {"type": "kafka", "source": "shop", "settings": source.settings, "mapping": MAPPING, **changes}


def counted(kafka: Kafka, namespace: str) -> list[int]:
    """The numbers that came, each id once, in the order of the log."""
    found: dict[str, int] = {}
    for message in read(kafka, namespace, EVENTS):
        for event in decode_inbound(message.value() or b"")["body"][1]["events"]:  # type: ignore[typeddict-item]
            found.setdefault(event["id"], json.loads(event["properties"])["n"])
    return list(found.values())


async def test_a_bridge_starts_changes_and_stops_with_its_definition(
    process: Process, ours: Kafka, kafka: str, namespace: str
) -> None:
    source = KafkaSource(kafka, f"{namespace}.source")
    process.define("bridge", "b", **bridge(source, enabled=False))
    source.put([body(n) for n in range(10)])
    process.define("bridge", "b", **bridge(source))
    await process.until("b", state="running", forwarded=10)
    # another version goes on where the last one was
    process.define("bridge", "b", **bridge(source, mapping={**MAPPING, "session": "who"}))
    await process.until("b", state="running", version=3)
    source.put([body(n) for n in range(10, 20)])
    await process.until("b", forwarded=10, version=3)
    process.delete("bridge", "b")
    await process.gone("b")
    assert await asyncio.to_thread(counted, ours, namespace) == list(range(20))


async def test_a_bad_bridge_says_why_and_stops_no_other(process: Process, kafka: str, namespace: str) -> None:
    source = KafkaSource(kafka, f"{namespace}.source")
    source.put([body(n) for n in range(5)])
    nowhere = {**source.settings, "bootstrap": "127.0.0.1:1"}
    process.define("bridge", "no-topic", **bridge(source, settings={**source.settings, "topics": "not.there"}))
    process.define("bridge", "no-kind", **bridge(source, type="pigeon"))
    process.define(
        "bridge", "no-variable", **bridge(source, settings={**source.settings, "options": {"client.rack": "env:X"}})
    )
    process.define("bridge", "no-option", **bridge(source, settings={**source.settings, "options": {"no.such": 1}}))
    process.define("bridge", "no-broker", **bridge(source, settings=nowhere))
    process.define("bridge", "good", **bridge(source))
    await process.until("good", state="running", forwarded=5)
    assert "no topic not.there" in (await process.until("no-topic", state="failed")).last_error
    assert "'pigeon'" in (await process.until("no-kind", state="failed")).last_error
    assert "variable X" in (await process.until("no-variable", state="failed")).last_error
    assert "no.such" in (await process.until("no-option", state="failed")).last_error
    assert "127.0.0.1:1" in (await process.until("no-broker", state="failed")).last_error
    assert (await process.until("good", state="running")).refused == 0


async def test_a_mapping_that_fits_no_message_stops_its_bridge_until_it_is_mended(
    process: Process, ours: Kafka, kafka: str, namespace: str
) -> None:
    """A bad deployment must not drain a topic into the dead letters: what was not taken comes when it is mended."""
    source = KafkaSource(kafka, f"{namespace}.source")
    source.put([body(n) for n in range(5_000)])
    wrong = {**MAPPING, "event": {"type": "no_such_field"}}
    process.define("bridge", "b", **bridge(source, mapping=wrong))
    stopped = await process.until("b", state="failed")
    assert "of the last" in stopped.last_error
    assert "mapping_failed" in stopped.last_error
    assert stopped.refused < 1_500
    process.define("bridge", "b", **bridge(source))
    mended = await process.until("b", state="running", forwarded=5_000 - stopped.refused)
    assert mended.refused == 0
    taken = await asyncio.to_thread(read, ours, namespace, EVENTS)
    kinds = [decode_inbound(message.value() or b"")["body"][0] for message in taken]
    assert (kinds.count(REFUSED), kinds.count(TRACK)) == (stopped.refused, 5_000 - stopped.refused)


async def test_a_topic_that_comes_later_is_found(process: Process, kafka: str, namespace: str) -> None:
    topic = f"{namespace}.late"
    settings = {"bootstrap": kafka, "topics": [topic], "protocol": "consumer"}
    process.define("bridge", "b", type="kafka", source="shop", settings=settings, mapping=MAPPING)
    await process.until("b", state="failed")
    KafkaSource(kafka, topic).put([body(1)])
    await process.until("b", state="running", forwarded=1)


async def test_latest_begins_at_the_end_and_stays_there(
    process: Process, ours: Kafka, kafka: str, namespace: str
) -> None:
    source = KafkaSource(kafka, f"{namespace}.source")
    source.put([body(n) for n in range(5)])
    settings = {**source.settings, "start": "latest"}
    process.define("bridge", "b", **bridge(source, settings=settings))
    await asyncio.to_thread(eventually, lambda: committed(kafka, f"{namespace}.bridge.b", source.topic))
    process.delete("bridge", "b")
    await process.gone("b")
    source.put([body(5)])  # while nobody reads: not to be skipped
    process.define("bridge", "b", **bridge(source, settings=settings))
    await process.until("b", forwarded=1)
    assert await asyncio.to_thread(counted, ours, namespace) == [5]


def committed(bootstrap: str, group: str, topic: str) -> bool:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
    with contextlib.closing(consumer):
        return consumer.committed([TopicPartition(topic, 0)], 10)[0].offset >= 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "pigeon"}, "no bridge of type 'pigeon'; there are: "),
        ({"settings": {"topics": "t"}}, "settings.bootstrap: Field required"),
        ({"settings": {"bootstrap": "b", "topics": []}}, "settings.topics: "),
        ({"settings": {"bootstrap": "b", "topics": "t", "topic": "t"}}, "settings.topic: there is no such setting"),
        (
            {"settings": {"bootstrap": "b", "topics": "t", "start": "yesterday"}},
            "settings.start: write earliest, latest, or an RFC 3339 time",
        ),
        ({"type": "mqtt", "settings": {"url": "http://h", "topics": "t"}}, "settings.url: write mqtt://"),
        (
            {"settings": {"bootstrap": "b", "topics": "t", "options": {"sasl.password": "x"}}},
            "sasl.password is a secret",
        ),
        ({"mapping": {"event": {"type": "a b"}}}, "mapping.event.type: "),
    ],
)
def test_a_definition_that_cannot_work_is_refused(change: dict[str, Any], words: str) -> None:
    good = {"type": "kafka", "source": "shop", "settings": {"bootstrap": "b", "topics": "t"}}
    validate(Bridge.model_validate(good))
    with pytest.raises(BridgeError) as caught:
        validate(Bridge.model_validate({**good, **change}))
    assert words in str(caught.value)


@pytest.mark.long
@pytest.mark.timeout(300)  # each time the group has to notice first, which takes it 10 s
def test_the_process_is_killed_again_and_again(ours: Kafka, kafka: str, namespace: str, tmp_path: Path) -> None:
    """`kill -9` of `hub bridges` in full flow: everything is there at the end, each once, in order."""
    source = KafkaSource(kafka, f"{namespace}.source")
    define(ours, namespace, "source", "shop", {})
    define(ours, namespace, "bridge", "b", bridge(source))
    variables = {
        "HUB_KAFKA__BOOTSTRAP": kafka,
        "HUB_NAMESPACE": namespace,
        "HUB_DATA": str(tmp_path),
        "HUB_BRIDGES__IN_FLIGHT": "1000",
    }
    command = [sys.executable, "-m", "hub", "bridges"]
    step = 20_000
    with (tmp_path / "log").open("wb") as log:
        for number in range(3):
            source.put([body(n) for n in range(number * step, (number + 1) * step)])
            process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=log, stderr=log)
            wanted = number * step + 1 if number < 2 else 3 * step
            eventually(lambda wanted=wanted: len(counted(ours, namespace)) >= wanted)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL if number < 2 else signal.SIGTERM)
            assert process.wait(30) == (-signal.SIGKILL if number < 2 else 0)
    assert counted(ours, namespace) == list(range(3 * step))


class Second:
    """A broker of one test only, which it may kill. Started from the main thread, as Child asks for."""

    def __init__(self, folder: Path) -> None:
        class_path = jars.resolve(jars.default_cache(os.environ.get("XDG_CACHE_HOME")))
        listeners = embedded.Listeners(**ports.choose(folder / "ports.json", embedded.Listeners._fields))
        self._broker = embedded.Broker(folder, class_path, listeners)
        self.bootstrap = self._broker.bootstrap
        self.start()

    def start(self) -> None:
        changed = threading.Event()
        embedded.prepare(self._broker)
        self.child = Child(embedded.program(self._broker), lambda *_: None, changed.set)
        while not self.child.ready:
            changed.wait()
            changed.clear()
            assert self.child.code is None, self.child.last_words()


@pytest.fixture
def second(tmp_path: Path) -> Iterator[Second]:
    made = Second(tmp_path)
    yield made
    made.child.stop()


@pytest.mark.slow
async def test_our_kafka_is_killed_and_comes_back(second: Second, kafka: str, namespace: str) -> None:
    """The source waits meanwhile; then everything arrives, each once, in order."""
    ours = Kafka(bootstrap=second.bootstrap, partitions=1, delivery_timeout_s=1.0)
    ensure_topics(ours, namespace)
    source = KafkaSource(kafka, f"{namespace}.source")
    process = Process(ours, namespace)
    process.define("bridge", "b", **bridge(source))
    await asyncio.to_thread(source.put, [body(n) for n in range(2_000)])
    await process.until("b", forwarded=1)
    second.child.kill()
    await asyncio.to_thread(source.put, [body(n) for n in range(2_000, 4_000)])
    status = await process.until("b", state="waiting_for_kafka")
    assert status.in_flight <= 500
    second.start()
    await process.until("b", state="running", forwarded=4_000)
    await process.end()
    assert await asyncio.to_thread(counted, ours, namespace) == list(range(4_000))
