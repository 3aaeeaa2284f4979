"""Definitions onto the topic of a namespace, as the API writes them, each acknowledged."""

from __future__ import annotations

from typing import Final

import msgspec
from confluent_kafka import KafkaException, Producer

from hub.errors import Unavailable
from hub.log.config import producer_config
from hub.replay.definitions import Changes
from hub.settings import Kafka
from schemas.topics import DEFINITIONS

ACK_S: Final = 30.0


def write_definitions(kafka: Kafka, namespace: str, written: Changes, now_ms: int, *, ack_s: float = ACK_S) -> None:
    """
    Set definitions; those that are None are deleted.

    Raises: Unavailable: not all of them were acknowledged; those that were not may come into force later.
    """
    if not written:
        return
    producer = Producer(producer_config(kafka, **{"delivery.timeout.ms": int(ack_s * 1000)}))
    failed: list[str] = []
    for (kind, id), spec in written.items():
        document = {"kind": kind, "id": id, "spec": spec, "updated_at_ms": now_ms}
        producer.produce(
            DEFINITIONS.name(namespace),
            None if spec is None else msgspec.json.encode(document),
            f"{kind}/{id}",
            on_delivery=lambda error, _: failed.append(error.str()) if error else None,
        )
    try:
        left = producer.flush(2 * ack_s)
    except KafkaException as exc:
        raise Unavailable("kafka", exc.args[0].str()) from exc
    if failed or left:
        raise Unavailable("kafka", f"definitions of {namespace} were not acknowledged: {failed[:1] or left}")
