"""One run of a flow, without doing anything: which nodes it comes to, what each gives, what is to be done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple

import msgspec

from hub.flows.compiled import CompiledFlow
from hub.flows.compiled import Step as Compiled
from hub.flows.effects import Answer, Ask, CallHttp, Effect, LookUp, Respond
from hub.flows.node import ERROR, LONGEST_S, Call, Given, NodeFault, Outcome, Resumed, Wait
from hub.flows.notation import ValueFault
from hub.flows.overdue import MOST_S, in_time
from hub.flows.patch import check
from hub.flows.pause import Pause
from hub.flows.trace import Fired, Result, Run, Saved, State, Step
from hub.flows.view import View
from hub.ids import derived
from hub.pipeline.documents import iso

NOTHING: Final = Saved()
_WORDS: Final = 1_000
"""Most characters of an error."""
_NO_WORDS: Final = "it has failed, and does not say why"
_NO_DOCUMENT: Final[Mapping[str, Any]] = {}
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Documents(NamedTuple):
    """What a run is about, as the store and the API have it; none is changed. Empty: there is none."""

    event: Mapping[str, Any] = _NO_DOCUMENT
    profile: Mapping[str, Any] = _NO_DOCUMENT
    session: Mapping[str, Any] = _NO_DOCUMENT


class _Stopped(Exception):
    """A limit is reached."""


class _Waits(Exception):
    """What is behind the node has to wait."""


def run_id(flow: str, version: int, fired: Fired) -> str:
    """The id of the run of a flow's version because of this."""
    return derived("flow-run", flow, str(version), fired.id)


