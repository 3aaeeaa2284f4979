"""What the API and the agents tell each other of heartbeats through Redis or Valkey: keys, runs, slices, triggers."""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import msgspec

RunState: TypeAlias = Literal["running", "paused", "done", "failed", "stopped"]
"""`failed`: some of its slices could not be done. `stopped`: the heartbeat was deleted meanwhile."""
Scope: TypeAlias = Literal["profiles", "sessions"]

KIND: Final = "heartbeat"
"""Of triggers, and of definitions."""
LEASE_MS: Final = 3_000
"""How long the leader, and a process' place among the living, lasts without a word from it."""
MOST_RUNS: Final = 100
"""Runs of one heartbeat that are remembered."""
KEPT_S: Final = 30 * 86_400
"""How long a run is remembered at most after its last word, seconds."""


class Keys:
    """Names in Redis, of one namespace."""

    def __init__(self, namespace: str) -> None:
        """Args: namespace: of the hub."""
        agents = f"{namespace}:agents"
        self._prefix = f"{namespace}:heartbeats"
        self.leader = f"{agents}:leader"
        """Text, `term process`: who does what only one may do. Gone after LEASE_MS unless it is renewed."""
        self.term = f"{agents}:term"
        """Number: how often somebody has become the leader. The leader's fencing token."""
        self.processes = f"{agents}:processes"
        """Sorted set: agents processes, by their last word, milliseconds since 1970."""
        self.cursors = f"{self._prefix}:cursors"
        """Hash: by heartbeat, the moment up to which it is decided what becomes of its due times."""
        self.flow_cursors = f"{namespace}:flows:cursors"
        """Hash: the same of schedules of flows, by number of the trigger and id of the flow, with a colon between."""
        self.asked = f"{self._prefix}:asked"
        """Hash: by run id, an Asked: runs that somebody wants now, and that have not begun."""
        self.open = f"{self._prefix}:open"
        """Hash: by heartbeat, the id of the run that is under way."""

    def runs(self, heartbeat: str) -> str:
        """List: ids of its last MOST_RUNS runs, newest first."""
        return f"{self._prefix}:runs:{heartbeat}"

    def run(self, run: str) -> str:
        """A Run as JSON; only the leader writes it."""
        return f"{self._prefix}:run:{run}"

    def slices(self, run: str) -> str:
        """Hash: by number, a Slice as JSON."""
        return f"{self._prefix}:slices:{run}"

    def counts(self, run: str) -> str:
        """Hash of numbers: `done` and `failed` slices, `looked` profiles, `events` sent, `left_out`."""
        return f"{self._prefix}:counts:{run}"

    def waiting(self, run: str) -> str:
        """Set: numbers of slices that have to be sent, or sent again."""
        return f"{self._prefix}:waiting:{run}"


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a run does to each profile, as its heartbeat was defined when it began. `properties`: JSON of an object.

    `unless_ms`: of `unless`, or 0. `version`: of the definition. `rate_limit`: events a second; 0: none.
    """

    scope: Scope = "profiles"
    event_type: str
    properties: str = "{}"
    condition: str = ""
    unless_type: str = ""
    unless_ms: int = 0
    rate_limit: float = 0
    version: int = -1


class Asked(msgspec.Struct, frozen=True):
    """A run that somebody wants. `due_ms`: when that was, milliseconds since 1970."""

    heartbeat: str
    due_ms: int


class Run(msgspec.Struct, kw_only=True):
    """
    One run. Times in milliseconds since 1970.

    Attributes:
        due_ms: Its time: that of its events, whenever they are sent.
        by: The schedule, or a person.
        missed: Due times before it that are not made up.
        cut: The id up to which slices have been cut; "": none yet.
        is_cut: Whether all of them have.
        slices: How many have been cut.
        profiles: In them, all counted, before the condition.
        total: How many there were at its beginning, if it is spread by that; else 0.
        paced_ms, paced: When, and at how many profiles, the clock of its rate began.
    """

    id: str
    heartbeat: str
    due_ms: int
    work: Work
    by: Literal["schedule", "person"] = "schedule"
    state: RunState = "running"
    started_ms: int
    ended_ms: int | None = None
    missed: int = 0
    cut: str = ""
    is_cut: bool = False
    slices: int = 0
    profiles: int = 0
    total: int = 0
    jitter_ms: int = 0
    paced_ms: int = 0
    paced: int = 0


class Slice(msgspec.Struct, kw_only=True):
    """
    A range of ids behind `after` up to `until` ("": without end). `at`: done up to there; "": nothing is.

    Attributes:
        profiles: In it when it was cut.
    """

    after: str
    until: str
    profiles: int
    at: str = ""
    state: Literal["cut", "running", "paused", "done", "failed"] = "cut"
    events: int = 0
    left_out: int = 0
    error: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The `data` of a heartbeat's trigger: all that it takes to do a slice, whatever Redis has forgotten."""

    run: str
    number: int
    due_ms: int
    work: Work
    after: str
    until: str


encode: Final = msgspec.json.Encoder().encode
decode_run: Final = msgspec.json.Decoder(Run).decode
decode_slice: Final = msgspec.json.Decoder(Slice).decode
decode_asked: Final = msgspec.json.Decoder(Asked).decode
decode_order: Final = msgspec.json.Decoder(Order).decode


def counts_of(found: dict[bytes, bytes]) -> dict[str, int]:
    """What the hash of counts says."""
    read: dict[str, Any] = {key.decode(): int(value) for key, value in found.items()}
    return {name: read.get(name, 0) for name in ("done", "failed", "events", "left_out", "looked")}
