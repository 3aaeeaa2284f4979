"""Topics on the broker: made at start, described, measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import NewPartitions, NewTopic, OffsetSpec  # type: ignore[attr-defined]

from hub.errors import Refused, Unavailable
from hub.log.reaching import admin_client
from hub.settings import Kafka
from schemas.topics import EVENTS, TOPICS, Topic

TIMEOUT_S: Final = 10.0
REMAKE_S: Final = 30.0
REMAKE_POLL_S: Final = 0.03


class LogAdmin:
    """Admin calls on the hub's Kafka. Thread-safe; every call blocks for 10 s at most, then raises Unavailable."""

    def __init__(self, kafka: Kafka, namespace: str) -> None:
        """Does not connect yet. Raises Refused: such options there cannot be."""
        self._kafka = kafka
        self._namespace = namespace
        self._client = admin_client(kafka)

    def ping(self) -> None:
        """Raises Unavailable when no broker answers."""
        self._call(lambda: self._client.list_topics(timeout=TIMEOUT_S / 2))

    def ensure_topics(self) -> list[str]:
        """
        Make the topics that are missing; leave those that are there as they are. All can be used when it returns.

        Returns: the names made. Raises: Unavailable, also while there are fewer brokers than copies of a topic, or
        Refused when the broker will not make one.
        """
        there = self._call(lambda: self._client.list_topics(timeout=TIMEOUT_S)).topics
        missing = [topic for topic in TOPICS if topic.name(self._namespace) not in there]
        new = [
            NewTopic(
                topic.name(self._namespace),
                num_partitions=topic.partitions or self._kafka.partitions,
                replication_factor=self._kafka.replication,
                config=topic.broker_config(),
            )
            for topic in missing
        ]
        if not new:
            return []
        made = []
        for name, future in self._client.create_topics(new, request_timeout=TIMEOUT_S).items():
            try:
                future.result()
                made.append(name)
            except KafkaException as exc:
                error: KafkaError = exc.args[0]
                if error.code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    continue
                if error.code() == KafkaError.INVALID_REPLICATION_FACTOR:  # of a new cluster some may not be up yet
                    copies = f"{self._kafka.replication} copies (HUB_KAFKA__REPLICATION) need as many brokers"
                    raise Unavailable("kafka", f"cannot make topic {name}: {copies}: {error.str()}") from exc
                if error.retriable() or error.code() in (KafkaError._TIMED_OUT, KafkaError._TRANSPORT):
                    raise Unavailable("kafka", f"cannot make topic {name}: {error.str()}") from exc
                raise Refused("kafka", f"the broker will not make topic {name}: {error.str()}") from exc
        # a broker says that it has made a topic some moments before it knows it
        self._wait_until(lambda: all(map(self._is_usable, missing)), "make the topics usable")
        return made

    def topic_id(self, topic: Topic) -> str:
        """The broker's id of a topic: another one after the topic was deleted and made again, or on a new cluster."""
        name = topic.name(self._namespace)
        described = self._client.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT_S)
        description = self._call(described[name].result)
        return str(description.topic_id)

    def partitions(self, topic: Topic) -> list[int]:
        """Partition numbers of a topic. Raises Refused when the topic is not there."""
        name = topic.name(self._namespace)
        metadata = self._call(lambda: self._client.list_topics(name, timeout=TIMEOUT_S)).topics[name]
        if metadata.error is not None:
            raise Refused("kafka", f"topic {name} is not there ({metadata.error.str()}): start `hub up`, or make it")
        return sorted(metadata.partitions)

    def add_partitions(self, topic: Topic, to: int) -> None:
        """
        From now on the topic has so many, and all of them can be used. Does nothing when there are as many already.

        Raises: Unavailable, or Refused when the broker will not.
        """
        name = topic.name(self._namespace)
        if len(self.partitions(topic)) < to:
            made = self._client.create_partitions([NewPartitions(name, to)], request_timeout=TIMEOUT_S)
            try:
                made[name].result()
            except KafkaException as exc:
                error: KafkaError = exc.args[0]
                if error.retriable() or error.code() < 0:
                    raise Unavailable("kafka", f"cannot add partitions to {name}: {error.str()}") from exc
                raise Refused("kafka", f"the broker will not add partitions to {name}: {error.str()}") from exc
        self._wait_until(lambda: self._has(topic, to), "make the new partitions usable")

    def _has(self, topic: Topic, count: int) -> bool:
        try:
            return len(self.end_offsets(topic)) >= count
        except (Unavailable, Refused):
            return False

    def end_offsets(self, topic: Topic = EVENTS) -> dict[int, int]:
        """By partition, the offset that the next record will get."""
        return self._offsets(topic, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def begin_offsets(self, topic: Topic = EVENTS) -> dict[int, int]:
        """By partition, the offset of the oldest record that the broker still has."""
        return self._offsets(topic, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def time_offsets(self, at_ms: int, topic: Topic = EVENTS) -> dict[int, int]:
        """By partition, the offset of the first record whose time stamp is not older; the end if there is none."""
        found = self._offsets(topic, OffsetSpec.for_timestamp(max(0, at_ms)))
        ends = self.end_offsets(topic)
        return {number: ends[number] if offset < 0 else offset for number, offset in found.items()}

    def existing(self) -> list[Topic]:
        """The hub's topics that are there."""
        there = self._call(lambda: self._client.list_topics(timeout=TIMEOUT_S)).topics
        return [topic for topic in TOPICS if topic.name(self._namespace) in there]

    def empty_topics(self, topics: Sequence[Topic]) -> None:
        """
        Make topics anew, with nothing in them; all that was in them is gone. Blocks for 30 s at most.

        Raises: Unavailable, or Refused when the broker will not.
        """
        old = [(topic, self.topic_id(topic)) for topic in topics]
        names = [topic.name(self._namespace) for topic in topics]
        for future in self._client.delete_topics(names, operation_timeout=TIMEOUT_S).values():
            self._call(future.result)
        # the broker forgets a deleted topic some moments after it has said yes
        self._wait_until(lambda: all(self._is_new(topic, id) for topic, id in old), f"make {', '.join(names)} anew")

    def _is_new(self, topic: Topic, old: str) -> bool:
        self.ensure_topics()
        try:
            return self.topic_id(topic) != old and self._is_usable(topic)
        except Unavailable:
            return False  # gone, and not made again yet

    def _is_usable(self, topic: Topic) -> bool:
        try:
            return bool(self.end_offsets(topic))
        except (Unavailable, Refused):
            return False

    @staticmethod
    def _wait_until(ask: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + REMAKE_S
        while not ask():
            if time.monotonic() > deadline:
                raise Unavailable("kafka", f"did not {what} within {REMAKE_S:g} s")
            time.sleep(REMAKE_POLL_S)

    def offsets(self, topic: Topic = EVENTS) -> dict[int, tuple[int, int]]:
        """By partition, what `begin_offsets` and `end_offsets` give."""
        begins, ends = self.begin_offsets(topic), self.end_offsets(topic)
        return {number: (begins.get(number, 0), end) for number, end in ends.items()}

    def _offsets(self, topic: Topic, spec: OffsetSpec) -> dict[int, int]:
        name = topic.name(self._namespace)
        wanted = {TopicPartition(name, number): spec for number in self.partitions(topic)}
        futures = self._client.list_offsets(wanted, request_timeout=TIMEOUT_S)
        return {where.partition: self._call(future.result).offset for where, future in futures.items()}

    @staticmethod
    def _call(ask: Any) -> Any:
        try:
            return ask()
        except KafkaException as exc:
            raise Unavailable("kafka", f"the broker does not answer: {exc.args[0].str()}") from exc


def ensure_topics(kafka: Kafka, namespace: str) -> list[str]:
    """Make the hub's topics that are missing. Returns their names. Raises Unavailable or Refused."""
    return LogAdmin(kafka, namespace).ensure_topics()
