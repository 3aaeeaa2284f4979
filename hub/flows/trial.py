"""A flow tried on an event and a profile: nothing is done, and all that would be is listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from hub.definitions.kinds import Flow
from hub.flows.compiled import CompiledFlow
from hub.flows.effects import Answer, LookUp
from hub.flows.node import LONGEST_S
from hub.flows.run import Documents, run
from hub.flows.trace import Fired, Run, Saved, Step, settled
from hub.flows.triggers import Triggers, fired_by
from hub.flows.view import View

MOST_LEGS: Final = 1_000
ASSUMED: Final = Answer(200, {}, {})
Look: TypeAlias = Callable[[LookUp], Answer]
"""Asks the store. Blocks. That it cannot be asked is an Answer, too."""


class Leg(msgspec.Struct, frozen=True):
    """A run from its beginning, or from where a pause ends. `at_ms`: when, milliseconds since 1970."""

    at_ms: int
    steps: list[dict[str, Any]]
    effects: list[dict[str, Any]]


class Tried(msgspec.Struct, frozen=True):
    """
    What a run would come to.

    Attributes:
        triggered: Whether the event would have let it run; it was run all the same.
        state: As of a run. `paused`: where pauses were not to be passed.
        legs: What would be done at once, then behind each pause.
        assumed: Nodes whose calls were taken to be answered with 200 and an empty object, look-ups to find nothing, or
            profiles to merge with to be there.
    """

    run: str
    triggered: bool
    state: str
    error: str
    legs: list[Leg]
    response: dict[str, Any]
    assumed: list[str]


class TrialError(ValueError):
    """What is given to try it on cannot be; the message says why."""


def try_flow(
    spec: Flow,
    flow: CompiledFlow,
    documents: Documents,
    *,
    now_ms: int,
    answers: Mapping[str, Answer] = {},
    pauses: Literal["stop", "pass"] = "pass",
    look: Look | None = None,
    clock_ns: Callable[[], int] = int,
    long_s: float = LONGEST_S,
) -> Tried:
    """
    Try a flow.

    Args:
        documents: An event as the store has it, or as much of it as the flow asks for; the same of the rest.
        now_ms: What now is at the beginning; behind a pause it is when that ends.
        answers: By node, to its call or look-up.
        look: For other look-ups; None: they are taken to find nothing.
        pauses: pass: all of it is shown, each pause taken to end at its time.
        clock_ns: As of `run`.
        long_s: A long node may take so long, seconds; more than 0.

    Raises: TrialError.
    """
    documents = documents._replace(event=_whole(documents.event), profile=_whole_profile(documents.profile))
    fired = fired_by(documents.event, now_ms) if documents.event.get("type") else Fired("trial", "manual", now_ms)
    given = dict(answers)
    assumed: list[str] = []
    legs: list[Leg] = []
    response: dict[str, Any] = {}
    saved, resumed = Saved(), dict[str, None]()
    error = ""
    while True:
        found = _leg(
            flow,
            fired,
            documents,
            now_ms=now_ms,
            saved=saved,
            answers=given,
            resumed=resumed,
            assumed=assumed,
            look=look,
            clock_ns=clock_ns,
            long_s=long_s,
        )
        legs.append(_shown(now_ms, found))
        response, error = found.response or response, found.error or error
        if found.state != "paused" or pauses == "stop" or len(legs) >= MOST_LEGS:
            break
        saved = settled(found.saved)
        view = View(documents.profile)
        view.take(tuple(effect for _, effect in found.effects))  # as its owner has done by then
        documents = documents._replace(profile=view.doc)
        now_ms = max(now_ms, min(pause.until_ms for pause in saved.paused.values()))
        resumed = {id: None for id, pause in saved.paused.items() if pause.until_ms <= now_ms}
    triggered = any(Triggers({flow.id: (spec, flow.version)}).of(documents, legs[0].at_ms))
    return Tried(found.id, triggered, found.state, error, legs, response, assumed)


def _leg(
    flow: CompiledFlow,
    fired: Fired,
    documents: Documents,
    *,
    now_ms: int,
    saved: Saved,
    answers: dict[str, Answer],
    resumed: Mapping[str, None],
    assumed: list[str],
    look: Look | None,
    clock_ns: Callable[[], int],
    long_s: float,
) -> Run:
    """Until it has ended or paused, each call answered, each long node run."""
    before: list[Step] = []
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
            long_s=long_s,
        )
        if found.state != "waiting":
            return found._replace(steps=[*before, *found.steps])
        if not found.wanted:  # it goes on behind a long node
            before += (step for step in found.steps if step.state != "reused")
            saved = found.saved
        for id, ask in found.wanted.items():
            if isinstance(ask, LookUp) and look is not None:
                answers[id] = look(ask)
                continue
            answers[id] = _supposed(ask) if isinstance(ask, LookUp) else ASSUMED
            assumed.append(id)


def _supposed(ask: LookUp) -> Answer:
    """What is named by its id is there; a query finds nothing."""
    return Answer(200, {}, [{"id": ask.id}] if ask.id else 0 if ask.counts else [])


def _shown(now_ms: int, found: Run) -> Leg:
    steps = [msgspec.to_builtins(step) for step in found.steps if step.state != "reused"]
    listed = [] if found.state == "stopped" else found.steps
    effects = [
        {"node": step.node, **msgspec.to_builtins(effect)}
        for step in listed
        if step.state != "reused"
        for effect in step.effects
    ]
    return Leg(now_ms, steps, effects)


def _whole(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """An event as short as people write it, with what every event has."""
    if not event:
        return event
    source = event.get("source")
    whole = {
        "id": "00000000-0000-5000-8000-000000000000",
        "properties": {},
        "context": {},
        "metadata": {"origin": "trial"},
        **event,
        "source": {"id": source} if isinstance(source, str) else source or {"id": "trial"},
    }
    for name in ("properties", "context", "source", "metadata"):
        if not isinstance(whole[name], dict):
            raise TrialError(f"event.{name}: an object is expected")
    if not isinstance(whole["source"].get("id"), str):
        raise TrialError("event.source.id: a text is expected")
    if not isinstance(whole.get("type", ""), str):
        raise TrialError("event.type: a text is expected")
    return whole


def _whole_profile(profile: Mapping[str, Any]) -> Mapping[str, Any]:
    if not profile:
        return profile
    return {"id": "trial", "traits": {}, "data": {}, "segments": [], "metadata": {}, **profile}
