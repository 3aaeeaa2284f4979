"""What a target is to the sender: the port that every destination's adapter implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from pydantic import BaseModel, Field

from bridges.base import Context
from hub.errors import Refused, Unavailable

ID_HEADER: Final = "hub-event-id"
"""The event's id, the same at every attempt: a receiver that keeps it takes each event once."""
TYPE_HEADER: Final = "hub-event-type"
PROFILE_HEADER: Final = "hub-profile-id"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """
    An event on its way out. Sent again, all of it is the same.

    `key`: messages of one key keep their order; empty: they have none. `content`: what `body` is the JSON of.
    `time_ms`: when it happened, milliseconds since 1970. `profile_id` is empty for an event without one.
    """

    id: str
    key: str
    body: bytes
    content: Any
    type: str
    source: str
    profile_id: str
    time_ms: int

    def headers(self) -> dict[str, str]:
        """What a target with headers gets besides the body."""
        return {ID_HEADER: self.id, TYPE_HEADER: self.type, PROFILE_HEADER: self.profile_id}


class Rejected(NamedTuple):
    """
    A message that the target will never take, however often it is sent.

    Attributes:
        place: In the batch, from 0.
        detail: What the target says, for the person who has to mend it.
    """

    place: int
    detail: str


class Later(Unavailable):
    """
    The target does not take all of a batch now.

    Attributes:
        after_s: How long it wants to be left alone, seconds.
        sent: Places of messages that it has none the less: they are not sent again.
        stuck: Place of the first message that it does not take.
    """

    def __init__(
        self, detail: str, *, after_s: float = 0.0, sent: frozenset[int] = frozenset(), stuck: int = 0
    ) -> None:
        """Args: detail: what happened and how to mend it."""
        super().__init__("target", detail)
        self.after_s = after_s
        self.sent = sent
        self.stuck = stuck


class Denied(Refused):
    """The target does not want any message as long as nobody changes something. Attributes: as Later's."""

    def __init__(self, detail: str, *, sent: frozenset[int] = frozenset(), stuck: int = 0) -> None:
        """Args: detail: what happened and how to mend it."""
        super().__init__("target", detail)
        self.sent = sent
        self.stuck = stuck


def before(place: int, rejected: Sequence[Rejected]) -> frozenset[int]:
    """Places before this one, but for the rejected: what a target has that takes messages in their order."""
    return frozenset(range(place)) - {one.place for one in rejected}


class Endpoint(ABC):
    """One connection to one system. Called from one asyncio task."""

    @abstractmethod
    async def connect(self) -> None:
        """Raises Unavailable (worth another try) or Refused (a person has to change something)."""

    @abstractmethod
    async def close(self) -> None:
        """Never raises; safe after a failed connect."""


class Target(Endpoint):
    """A system that takes messages as they come."""

    @abstractmethod
    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """
        Send 1 to `most` messages; those of one key in their order. Returns when all but the rejected are durable there.

        May be cancelled, and called again with the same messages.

        Raises: Unavailable, Refused: some of them may be there; all of them have to be sent again.
        """

    most: int = 500
    """Messages in one call."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """
    A run of records of one partition of stored.v1, decided once: tried again, also after a crash, it has the same ones.

    `first`: offset of the first record; `end`: the offset after the last. `at_ms`: Kafka's time of the first record,
    milliseconds since 1970: a topic that is made again has the same offsets, and other times. `nonce`: no other span
    has it, not even one of the same records after a rewind.
    """

    topic: str
    partition: int
    first: int
    end: int
    at_ms: int
    nonce: str


class Sized(BaseModel, frozen=True, extra="forbid"):
    """Settings of what takes spans: when is one large enough, or old enough?"""

    rows: Annotated[int, Field(ge=1, le=1_000_000, description="Events in one write, at most.")] = 10_000
    age_s: Annotated[
        float, Field(ge=0.05, le=3600, description="How long an event waits for others at most, before it is written.")
    ] = 10.0


class SpanTarget(Endpoint):
    """A system that wants few large writes, and knows a write that comes again by its span."""

    @property
    @abstractmethod
    def size(self) -> Sized:
        """When a span is written."""

    @abstractmethod
    async def write(self, span: Span, messages: Sequence[Message], *, whole: bool) -> Sequence[Rejected]:
        """
        Write one or more messages of a span, in the order of the partition; `place` of a rejected one is among them.

        Returns when all but the rejected are durable there, each once, however often the span was tried before.

        Args:
            whole: All records of the span were read. False: Kafka has deleted some since the span was tried first; what
                was written of it then stays.

        Raises: Unavailable, Refused: some of them may be there; all of the span has to be written again.
        """


class TargetSpec(NamedTuple):
    """A kind of destination: `build` gets settings that `settings` has validated; it does not connect."""

    kind: str
    summary: str
    settings: type[BaseModel]
    build: Callable[[Any, Context], Target | SpanTarget]
    check: Callable[[Any, Mapping[str, Any]], None] | None = None
    """Gets settings and definition (as JSON); raises ValueError: they do not fit together."""
