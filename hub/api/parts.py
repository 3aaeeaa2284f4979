"""What every door for events is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from hub.api.gate import Gate
from hub.api.refusals import Refusals
from hub.definitions.catalogue import Catalogue
from hub.settings import Limits
from schemas.topics import EVENTS


class Publish(Protocol):
    """What the edge needs of a producer: see `hub.log.producer.Publisher`."""

    async def publish(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]] = (),
        landed: Callable[[int, int], None] | None = None,
    ) -> int:
        """`landed` is called once, whatever comes of it. Raises Unavailable or Refused."""
        ...


class DoorParts(NamedTuple):
    """The same for all doors of a process. `now_ms`: the clock, milliseconds since 1970."""

    publisher: Publish
    namespace: str
    catalogue: Catalogue
    limits: Limits
    refusals: Refusals
    gate: Gate
    now_ms: Callable[[], int]

    @property
    def topic(self) -> str:
        """Where events go."""
        return EVENTS.name(self.namespace)
