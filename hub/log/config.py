"""librdkafka's options for the hub's own Kafka, in one place."""

from __future__ import annotations

from typing import Any, Final

from hub.settings import Kafka
from schemas.topics import MAX_RECORD_BYTES

REFRESH_S: Final = 5.0
"""How often a producer asks how many partitions there are. `hub partitions grow` waits for it."""


def admin_config(kafka: Kafka, **extra: Any) -> dict[str, Any]:
    """Options of an AdminClient, and what the other clients share."""
    return {
        "bootstrap.servers": kafka.bootstrap,
        # a broker that is restarting is back in a second or two: do not wait out the default of 10 s
        "reconnect.backoff.max.ms": 1_000,
        # errors come as events and exceptions; librdkafka's own lines are twenty a second while a broker is away
        "log_level": 2,
        **kafka.options,
        **extra,
    }


def producer_config(kafka: Kafka, **extra: Any) -> dict[str, Any]:
    """
    Options of a producer whose acknowledgement means durable: every in-sync replica has the record, once and in order.

    `murmur2_random` puts a key on the same partition as Java and aiokafka clients do.
    """
    return admin_config(
        kafka,
        **{
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": kafka.linger_ms,
            "delivery.timeout.ms": max(int(kafka.delivery_timeout_s * 1000), int(kafka.linger_ms) + 1),
            "partitioner": "murmur2_random",
            # partitions that were added are known so soon to everybody, whoever has something to send or not
            "topic.metadata.refresh.interval.ms": int(REFRESH_S * 1000),
            # head room for Avro's framing around the largest body; the broker's topic limit is the same
            "message.max.bytes": MAX_RECORD_BYTES,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 262_144,
            **extra,
        },
    )


def consumer_config(kafka: Kafka, group: str, **extra: Any) -> dict[str, Any]:
    """
    Options of a consumer that commits by hand and never resets an offset by itself: a gap is an error, not a jump.

    The group protocol is KIP-848: rebalances without a stop, first record 0.3 s after subscribing instead of 3 s.
    """
    return admin_config(
        kafka,
        **{
            "group.id": group,
            "group.protocol": "consumer",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": "error",
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 16_384,
            **extra,
        },
    )
