"""Kafka: one topic of three partitions; the bridge comes with SCRAM, through a listener of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    NewTopic,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from hub.stack.kafka import VERSION
from tests.matrix.brokers import QUEUE, SECRET, USER, Broker
from tests.matrix.kafka import Server
from tests.matrix.link import HOST, Link
from tests.matrix.load import Message, Send
from tests.waiting import wait_for

SEND_S: Final = 8.0


class Kafka(Broker):
    """See Broker."""

    kind = "kafka"
    product = f"Kafka {VERSION}"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        self._server = Server(folder, advertised=link.port)
        self.settings = {
            "bootstrap": f"{HOST}:{link.port}",
            "topics": QUEUE,
            "options": {
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-256",
                "sasl.username": USER,
                "sasl.password": f"env:{SECRET}",
            },
        }

    def start(self) -> int:
        self._server.start()
        return self._server.locked

    def kill(self) -> None:
        self._server.kill()

    def stop(self) -> None:
        self._server.stop()

    @contextmanager
    def sender(self) -> Iterator[Send]:
        producer = Producer(
            {
                "bootstrap.servers": self._server.bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "message.timeout.ms": int(SEND_S * 1000),
                "log_level": 0,
            }
        )

        def send(messages: Sequence[Message]) -> None:
            failed: list[KafkaError] = []
            for message in messages:
                producer.produce(
                    QUEUE,
                    message.body,
                    message.profile,
                    on_delivery=lambda error, _: failed.append(error) if error else None,
                )
            assert producer.flush(SEND_S + 2) == 0, "not confirmed"
            if failed:
                raise KafkaException(failed[0])

        try:
            yield send
        finally:
            producer.purge()

    def make(self) -> None:
        admin = self._admin()
        admin.create_topics([NewTopic(QUEUE, 3, 1)])[QUEUE].result()

    def delete(self) -> None:
        admin = self._admin()
        admin.delete_topics([QUEUE])[QUEUE].result()
        wait_for("the topic is gone", lambda: QUEUE not in admin.list_topics(timeout=10).topics)

    def set_password(self, password: str) -> None:
        credential = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
        change = UserScramCredentialUpsertion(USER, credential, password.encode())
        admin = self._admin()
        admin.alter_user_scram_credentials([change])[USER].result()

    def _admin(self) -> AdminClient:
        """Keep it until its results are there."""
        return AdminClient({"bootstrap.servers": self._server.bootstrap, "log_level": 3})


WAYS: Final[dict[str, Any]] = {"": Kafka}
