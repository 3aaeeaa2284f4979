"""RabbitMQ: a queue or a stream of each kind, on one server for all tests."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Final

import pika

from tests.servers.rabbitmq import address
from tests.servers.running import shared
from tests.sources import Open, World

MOST_BYTES: Final = 60 * 1024 * 1024


class RabbitmqSource:
    """See Source."""

    kind = "rabbitmq"
    most_bytes = MOST_BYTES
    keeps_order = True

    def __init__(self, url: str, queue: str, way: str = "classic", **arguments: Any) -> None:
        """Args: way: the x-queue-type."""
        self.url = url
        self.queue = queue
        self.settings: dict[str, Any] = {"url": f"amqp://{address(url)}", "queues": queue}
        self._numbers = itertools.count()
        self._way, self._arguments = way, arguments
        self.make()

    def make(self) -> None:
        """The queue; once more, if it was deleted."""
        with self.channel() as channel:
            channel.queue_declare(self.queue, durable=True, arguments={"x-queue-type": self._way, **self._arguments})

    def delete(self) -> None:
        with self.channel() as channel:
            channel.queue_delete(self.queue)

    def put(self, bodies: Sequence[bytes], **properties: Any) -> None:
        """As of Source. Args: properties: instead of an id and a time."""
        many = len(bodies) > 1000 and self._way == "classic"
        with self.channel(confirm=not many) as channel:
            if many:  # a commit for all, instead of a confirmation for each
                channel.tx_select()
            for body in bodies:
                own = {"message_id": f"m{next(self._numbers)}", "timestamp": int(time.time()), "headers": {"h": "v"}}
                channel.basic_publish(
                    "", self.queue, body, pika.BasicProperties(delivery_mode=2, **{**own, **properties}), mandatory=True
                )
            if many:
                channel.tx_commit()

    def waiting(self) -> int:
        """Messages that nobody holds; of a stream none are counted."""
        with self.channel() as channel:
            return int(channel.queue_declare(self.queue, passive=True).method.message_count)

    @contextmanager
    def channel(self, confirm: bool = True) -> Iterator[Any]:
        """On a connection of its own, every publish confirmed."""
        with closing(pika.BlockingConnection(pika.URLParameters(self.url))) as connection:
            channel = connection.channel()
            if confirm:
                channel.confirm_delivery()
            yield channel


@contextmanager
def queue(way: str, world: World) -> Iterator[RabbitmqSource]:
    with shared("rabbitmq", world.folder / "rabbitmq") as url:
        source = RabbitmqSource(url, f"{world.namespace}.source", way)
        yield source
        source.delete()


WAYS: Final[dict[str, Open]] = {way: partial(queue, way) for way in ("classic", "quorum", "stream")}
