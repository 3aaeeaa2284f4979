"""What the API, the agents and the workers tell each other of segments through Redis or Valkey: keys, runs, slices."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

Kind: TypeAlias = Literal["backfill", "check"]
"""`check`: the scheduled second opinion, which repairs and counts what differs."""
State: TypeAlias = Literal["waiting", "running", "done", "failed", "overtaken"]
"""
`waiting`: until every collector knows the definitions that the run is about. `overtaken`: all of them have changed
again, so that it has ended before it was through.
"""

MOST_RUNS: Final = 50
"""Runs that are remembered by their order."""
KEPT_S: Final = 30 * 86_400
"""How long a run is remembered after its last word, seconds."""


class Keys:
    """Names in Redis, of one namespace."""

    def __init__(self, namespace: str) -> None:
        """Args: namespace: of the hub."""
        self._prefix = f"{namespace}:segments"
        self.filled = f"{self._prefix}:filled"
        """Hash: by segment, the Filled of its newest back-fill."""
        self.asked = f"{self._prefix}:asked"
        """Set: segments that somebody wants back-filled again."""
        self.open = f"{self._prefix}:open"
        """Set: ids of runs that have not ended."""
        self.recent = f"{self._prefix}:recent"
        """List: ids of the last MOST_RUNS runs, newest first."""
        self.checked = f"{self._prefix}:checked"
        """Number: when the last second opinion began, milliseconds since 1970."""
        self.planning = f"{self._prefix}:planning"
        """Lock: of whoever plans runs just now."""

    def run(self, run: str) -> str:
        """A Run as JSON; only whoever plans writes it."""
        return f"{self._prefix}:run:{run}"

    def slices(self, run: str) -> str:
        """Hash: by number, a Slice as JSON; only the job of the slice writes it, once it has begun."""
        return f"{self._prefix}:slices:{run}"


class SegmentRule(msgspec.Struct, frozen=True):
    """A segment as the run has to look at it. `condition`: None: it is not defined any more, so nobody is in it."""

    id: str
    version: int
    condition: str | None


class Filled(msgspec.Struct, frozen=True):
    """For which version of a segment a back-fill was begun, and which run that is."""

    version: int
    run: str


class Run(msgspec.Struct, kw_only=True):
    """
    One look at all profiles. Times in milliseconds since 1970.

    `offset`: of the newest definition that it needs. `epoch`, `barrier`: where, by partition of events.v1, the records
    lie that have every collector know it. `slices`: how many; `profiles`: in all of them.
    """

    id: str
    kind: Kind
    rules: list[SegmentRule]
    offset: int
    state: State = "waiting"
    asked_ms: int = 0
    started_ms: int | None = None
    ended_ms: int | None = None
    epoch: int = 0
    barrier: dict[int, int] = {}
    slices: int = 0
    profiles: int = 0
    error: str = ""


class Slice(msgspec.Struct, kw_only=True):
    """
    A part of a run: profiles behind `after` up to `until`, by id ("": from the first, to the last).

    `at`: how far it has come. `looked`: profiles looked at. `asked`: of these, whose owner was asked to look again.
    `differed`: of these, who were in other segments than the conditions say, with nothing under way that would have
    mended it.
    """

    after: str
    until: str
    at: str
    looked: int = 0
    asked: int = 0
    differed: int = 0
    is_done: bool = False
    error: str = ""


encode: Final = msgspec.json.Encoder().encode
decode_run: Final = msgspec.json.Decoder(Run).decode
decode_slice: Final = msgspec.json.Decoder(Slice).decode
decode_filled: Final = msgspec.json.Decoder(Filled).decode
