"""What a Kafka bridge reads and from where: patterns of topics, a time, Avro, a look aside, set back."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from fastavro.schema import fingerprint, to_parsing_canonical_form

from bridges.base import Bridge, Context, Delivery, Rewind
from bridges.registry import spec_of
from hub.errors import Refused, Unavailable

ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}
AT = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
WITHIN_S = 40.0


class Topics:
    """Topics of one test."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 3})

    def make(self, name: str, partitions: int = 1) -> str:
        topic = f"{self.prefix}.{name}"
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        # what is dated months ago stays, too: else the broker removes it when it looks, each five minutes
        new = NewTopic(topic, partitions, 1, config={"retention.ms": "-1"})
        admin.create_topics([new])[topic].result()
        return topic

    def put(self, topic: str, bodies: Sequence[bytes], partition: int = 0, at_ms: int = 0) -> None:
        for body in bodies:
            self._producer.produce(topic, body, partition=partition, timestamp=at_ms)
        assert self._producer.flush(30) == 0

    def bridge(self, **settings: Any) -> Bridge:
        spec = spec_of("kafka")
        whole = {"bootstrap": self.bootstrap, "protocol": "consumer", **settings}
        context = Context("reading", self.prefix, {"REGISTRY_PASSWORD": "s3cret"})
        return spec.build(spec.settings.model_validate(whole), context)


@pytest.fixture
def topics(kafka: str, namespace: str) -> Topics:
    return Topics(kafka, namespace)


async def read(bridge: Bridge, count: int, *, ack: bool = True) -> list[Delivery]:
    """The next `count` messages of a bridge that is opened and closed."""
    found: list[Delivery] = []
    await bridge.connect()
    try:
        async with asyncio.timeout(WITHIN_S):
            while len(found) < count:
                batch = await bridge.take(count - len(found))
                found += batch.deliveries
                if ack:
                    await bridge.ack(batch)
    finally:
        await bridge.close()
    return found


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    return [delivery.body for delivery in deliveries]


async def test_a_pattern_reads_every_topic_that_matches(topics: Topics) -> None:
    for name in ("orders.pl", "orders.de", "returns.pl"):
        topics.put(topics.make(name), [name.encode()])
    found = await read(topics.bridge(topics=[f"^{topics.prefix}\\.orders\\..*"]), 2)
    assert sorted(bodies(found)) == [b"orders.de", b"orders.pl"]


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["consumer", pytest.param("classic", marks=pytest.mark.long)])
async def test_a_pattern_takes_a_topic_that_is_made_later_from_its_beginning(topics: Topics, protocol: str) -> None:
    topics.put(topics.make("orders.pl"), [b"pl"])
    bridge = topics.bridge(topics=[f"^{topics.prefix}\\.orders\\..*"], protocol=protocol)
    await bridge.connect()
    try:
        found: list[bytes] = []
        async with asyncio.timeout(WITHIN_S):
            for later in ("orders.de", ""):
                known = len(found) + 1
                while len(found) < known:
                    batch = await bridge.take(10)
                    found += bodies(batch.deliveries)
                    await bridge.ack(batch)
                if later:
                    topics.put(topics.make(later), [b"de"])
    finally:
        await bridge.close()
    assert found == [b"pl", b"de"]


async def test_no_topic_matches(topics: Topics) -> None:
    with pytest.raises(Unavailable, match=r"no topic matches \^nothing: make it, or correct `topics`"):
        await read(topics.bridge(topics=["^nothing"]), 1)
    with pytest.raises(Unavailable, match="there is no topic nowhere: make it"):
        await read(topics.bridge(topics="nowhere"), 1)


async def test_a_new_group_begins_at_a_time_and_stays_there(topics: Topics) -> None:
    topic = topics.make("timed")
    for minute in range(4):
        topics.put(topic, [b"%d" % minute], at_ms=int(AT.timestamp() * 1000) + 60_000 * minute)
    start = AT.replace(minute=2).isoformat()
    assert bodies(await read(topics.bridge(topics=topic, start=start), 2, ack=False)) == [b"2", b"3"]
    assert bodies(await read(topics.bridge(topics=topic, start="earliest"), 2)) == [b"2", b"3"]


