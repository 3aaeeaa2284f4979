"""Fills topics for the benchmarks, with the product's own edge code where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from hub.edge.admit import admit
from hub.edge.inbound import inbound
from hub.ids import ordered
from hub.log.config import admin_config
from hub.settings import Kafka, Limits
from schemas.codec import encode_inbound
from schemas.topics import EVENTS
from tests.bench import payloads
from tests.kafka_tools import write

NOW_MS = 1_795_000_000_000


def events(kafka: Kafka, namespace: str, count: int) -> None:
    """Records of events.v1 as POST /track would have made them, one event of 800 bytes in each."""
    write(kafka, EVENTS.name(namespace), _inbounds(count))


def messages(kafka: Kafka, topic: str, make: Callable[[int], bytes], count: int) -> None:
    """A source topic of three partitions, as someone else's system would fill it."""
    client = AdminClient(admin_config(kafka))
    client.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result()
    write(
        kafka,
        topic,
        ((b"%d" % (number % payloads.PROFILES), one) for number, one in enumerate(payloads.stream(make, count))),
    )


def _inbounds(count: int) -> Iterator[tuple[bytes, bytes]]:
    limits = Limits()
    for number, body in enumerate(payloads.stream(payloads.single, count)):
        taken = inbound(
            admit(body, limits),
            payload_id=None,
            now_ms=NOW_MS + number,
            definitions_offset=0,
            origin="rest",
            request=b'{"headers":{"content-type":"application/json"},"ip":"127.0.0.1"}',
            new_id=ordered,
        )
        yield taken.key, encode_inbound(taken.record)
