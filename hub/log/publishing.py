"""What is needed of a producer on an event loop: see `hub.log.producer.Publisher`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol


class Publish(Protocol):
    """It sends records."""

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        landed: Callable[[int, int], None] | None = None,
    ) -> int:
        """The record's offset. `landed` is called once, whatever comes of it. Raises Unavailable or Refused."""
        ...


class Publishing(Publish, Protocol):
    """It can be asked, too, whether Kafka is there."""

    def ping(self) -> None:
        """Blocks. Raises Unavailable when no broker answers."""
        ...