async def test_a_look_takes_nothing_away(topics: Topics) -> None:
    topic = topics.make("looked", partitions=2)
    topics.put(topic, [b"old", b"new"], at_ms=1_000)
    topics.put(topic, [b"newest"], partition=1, at_ms=2_000)
    assert bodies(await topics.bridge(topics=topic).sample(2)) == [b"new", b"newest"]
    assert sorted(bodies(await read(topics.bridge(topics=topic), 3))) == [b"new", b"newest", b"old"]
    assert bodies(await topics.bridge(topics=topic).sample(5)) == [b"old", b"new", b"newest"]
    assert list(await topics.bridge(topics=topics.make("empty")).sample(5)) == []


@pytest.mark.parametrize(
    ("to", "again"),
    [
        (Rewind("beginning"), [b"0", b"1", b"2", b"3"]),
        (Rewind("time", at_ms=int(AT.timestamp() * 1000) + 60_000 * 3), [b"3"]),
        (Rewind("offset", offset="2"), [b"2", b"3"]),
    ],
)
async def test_set_back(topics: Topics, to: Rewind, again: list[bytes]) -> None:
    topic = topics.make("again")
    for minute in range(4):
        topics.put(topic, [b"%d" % minute], at_ms=int(AT.timestamp() * 1000) + 60_000 * minute)
    await read(topics.bridge(topics=topic), 4)
    await topics.bridge(topics=topic).rewind(to)
    assert bodies(await read(topics.bridge(topics=topic), len(again))) == again


async def test_set_back_to_an_offset_of_one_partition(topics: Topics) -> None:
    topic = topics.make("two", partitions=2)
    topics.put(topic, [b"a", b"b"])
    topics.put(topic, [b"c"], partition=1)
    await read(topics.bridge(topics=topic), 3)
    await topics.bridge(topics=topic).rewind(Rewind("offset", offset=f"{topic}/0/1"))
    topics.put(topic, [b"d"], partition=1)
    assert sorted(bodies(await read(topics.bridge(topics=topic), 2))) == [b"b", b"d"]
    for wrong in ("yesterday", f"{topic}/7/1", "other/0/1"):
        with pytest.raises(Refused, match=r"no offset|reads no partition"):
            await topics.bridge(topics=topic).rewind(Rewind("offset", offset=wrong))


async def test_the_lag_of_each_partition(topics: Topics) -> None:
    topic = topics.make("parts", partitions=2)
    topics.put(topic, [b"a", b"b", b"c"])
    bridge = topics.bridge(topics=topic)
    await bridge.connect()
    try:
        async with asyncio.timeout(WITHIN_S):
            while not (batch := await bridge.take(2)).deliveries:
                continue
        first = next(part for part in bridge.parts() if part.name == f"{topic}/0")
        assert (first.lag, first.position) == (3 - len(batch.deliveries), batch.deliveries[-1].position)
        assert bridge.lag() == first.lag
    finally:
        await bridge.close()


def avro(schema: Any, value: dict[str, Any], header: bytes) -> bytes:
    target = io.BytesIO(header)
    target.seek(0, io.SEEK_END)
    fastavro.schemaless_writer(target, fastavro.parse_schema(schema), value)
    return target.getvalue()


def single_object_header(schema: Any) -> bytes:
    canonical = to_parsing_canonical_form(fastavro.parse_schema(schema))
    return b"\xc3\x01" + bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))


def order(id: str) -> dict[str, Any]:
    return {"id": id, "price": Decimal("30.25"), "at": AT}


AS_JSON = {"price": "30.25", "at": "2026-03-01T12:00:00.250000Z"}


