"""Kafka as a source: any cluster, JSON messages, one consumer group a bridge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import BaseModel, BeforeValidator, Field, field_validator

from bridges.base import Batch, Bridge, BridgeSpec, Context, Delivery, Headers
from bridges.offsets import Chunk, Tracker
from bridges.secrets import PREFIX, resolve
from hub.errors import PortError, Refused, Unavailable

T = TypeVar("T")
log: Final = structlog.get_logger()

WAIT_S: Final = 0.5
"""How long `take` waits for a first message."""
GATHER_S: Final = 0.005
"""How long it then waits for company: a handful of milliseconds of latency for batches instead of single messages."""
COMMIT_EVERY_S: Final = 0.5
CALL_TIMEOUT_S: Final = 10.0
KEEP_ALIVE_S: Final = 60.0
"""A fifth of librdkafka's default max.poll.interval.ms, after which the group would take the partitions away."""
SECRET_OPTIONS: Final = ("password", "secret", "ssl.key.pem")
REFUSALS: Final = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
}


class KafkaSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of a bridge of type `kafka`."""

    bootstrap: Annotated[str, Field(min_length=1, description="Brokers, host:port with commas between.")]
    topics: Annotated[
        list[str],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(min_length=1, description="Topics to read: one name, or a list."),
    ]
    group: Annotated[str, Field(description="Consumer group. Empty: <namespace>.bridge.<bridge id>.")] = ""
    start: Annotated[
        Literal["earliest", "latest"], Field(description="Where a group begins that has never committed.")
    ] = "earliest"
    protocol: Annotated[
        Literal["classic", "consumer"],
        Field(description="Group protocol: consumer (KIP-848) rebalances faster and needs Kafka 4 or later."),
    ] = "classic"
    options: Annotated[
        dict[str, str | int | float | bool],
        Field(description="Further librdkafka options, such as security.protocol and sasl.*. Secrets as env:NAME."),
    ] = {}

    @field_validator("options")
    @classmethod
    def _secrets_are_references(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if name.endswith(SECRET_OPTIONS) and not str(value).startswith(PREFIX):
                raise ValueError(
                    f"{name} is a secret: write env:NAME, the variable of the bridge process that holds it"
                )
        return options


class KafkaDelivery(Delivery):
    """A Kafka message."""

    topic: str = ""
    partition: int = 0
    offset: int = 0

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: topic, partition, offset."""
        return {**super().meta(), "topic": self.topic, "partition": self.partition, "offset": self.offset}


