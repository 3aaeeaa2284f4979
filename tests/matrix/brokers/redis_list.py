"""A list of Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.matrix.brokers import QUEUE
from tests.matrix.brokers.redis import Redis
from tests.matrix.link import Link
from tests.matrix.load import Message, Send


class RedisList(Redis):
    """See Broker."""

    kind = "redis_list"

    def __init__(self, folder: Path, link: Link) -> None:
        """Does not start it."""
        super().__init__(folder, link)
        self.settings = {**self.settings, "key": QUEUE}

    @contextmanager
    def sender(self) -> Iterator[Send]:
        with self.client() as client:
            yield lambda messages: _push(client, messages)

    def make(self) -> None:
        """A list is there when something is in it."""


def _push(client: Any, messages: Sequence[Message]) -> None:
    client.rpush(QUEUE, *(message.body for message in messages))


WAYS: Final[dict[str, Any]] = {"": RedisList}
