"""A message that its sender brings to us over HTTP: what the API hands to the bridge that it is for, and gets back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from hub.definitions.catalogue import Catalogue, Entry
from schemas.bridges import Status


class Request(NamedTuple):
    """
    A POST.

    Attributes:
        path: As it was asked for, with its query.
        headers: All that came, names in lower case.
        body: Unpacked.
        raw: As it came, which is what some sign; the same as `body` unless that was compressed.
    """

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes
    raw: bytes


class Letter(NamedTuple):
    """The dead letter that a message becomes; reason as of `hub.errors.REASONS`."""

    id: str
    reason: str
    detail: str


class Record(NamedTuple):
    """
    What goes onto events.v1.

    Attributes:
        blob: Bytes that have to be in the store before.
        events: How many events are in it, at least 1.
        letter: Set when no payload could be made of the message.
    """

    key: bytes
    value: bytes
    blob: bytes | None
    events: int
    letter: Letter | None


class Hook(Protocol):
    """One version of one bridge that takes such messages. Use it on one event loop."""

    def status(self) -> Status:
        """How it is doing, in this process."""
        ...

    def take(self, request: Request, now_ms: int) -> Record:
        """
        The record of a message that its sender has signed; `settle` has to follow.

        Args: now_ms: receive time, milliseconds since 1970.

        Raises:
            InvalidPayload: bad_signature. Every other fault makes a dead letter.
            Unavailable: It takes none now; its status says why.
        """
        ...

    def settle(self, trouble: str) -> None:
        """What `take` gave is on the log. Args: trouble: why it may not be; empty: it is."""
        ...

    def close(self) -> None:
        """It takes no more."""
        ...


class Hooks(Protocol):
    """The kinds of bridge to which messages are brought."""

    def takes(self, kind: str) -> bool:
        """Whether this is such a kind."""
        ...

    def open(self, id: str, entry: Entry, catalogue: Catalogue) -> Hook:
        """Of a bridge of such a kind. One that cannot work says so in its status."""
        ...

    def put_blob(self, data: bytes) -> str:
        """Keep the bytes of a message that is too large for a record. Blocks. Raises Unavailable."""
        ...
