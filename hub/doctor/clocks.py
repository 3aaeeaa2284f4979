"""Kafka does not tell the time; records whose time is still to come say that somebody's clock is ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

from hub.doctor.finding import OK, WARN, Finding
from hub.doctor.kafka import ANSWER_S, Cluster
from schemas.topics import EVENTS

BLIND_MS: Final = 1_000


def clocks(cluster: Cluster, now_ms: int) -> Iterator[Finding]:
    """Args: now_ms: of this machine, milliseconds since 1970. Raises Unavailable."""
    topic = EVENTS.name(cluster.namespace)
    found = cluster.metadata().topics.get(topic)
    if found is None:
        return
    wanted = {
        TopicPartition(topic, number): OffsetSpec.max_timestamp()  # type: ignore[no-untyped-call]
        for number in found.partitions
    }
    asked = cluster.client.list_offsets(wanted, request_timeout=ANSWER_S)
    newest = max((cluster.ask(future.result).timestamp for future in asked.values()), default=-1)
    ahead_ms = newest - now_ms
    if ahead_ms > BLIND_MS:
        why = f"the newest record of {topic} is of {ahead_ms / 1000:.1f} s ahead of this machine's clock"
        mend = "Have all machines of the hub follow a time server (chrony, systemd-timesyncd)"
        yield Finding(WARN, "clock of who writes events", why, mend)
    elif newest >= 0:
        yield Finding(OK, "clock of who writes events", f"the newest record of {topic} is none of the future")
