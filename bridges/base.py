"""What a bridge is to the forwarder: the port that every broker's adapter implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from pydantic import BaseModel

Headers = Sequence[tuple[str, bytes | None]]


class Delivery(msgspec.Struct):
    """
    A broker's message that is not acknowledged yet.

    `position` and `time_ms` are the same at every delivery of the same message, and together no other message of the
    bridge has them: the payload's id is made from them.
    """

    body: bytes
    position: str  # as people read it, such as `orders/3/1207`
    time_ms: int | None = None  # the broker's or the sender's time, milliseconds since 1970
    key: bytes | None = None
    headers: Headers = ()

    def meta(self) -> dict[str, Any]:
        """What a mapping's `meta(…)` gives: position, timestamp (ms), key and headers as text."""
        return {
            "position": self.position,
            "timestamp": self.time_ms,
            "key": None if self.key is None else self.key.decode(errors="replace"),
            "headers": {
                name: None if value is None else value.decode(errors="replace") for name, value in self.headers
            },
        }


class Batch(msgspec.Struct):
    """Deliveries in the order of the source, acknowledged together. `token` is the adapter's own."""

    deliveries: Sequence[Delivery]
    token: Any = None


class Bridge(Protocol):
    """
    One connection to one broker. Called from one asyncio task, except `ack`, which may run beside `take`.

    There is no nack: until `ack` a message is the broker's, which hands it out again after `close` or a crash.
    """

    async def connect(self) -> None:
        """Raises Unavailable (worth another try) or Refused (a person has to change something)."""
        ...

    async def take(self, limit: int) -> Batch:
        """
        The next 1 to `limit` messages; none when there were none for about half a second.

        Not being asked is the back-pressure.

        Raises: Unavailable, Refused.
        """
        ...

    async def ack(self, batch: Batch) -> None:
        """Our Kafka has every message of `batch`. Batches may be acknowledged in any order. Raises Unavailable."""
        ...

    async def close(self) -> None:
        """Settle what is acknowledged, leave the rest to the broker. Never raises; safe after a failed connect."""
        ...

    def lag(self) -> int | None:
        """Messages that wait at the broker, as far as it is known without asking."""
        ...


class Context(NamedTuple):
    """What an adapter may know of the hub."""

    bridge: str
    """The bridge definition's id."""
    namespace: str
    environ: Mapping[str, str]
    """Where references such as `env:NAME` are looked up."""


class BridgeSpec(NamedTuple):
    """A kind of bridge: `build` gets settings that `settings` has validated."""

    kind: str
    summary: str
    settings: type[BaseModel]
    build: Callable[[Any, Context], Bridge]
