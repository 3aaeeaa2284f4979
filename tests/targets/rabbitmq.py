"""RabbitMQ: a queue of its own, behind an exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import msgspec
import pika

from tests.servers import running
from tests.servers.rabbitmq import address
from tests.sources import World
from tests.targets import Arrived, Open, Sink


class RabbitmqSink:
    """See Sink. What is looked at stays there."""

    kind = "rabbitmq"
    exactly_once = False

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        settings = {"url": f"amqp://{address(url)}", "exchange": name}
        self.definition: dict[str, Any] = {"settings": settings}
        self.away = {**settings, "url": "amqp://127.0.0.1:1"}
        with self.channel() as channel:
            channel.exchange_declare(name, "fanout", durable=True)
        self.bind()

    def bind(self) -> None:
        """The queue, empty unless it is there."""
        with self.channel() as channel:
            channel.queue_declare(self.name, durable=True)
            channel.queue_bind(self.name, self.name)

    def delete(self) -> None:
        with self.channel() as channel:
            channel.queue_delete(self.name)

    def arrived(self) -> Sequence[Arrived]:
        found = []
        with self.channel() as channel:  # unacknowledged: all of it goes back to its place when this ends
            while True:
                method, properties, body = channel.basic_get(self.name)
                if method is None:
                    return found
                assert properties.message_id == properties.headers["hub-event-id"]
                assert (properties.delivery_mode, method.routing_key) == (2, properties.headers["hub-profile-id"])
                found.append(Arrived(properties.message_id, msgspec.json.decode(body)))

    @contextmanager
    def channel(self) -> Iterator[Any]:
        with closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            yield connection.channel()


@contextmanager
def queue(world: World) -> Iterator[Sink]:
    with running.shared("rabbitmq", world.folder / "rabbitmq") as url:
        sink = RabbitmqSink(url, f"{world.namespace}.sink")
        yield sink
        sink.delete()


WAYS: Final[dict[str, Open]] = {"": queue}
