"""Keeps a Catalogue level with definitions.v1."""

from __future__ import annotations

import threading
from typing import Final, Self

import structlog
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import consumer_config
from hub.settings import Kafka
from schemas.topics import DEFINITIONS

log: Final = structlog.get_logger()
POLL_S: Final = 0.2
AT_ONCE: Final = 500
PARTITION: Final = 0
"""It has no other."""
FETCH_WAIT_MS: Final = 250
"""How long the broker keeps a fetch that finds nothing: what comes ends it at once, an empty topic waits for it."""


class Follower:
    """
    Reads definitions.v1 from its beginning, for ever, on a thread of its own.

    A context manager: entering returns once every definition that was on the topic is in the catalogue.
    """

    def __init__(self, kafka: Kafka, namespace: str, catalogue: Catalogue) -> None:
        """Does not connect yet."""
        self._topic = DEFINITIONS.name(namespace)
        self._admin = LogAdmin(kafka, namespace)
        # the group is never joined and nothing is committed, but librdkafka wants a name
        self._consumer = Consumer(
            consumer_config(
                kafka,
                f"{namespace}.definitions",
                **{
                    "auto.offset.reset": "earliest",
                    "enable.partition.eof": True,
                    "fetch.wait.max.ms": FETCH_WAIT_MS,
                },
            )
        )
        self._catalogue = catalogue
        self._level = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="definitions", daemon=True)

    def __enter__(self) -> Self:
        """Raises Unavailable when the topic cannot be read within 30 s."""
        # 0 and not OFFSET_BEGINNING, which librdkafka has to ask the broker for: half a second later, as it does not
        # know yet who leads the partition. Were 0 gone, `auto.offset.reset` would bring it to the beginning
        self._consumer.assign([TopicPartition(self._topic, PARTITION, 0)])
        self._thread.start()
        if not self._level.wait(30):
            self.__exit__()
            raise Unavailable(
                "kafka", f"could not read {self._topic} within 30 s: is the broker up, is the topic there?"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    @property
    def level(self) -> bool:
        """Whether everything that was on the topic at the start has been read, and what comes is still being read."""
        return self._level.is_set() and self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.is_set():
            # the first one as soon as it is there: to ask for many is to wait for many
            for message in self._consumer.consume(1, POLL_S):
                self._take(message)
                for another in self._consumer.consume(AT_ONCE, 0):
                    self._take(another)

    def _end(self) -> int:
        """Of the topic, as of the fetch that brought what is being read: the next one would tell it later."""
        _, end = self._consumer.get_watermark_offsets(TopicPartition(self._topic, PARTITION), cached=True)
        return int(end)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is None:
            _, at_ms = message.timestamp()
            offset = message.offset() or 0
            self._catalogue.apply(message.key() or b"", message.value(), offset, at_ms)
            if not self._level.is_set() and offset + 1 == self._end():
                self._level.set()
        elif error.code() == KafkaError._PARTITION_EOF:
            self._level.set()
        else:
            log.warning("definitions.unreadable", topic=self._topic, error=error.str())
