"""A stream of Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.matrix.brokers import QUEUE
from tests.matrix.brokers.redis import Redis
from tests.matrix.link import Link
from tests.matrix.load import Message, Send


class RedisStreams(Redis):
    """See Broker."""

    kind = "redis_streams"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self.settings = {**self.settings, "streams": QUEUE}

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with self.client() as client:

            def send(messages: Sequence[Message]) -> None:
                pipe = client.pipeline(transaction=False)
                for message in messages:
                    pipe.xadd(QUEUE, {"body": message.body})
                pipe.execute()

            yield send

    def make(self) -> None:
        with self.client() as client:
            client.xgroup_create(QUEUE, "nobody", mkstream=True)


WAYS: Final[dict[str, Any]] = {"": RedisStreams}
