"""A producer that is at its end: an idempotent one does not come back from a fatal error."""

from __future__ import annotations

from typing import Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer

log: Final = structlog.get_logger()

_TELL_S: Final = 1.0


class Fatal(Exception):
    """The producer takes nothing any more, and its owner has to make a new one; what it held was reported as failed."""

    def __init__(self, error: KafkaError) -> None:
        """Args: error: why."""
        super().__init__(error.str())
        self.error = error


def serve(producer: Producer, within_s: float) -> int:
    """
    Serve delivery reports as they come, for at most so many seconds.

    That is `Producer.poll`, which raises a fatal error by itself, once: `error_cb` is not told of it.

    Returns: how many there were.
    Raises: Fatal: the senders send again, under the same ids.
    """
    try:
        return producer.poll(within_s)
    except KafkaException as exc:
        log.warning("producer.fatal", error=exc.args[0].str())
        give_up(producer)
        raise Fatal(exc.args[0]) from exc


def give_up(producer: Producer) -> None:
    """Report all that the producer holds as failed."""
    producer.purge()
    try:
        producer.flush(_TELL_S)
    except KafkaException:
        producer.flush(_TELL_S)  # what was fatal is told once; then come the reports