async def test_avro_with_a_fingerprint(topics: Topics) -> None:
    topic = topics.make("single")
    good = avro(ORDER, order("o1"), single_object_header(ORDER))
    topics.put(topic, [good, b'{"id": "json"}', b"\xc3\x01unknown!", good[:-3]])
    found = await read(topics.bridge(topics=topic, format="avro", schemas=[ORDER]), 4)
    assert json.loads(found[0].json or b"") == {"id": "o1", **AS_JSON}
    assert bodies(found)[0] == good
    assert ["neither a schema id" in found[1].fault, "has the fingerprint" in found[2].fault] == [True, True]
    assert "does not fit its schema" in found[3].fault


class SchemaRegistry:
    """Answers `GET /schemas/ids/{id}` as a Confluent-compatible registry does; may be told to fail."""

    def __init__(self) -> None:
        self.schemas: dict[int, Any] = {}
        self.status = 200
        self.credentials: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.credentials.append(self.headers.get("Authorization", ""))
                id = int(self.path.partition("?")[0].rpartition("/")[2])
                status = registry.status if id in registry.schemas or registry.status != 200 else 404
                answer = {"schema": json.dumps(registry.schemas.get(id)), "schemaType": "AVRO"}
                if status != 200:
                    answer = {"error_code": status * 100 + 3, "message": "no"}  # type: ignore[dict-item]
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def registry() -> Iterator[SchemaRegistry]:
    made = SchemaRegistry()
    yield made
    made.close()


def wire(id: int, value: dict[str, Any]) -> bytes:
    return avro(ORDER, value, b"\x00" + id.to_bytes(4, "big"))


async def test_avro_with_a_registry(topics: Topics, registry: SchemaRegistry) -> None:
    topic = topics.make("wire")
    registry.schemas[7] = ORDER
    topics.put(topic, [wire(7, order("o1")), wire(8, order("o2")), b"\x00\x00\x00\x00\x07\x02"])
    reach = {"url": registry.url, "user": "hub", "password": "env:REGISTRY_PASSWORD"}
    found = await read(topics.bridge(topics=topic, format="avro", registry=reach), 3)
    assert json.loads(found[0].json or b"") == {"id": "o1", **AS_JSON}
    assert "has no schema 8" in found[1].fault
    assert found[2].fault
    assert all(given.startswith("Basic ") for given in registry.credentials)


@contextmanager
def failing(registry: SchemaRegistry, status: int) -> Iterator[None]:
    registry.status = status
    yield
    registry.status = 200


async def test_a_registry_that_is_away_holds_the_messages_back(topics: Topics, registry: SchemaRegistry) -> None:
    topic = topics.make("away")
    registry.schemas[7] = ORDER
    topics.put(topic, [wire(7, order("o1"))])
    settings = {"topics": topic, "format": "avro", "registry": {"url": registry.url}}
    with failing(registry, 500), pytest.raises(Unavailable, match="registry"):
        await read(topics.bridge(**settings), 1)
    with failing(registry, 401), pytest.raises(Refused, match="refuses the user or password"):
        await read(topics.bridge(**settings), 1)
    [delivery] = await read(topics.bridge(**settings), 1)
    assert json.loads(delivery.json or b"")["id"] == "o1"


def test_what_is_wrong_with_the_settings_is_said(topics: Topics) -> None:
    with pytest.raises(Refused, match=r"settings\.schemas: this is no Avro schema"):
        topics.bridge(topics="t", format="avro", schemas=[{"type": "recrod"}])
    with pytest.raises(ValueError, match="password"):
        topics.bridge(topics="t", format="avro", registry={"url": "http://r", "password": "plain"})


async def test_a_group_in_use_is_not_set_back(topics: Topics) -> None:
    topic = topics.make("busy")
    topics.put(topic, [b"a"])
    running = topics.bridge(topics=topic)
    await running.connect()
    try:
        async with asyncio.timeout(WITHIN_S):
            while not (batch := await running.take(1)).deliveries:
                continue
        await running.ack(batch)
        with pytest.raises((Unavailable, Refused)):
            await topics.bridge(topics=topic).rewind(Rewind("beginning"))
    finally:
        await running.close()
