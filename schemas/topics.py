"""Every Kafka topic of the hub: who writes it, who reads it, its key and how long it keeps records."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

MAX_RECORD_BYTES: Final = 2 * 1024 * 1024
"""Largest record on any of our topics. Bigger originals of dead letters go to the store, referenced by hash."""

MAX_TOLD_BYTES: Final = 2 * MAX_RECORD_BYTES
"""Largest record on stored.v1 and dead.v1: what holds a record of events.v1 has to be larger than that."""


@dataclass(frozen=True)
class Topic:
    """One topic. `suffix` is its name without the namespace; the name is a wire format: rename by adding."""

    suffix: str
    carries: str
    key: str
    written_by: tuple[str, ...]
    read_by: tuple[str, ...]
    retention: timedelta | None
    compacted: bool = False
    partitions: int | None = None
    config: dict[str, str] = field(default_factory=dict)

    def name(self, namespace: str) -> str:
        """The topic's name on the broker, such as `hub.events.v1`."""
        return f"{namespace}.{self.suffix}"

    def broker_config(self) -> dict[str, str]:
        """Topic settings, as Kafka spells them."""
        config = {"max.message.bytes": str(MAX_RECORD_BYTES), **self.config}
        if self.compacted:
            config["cleanup.policy"] = "compact"
        elif self.retention is not None:
            config["retention.ms"] = str(int(self.retention.total_seconds() * 1000))
        return config


EVENTS: Final = Topic(
    "events.v1",
    carries="Avro Inbound: Track, Patch, Merge or Refused",
    key="profile id (of Refused: the payload id)",
    written_by=("api", "bridges", "destinations", "agents", "worker", "replay", "import"),
    read_by=("collector", "replay"),
    retention=timedelta(days=7),
)
STORED: Final = Topic(
    "stored.v1",
    carries="Avro Stored: one stored event and what it changed",
    key="profile id",
    written_by=("collector",),
    read_by=("api", "destinations", "your own consumers"),
    retention=timedelta(days=3),
    config={"max.message.bytes": str(MAX_TOLD_BYTES)},
)
TRIGGERS: Final = Topic(
    "triggers.v1",
    carries="Avro Trigger: a flow to run, an event that a pause may wait for, a slice of a heartbeat",
    key="profile id (of an event without a profile: its id; of a slice: the trigger's id)",
    written_by=("collector", "agents"),
    read_by=("agents",),
    retention=timedelta(days=3),
)
DEAD: Final = Topic(
    "dead.v1",
    carries="Avro DeadLetter: original bytes and headers, reason, where, when, attempts",
    key="original key",
    written_by=("collector",),
    read_by=("your own consumers",),
    retention=timedelta(days=30),
    config={"max.message.bytes": str(MAX_TOLD_BYTES)},
)
DEFINITIONS: Final = Topic(
    "definitions.v1",
    carries="JSON: one version of a definition; an empty value deletes it",
    key="kind/id",
    written_by=("api",),
    read_by=("api", "collector", "bridges", "agents", "worker"),
    retention=None,
    compacted=True,
    partitions=1,
)
KEYS: Final = Topic(
    "keys.v1",
    carries="JSON: what a record of events.v1 is sealed with; an empty value: it was thrown away",
    key="id of the key, 32 hex digits",
    written_by=("api", "bridges", "collector", "replay"),
    read_by=("collector", "replay"),
    retention=None,
    compacted=True,
    # one, so that a single offset says how far the store has them
    partitions=1,
    # ten minutes until a segment is closed, ten more until it is compacted: then a key that was thrown away is gone
    config={"segment.ms": "600000", "max.compaction.lag.ms": "600000"},
)
AUDIT: Final = Topic(
    "audit.v1",
    carries="JSON: a request to the API that may change something, by whom, and what came of it",
    # each request has a key of its own, and two records: what compaction takes away is the one of before
    key="id of the entry",
    written_by=("api",),
    read_by=("api",),
    retention=None,
    compacted=True,
    # one, so that they are in order
    partitions=1,
)

TOPICS: Final = (EVENTS, STORED, TRIGGERS, DEAD, DEFINITIONS, KEYS, AUDIT)
