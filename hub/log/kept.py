"""How long Kafka keeps what is on the hub's topics, as the broker is set now."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType  # type: ignore[attr-defined]

from hub.errors import Unavailable
from hub.log.config import admin_config
from hub.settings import Kafka
from schemas.topics import DEAD, EVENTS, KEYS, STORED, Topic

TIMEOUT_S: Final = 10.0
CLEANING_MS: Final = 120_000
"""Until something new closes a segment (a minute at most, see the sweeper), and Kafka's cleaner comes by."""
WITH_PEOPLE: Final[tuple[Topic, ...]] = (EVENTS, STORED, DEAD, KEYS)
"""Topics with what customers have sent, and with what opens it."""


class Kept:
    """Asks the broker at each call. Thread-safe; blocks for 10 s at most."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self._client = AdminClient(admin_config(kafka))
        self._names = {topic.name(namespace): topic.suffix for topic in WITH_PEOPLE}

    def __call__(self) -> dict[str, int | None]:
        """
        By topic (`events.v1`), after how many milliseconds a record is deleted at the latest; None: never, or only when
        the topic has grown too large. Of keys.v1: a key that was thrown away.

        Kafka deletes whole segments, when the newest record in them is old enough. So to the retention comes the time
        for which a segment may be written to.

        Raises: Unavailable.
        """
        wanted = [ConfigResource(ResourceType.TOPIC, name) for name in self._names]
        try:
            found = self._client.describe_configs(wanted, request_timeout=TIMEOUT_S)
            configs = {resource.name: future.result() for resource, future in found.items()}
        except KafkaException as exc:
            raise Unavailable(
                "kafka", f"the broker does not say how long it keeps topics: {exc.args[0].str()}"
            ) from exc
        return {
            suffix: _longest({key: entry.value for key, entry in configs[name].items()})
            for name, suffix in self._names.items()
        }


def _longest(config: dict[str, str | None]) -> int | None:
    if config["cleanup.policy"] == "compact":
        return int(config["max.compaction.lag.ms"] or 0) + int(config["segment.ms"] or 0) + CLEANING_MS
    retention_ms, segment_ms = int(config["retention.ms"] or -1), int(config["segment.ms"] or 0)
    if retention_ms < 0 or "delete" not in (config["cleanup.policy"] or ""):
        return None
    return retention_ms + segment_ms
