"""
events.v1 takes nothing for a moment: while its partitions grow, no record may come, from whomever.

The broker itself refuses all of them, as no record is as small as the topic's `max.message.bytes` says then; so nobody
has to be told, and nobody can miss it. A record that really is too large is refused by its producer, before it is sent.
"""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from hub.errors import HubError, Refused, Unavailable
from hub.log.config import admin_config
from hub.settings import Kafka
from schemas.topics import EVENTS

HELD: Final = "events.v1 takes nothing for a moment, as its partitions grow (hub partitions grow): send it again"
ANSWER_S: Final = 10.0
_LIMIT: Final = "max.message.bytes"
_NOTHING: Final = "1"


def is_held(error: KafkaError) -> bool:
    """Whether a broker has refused a record for that. Args: error: of a delivery report."""
    return error.code() == KafkaError.MSG_SIZE_TOO_LARGE


class Hold:
    """Begins and ends it. Each call blocks for 10 s at most."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet."""
        self._topic = EVENTS.name(namespace)
        self._client = AdminClient(admin_config(kafka))

    @property
    def is_on(self) -> bool:
        """Raises Unavailable, Refused."""
        resource = ConfigResource(ResourceType.TOPIC, self._topic)
        try:
            found = self._client.describe_configs([resource], request_timeout=ANSWER_S)[resource].result()
        except KafkaException as exc:
            raise self._failed("tell the settings of", exc) from exc
        return bool(found[_LIMIT].value == _NOTHING)

    def begin(self) -> None:
        """Raises Unavailable, Refused."""
        self._set(_NOTHING)

    def end(self) -> None:
        """The limit is that of `schemas.topics` again. Raises Unavailable, Refused."""
        self._set(EVENTS.broker_config()[_LIMIT])

    def _set(self, value: str) -> None:
        entry = ConfigEntry(_LIMIT, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, self._topic, incremental_configs=[entry])
        try:
            self._client.incremental_alter_configs([resource], request_timeout=ANSWER_S)[resource].result()
        except KafkaException as exc:
            raise self._failed("change the settings of", exc) from exc

    def _failed(self, what: str, exc: KafkaException) -> HubError:
        error: KafkaError = exc.args[0]
        kind = Unavailable if error.retriable() or error.code() < 0 else Refused
        return kind("kafka", f"the broker does not {what} {self._topic}: {error.str()}")
