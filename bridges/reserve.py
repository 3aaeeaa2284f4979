"""A producer in reserve: a new one takes half a second until it can send, one that waits here has them behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import structlog
from confluent_kafka import KafkaError, Producer

from hub.log.fatal import Fatal, give_up, serve

log: Final = structlog.get_logger()


class Reserve:
    """
    One of a process, for whichever of its outlets is the next to need a producer; all calls from one thread.

    librdkafka asks the broker for an idempotent producer's id when it makes the producer. No broker is connected yet
    at that moment, and it asks again half a second later: until then nothing is sent.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Makes none yet. Args: config: librdkafka's producer options, those of `bridges.outlet` included."""
        self._config = {**config, "error_cb": self._on_error}
        self._waiting: Producer | None = None
        self._looking = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            give_up(waiting)

    @property
    def is_empty(self) -> bool:
        """Whether none waits here."""
        return self._waiting is None

    def prepare(self) -> None:
        """Have one: somebody will need it."""
        if self._waiting is None:
            self._waiting = Producer(self._config)

    def take(self) -> Producer:
        """The one that waits, which is the caller's from now on; the next one is made. None waited: a new one."""
        taken, self._waiting = self._waiting or Producer(self._config), Producer(self._config)
        return taken

    def look(self) -> int:
        """
        Hear its complaints of a Kafka that is away, about once a second: they would pile up.

        Returns: how many there were. Nobody else is told: whoever has something to send has complaints of its own.
        """
        if self._waiting is None:
            return 0
        self._looking = True
        try:
            return serve(self._waiting, 0)
        except Fatal:
            self._waiting = None  # whoever comes next makes one, and is told of what is wrong with it
            return 1
        finally:
            self._looking = False

    def _on_error(self, error: KafkaError) -> None:
        if not self._looking:
            log.warning("outlet.trouble", error=error.str())