def run(
    flow: CompiledFlow,
    fired: Fired,
    documents: Documents,
    *,
    now_ms: int,
    saved: Saved = NOTHING,
    answers: Mapping[str, Answer] = {},
    resumed: Mapping[str, Mapping[str, Any] | None] = {},
    clock_ns: Callable[[], int] = int,
    long_s: float = LONGEST_S,
) -> Run:
    """
    Run a flow as far as it goes. A node is run once at most, when it is known of every edge that leads to it whether
    something comes along it; a pause holds up what is behind it, a call everything. So does a long node that has just
    been run: its result is to be saved, and what follows sees what there is by then.

    The same arguments give the same run. A run that was made before in part and is made again with what was `saved`
    goes on from there.

    Args:
        documents: As they are now; for a run that goes on, read anew.
        now_ms: What now is, milliseconds since 1970.
        saved: Of an earlier call.
        answers: By node, to what was `wanted`.
        resumed: Nodes whose pauses end, each with the event that ends it, or None.
        clock_ns: A clock that never goes back, to say how long nodes take and to end a run that takes too long; without
            one neither is done.
        long_s: A long node may take so long here, seconds; 0: the run waits in front of it.
    """
    runner = _Runner(
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
    return runner.go()


class _Runner:
    """One call of `run`."""

    def __init__(
        self,
        flow: CompiledFlow,
        fired: Fired,
        documents: Documents,
        *,
        now_ms: int,
        saved: Saved,
        answers: Mapping[str, Answer],
        resumed: Mapping[str, Mapping[str, Any] | None],
        clock_ns: Callable[[], int],
        long_s: float,
    ) -> None:
        self._flow = flow
        self._long_s = long_s
        self._fired = fired
        self._documents = documents
        self._now_ms = now_ms
        self._answers = answers
        self._resumed = resumed
        self._clock_ns = clock_ns
        self._id = run_id(flow.id, flow.version, fired)
        self._view = View(documents.profile)
        self._memory: dict[str, Any] = {}
        self._about = {
            "id": flow.id,
            "name": flow.name,
            "version": flow.version,
            "run": self._id,
            "trigger": {"id": fired.id, "kind": fired.kind, "at": iso(fired.at_ms)},
        }
        self._known = saved.results
        self._pauses = saved.paused
        self._results: dict[str, Result] = {}
        self._paused: dict[str, Pause] = {}
        self._held: set[str] = set()
        self._steps: list[Step] = []
        self._effects: list[tuple[str, Effect]] = []
        self._response: dict[str, Any] = {}
        self._wanted: dict[str, Ask] = {}
        self._failure = ""
        self._did = self._called = self._bytes = 0
        self._sizes: dict[str, int] = {}
        self._made: tuple[Ask, ...] = ()

    def go(self) -> Run:
        """All of it."""
        try:
            self._check_depth()
            end_ns = self._clock_ns() + int(self._flow.limits.seconds * 1e9)
            for step in self._flow.steps:
                if self._clock_ns() > end_ns:
                    raise _Stopped(f"it takes longer than {self._flow.limits.seconds:g} s (limits.seconds)")
                self._come_to(step)
        except _Stopped as exc:
            return Run(self._id, "stopped", str(exc), self._steps, [], {}, self._saved(), {})
        except _Waits:
            return self._ended("waiting")
        if self._paused:
            return self._ended("paused")
        return self._ended("failed" if self._failure else "done")

    def _ended(self, state: State) -> Run:
        return Run(
            self._id,
            state,
            self._failure,
            self._steps,
            self._effects,
            self._response,
            self._saved(),
            self._wanted,
        )

    def _saved(self) -> Saved:
        # what was not come to this time is kept: a run that waits stops before the nodes behind the call
        return Saved({**self._known, **self._results}, {**self._pending(), **self._paused})

    def _pending(self) -> dict[str, Pause]:
        return {id: pause for id, pause in self._pauses.items() if id not in self._results}

    def _check_depth(self) -> None:
        most = self._flow.limits.depth
        if self._fired.depth > most:
            raise _Stopped(
                f"flows have raised events one after the other {self._fired.depth} times until this one; after {most} "
                "times it does not run (limits.depth): do they trigger each other?"
            )

    def _come_to(self, step: Compiled) -> None:
        if not self._held.isdisjoint(source for source, _ in step.arrivals):
            self._held.add(step.id)
            return
        if step.is_start:
            payload: Any = self._fired.data
            sources: dict[str, Any] = {}
        else:
            results = self._results
            sources = {
                source: results[source].output
                for source, port in step.arrivals
                if source in results and results[source].port == port
            }
            if not sources or (step.waits_for_all and len(sources) < len({source for source, _ in step.arrivals})):
                return
            payload = next(iter(sources.values()))
        known = self._known.get(step.id)
        if known is None:
            self._run(step, payload, sources)
        else:
            self._reuse(step, payload, known)

    def _reuse(self, step: Compiled, payload: Any, known: Result) -> None:
        if not known.is_settled:
            with suppress(NodeFault):  # the profile is another one by now: its owner will find it out
                self._view.take(tuple(known.effects))
        self._sizes[step.id] = len(_encode(known.output))
        self._keep(step, payload, known, reused=True)

    def _run(self, step: Compiled, payload: Any, sources: Mapping[str, Any]) -> None:
        if step.id in self._pauses and step.id not in self._resumed:
            self._pause(step, payload, self._pauses[step.id], 0)
            return
        is_long = bool(step.node.long_s) and not step.skip
        if is_long and not self._long_s:
            self._steps.append(Step(step.id, step.node.name, "waiting", payload))
            raise _Waits
        began_ns = self._clock_ns()
        error, more = "", _NO_DOCUMENT
        given: Given = None
        self._made = ()
        try:
            given = self._asked(step, payload, sources)
            if isinstance(given, Outcome):
                given = self._checked(step, payload, given, next(iter(sources), ""))
        except _Waits:
            raise
        except NodeFault as exc:
            error, more = str(exc) or _NO_WORDS, exc.more
        except ValueFault as exc:
            error = str(exc) or _NO_WORDS
        except Exception as exc:  # noqa: BLE001 - whatever a node of somebody else raises is that node's fault alone
            error = f"{type(exc).__name__}: {exc}"
        took_us = (self._clock_ns() - began_ns) // 1_000
        if error:
            self._fail(step, payload, error, more=more, took_us=took_us)
        elif isinstance(given, Pause):
            # what the run comes to at once began with what let it run: so it does not matter how late that was taken
            since_ms = self._now_ms if self._known or self._resumed else self._fired.at_ms
            self._pause(step, payload, given._replace(since_ms=since_ms), took_us)
        elif isinstance(given, Outcome):
            effects = [*self._made, *given.effects]
            result = Result(given.port, given.output, effects, dict(given.memory), given.note, took_us=took_us)
            self._keep(step, payload, result)
        else:
            self._keep(step, payload, Result("", took_us=took_us))
        if is_long and step.id in self._results:
            raise _Waits

    def _asked(self, step: Compiled, payload: Any, sources: Mapping[str, Any]) -> Given:
        """What the node gives; an answer, if it needs one and has it, is given to it."""
        if step.skip:
            ports = step.node.ports_of(step.config)
            return Outcome(ports[0], payload) if ports else None
        given = self._given(step, self._call(step, payload, sources, None))
        if not isinstance(given, Wait):
            return given
        if self._called >= self._flow.limits.calls:
            raise NodeFault(f"a run may make {self._flow.limits.calls} calls (limits.calls)")
        answer = self._answers.get(step.id)
        if answer is None:
            self._wanted[step.id] = given.call
            self._steps.append(Step(step.id, step.node.name, "waiting", payload, effects=[given.call]))
            raise _Waits
        self._made = (given.call,)
        given = self._given(step, self._call(step, payload, sources, answer))
        if isinstance(given, Wait):
            raise NodeFault("it has had an answer, and asks again")
        return given

    def _given(self, step: Compiled, call: Call) -> Given:
        """Raises NodeFault: it takes too long; whatever the node raises."""
        node = step.node
        if not step.may_be_endless:
            return node.run(step.config, call)
        return in_time(lambda: node.run(step.config, call), min(node.long_s, self._long_s) or MOST_S)

    def _call(self, step: Compiled, payload: Any, sources: Mapping[str, Any], answer: Answer | None) -> Call:
        documents = self._documents
        resumed = None
        if step.id in self._pauses and step.id in self._resumed:
            resumed = Resumed(self._pauses[step.id], self._resumed[step.id])
        return Call(
            {
                "payload": payload,
                "event": documents.event,
                "profile": self._view.doc,
                "session": documents.session,
                "memory": self._memory,
                "flow": self._about,
            },
            node=step.id,
            run=self._id,
            now_ms=self._now_ms,
            depth=self._fired.depth,
            answer=answer,
            resumed=resumed,
            sources=sources,
        )

    def _checked(self, step: Compiled, payload: Any, given: Outcome, source: str) -> Outcome:
        """Args: source: the node that the payload comes from. Raises NodeFault: it cannot be."""
        ports = step.node.ports_of(step.config)
        if given.port not in ports and given.port != ERROR:
            raise NodeFault(f"it goes on at a port {given.port!r}; it has {', '.join(ports)}")
        if given.output is payload and source:
            self._sizes[step.id] = self._sizes[source]
        else:
            written = _written(given.output)
            if len(written) > self._flow.limits.output_bytes:
                raise NodeFault(
                    f"it hands on {len(written):,} bytes; {self._flow.limits.output_bytes:,} are the most "
                    "(limits.output_bytes)"
                )
            self._sizes[step.id] = len(written)
            if step.node.package:  # what is stored and read again is the same then
                given = given._replace(output=_decode(written))
        check(given.effects)
        if given.effects or given.memory:
            self._bytes += len(_written((given.effects, given.memory)))
        self._view.take(given.effects)
        return given

    def _fail(self, step: Compiled, payload: Any, error: str, *, more: Mapping[str, Any], took_us: int) -> None:
        error = error[:_WORDS]
        made: list[Effect] = [*self._made]
        if not step.catches:
            self._keep(step, payload, Result("", effects=made, error=error, took_us=took_us))
            return
        about = {"node": step.id, "type": step.node.name, "message": error}
        output = {"error": {**about, **more}, "payload": payload}
        try:
            size = len(_written(output))
        except NodeFault:
            size = self._flow.limits.output_bytes + 1
        if size > self._flow.limits.output_bytes:  # the message has to be enough
            output = {"error": about, "payload": None}
            size = len(_written(output))
        self._sizes[step.id] = size
        self._keep(step, payload, Result(ERROR, output, made, error=error, took_us=took_us))

    def _pause(self, step: Compiled, payload: Any, pause: Pause, took_us: int) -> None:
        self._paused[step.id] = pause
        self._held.add(step.id)
        self._steps.append(Step(step.id, step.node.name, "paused", payload, until_ms=pause.until_ms, took_us=took_us))

    def _keep(self, step: Compiled, payload: Any, result: Result, *, reused: bool = False) -> None:
        self._results[step.id] = result
        if result.memory:
            self._memory = {**self._memory, **result.memory}
        if result.error and not result.port and not self._failure:
            self._failure = f"{step.id}: {result.error}"
        for effect in result.effects:
            if isinstance(effect, CallHttp | LookUp):
                self._called += 1
            elif isinstance(effect, Respond):
                self._response.update(effect.body)
            if not result.is_settled and not isinstance(effect, CallHttp | LookUp | Respond):
                self._effects.append((step.id, effect))
        self._did += len(result.effects)
        self._bytes += self._sizes.get(step.id, 0)
        self._steps.append(
            Step(
                step.id,
                step.node.name,
                "reused" if reused else "ran",
                payload,
                result.port,
                result.output,
                result.effects,
                result.note,
                result.error,
                took_us=result.took_us,
            )
        )
        if self._did > self._flow.limits.effects:
            raise _Stopped(f"{step.id}: it wants more than {self._flow.limits.effects} effects (limits.effects)")
        if self._bytes > self._flow.limits.total_bytes:
            raise _Stopped(f"{step.id}: it is larger than {self._flow.limits.total_bytes:,} bytes (limits.total_bytes)")


def _written(output: Any) -> bytes:
    """Raises NodeFault."""
    try:
        return _encode(output)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise NodeFault(f"it gives something that is no JSON: {exc}") from exc
