"""What is kept of a run: the result of each node, what it wants done, where it has stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from hub.flows.effects import Ask, Effect
from hub.flows.pause import Pause

State: TypeAlias = Literal["done", "failed", "stopped", "paused", "waiting", "cancelled"]
"""
done: nothing is left to do. failed: a node has failed whose error port leads nowhere; what its branch should have done
is not done, the rest is. stopped: it has come to a limit, and nothing that it wanted is done. paused: some of it goes
on later. waiting: a call has to be made, or a long node to be run, before it can go on. cancelled: somebody has ended
it.
"""


class Fired(msgspec.Struct, frozen=True):
    """
    What let a flow run.

    Attributes:
        id: The same cause has the same id: so a run that is made twice is the same run.
        kind: `event`, `segment-entered`, `segment-left`, `heartbeat`, `schedule`, `manual`.
        at_ms: When, milliseconds since 1970.
        data: The payload of the nodes that it begins with.
        depth: How many flows have raised events one after the other before.
    """

    id: str
    kind: str
    at_ms: int
    data: dict[str, Any] = {}
    depth: int = 0


class Result(msgspec.Struct, frozen=True):
    """
    What came of a node: stored before what follows is run, so that a run that is made again does not ask it again.

    Attributes:
        port: Where it went on; empty: nowhere.
        error: Why it has failed; empty: it has not.
        is_settled: Whether its effects have been done.
        took_us: How long it took, microseconds.
    """

    port: str
    output: Any = None
    effects: list[Effect] = []
    memory: dict[str, Any] = {}
    note: str = ""
    error: str = ""
    is_settled: bool = False
    took_us: int = 0


class Saved(msgspec.Struct, frozen=True):
    """
    All that is needed to go on with a run, beside the version of the flow and what has fired: JSON, for a store.

    `results`, `paused`: by id of the node.
    """

    results: dict[str, Result] = {}
    paused: dict[str, Pause] = {}


class Step(msgspec.Struct, frozen=True):
    """
    One line of a trace.

    Attributes:
        state: `ran`; `reused`: its result was there already; `paused`, `waiting`: it has none yet.
        input, output: The payload before and after.
        until_ms: Of a pause.
        took_us: How long it took, microseconds.
    """

    node: str
    type: str
    state: Literal["ran", "reused", "paused", "waiting"]
    input: Any
    port: str = ""
    output: Any = None
    effects: list[Effect] = []
    note: str = ""
    error: str = ""
    until_ms: int | None = None
    took_us: int = 0


class Run(NamedTuple):
    """
    What a run has come to.

    Attributes:
        id: UUIDv5 of the flow, its version and what has fired.
        error: Why it has failed or was stopped, with the node; empty otherwise.
        steps: The nodes that something came to, in their order.
        effects: What is to be done now, each with the node that wants it; none when it was stopped.
        response: For whoever waits for the run.
        saved: To go on with, when it is paused or waiting.
        wanted: By node, the call that it is waiting for. None, and it is waiting: for a long node that must not be run
            here, or to go on behind one that was.
    """

    id: str
    state: State
    error: str
    steps: list[Step]
    effects: list[tuple[str, Effect]]
    response: dict[str, Any]
    saved: Saved
    wanted: Mapping[str, Ask]


def settled(saved: Saved) -> Saved:
    """The same once all effects have been done: a run that goes on does not give them out again."""
    results = {id: msgspec.structs.replace(result, is_settled=True) for id, result in saved.results.items()}
    return Saved(results, saved.paused)
