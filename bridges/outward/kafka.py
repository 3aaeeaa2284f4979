"""A Kafka cluster as a target, any but the hub's own topics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka import Message as Delivered
from pydantic import Field

from bridges.base import Context
from bridges.kafka_link import REFUSALS, KafkaServer, not_taken, port_error
from bridges.outward.base import Denied, Later, Message, Rejected, TargetSpec
from bridges.outward.blocking import BlockingTarget
from hub.errors import PortError, Refused

CALL_S: Final = 10.0
PURGE_S: Final = 1.0
LARGEST_BYTES: Final = 16_777_216
"""Of a message, as far as we are concerned: the broker's topic has a limit of its own."""
TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG_SIZE})
NEVER: Final = TOO_LARGE | {KafkaError.INVALID_RECORD, KafkaError.INVALID_MSG}


class KafkaSettings(KafkaServer, frozen=True, extra="forbid"):
    """Settings of a destination of type `kafka`."""

    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$", description="Topic to write to.")]
    timeout_s: Annotated[float, Field(ge=1, le=300, description="How long the brokers may take to have it.")] = 15.0


class KafkaTarget(BlockingTarget):
    """An idempotent producer: every in-sync replica has a message when it counts as sent."""

    most = 1000

    def __init__(self, settings: KafkaSettings, context: Context) -> None:
        """Does not connect yet."""
        super().__init__(context)
        self._settings = settings
        self._producer: Producer | None = None
        self._error: KafkaError | None = None
        self._trouble: KafkaError | None = None
        """What librdkafka said last of a connection that it tries to mend."""

    # everything below runs on the target's own thread

    def _connect(self) -> None:
        settings = self._settings
        config = {
            "bootstrap.servers": settings.bootstrap,
            "client.id": f"thamesthrive-hub-{self._context.bridge}",
            "acks": "all",
            "enable.idempotence": True,
            "compression.type": "lz4",
            "linger.ms": 2,
            "partitioner": "murmur2_random",
            "delivery.timeout.ms": int(settings.timeout_s * 1000),
            "message.max.bytes": LARGEST_BYTES,
            "reconnect.backoff.max.ms": 1_000,
            "error_cb": self._on_error,
            "log_level": 2,
            **settings.resolved(self._context.environ),
        }
        try:
            self._producer = Producer(config)
        except (KafkaException, ValueError) as exc:
            raise Refused("target", not_taken(exc)) from exc
        try:
            topic = self._producer.list_topics(settings.topic, timeout=CALL_S).topics[settings.topic]
        except KafkaException as exc:
            self._producer.poll(0)  # it has more to tell than that nobody answers
            raise self._port_error(self._error or self._trouble or exc.args[0]) from exc
        if topic.error is not None:
            raise self._port_error(topic.error)

    def _send(self, batch: Sequence[Message]) -> list[Rejected]:
        failed = self._produce(batch, range(len(batch)))
        away = [place for place, error in failed.items() if error.code() not in NEVER]
        if away:
            raise self._failure(min(away), failed)
        suspects = [place for place, error in failed.items() if error.code() in TOO_LARGE]
        if len(batch) > 1 and suspects:
            # the broker refuses all that were packed with one that is too large: from the first of them on each goes
            # alone, also those that are there, or they would stand in front of it
            for place in range(min(suspects), len(batch)):
                failed.pop(place, None)
                failed |= self._produce(batch, [place])
                if place in failed and failed[place].code() not in NEVER:
                    raise self._failure(place, failed)
        return [Rejected(place, f"{self._settings.topic}: {error.str()}") for place, error in sorted(failed.items())]

    def _produce(self, batch: Sequence[Message], places: Sequence[int]) -> dict[int, KafkaError]:
        """What became of those that were not taken, by place."""
        producer = self._producer
        if producer is None:
            raise Later("the destination is closed")
        failed: dict[int, KafkaError] = {}

        def delivered(place: int, error: KafkaError | None, _: Delivered) -> None:
            if error is not None:
                failed[place] = error

        for place in places:
            message = batch[place]
            headers: Any = [(name, value.encode()) for name, value in message.headers().items()]
            while True:
                try:
                    producer.produce(
                        self._settings.topic,
                        message.body,
                        message.key.encode() or None,
                        headers=headers,
                        on_delivery=partial(delivered, place),
                    )
                except BufferError:
                    producer.poll(0.1)
                    continue
                except KafkaException as exc:
                    failed[place] = exc.args[0]
                break
        if producer.flush(self._settings.timeout_s + CALL_S):
            producer.purge()
            producer.flush(PURGE_S)
        return failed

    def _failure(self, place: int, failed: Mapping[int, KafkaError]) -> Later | Denied:
        """What is before that place is there; those behind it are sent again, or they would stand in front of it."""
        found = self._port_error(self._error or failed[place])
        kind = Denied if isinstance(found, Refused) else Later
        return kind(found.detail, sent=frozenset(range(place)) - failed.keys(), stuck=place)

    def _close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(PURGE_S)

    def _on_error(self, error: KafkaError) -> None:
        """librdkafka mends connections itself; what it cannot mend goes before all else."""
        if error.fatal() or error.code() in REFUSALS or error.code() == KafkaError._SSL:
            self._error = error
        elif error.code() != KafkaError._ALL_BROKERS_DOWN:  # each of them has said why before
            self._trouble = error

    def _port_error(self, error: KafkaError) -> PortError:
        settings = self._settings
        if error.code() in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC):
            return Later(f"there is no topic {settings.topic}: make it, or correct settings.topic")
        return port_error(error, settings.bootstrap, "target", f"write to {settings.topic}")


SPEC: Final = TargetSpec("kafka", "Write to a topic of a Kafka cluster.", KafkaSettings, KafkaTarget)
