"""Avro through a registry that people run: Apicurio's, asked by Confluent's serializer as producers use it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from hub.errors import Unavailable
from tests.live.reading import opened, taken
from tests.servers.running import Own, own
from tests.sources.kafka import KafkaSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

MONEY: Final = {
    "type": "record",
    "name": "Money",
    "namespace": "shop",
    "fields": [{"name": "pence", "type": "long"}, {"name": "currency", "type": "string"}],
}
ORDER: Final = {
    "type": "record",
    "name": "Order",
    "namespace": "shop",
    "fields": [{"name": "id", "type": "string"}, {"name": "price", "type": "shop.Money"}],
}
LATER: Final = {**ORDER, "fields": [*ORDER["fields"], {"name": "gift", "type": "boolean", "default": False}]}
PRICE: Final = {"pence": 3025, "currency": "GBP"}


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Own]:
    with own("apicurio", tmp_path / "registry") as server:
        yield server


def serialized(client: SchemaRegistryClient, topic: str, schema: Mapping[str, Any], value: dict[str, Any]) -> bytes:
    """As a producer does it: the schema is registered, with its reference to Money, and its id is in front."""
    references = [SchemaReference("shop.Money", f"{topic}-money", 1)]
    serialize = AvroSerializer(client, Schema(json.dumps(schema), "AVRO", references))
    made = serialize(value, SerializationContext(topic, MessageField.VALUE))
    assert isinstance(made, bytes)
    return made


async def test_what_a_producer_writes_with_a_registry_is_read(kafka: str, namespace: str, registry: Own) -> None:
    """Schemas that refer to others, two versions of one, an id that nobody has given out, a registry that is away."""
    source = KafkaSource(kafka, f"{namespace}.source")
    with SchemaRegistryClient({"url": registry.url}) as client:
        client.register_schema(f"{source.topic}-money", Schema(json.dumps(MONEY), "AVRO"))
        messages = [
            serialized(client, source.topic, ORDER, {"id": "o1", "price": PRICE}),
            serialized(client, source.topic, LATER, {"id": "o2", "price": PRICE, "gift": True}),
            b"\x00\x7f\xff\xff\xff\x02",
        ]
    assert messages[0][1:5] != messages[1][1:5], "two versions have two ids"
    source.put(messages)
    settings = {**source.settings, "format": "avro", "registry": {"url": registry.url}}
    async with opened("kafka", settings) as reading:
        found = await taken(reading, 3)
    assert [json.loads(one.json or b"null") for one in found] == [
        {"id": "o1", "price": PRICE},
        {"id": "o2", "price": PRICE, "gift": True},
        None,
    ]
    assert "has no schema 2147483647" in found[2].fault

    source.put(messages[:1])
    registry.kill()
    async with opened("kafka", settings) as reading:
        with pytest.raises(Unavailable, match="registry"):
            await taken(reading, 1)
