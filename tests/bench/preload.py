"""Fills topics for the benchmarks, with the product's own edge code where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from hub.definitions.catalogue import Catalogue
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
_LIMITS, _CATALOGUE = Limits(), Catalogue()


def events(kafka: Kafka, namespace: str, count: int, *, browsers: bool = False) -> None:
    """Records of events.v1 as POST /track would have made them. Args: as of `inbounds`."""
    write(kafka, EVENTS.name(namespace), inbounds(count, browsers=browsers))


def messages(kafka: Kafka, topic: str, make: Callable[[int], bytes], count: int) -> None:
    """A source topic of three partitions, as someone else's system would fill it."""
    client = AdminClient(admin_config(kafka))
    client.create_topics([NewTopic(topic, num_partitions=3, replication_factor=1)])[topic].result()
    write(
        kafka,
        topic,
        ((b"%d" % (number % payloads.PROFILES), one) for number, one in enumerate(payloads.stream(make, count))),
    )


def inbounds(count: int, *, browsers: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """
    Key and value of records of events.v1, one event of 800 bytes in each.

    Args: browsers: they come from 40 different browsers; else from a program that does not say what it is.
    """
    agents = [f',"user-agent":"{payloads.agent(number)}"' if browsers else "" for number in range(40)]
    requests = [f'{{"headers":{{"content-type":"application/json"{one}}},"ip":"127.0.0.1"}}'.encode() for one in agents]
    for number, body in enumerate(payloads.stream(payloads.single, count)):
        yield record(body, NOW_MS + number, requests[number % len(requests)])


def record(body: bytes, now_ms: int, request: bytes) -> tuple[bytes, bytes]:
    """
    Key and value of the record of events.v1 that `POST /track` makes.

    Args: now_ms: when it came. request: what is kept of it, as JSON.
    """
    taken = inbound(
        admit(body, _LIMITS),
        catalogue=_CATALOGUE,
        payload_id=None,
        now_ms=now_ms,
        origin="rest",
        request=request,
        new_id=ordered,
    )
    return taken.key, encode_inbound(taken.record)
