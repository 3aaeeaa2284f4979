"""Kafka as a source: any cluster, JSON or Avro messages, one consumer group a bridge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Annotated, Any, Final, Literal, TypeVar, cast

import structlog
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition
from pydantic import BaseModel, BeforeValidator, Field

from bridges import kafka_aside, kafka_mark
from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery, Headers, Part, Rewind
from bridges.kafka_link import AWAY, REFUSALS, KafkaServer, not_taken, port_error, words
from bridges.kafka_rest import Resting, lounge
from bridges.offsets import Chunk, Tracker
from bridges.slack import late_timers
from hub.definitions.kinds import Start
from hub.definitions.secrets import SecretRef
from hub.errors import PortError, Refused, Unavailable
from hub.log.ghosts import LOOK_S, PATIENCE_S, Ghosts, Place
from hub.settings import Kafka

T = TypeVar("T")
log: Final = structlog.get_logger()

GATHER_S: Final = 0.002
"""How long it then waits for company: two milliseconds of latency for batches instead of single messages."""
FETCH_AGAIN_MS: Final = 1_000
"""Longer than `take` waits."""
FETCH_WAIT_MS: Final = 1_000
"""How long the broker keeps a fetch that finds nothing. Longer, and partitions that come later wait for its end."""
LATE_S: Final = 1.0
"""How late librdkafka's timers may be. Each of its threads wakes up every second, most of them for nothing."""
FULL_AGAIN_MS: Final = 250
"""When it looks again whether there is room for more messages; LATE_S comes on top, and until then it has enough."""
COMMIT_EVERY_S: Final = 0.5
NEW_TOPICS_MS: Final = 20_000
"""How often it looks for further topics that match a pattern; librdkafka's own is five minutes."""
CONSUME_S: Final = 1.0
"""How long the thread waits for a first message: a stop that finds it there takes as long."""
CALL_TIMEOUT_S: Final = 10.0
REST_AFTER_S: Final = 5.0
"""So long nothing has come: then it rests, and its first message waits up to a tenth of a second longer."""
LOOK_EVERY_S: Final = 0.5
"""Between two looks at the ends of partitions while it rests: half of FETCH_AGAIN_MS."""
RESTING_CALL_S: Final = 2.0
"""CALL_TIMEOUT_S while it rests: others that rest wait for it."""
KEEP_ALIVE_S: Final = 60.0
"""A fifth of librdkafka's default max.poll.interval.ms, after which the group would take the partitions away."""
THE_END_MS: Final = 2**62
"""Later than any message: a partition is begun at its end."""
NO_END: Final = -1
"""What librdkafka has for the end of a partition of which the broker says that it is none of its own."""
GONE: Final = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.UNKNOWN_TOPIC_ID}


class Registry(BaseModel, frozen=True, extra="forbid"):
    """A schema registry with Confluent's REST API."""

    url: Annotated[str, Field(min_length=1, description="Of the registry, such as https://registry:8081.")]
    user: Annotated[str, Field(description="For basic authentication.")] = ""
    password: Annotated[SecretRef, Field(description="For basic authentication.")] = ""
    ca: Annotated[str, Field(description="File of the certificate authority that signed the registry's.")] = ""