class KafkaBridge(Bridge):
    """
    A consumer that commits, per partition, the lowest offset that is not acknowledged yet.

    librdkafka's calls block, so all of them run on one thread of the bridge's own, which also serves the rebalances.
    """

    def __init__(self, settings: KafkaSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{context.bridge}")
        self._consumer: Consumer | None = None
        self._trackers: dict[tuple[str, int], Tracker] = {}
        self._held: list[Message] = []
        self._paused = False
        self._commit_at = 0.0
        self._asked_at = 0.0
        self._error: PortError | None = None
        self._lag: int | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Raises Unavailable when no broker answers or a topic is missing, Refused when the broker denies access."""
        await self._run(self._connect)
        self._keeper = asyncio.create_task(self._keep_alive(), name=f"keep-alive-{self._context.bridge}")

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        return await self._run(lambda: self._take(limit))

    async def ack(self, batch: Batch) -> None:
        """Marks only; the commit follows within half a second, at a rebalance, or at close."""
        for tracker, chunk in batch.token or ():
            tracker.ack(chunk)

    async def close(self) -> None:
        """See Bridge.close."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    def lag(self) -> int | None:
        """Messages between what was taken and the end of our partitions, as of the last fetch."""
        return self._lag

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _config(self) -> dict[str, Any]:
        settings = self._settings
        # in the other protocol the broker sets it. A killed bridge's partitions come back in 10 s instead of 45.
        session = {"session.timeout.ms": 10_000} if settings.protocol == "classic" else {}
        return {
            **session,
            "bootstrap.servers": settings.bootstrap,
            "client.id": f"thamesthrive-hub-{self._context.bridge}",
            "group.id": settings.group or f"{self._context.namespace}.bridge.{self._context.bridge}",
            "group.protocol": settings.protocol,
            "auto.offset.reset": settings.start,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "reconnect.backoff.max.ms": 1_000,
            "fetch.wait.max.ms": 50,
            "queued.max.messages.kbytes": 65_536,
            # a broker sends a first message whole, however large: room for 60 MB beside a full fetch
            "receive.message.max.bytes": 134_217_728,
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
            "log_level": 4,
            **{name: resolve(value, self._context.environ) for name, value in settings.options.items()},
        }

    # everything below runs on the bridge's own thread

    def _connect(self) -> None:
        try:
            consumer = Consumer(self._config())
        except (KafkaException, ValueError) as exc:
            raise Refused("source", f"librdkafka does not take these settings: {_words(exc)}") from exc
        self._consumer = consumer
        try:
            known = consumer.list_topics(timeout=CALL_TIMEOUT_S).topics
            for topic in self._settings.topics:
                if topic not in known:
                    raise Unavailable("source", f"there is no topic {topic} on {self._settings.bootstrap}")
            consumer.subscribe(
                self._settings.topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
        except KafkaException as exc:
            raise self._error or _port_error(exc.args[0], self._settings.bootstrap) from exc
        self._asked_at = time.monotonic()

    def _take(self, limit: int) -> Batch:
        consumer = self._open()
        self._asked_at = time.monotonic()
        if self._paused:
            consumer.resume(consumer.assignment())
            self._paused = False
        self._commit_due()
        messages, self._held = self._held[:limit], self._held[limit:]
        if not messages:
            messages = consumer.consume(1, WAIT_S)
        if messages and len(messages) < limit:
            messages += consumer.consume(limit - len(messages), GATHER_S)
        if self._error is not None:
            raise self._error
        batch = self._batch(messages)
        self._lag = self._measure_lag(consumer)
        return batch

    def _batch(self, messages: list[Message]) -> Batch:
        deliveries: list[Delivery] = []
        ends: dict[tuple[str, int], int] = {}
        for message in messages:
            if message.error() is not None:
                self._on_message_error(message.error())
                continue
            topic, partition, offset = message.topic(), message.partition(), message.offset()
            if topic is None or partition is None or offset is None or (topic, partition) not in self._trackers:
                continue  # taken away while it was fetched: its new owner gets it
            ends[topic, partition] = offset + 1
            _, timestamp = message.timestamp()
            deliveries.append(
                KafkaDelivery(
                    message.value() or b"",
                    f"{topic}/{partition}/{offset}",
                    timestamp if timestamp >= 0 else None,
                    message.key(),
                    cast("Headers", message.headers() or ()),
                    topic,
                    partition,
                    offset,
                )
            )
        token: list[tuple[Tracker, Chunk]] = []
        for place, end in ends.items():
            tracker = self._trackers[place]
            token.append((tracker, tracker.take(end)))
        return Batch(deliveries, token)

    def _commit_due(self) -> None:
        now = time.monotonic()
        if now < self._commit_at:
            return
        self._commit_at = now + COMMIT_EVERY_S
        offsets = self._due(self._trackers)
        if offsets:
            self._open().commit(offsets=offsets, asynchronous=True)

    def _commit_now(self, consumer: Consumer, trackers: dict[tuple[str, int], Tracker]) -> None:
        offsets = self._due(trackers)
        if not offsets:
            return
        try:
            consumer.commit(offsets=offsets, asynchronous=False)
        except KafkaException as exc:
            # those messages come again, with the same ids
            log.warning("bridge.commit_failed", bridge=self._context.bridge, error=_words(exc))

    @staticmethod
    def _due(trackers: dict[tuple[str, int], Tracker]) -> list[TopicPartition]:
        return [TopicPartition(*place, tracker.done) for place, tracker in trackers.items() if tracker.due]

    def _measure_lag(self, consumer: Consumer) -> int | None:
        lag = 0
        for (topic, partition), tracker in self._trackers.items():
            marks = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            if marks[1] < 0 or tracker.taken < 0:
                continue
            lag += max(0, marks[1] - tracker.taken)
        return lag if self._trackers else None

    def _close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        self._commit_now(consumer, self._trackers)
        self._trackers = {}
        try:
            consumer.close()
        except (KafkaException, RuntimeError) as exc:
            log.warning("bridge.close_failed", bridge=self._context.bridge, error=_words(exc))

    def _open(self) -> Consumer:
        if self._consumer is None:
            raise Unavailable("source", "the bridge is closed")
        return self._consumer

    async def _keep_alive(self) -> None:
        """While nobody asks, stay in the group: fetch nothing, but serve its rebalances."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_S / 2)
            await self._run(self._idle)

    def _idle(self) -> None:
        if self._consumer is None or time.monotonic() - self._asked_at < KEEP_ALIVE_S / 2:
            return
        self._consumer.pause(self._consumer.assignment())
        self._paused = True
        self._commit_due()
        self._held += self._consumer.consume(1, 0)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        for partition in partitions:
            self._trackers[partition.topic, partition.partition] = Tracker()
        if self._settings.start == "latest":
            self._begin_at_end(consumer, partitions)
        log.info("bridge.assigned", bridge=self._context.bridge, partitions=len(self._trackers))

    def _begin_at_end(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Commit where the end was: else what comes before the first commit would be skipped by a restart."""
        try:
            new = [where for where in consumer.committed(partitions, CALL_TIMEOUT_S) if where.offset == OFFSET_INVALID]
            for where in new:
                _, where.offset = consumer.get_watermark_offsets(where, CALL_TIMEOUT_S)
            if new:
                consumer.commit(offsets=new, asynchronous=False)
        except KafkaException as exc:
            self._error = Unavailable("source", f"cannot find the end of the topic: {_words(exc)}")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        places = [(where.topic, where.partition) for where in partitions]
        gone = {place: self._trackers.pop(place) for place in places if place in self._trackers}
        self._commit_now(consumer, gone)
        log.info("bridge.revoked", bridge=self._context.bridge, partitions=len(gone))

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for where in partitions:
            self._trackers.pop((where.topic, where.partition), None)
        log.warning("bridge.lost", bridge=self._context.bridge, partitions=len(partitions))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        if error is not None:
            log.warning("bridge.commit_failed", bridge=self._context.bridge, error=error.str())
            return
        for where in partitions:
            tracker = self._trackers.get((where.topic, where.partition))
            if tracker is not None and where.error is None:
                tracker.committed = max(tracker.committed, where.offset)

    def _on_error(self, error: KafkaError) -> None:
        """librdkafka mends connections itself; only what it cannot mend ends the bridge."""
        if error.fatal() or error.code() in REFUSALS:
            self._error = _port_error(error, self._settings.bootstrap)
        else:
            log.warning("bridge.source_trouble", bridge=self._context.bridge, error=error.str())

    def _on_message_error(self, error: KafkaError | None) -> None:
        if error is None or error.code() in (KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED):
            return
        raise _port_error(error, self._settings.bootstrap)


def _port_error(error: KafkaError, bootstrap: str) -> PortError:
    kind = Refused if error.code() in REFUSALS else Unavailable
    return kind("source", f"{error.str()} (brokers {bootstrap})")


def _words(exc: BaseException) -> str:
    error: object = exc.args[0] if exc.args else exc
    return error.str() if isinstance(error, KafkaError) else str(error)


SPEC: Final = BridgeSpec("kafka", "Read topics of a Kafka cluster.", KafkaSettings, KafkaBridge)
