"""Parcels onto a Kafka topic, for a bridge to pull."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec, TopicMetadata  # type: ignore[attr-defined]

from hub.edge.mapping import ID_HEADER
from hub.log.config import admin_config, producer_config
from hub.send.errors import SendError
from hub.send.parcels import Parcel
from hub.send.tally import Tally
from hub.settings import Kafka

TIMEOUT_S: Final = 10.0
TICK_S: Final = 0.2
_UNHEARD: Final = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
}


class KafkaSender:
    """Sends to one topic, keyed by profile id, in the order of the file; librdkafka does the retries."""

    def __init__(self, kafka: Kafka, topic: str, *, give_up_after_s: float | None, tally: Tally) -> None:
        """
        Args:
            give_up_after_s: How long to go on without any acknowledgement; None: for ever.
        """
        self._kafka = kafka
        self._topic = topic
        self._give_up_after_s = give_up_after_s
        self._tally = tally
        self._failed: KafkaError | None = None
        self._waiting = 0
        self._progress_at = time.monotonic()
        self._producer = Producer(
            producer_config(kafka, **{"delivery.timeout.ms": 0, "queue.buffering.max.kbytes": 65_536})
        )

    def make_topic(self, partitions: int) -> None:
        """Make the topic if it is not there. Raises SendError."""
        client = AdminClient(admin_config(self._kafka))
        wanted = NewTopic(self._topic, num_partitions=partitions, replication_factor=self._kafka.replication)
        try:
            client.create_topics([wanted], request_timeout=TIMEOUT_S)[self._topic].result()
        except KafkaException as exc:
            if exc.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise SendError(f"cannot make topic {self._topic}: {exc.args[0].str()}") from exc
        # What is sent before its partition is there may get lost, and be acknowledged all the same: the broker refuses
        # the first batch, takes the second for the first, and then the first, sent again, for one that it has.
        deadline = time.monotonic() + TIMEOUT_S
        while not self._is_there(client):
            if time.monotonic() > deadline:
                raise SendError(f"topic {self._topic} is made, and its brokers do not have it within {TIMEOUT_S:g} s")
            self._producer.poll(TICK_S)

    def send(self, parcels: Iterable[Parcel]) -> None:
        """Raises SendError."""
        self._check_topic()
        for parcel in parcels:
            self._tally.opened(parcel)
            self._produce(parcel)
            self._producer.poll(0)
        while self._waiting:
            self._producer.poll(TICK_S)
            self._check()

    def _is_there(self, client: AdminClient) -> bool:
        """Whether each partition can be written to; what else is wrong with the topic, `send` says at once."""
        topic = self._found()
        if topic.error is not None:
            return topic.error.code() not in _UNHEARD
        newest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        wanted = {TopicPartition(self._topic, number): newest for number in topic.partitions}
        try:
            for future in client.list_offsets(wanted, request_timeout=TIMEOUT_S).values():
                future.result()
        except KafkaException as exc:
            return exc.args[0].code() not in _UNHEARD
        return True

    def _check_topic(self) -> None:
        error = self._found().error
        if error is not None:
            raise SendError(f"topic {self._topic} at {self._kafka.bootstrap}: {error.str()}")

    def _found(self) -> TopicMetadata:
        try:
            found: TopicMetadata = self._producer.list_topics(self._topic, timeout=TIMEOUT_S).topics[self._topic]
        except KafkaException as exc:
            raise SendError(f"no answer from Kafka at {self._kafka.bootstrap}: {exc.args[0].str()}") from exc
        return found

    def _produce(self, parcel: Parcel) -> None:
        def delivered(error: KafkaError | None, _: Message) -> None:
            self._waiting -= 1
            self._progress_at = time.monotonic()
            if error is None:
                self._tally.accepted(parcel)
            else:
                self._failed = self._failed or error

        while True:
            try:
                self._producer.produce(
                    self._topic,
                    parcel.body,
                    parcel.key.encode() or None,
                    headers={ID_HEADER: parcel.id.encode()},
                    on_delivery=delivered,
                )
            except BufferError:
                self._producer.poll(TICK_S)
                self._check()
            except KafkaException as exc:
                if exc.args[0].code() != KafkaError.MSG_SIZE_TOO_LARGE:
                    raise SendError(f"topic {self._topic}: {exc.args[0].str()}") from exc
                self._tally.refuse(parcel.lines[0], f"{len(parcel.body)} bytes are too many for one message")
                self._tally.settled(parcel)
                return
            else:
                self._waiting += 1
                return

    def _check(self) -> None:
        if self._failed is not None:
            raise SendError(f"topic {self._topic}: {self._failed.str()}")
        idle_s = time.monotonic() - self._progress_at
        if self._give_up_after_s is not None and idle_s > self._give_up_after_s:
            self._producer.purge()
            raise SendError(f"gave up: Kafka at {self._kafka.bootstrap} has acknowledged nothing for {idle_s:.0f} s")