class KafkaSettings(KafkaServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `kafka`."""

    topics: Annotated[
        list[str],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
        Field(min_length=1, description="Topics to read: one name, or a list. What begins with ^ is a pattern."),
    ]
    group: Annotated[str, Field(description="Consumer group. Empty: <namespace>.bridge.<bridge id>.")] = ""
    start: Annotated[
        Start,
        Field(description="Where a group begins that has never committed: earliest, latest, or an RFC 3339 time."),
    ] = "earliest"
    format: Annotated[
        Literal["json", "avro"],
        Field(description="Of the messages. avro: with a registry's schema id or a schema's fingerprint in front."),
    ] = "json"
    registry: Annotated[Registry | None, Field(description="Where the schemas of avro messages are.")] = None
    schemas: Annotated[
        Sequence[Any], Field(description="Avro schemas, as JSON, of messages that begin with a fingerprint.")
    ] = ()
    protocol: Annotated[
        Literal["classic", "consumer"],
        Field(description="Group protocol: consumer (KIP-848) rebalances faster and needs Kafka 4 or later."),
    ] = "classic"


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

    librdkafka's calls block, so all of them run on one thread of the bridge's own, which also serves the rebalances;
    while it rests, on the one of all that rest (bridges.kafka_rest).
    """

    def __init__(
        self,
        settings: KafkaSettings,
        context: Context,
        *,
        rest_after_s: float = REST_AFTER_S,
        look_s: float = LOOK_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Does not connect yet. Args: look_s, patience_s: with others of its group who are gone."""
        self._settings = settings
        self._context = context
        self._rest_after_s = rest_after_s
        self._look_s = look_s
        self._patience_s = patience_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"kafka-{context.bridge}")
        self._consumer: Consumer | None = None
        self._trackers: dict[tuple[str, int], Tracker] = {}
        self._trouble: PortError | None = None
        """What librdkafka said last of a connection that it tries to mend."""
        self._marks: dict[str, str] = {}
        """What is committed beside an offset, by topic: which topic of that name it was when we got its partitions."""
        self._ends: set[tuple[str, int]] = set()
        """Partitions whose end the broker has told since we connected."""
        self._held: list[Message] = []
        self._paused = False
        self._commit_at = 0.0
        self._asked_at = 0.0
        self._error: PortError | None = None
        self._parts: list[Part] = []
        self._loop: asyncio.AbstractEventLoop
        self._resting: Resting | None = None
        """While it rests, its own thread leaves the consumer alone."""
        self._rest_at = self._look_at = 0.0
        self._moved = False
        """Partitions have come or gone since it rests."""
        self._every: Sequence[Place] = ()
        """Partitions that there were when it connected."""
        self._tasks: list[asyncio.Task[None]] = []
        self._decode = decoder(settings, context)

    async def connect(self) -> None:
        """Raises Unavailable when no broker answers or a topic is missing, Refused when the broker denies access."""
        self._loop = asyncio.get_running_loop()
        await self._run(self._connect)
        self._begin_task("keep-alive", self._keep_alive())
        if self._settings.protocol == "consumer":
            self._begin_task("ghosts", self._look_for_ghosts())

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        self._asked_at = time.monotonic()
        if self._resting is not None and not await self._resting.stirs(WAIT_S):
            return Batch(())
        return await self._run(lambda: self._take(limit))

    async def ack(self, batch: Batch) -> None:
        """Marks only; the commit follows with one of the next takes, at a rebalance, or at close."""
        for tracker, chunk in batch.token or ():
            tracker.ack(chunk)

    async def close(self) -> None:
        """See Bridge.close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._run(self._close)
        self._thread.shutdown(wait=False)

    @property
    def resting(self) -> bool:
        """Whether nothing has come for long, and the consumer is looked at with those of other bridges."""
        return self._resting is not None

    def lag(self) -> int | None:
        """Messages between what was taken and the end of our partitions, as of the last fetch."""
        known = [part.lag for part in self._parts if part.lag is not None]
        return sum(known) if known else None

    def parts(self) -> Sequence[Part]:
        """Our partitions, as of the last fetch."""
        return self._parts

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """The newest messages, of a group of their own: the bridge's own place stays."""

        def look() -> Sequence[Delivery]:
            group = f"{self._context.namespace}.bridge.{self._context.bridge}.look"
            with closing(self._consumer_with(kafka_aside.config_for_looking(self._config(), group))) as consumer:
                partitions = self._matching(consumer)
                return [
                    self._delivery(message, message.topic() or "", message.partition() or 0, message.offset() or 0)
                    for message in kafka_aside.newest(consumer, partitions, limit)
                ]

        return await self._aside(look)

    async def rewind(self, to: Rewind) -> None:
        """See Bridge.rewind."""

        def set_back() -> None:
            with closing(self._consumer_with(self._config())) as consumer:
                kafka_aside.set_back(consumer, self._matching(consumer), to)

        await self._aside(set_back)

    async def _aside(self, call: Callable[[], T]) -> T:
        """Raises what `connect` raises."""
        try:
            return await self._run(call)
        except KafkaException as exc:
            raise self._why(exc) from exc
        finally:
            self._thread.shutdown(wait=False)

    def _begin_task(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=f"{name}-{self._context.bridge}"))

    def _cluster(self) -> Kafka:
        """As it is reached by what reads nothing."""
        settings = self._settings
        return Kafka(bootstrap=settings.bootstrap, options=settings.resolved(self._context.environ))

    async def _look_for_ghosts(self) -> None:
        group = self._config()["group.id"]
        ghosts = Ghosts(
            self._cluster(), group, lambda: tuple(self._trackers), lambda: self._every, patience_s=self._patience_s
        )
        while True:
            await asyncio.sleep(self._look_s)
            # whoever has all partitions needs no thread to see that
            if not self._trackers.keys() >= set(self._every):
                await asyncio.to_thread(ghosts.glance)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    def _config(self) -> dict[str, Any]:
        settings = self._settings
        # in the other protocol the broker sets it. A killed bridge's partitions come back in 10 s instead of 45.
        session = {"session.timeout.ms": 10_000} if settings.protocol == "classic" else {}
        patterns = any(topic.startswith("^") for topic in settings.topics)
        return {
            **session,
            **({"topic.metadata.refresh.interval.ms": NEW_TOPICS_MS} if patterns else {}),
            "bootstrap.servers": settings.bootstrap,
            "client.id": f"thamesthrive-hub-{self._context.bridge}",
            "group.id": settings.group or f"{self._context.namespace}.bridge.{self._context.bridge}",
            "group.protocol": settings.protocol,
            "auto.offset.reset": settings.start if isinstance(settings.start, str) else "earliest",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "reconnect.backoff.max.ms": 1_000,
            # so long it is seen that a topic is gone: librdkafka goes on in a new one where it was in the old one
            "fetch.error.backoff.ms": FETCH_AGAIN_MS,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
            "fetch.queue.backoff.ms": FULL_AGAIN_MS,
            "queued.max.messages.kbytes": 65_536,
            # a broker sends a first message whole, however large: room for 60 MB beside a full fetch
            "receive.message.max.bytes": 134_217_728,
            "error_cb": self._on_error,
            "on_commit": self._on_commit,
            "log_level": 4,
            **settings.resolved(self._context.environ),
        }

    # everything below runs on the bridge's own thread

    def _connect(self) -> None:
        with late_timers(LATE_S):
            consumer = self._consumer = self._consumer_with(self._config())
        try:
            found = self._matching(consumer)
            self._every = [(where.topic, where.partition) for where in found]
            consumer.subscribe(
                self._settings.topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
            )
        except KafkaException as exc:
            raise self._why(exc) from exc
        self._asked_at = time.monotonic()
        self._rest_at = self._asked_at + self._rest_after_s

    @staticmethod
    def _consumer_with(config: dict[str, Any]) -> Consumer:
        try:
            return Consumer(config)
        except (KafkaException, ValueError) as exc:
            raise Refused("source", not_taken(exc)) from exc

    def _matching(self, consumer: Consumer) -> list[TopicPartition]:
        try:
            return kafka_aside.matching(consumer, self._settings.topics)
        except KafkaException:
            consumer.poll(0)  # it has more to tell than that nobody answers
            raise

    def _why(self, exc: KafkaException) -> PortError:
        error: KafkaError = exc.args[0]
        return self._error or (self._trouble if error.code() in AWAY else None) or self._port_error(error)

    def _take(self, limit: int) -> Batch:
        self._get_up()
        consumer = self._open()
        self._asked_at = time.monotonic()
        if self._paused:
            consumer.resume(consumer.assignment())
            self._paused = False
        self._look_for_ends(consumer)
        self._commit_due()
        messages, self._held = self._held[:limit], self._held[limit:]
        if not messages:
            messages = consumer.consume(1, CONSUME_S)
        if messages and len(messages) < limit:
            messages += consumer.consume(limit - len(messages), GATHER_S)
        self._look_for_ends(consumer)
        if self._error is not None:
            raise self._error
        batch = self._batch(messages)
        self._parts = self._measure(consumer)
        self._rest_if_quiet(bool(messages))
        return batch

    def _rest_if_quiet(self, came: bool) -> None:
        now = time.monotonic()
        if came:
            self._rest_at = now + self._rest_after_s
        settled = all(tracker.committed == tracker.taken for tracker in self._trackers.values())
        if now >= self._rest_at and self._trackers and settled:
            self._moved, self._look_at = False, now + LOOK_EVERY_S
            self._resting = lounge(self._settings.bootstrap).rest(self._glance, self._loop)

    def _get_up(self) -> None:
        """From here on the consumer is this thread's again."""
        if self._resting is not None:
            self._resting.end()
            self._resting = None

    def _glance(self) -> bool:
        """On the cluster's thread, while it rests: whether there is something to do. Serves rebalances, too."""
        consumer = self._open()
        message = consumer.poll(0)
        if message is not None:
            self._held.append(message)
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._look_for_ends(consumer)
        return bool(self._held) or self._moved or self._error is not None

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
            deliveries.append(self._delivery(message, topic, partition, offset))
        token: list[tuple[Tracker, Chunk]] = []
        for place, end in ends.items():
            tracker = self._trackers[place]
            token.append((tracker, tracker.take(end)))
        return Batch(deliveries, token)

    def _delivery(self, message: Message, topic: str, partition: int, offset: int) -> KafkaDelivery:
        _, timestamp = message.timestamp()
        delivery = KafkaDelivery(
            message.value() or b"",
            f"{topic}/{partition}/{offset}",
            timestamp if timestamp >= 0 else None,
            message.key(),
            cast("Headers", message.headers() or ()),
            topic=topic,
            partition=partition,
            offset=offset,
        )
        if self._decode is not None:
            self._decode(delivery)
        return delivery

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
            log.warning("bridge.commit_failed", bridge=self._context.bridge, error=words(exc))

    def _due(self, trackers: dict[tuple[str, int], Tracker]) -> list[TopicPartition]:
        return [
            TopicPartition(topic, partition, tracker.done, self._marks.get(topic))
            for (topic, partition), tracker in trackers.items()
            if tracker.due
        ]

    def _look_for_ends(self, consumer: Consumer) -> None:
        """A partition that had an end and has none is not what it was."""
        for place in list(self._trackers):
            _, end = consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if end >= 0:
                self._ends.add(place)
            elif end == NO_END and place in self._ends:
                self._lose(place)

    def _lose(self, place: tuple[str, int]) -> None:
        """Begin again, and commit nothing more of it: the offset may be that of a topic that was deleted."""
        self._trackers.pop(place, None)
        name = f"{place[0]}/{place[1]}"
        self._error = Unavailable(
            "source",
            f"the broker has no {name} any more, or not where it was: was the topic deleted, or made again, or has its "
            "leader moved? It is read on from what is committed, a topic that was made again from its start",
        )

    def _measure(self, consumer: Consumer) -> list[Part]:
        parts = []
        for (topic, partition), tracker in sorted(self._trackers.items()):
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), cached=True)
            name = f"{topic}/{partition}"
            taken = tracker.taken >= 0
            lag = max(0, end - tracker.taken) if taken and end >= 0 else None
            parts.append(Part(name, lag, f"{name}/{tracker.taken - 1}" if taken else ""))
        return parts

    def _close(self) -> None:
        self._get_up()
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            return
        self._commit_now(consumer, self._trackers)
        self._trackers = {}
        try:
            consumer.close()
        except (KafkaException, RuntimeError) as exc:
            log.warning("bridge.close_failed", bridge=self._context.bridge, error=words(exc))

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
        self._get_up()
        self._consumer.pause(self._consumer.assignment())
        self._paused = True
        self._commit_due()
        self._held += self._consumer.consume(1, 0)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved = True
        for partition in partitions:
            self._trackers[partition.topic, partition.partition] = Tracker()
        if partitions:
            self._begin(consumer, partitions)
        log.info("bridge.assigned", bridge=self._context.bridge, partitions=len(self._trackers))

    def _begin(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """
        Commit where to begin, where that is not what is committed.

        A new group: else what comes before the first commit would be skipped by a restart. A topic that was made again:
        the last commit of the old one may have come after the new one was made, and would skip what is in that.
        """
        start = self._settings.start
        patience_s = CALL_TIMEOUT_S if self._resting is None else RESTING_CALL_S
        try:
            self._marks |= kafka_mark.marks(self._config(), sorted({where.topic for where in partitions}), patience_s)
            known = consumer.committed(partitions, patience_s)
            new = [where for where in known if where.offset == OFFSET_INVALID]
            if new and start != "earliest":
                since = Rewind("time", THE_END_MS if isinstance(start, str) else int(start.timestamp() * 1000))
                kafka_aside.set_back(consumer, new, since)
            remade = [
                where
                for where in known
                if where.offset >= 0 and kafka_mark.is_of_another(where.metadata, self._marks.get(where.topic))
            ]
            if remade:
                log.warning("bridge.topic_made_again", bridge=self._context.bridge, partitions=len(remade))
                kafka_aside.set_back(consumer, remade, Rewind("beginning"))
        except KafkaException as exc:
            self._error = Unavailable("source", f"cannot find where to begin: {words(exc)}")

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved = True
        places = [(where.topic, where.partition) for where in partitions]
        gone = {place: self._trackers.pop(place) for place in places if place in self._trackers}
        self._commit_now(consumer, gone)
        log.info("bridge.revoked", bridge=self._context.bridge, partitions=len(gone))

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._moved = True
        for where in partitions:
            self._trackers.pop((where.topic, where.partition), None)
        log.warning("bridge.lost", bridge=self._context.bridge, partitions=len(partitions))

    def _on_commit(self, error: KafkaError | None, partitions: list[TopicPartition]) -> None:
        for where in partitions:
            failed = where.error or error
            if failed is not None and failed.code() in GONE:
                self._lose((where.topic, where.partition))
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
            self._error = self._port_error(error)
        else:
            # of all brokers together it only tells that they are down; each of them said why before
            if error.code() != KafkaError._ALL_BROKERS_DOWN:
                self._trouble = self._port_error(error)
            log.warning("bridge.source_trouble", bridge=self._context.bridge, error=error.str())

    def _on_message_error(self, error: KafkaError | None) -> None:
        if error is None or error.code() in (KafkaError._PARTITION_EOF, KafkaError._MAX_POLL_EXCEEDED):
            return
        raise self._port_error(error)

    def _port_error(self, error: KafkaError) -> PortError:
        return port_error(error, self._settings.bootstrap, "source", "read there")


def decoder(settings: KafkaSettings, context: Context) -> Callable[[Delivery], None] | None:
    """What fills `json` or `fault` of a delivery; None when its body is JSON. Raises Refused: see AvroDecoder."""
    if settings.format == "json":
        return None
    from bridges.avro import AvroDecoder, NotAvroError  # noqa: PLC0415 - takes 0.7 s, which others shall not pay

    decode = AvroDecoder(settings.registry, settings.schemas, context.environ, context.egress)

    def fill(delivery: Delivery) -> None:
        try:
            delivery.json = decode(delivery.body)
        except NotAvroError as exc:
            delivery.fault = str(exc)

    return fill


SPEC: Final = BridgeSpec(
    "kafka",
    "Read topics of a Kafka cluster.",
    KafkaSettings,
    KafkaBridge,
    rewinds_to=frozenset(("beginning", "time", "offset")),
    decoder=decoder,
)
