"""What comes on stored.v1 from now on, read on a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final, TypeAlias

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hub.log.config import consumer_config
from hub.settings import Kafka
from schemas.topics import STORED

log: Final = structlog.get_logger()
TICK_S: Final = 0.1
"""How long records are gathered: ten steps a second, whatever comes."""
AT_ONCE: Final = 2_000
LOOK_S: Final = 2.0
"""How often it is asked whether Kafka is there, and how many partitions there are."""
ANSWER_S: Final = 2.0
OPTIONS: Final = {
    # where the topic was made anew
    "auto.offset.reset": "latest",
    "fetch.wait.max.ms": int(TICK_S * 1000),
    # one answer of the broker's for each step, not one for each batch of a collector
    "fetch.min.bytes": 65_536,
    "queued.max.messages.kbytes": 8_192,
}

Heard: TypeAlias = Callable[[Sequence[bytes]], None]
"""Values of records; ten times a second, also when there are none. On the reader's thread."""
Told: TypeAlias = Callable[[str], None]
"""Empty: it reads. Else why it does not, in words; then what comes meanwhile is not read later. On its thread."""


class TailReader:
    """
    One consumer, in no group; it commits nothing. After Kafka was away it goes on at the end of the topic: what is told
    is new.
    """

    def __init__(self, kafka: Kafka, namespace: str, heard: Heard, told: Told) -> None:
        """Does not connect yet."""
        self._topic = STORED.name(namespace)
        # the group is never joined, but librdkafka wants a name
        self._config = consumer_config(kafka, f"{namespace}.tail", **OPTIONS)
        self._heard = heard
        self._told = told
        self._partitions = 0
        """How many are read; 0 while Kafka is away."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tail", daemon=True)

    def start(self) -> None:
        """Begin at the end of the topic."""
        self._thread.start()

    def stop(self) -> None:
        """Let it end by itself, soon."""
        self._over.set()

    def join(self) -> None:
        """Wait until it has. Blocks for some seconds if Kafka is away."""
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        with closing(Consumer(self._config)) as consumer:
            looked_s = -LOOK_S
            while not self._over.is_set():
                if time.monotonic() - looked_s >= LOOK_S:
                    self._look(consumer)
                    looked_s = time.monotonic()
                messages = consumer.consume(AT_ONCE, TICK_S)
                self._heard([message.value() or b"" for message in messages if message.error() is None])

    def _look(self, consumer: Consumer) -> None:
        try:
            topic = consumer.list_topics(self._topic, timeout=ANSWER_S).topics[self._topic]
            if topic.error is not None:
                raise KafkaException(topic.error)
            new = [TopicPartition(self._topic, number) for number in range(self._partitions, len(topic.partitions))]
            if new and self._partitions:
                for place in new:
                    place.offset = 0  # nobody has missed anything of these
                consumer.incremental_assign(new)
            elif new:
                for place in new:
                    # the very offset: what is stored once it is told that it reads is read
                    place.offset = consumer.get_watermark_offsets(place, timeout=ANSWER_S)[1]
                consumer.assign(new)
                self._told("")
            self._partitions = len(topic.partitions)
        except KafkaException as exc:
            if self._partitions:
                log.warning("tail.waits", error=exc.args[0].str())
                consumer.unassign()
            self._partitions = 0
            self._told(f"Kafka does not answer: {exc.args[0].str()}")
