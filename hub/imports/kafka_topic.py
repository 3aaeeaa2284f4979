"""A topic of a Kafka cluster, from its beginning to where it ended when the import began."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, Self

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, KafkaError, KafkaException, Message, TopicPartition

from hub.errors import PortError, Refused, Unavailable
from hub.imports.rows import PAGE, Page, Position, Row, Shape, Unmarked, unreadable

ANSWER_S: Final = 15.0
WAIT_S: Final = 1.0
SILENT_S: Final = 60.0
_REFUSALS: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)


class Topic(NamedTuple):
    """Where it is. `options`: further ones of librdkafka's, such as sasl.*, with their secrets."""

    bootstrap: str
    name: str
    options: Mapping[str, Any]


class KafkaTopic(Unmarked):
    """
    See Source. The position is, by partition, the offset behind the last message, and where the import ends.

    Nothing is committed: who else reads the topic does not notice.
    """

    def __init__(self, topic: Topic) -> None:
        """Does not connect yet."""
        self._topic = topic
        self._consumer: Consumer
        self._begins: dict[int, int] = {}
        self._ends: dict[int, int] = {}

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        topic = self._topic
        config = {
            "bootstrap.servers": topic.bootstrap,
            "group.id": f"thamesthrive-hub-import-{secrets.token_hex(4)}",  # never joined
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "queued.max.messages.kbytes": 16_384,
            "log_level": 2,
            **topic.options,
        }
        try:
            self._consumer = Consumer(config)
        except KafkaException as exc:
            raise unreadable(f"librdkafka does not take these settings: {_words(exc)}. Correct --option") from exc
        try:
            self._look()
        except BaseException:
            self._consumer.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    @property
    def shape(self) -> Shape:
        """Partitions and offsets."""
        parts = ", ".join(f"{number}: {self._begins[number]:,} to {end:,}" for number, end in self._ends.items())
        return Shape({"format": "kafka", "topic": self._topic.name, "offsets": parts})

    @property
    def total(self) -> int:
        """Messages, at most: a compacted topic has fewer."""
        return sum(end - self._begins[number] for number, end in self._ends.items())

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        if position is None:
            at, ends, done = dict(self._begins), dict(self._ends), 0
        else:
            at, ends = ({int(name): offset for name, offset in part.items()} for part in position[:2])
            done = position[2]
        self._check(at, ends)
        open_ = {number for number, end in ends.items() if at[number] < end}
        self._consumer.assign([TopicPartition(self._topic.name, number, at[number]) for number in sorted(open_)])
        heard_at = time.monotonic()
        while open_:
            messages = self._taken()
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENT_S:
                raise Unavailable("import", f"{self._topic.bootstrap} has sent nothing for {SILENT_S:g} s")
            rows = []
            for message in messages:
                number, offset = message.partition() or 0, message.offset() or 0
                if message.error() is not None:  # the end of the partition: what is missing there was compacted away
                    open_.discard(number)
                elif number in open_ and offset < ends[number]:
                    done += 1
                    rows.append(_row(message, done))
                    at[number] = offset + 1
                if at[number] >= ends[number]:
                    open_.discard(number)
            if rows:
                yield Page(rows, (_named(at), _named(ends), done), done)

    def _taken(self) -> list[Message]:
        """Raises Refused, Unavailable."""
        messages = self._consumer.consume(PAGE, WAIT_S)
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise _translated(error, self._topic)
        return messages

    def _look(self) -> None:
        name = self._topic.name
        try:
            found = self._consumer.list_topics(name, timeout=ANSWER_S).topics[name]
            if found.error is not None:
                raise _translated(found.error, self._topic)
            for number in sorted(found.partitions):
                begin, end = self._consumer.get_watermark_offsets(TopicPartition(name, number), timeout=ANSWER_S)
                self._begins[number], self._ends[number] = begin, end
        except KafkaException as exc:
            raise _translated(exc.args[0], self._topic) from exc

    def _check(self, at: Mapping[int, int], ends: Mapping[int, int]) -> None:
        for number, offset in at.items():
            if offset < self._begins.get(number, 0) and offset < ends[number]:
                raise unreadable(
                    f"partition {number} of {self._topic.name} begins at offset {self._begins[number]:,} by now, and "
                    f"this import was at {offset:,}: the messages between are deleted. Begin anew without --resume"
                )


def _row(message: Message, number: int) -> Row:
    kind, at_ms = message.timestamp()
    time_ms = None if kind == TIMESTAMP_NOT_AVAILABLE else at_ms
    partition, offset, key = message.partition(), message.offset(), message.key()
    named: Any = message.headers() or ()
    headers = {name: None if value is None else value.decode(errors="replace") for name, value in named}
    meta = {
        "topic": message.topic(),
        "partition": partition,
        "offset": offset,
        "timestamp": time_ms,
        "key": None if key is None else key.decode(errors="replace"),
        "headers": headers,
    }
    name = f"{message.topic()}/{partition}/{offset}/{time_ms}"
    return Row(name, number, None, message.value() or b"", "", time_ms, meta)


def _named(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(number): offset for number, offset in offsets.items()}


def _words(exc: BaseException) -> str:
    error: object = exc.args[0] if exc.args else exc
    return error.str() if isinstance(error, KafkaError) else str(error)


def _translated(error: KafkaError, topic: Topic) -> PortError:
    if error.code() in _REFUSALS:
        mend = "Correct the topic or the options, or let the user read there"
        return Refused("import", f"topic {topic.name} at {topic.bootstrap}: {error.str()}. {mend}")
    mend = "Does it run, is the address right, and does --option security.protocol= say TLS or not?"
    return Unavailable("import", f"Kafka at {topic.bootstrap} does not answer: {error.str()}. {mend}")
