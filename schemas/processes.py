"""What every process of a hub tells of itself through Redis or Valkey: that it lives, and how it is doing."""

from __future__ import annotations

from typing import Final

import msgspec

BEAT_S: Final = 2.0
ALIVE_MS: Final = 10_000
"""Without a word for so long it is gone."""
WINDOW_S: Final = 60.0
"""How far `counts` and `seconds` go back."""


class Keys:
    """Names in Redis, of one namespace."""

    def __init__(self, namespace: str) -> None:
        """Args: namespace: of the hub."""
        self._prefix = f"{namespace}:processes"
        self.all = f"{self._prefix}:all"
        """Sorted set: ids of processes, by their last word, milliseconds since 1970."""

    def of(self, id: str) -> str:
        """An Alive as JSON, gone after ALIVE_MS."""
        return f"{self._prefix}:{id}"


class Alive(msgspec.Struct, kw_only=True):
    """
    One process. Times in milliseconds since 1970.

    Attributes:
        kind: `api`, `collector`, `bridges`, `agents`, `worker QUEUE`.
        state: `ready`, `waiting` (`detail` says for what), or `running`: it says no more.
        last_error: The newest line of its log of the level error; never what an event holds.
        window_s: How many seconds `counts` and `seconds` are of.
        counts: By metric, how much it has grown, all labels together.
        seconds: By histogram, how many were in each bucket: upper bound in seconds, and count of this bucket alone.
    """

    id: str
    kind: str
    host: str
    pid: int
    version: str
    since_ms: int
    state: str = "running"
    detail: str = ""
    memory_bytes: int = 0
    last_error: str = ""
    last_error_ms: int | None = None
    window_s: float = 0.0
    counts: dict[str, float] = {}
    seconds: dict[str, list[tuple[float, float]]] = {}


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Alive).decode
