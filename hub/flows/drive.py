"""A run from its beginning to where it ends or pauses, by way of a port that does what it wants: safe to be killed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hub.flows.compiled import CompiledFlow
from hub.flows.effects import Answer, Ask, Effect
from hub.flows.run import Documents, run, run_id
from hub.flows.trace import Fired, Run, Saved, settled


class Port(Protocol):
    """
    What does effects. All of it blocks, may raise, and may be done twice: by its id, an effect that comes again is
    known, and a call has its idempotency key.
    """

    def saved(self, run: str) -> Saved:
        """What was saved of a run; an empty one: nothing."""
        ...

    def save(self, run: str, saved: Saved) -> None:
        """Keep it; it is durable when this returns."""
        ...

    def call(self, call: Ask) -> Answer:
        """Make a call, as often as it may be tried. That there is no answer is an Answer, too."""
        ...

    def do(self, run: str, effects: Sequence[tuple[str, Effect]]) -> None:
        """All of these, each with its node; they are durable when this returns."""
        ...


def drive(
    flow: CompiledFlow,
    fired: Fired,
    documents: Documents,
    port: Port,
    *,
    now_ms: int,
    resumed: Mapping[str, Mapping[str, Any] | None] = {},
    clock_ns: Callable[[], int] = int,
) -> Run:
    """
    Run a flow, make its calls, do what it wants. Whoever dies in the middle begins again: what is saved before each
    step outward is not worked out again, and what may have been done already is done again under the same ids.

    Args: as of `run`.

    Raises: what the port does; then begin again.
    """
    id = run_id(flow.id, flow.version, fired)
    saved = port.saved(id)
    answers: dict[str, Answer] = {}
    while True:
        found = run(
            flow,
            fired,
            documents,
            now_ms=now_ms,
            saved=saved,
            answers=answers,
            resumed=resumed,
            clock_ns=clock_ns,
        )
        saved = found.saved
        port.save(id, saved)
        if found.state != "waiting":
            break
        answers = {node: port.call(call) for node, call in found.wanted.items()}
    if found.state != "stopped":  # of which nothing is done
        if found.effects:
            port.do(id, found.effects)
        port.save(id, settled(saved))
    return found
