"""Whether Kafka is there: for whoever begins, with an answer within a second, and the reason."""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from hub.errors import Refused, Unavailable
from hub.log.config import admin_config
from hub.settings import Kafka

ANSWER_S: Final = 1.0
"""A slow connection is made meanwhile, and found the next time."""


def admin_client(kafka: Kafka, **extra: Any) -> AdminClient:
    """It does not connect yet. Raises Refused: such options there cannot be."""
    try:
        return AdminClient(admin_config(kafka, **extra))
    except KafkaException as exc:
        raise Refused("kafka", f"no client of Kafka can be made (HUB_KAFKA__…): {exc.args[0].str()}") from exc


class Reaching:
    """One connection, kept between two questions. For one thread."""

    def __init__(self, kafka: Kafka) -> None:
        """Raises Refused: such options there cannot be."""
        self._bootstrap = kafka.bootstrap
        self._why = ""
        self._refusal = ""
        self._client = admin_client(kafka, error_cb=self._heard)

    def __call__(self) -> None:
        """Raises: Unavailable: no broker answers. Refused: one does not let us in."""
        try:
            self._client.list_topics(timeout=ANSWER_S)
        except KafkaException as exc:
            self._client.poll(0)  # calls `_heard`
            if self._refusal:
                raise Refused("kafka", f"a broker does not let us in: {self._refusal}") from exc
            why = self._why or exc.args[0].str()
            raise Unavailable("kafka", f"no broker of {self._bootstrap} (HUB_KAFKA__BOOTSTRAP) answers: {why}") from exc

    def _heard(self, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTHENTICATION:
            self._refusal = error.str()
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:  # says how many, not why
            self._why = error.str()
