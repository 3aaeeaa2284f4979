"""What the API and the bridge processes tell each other through Redis or Valkey: keys, status, calls."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

Name: TypeAlias = Literal["starting", "running", "waiting_for_kafka", "failed", "stopped"]
NAMES: Final[tuple[Name, ...]] = ("starting", "running", "waiting_for_kafka", "failed", "stopped")
"""The states that a process gives a bridge. `paused` and `unassigned` are seen from outside: nobody runs it."""

LEASE_MS: Final = 5_000
"""How long a lease, and a process' place among the living, lasts without a word from it."""
STATUS_S: Final = 7 * 86_400
"""How long the last status of a bridge is kept that nobody runs."""
REPLY_S: Final = 60
"""How long a call and its reply are kept for whoever should take them."""


class Keys:
    """Names in Redis, of one namespace."""

    def __init__(self, namespace: str, what: str = "bridges") -> None:
        """Args: namespace: of the hub. what: `bridges` or `destinations`, which are shared each for itself."""
        self._prefix = f"{namespace}:{what}"
        self.processes = f"{self._prefix}:processes"
        """Sorted set: processes that run bridges, by their last word, milliseconds since 1970."""
        self.calls = f"{self._prefix}:calls"
        """List: calls that any process may answer."""

    def lease(self, bridge: str) -> str:
        """Text: the process that runs the bridge. Gone after LEASE_MS unless it is renewed."""
        return f"{self._prefix}:lease:{bridge}"

    def status(self, bridge: str) -> str:
        """A Status as JSON."""
        return f"{self._prefix}:status:{bridge}"

    def calls_of(self, process: str) -> str:
        """List: calls that only this process can answer."""
        return f"{self._prefix}:calls:{process}"

    def reply(self, call: str) -> str:
        """List: the one reply to a call."""
        return f"{self._prefix}:reply:{call}"


class PartStatus(msgspec.Struct, frozen=True):
    """A partition, queue or stream of a bridge. `lag`: messages that wait there; None: not known."""

    name: str
    lag: int | None
    position: str


class Status(msgspec.Struct, kw_only=True):
    """
    How a bridge is doing, as the process that runs it knows. Times in milliseconds since 1970.

    Counts are of this version in this process, since `started_ms`. `rate`: messages a second that our Kafka took, of
    the last ten seconds. `refused`: of the received, those that went to the dead letters.
    """

    bridge: str
    kind: str
    version: int
    state: Name = "starting"
    since_ms: int = 0
    started_ms: int = 0
    received: int = 0
    forwarded: int = 0
    refused: int = 0
    in_flight: int = 0
    rate: float = 0.0
    lag: int | None = None
    last_message_ms: int | None = None
    last_error: str = ""
    last_error_ms: int | None = None
    parts: list[PartStatus] = []
    rewinds_to: list[str] = []
    process: str = ""
    host: str = ""


class Place(msgspec.Struct, frozen=True):
    """Where to rewind to; see `bridges.base.Rewind`."""

    to: Literal["beginning", "time", "offset"]
    at_ms: int = 0
    offset: str = ""


class Call(msgspec.Struct, kw_only=True):
    """
    What the API asks of a bridge process.

    `test`: read up to `messages` and show what becomes of them; `definition`: its spec, secrets sealed.
    `rewind`: `place`. `retry`: try again now, whatever the stop rule and the back-off say.
    Nobody waits for the reply after `deadline_ms`.
    """

    id: str
    what: Literal["test", "rewind", "retry"]
    bridge: str
    deadline_ms: int
    definition: dict[str, Any] | None = None
    messages: int = 5
    place: Place | None = None


class CallError(msgspec.Struct, frozen=True):
    """Why it could not be done. `unavailable`: another try may help; `refused`: it will say no again."""

    kind: Literal["unavailable", "refused"]
    port: str
    detail: str


class Reply(msgspec.Struct, kw_only=True):
    """What became of a call."""

    result: dict[str, Any] = {}
    error: CallError | None = None


encode: Final = msgspec.json.Encoder().encode
decode_status: Final = msgspec.json.Decoder(Status).decode
decode_call: Final = msgspec.json.Decoder(Call).decode
decode_reply: Final = msgspec.json.Decoder(Reply).decode
