"""A run as the store keeps it: where it stands, what is needed to go on, its trace."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from hub.flows.pause import Pause
from hub.flows.trace import Fired, Run, Saved, State, Step

MOST_LEGS: Final = 100
"""Legs of one run that are kept: the newest."""
MOST_LEGS_BYTES: Final = 262_144
"""Of the trace of one run, as JSON. Beyond it the oldest legs are left out, then what went in and out of nodes."""
OVER: Final[frozenset[State]] = frozenset(("done", "failed", "stopped", "cancelled"))
"""States in which nothing of a run is left to do."""


class Order(NamedTuple):
    """
    A run that shall be made.

    Attributes:
        flow, version: Of which flow; the version that was in force when it was triggered.
        profile_id: Empty: it is about none.
        session_id: Empty: none.
        event: (time partition, id) of the event that has triggered it; None: none has.
    """

    flow: str
    version: int
    fired: Fired
    profile_id: str
    session_id: str = ""
    event: tuple[str, str] | None = None


class Leg(msgspec.Struct, frozen=True):
    """A run from its beginning, or from where it went on. `at_ms`: when, milliseconds since 1970."""

    at_ms: int
    steps: list[Step]


class KeptRun(msgspec.Struct, frozen=True, kw_only=True):
    """
    One run. Times in milliseconds since 1970.

    Attributes:
        id: As `hub.flows.run.run_id` gives it.
        profile_id: As the trigger said; who that is part of by now is asked for whenever it goes on. Empty: nobody.
        event: (time partition, id) of what has triggered it.
        state: `waiting`: a call has to be made, or what it wants is not done yet; whoever finds it goes on with it.
        error: Why it has failed or was stopped.
        changed_ms: When it was saved last.
        due_ms: The earliest end of its pauses; None: it does not pause.
        waits: Types of events that end a pause of it.
        saved: To go on with; empty once it is over.
        resumed: Pauses that have ended and whose runs have not settled yet: by node, the event or None.
        legs: The trace, the newest MOST_LEGS of it.
        response: For whoever waits for it.
        turn: Raised by each save, from 1: one that is not the stored one plus 1 is refused.
    """

    id: str
    flow: str
    version: int
    profile_id: str
    session_id: str = ""
    event: tuple[str, str] | None = None
    fired: Fired
    state: State = "waiting"
    error: str = ""
    began_ms: int
    changed_ms: int
    due_ms: int | None = None
    waits: list[str] = []
    saved: Saved = Saved()
    resumed: dict[str, Any] = {}
    legs: list[Leg] = []
    response: dict[str, Any] = {}
    turn: int = 0


class RunDocuments(NamedTuple):
    """
    What runs are about, as JSON, in one read; what is not there, or void as its person was erased, is left out.

    Attributes:
        events: By id.
        profiles: By the id that was asked for: of who that is part of now.
        sessions: By id.
        moving: Profiles that are not there as they are about to become part of another one: to be asked for again.
    """

    events: Mapping[str, bytes]
    profiles: Mapping[str, bytes]
    sessions: Mapping[str, bytes]
    moving: frozenset[str] = frozenset()


def begun(id: str, order: Order, now_ms: int) -> KeptRun:
    """A run that nothing is done of yet, and that is not saved."""
    return KeptRun(
        id=id,
        flow=order.flow,
        version=order.version,
        profile_id=order.profile_id,
        session_id=order.session_id,
        event=order.event,
        fired=order.fired,
        began_ms=now_ms,
        changed_ms=now_ms,
    )


def unsettled(kept: KeptRun, found: Run, resumed: Mapping[str, Any], now_ms: int) -> KeptRun:
    """
    To be saved before anything that it wants is done: whoever goes on with it then does the same.

    Args: resumed: pauses that have ended; they are kept, as it may have not come to all of them.
    """
    return replace(
        kept,
        state="waiting",
        error="",
        changed_ms=now_ms,
        due_ms=None,
        waits=[],
        saved=found.saved,
        resumed=dict(resumed),
        turn=kept.turn + 1,
    )


def ended(kept: KeptRun, found: Run, saved: Saved, now_ms: int, *, state: State | None = None) -> KeptRun:
    """
    To be saved once all is done that it wants for now.

    Args: saved: settled. state: another one than that of the run.
    """
    state = state or found.state
    is_over = state in OVER
    paused = {} if is_over else saved.paused
    return replace(
        kept,
        state=state,
        error=found.error,
        changed_ms=now_ms,
        due_ms=min((pause.until_ms for pause in paused.values()), default=None),
        waits=waited(paused.values()),
        saved=Saved() if is_over else saved,
        resumed={},
        legs=traced([*kept.legs, Leg(now_ms, _new(found))]),
        response={**kept.response, **found.response},
        turn=kept.turn + 1,
    )


def failed(kept: KeptRun, why: str, now_ms: int) -> KeptRun:
    """To be saved when it can go on no more."""
    return replace(
        kept,
        state="failed",
        error=why,
        changed_ms=now_ms,
        due_ms=None,
        waits=[],
        saved=Saved(),
        resumed={},
        turn=kept.turn + 1,
    )


def _new(found: Run) -> list[Step]:
    """Its steps, without those that an earlier leg has settled."""
    known = found.saved.results
    return [step for step in found.steps if step.state != "reused" or not known[step.node].is_settled]


def waited(pauses: Iterable[Pause]) -> list[str]:
    """Types of events that end one of them."""
    return sorted({pause.event_type for pause in pauses if pause.event_type})


def traced(legs: list[Leg]) -> list[Leg]:
    """As much of a trace as is kept."""
    legs = legs[-MOST_LEGS:]
    sizes = [len(_encode(leg)) for leg in legs]
    while len(legs) > 1 and sum(sizes) > MOST_LEGS_BYTES:
        del legs[0], sizes[0]
    if sizes and sizes[0] > MOST_LEGS_BYTES:
        steps = [replace(step, input=None, output=None) for step in legs[0].steps]
        legs = [Leg(legs[0].at_ms, steps)]
        if len(_encode(legs[0])) > MOST_LEGS_BYTES:
            steps = [replace(step, effects=[], note=step.note[:1_000]) for step in steps]
            legs = [Leg(legs[0].at_ms, steps)]
    return legs


_encode: Final = msgspec.json.Encoder().encode
