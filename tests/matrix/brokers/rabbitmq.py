"""RabbitMQ: a classic queue, a quorum queue, a stream."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pika

from tests.matrix.brokers import QUEUE, SECRET, USER, OwnServer
from tests.matrix.link import Link
from tests.matrix.load import Message, Send
from tests.servers.rabbitmq import control

ANSWER_S: Final = 10.0


class Rabbitmq(OwnServer):
    """See Broker."""

    kind = "rabbitmq"
    server = "rabbitmq"

    def __init__(self, folder: Path, link: Link, way: str) -> None:
        """Args: way: the x-queue-type."""
        super().__init__(folder, link)
        self._way = way
        self.settings = {
            "url": f"amqp://{self.through}",
            "queues": QUEUE,
            "username": USER,
            "password": f"env:{SECRET}",
        }

    @property
    def product(self) -> str:
        return f"RabbitMQ {self._control('version').strip()}"

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with self._channel() as channel:
            channel.confirm_delivery()

            def send(messages: Sequence[Message]) -> None:
                for message in messages:
                    named = pika.BasicProperties(delivery_mode=2, message_id=message.id)
                    channel.basic_publish("", QUEUE, message.body, named, mandatory=True)

            yield send

    def make(self) -> None:
        with self._channel() as channel:
            channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": self._way})

    def delete(self) -> None:
        with self._channel() as channel:
            channel.queue_delete(QUEUE)

    def set_password(self, password: str) -> None:
        try:
            self._control("change_password", USER, password)
        except subprocess.CalledProcessError:  # he is not there yet
            self._control("add_user", USER, password)
            self._control("set_permissions", USER, ".*", ".*", ".*")

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        parameters = pika.URLParameters(self.own.url)
        parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = ANSWER_S
        parameters.heartbeat = int(ANSWER_S)
        with closing(pika.BlockingConnection(parameters)) as connection:
            yield connection.channel()

    def _control(self, *command: str) -> str:
        home = self.own.home
        return control(home, json.loads((home / "ports.json").read_text()), *command)


WAYS: Final[dict[str, Any]] = {way: partial(Rabbitmq, way=way) for way in ("classic", "quorum", "stream")}
