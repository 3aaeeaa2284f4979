"""What a bridge is to the forwarder: the port that every broker's adapter implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec
from pydantic import BaseModel

from hub.edge.hook import Request
from hub.errors import Refused
from hub.settings import Egress

Headers = Sequence[tuple[str, bytes | None]]

WAIT_S: Final = 3.0
"""How long `Bridge.take` waits for a first message. Shorter, and idle bridges cost more."""


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
    json: bytes | None = None  # what the bridge has made of a body that is no JSON, such as Avro
    fault: str = ""  # why it could make nothing of it; the message goes to the dead letters

    def meta(self) -> dict[str, Any]:
        """
        What a mapping's `meta(…)` gives: position, timestamp (ms), key and headers as text.

        A kind of bridge that knows more adds it, as JSON can hold it: a dead letter keeps it for its replay.
        """
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


Place: TypeAlias = Literal["beginning", "time", "offset"]
"""What a bridge can be rewound to."""


class Rewind(NamedTuple):
    """
    Where to read from again.

    Attributes:
        at_ms: Of `time`: milliseconds since 1970; messages of then and later come again.
        offset: Of `offset`: the first that comes again, as the broker writes it.
    """

    to: Place
    at_ms: int = 0
    offset: str = ""


class Part(NamedTuple):
    """
    A partition, queue or stream that a bridge reads.

    Attributes:
        name: As people know it, such as `orders/3`.
        lag: Messages that wait there; None: not known.
        position: Of the newest message taken; "" before the first.
    """

    name: str
    lag: int | None
    position: str


class Bridge(ABC):
    """
    One connection to one broker. Called from one asyncio task, except `ack`, which may run beside `take`.

    There is no nack: until `ack` a message is the broker's, which hands it out again after `close` or a crash.
    """

    @abstractmethod
    async def connect(self) -> None:
        """Raises Unavailable (worth another try) or Refused (a person has to change something)."""

    @abstractmethod
    async def take(self, limit: int) -> Batch:
        """
        The next 1 to `limit` messages; none when there were none for about WAIT_S.

        Not being asked is the back-pressure. A stop cancels it, wherever it waits: what it has not given yet comes
        again, or stays where it is, like all that is not acknowledged; what was given may still be acknowledged.

        Raises: Unavailable, Refused.
        """

    @abstractmethod
    async def ack(self, batch: Batch) -> None:
        """Our Kafka has every message of `batch`. Batches may be acknowledged in any order. Raises Unavailable."""

    @abstractmethod
    async def close(self) -> None:
        """Settle what is acknowledged, leave the rest to the broker. Never raises; safe after a failed connect."""

    @abstractmethod
    def lag(self) -> int | None:
        """Messages that wait at the broker, as far as it is known without asking."""

    def parts(self) -> Sequence[Part]:
        """Each partition, queue or stream by itself, as far as it is known without asking; none: there is but one."""
        return ()

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """
        Up to `limit` messages for a person to look at, on a connection of its own: called instead of everything else.

        Nothing is consumed: here the messages are taken and left unacknowledged. A bridge whose broker lets it look
        without taking does that instead.

        Raises: Unavailable, Refused.
        """
        try:
            await self.connect()
            return (await self.take(limit)).deliveries
        finally:
            await self.close()

    async def rewind(self, to: Rewind) -> None:
        """
        Let the next `connect` begin there, on a connection of its own, while no other instance of the bridge runs.

        Raises: Unavailable. Refused: this kind of queue keeps nothing that is acknowledged.
        """
        raise Refused("source", f"it cannot be rewound to {to.to}: this queue keeps no message that is acknowledged")


class Context(NamedTuple):
    """What an adapter may know of the hub."""

    bridge: str
    """The bridge definition's id."""
    namespace: str
    environ: Mapping[str, str]
    """Where references such as `env:NAME` are looked up."""
    egress: Egress = Egress()
    """Whom it may connect to. Who asks name servers by other means than `hub.egress` was checked before it connects."""


Receive: TypeAlias = Callable[[Request, int], Delivery]
"""
Gets a request and the time, milliseconds since 1970; gives the message that it brings.

Raises: InvalidPayload: bad_signature, of whoever may not send.
"""


class BridgeSpec(NamedTuple):
    """A kind of bridge: `build` gets settings that `settings` has validated."""

    kind: str
    summary: str
    settings: type[BaseModel]
    build: Callable[[Any, Context], Bridge]
    rewinds_to: frozenset[Place] = frozenset()
    decoder: Callable[[Any, Context], Callable[[Delivery], None] | None] | None = None
    """Makes what fills `json` or `fault` of a delivery, for settings that say that bodies are no JSON. Blocks."""
    receiver: Callable[[Any, Context], Receive] | None = None
    """
    Of a kind whose senders come to the API (POST /webhooks/{bridge}): no bridge process runs it, and `build` raises.

    Raises Refused.
    """
