"""What a node is: a plain function of its configuration and of what it sees, and what it may give back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from inspect import signature
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, TypeAlias, get_type_hints

from pydantic import BaseModel, Field

from hub.edge.admit import event_type
from hub.flows.arithmetic import number_of
from hub.flows.effects import Answer, Ask, Effect
from hub.flows.fields import Place, Template
from hub.flows.notation import Scope, ValueFault, as_text
from hub.flows.pause import Pause
from hub.ids import derived

Type: TypeAlias = Literal["any", "object", "list", "text", "number", "boolean"]
"""Of a value that goes along an edge."""
Gives: TypeAlias = Literal["any", "object", "list", "text", "number", "boolean", "same"]
"""`same`: what came in."""

OUT: Final = "out"
ERROR: Final = "error"
"""The port at which every node goes on when it fails. If it leads nowhere, the run has failed there."""
LONGEST_S: Final = 1_800.0
"""No node may say that it takes longer: half of what a job on RQ may (`hub.jobs.queue.JOB_S`)."""
THEN: Final = ("then", "else")
"""Ports of all nodes that ask something. No `true` and `false`: in YAML these are no texts."""


class NodeFault(ValueError):
    """A node cannot do what it should; the message says why. `more`: members of `payload@error` at its error port."""

    def __init__(self, detail: str, **more: Any) -> None:
        """Args: detail: one or more sentences."""
        super().__init__(detail)
        self.more = more


class Outcome(NamedTuple):
    """
    What came of a node.

    Attributes:
        port: Where it goes on.
        output: The payload of whoever is next: any JSON value.
        effects: What is to be done.
        memory: What `memory@` has from now on, by name.
        note: For people, in the trace.
    """

    port: str
    output: Any
    effects: tuple[Effect, ...] = ()
    memory: Mapping[str, Any] = {}
    note: str = ""


class Wait(NamedTuple):
    """The node needs an answer; it is asked again with it."""

    call: Ask


Given: TypeAlias = "Outcome | Wait | Pause | None"
"""None: what comes to the node goes no further."""


class Resumed(NamedTuple):
    """Why a pause has ended. `event`: the document of the event that ended it; None: its time had come."""

    pause: Pause
    event: Mapping[str, Any] | None = None


class Config(BaseModel, frozen=True, extra="forbid", arbitrary_types_allowed=True):
    """What a node is configured with. A field of type Template, Query and the like is compiled once."""

    own_ports: ClassVar[bool] = False
    """Whether the configuration says which ports there are."""

    def ports(self) -> tuple[str, ...]:
        """Where it may go on, if the configuration says that."""
        return ()

    def repeats(self) -> str:
        """Why what it does may be done twice when a run is made again after a crash; empty: it is not."""
        return ""


def check_event_type(type: str) -> None:
    """Raises ValueError: no event is of this type."""
    if type != event_type(type):
        raise ValueError(f"no event is of the type {type!r}: it would be {event_type(type)!r}")


class Valued(Config):
    """Of a node that works out a value."""

    into: Annotated[
        Place,
        Field(description="Where in the payload the value goes, such as `order.total`. Empty: it is the payload."),
    ] = Place("value")


class Call:
    """
    What a node sees of the run that it is in.

    Attributes:
        scope: The documents: payload, event, profile, session, memory, flow. They are not to be changed.
        node: Its own id.
        run: The run's id.
        now_ms: What now is, milliseconds since 1970.
        depth: How many flows have raised events one after the other.
        answer: Of what it has waited for; None: it has not asked yet.
        resumed: Why its pause has ended; None: it has not paused yet.
        sources: By id of the node before, the payloads that came together here.
    """

    __slots__ = ("answer", "depth", "node", "now_ms", "resumed", "run", "scope", "sources")

    def __init__(
        self,
        scope: Scope,
        *,
        node: str = "node",
        run: str = "run",
        now_ms: int = 0,
        depth: int = 0,
        answer: Answer | None = None,
        resumed: Resumed | None = None,
        sources: Mapping[str, Any] = {},
    ) -> None:
        """Args: see the attributes."""
        self.scope = scope
        self.node = node
        self.run = run
        self.now_ms = now_ms
        self.depth = depth
        self.answer = answer
        self.resumed = resumed
        self.sources = sources

    @property
    def payload(self) -> Any:
        """What came in."""
        return self.scope["payload"]

    def go(self, port: str = OUT, *effects: Effect, note: str = "") -> Outcome:
        """On at this port, with the payload that came in."""
        return Outcome(port, self.scope["payload"], effects, note=note)

    def asked(self, yes: bool) -> Outcome:
        """On at `then` or `else`."""
        return Outcome(THEN[0] if yes else THEN[1], self.scope["payload"])

    def id(self, *parts: str) -> str:
        """A UUID that is the same whenever this node is asked in this run."""
        return derived("flow-effect", self.run, self.node, *parts)

    def share(self, *parts: str) -> float:
        """A number from 0 to below 1, by chance as far as anybody can see; the same for the same parts."""
        digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / (1 << 64)

    def text(self, template: Template) -> str:
        """Its value as a text; numbers and truth values are written out. Raises ValueFault."""
        value = template(self.scope)
        if isinstance(value, str | int | float):
            return as_text(value)
        raise ValueFault(_unfit(template, "a text", value))

    def number(self, template: Template) -> int | float:
        """Its value as a number. Raises ValueFault."""
        return number_of(template(self.scope), str(template))

    def items(self, template: Template) -> Sequence[Any]:
        """Its value as a list. Raises ValueFault."""
        value = template(self.scope)
        if isinstance(value, list):
            return value
        raise ValueFault(_unfit(template, "a list", value))

    def members(self, template: Template) -> Mapping[str, Any]:
        """Its value as an object. Raises ValueFault."""
        value = template(self.scope)
        if isinstance(value, dict):
            return value
        raise ValueFault(_unfit(template, "an object", value))


class Node(NamedTuple):
    """
    A type of node.

    Attributes:
        name: In `type` of a definition.
        summary: One sentence.
        group: In lists for people.
        config: Its model; `config.model_json_schema()` makes a form.
        ports: Where it may go on, ERROR apart; if the configuration says that, `config.ports` does.
        takes: The type of payload that it works with.
        gives: What goes out at its ports; of a Valued node, what the value is.
        run: The function, with what a Valued node works out put in its place.
        package: Which package brings it; empty: the hub.
        long_s: So long it may take, seconds; a worker runs it then, for which nobody waits. 0: it takes no time worth
            speaking of.
    """

    name: str
    summary: str
    group: str
    config: type[Config]
    ports: tuple[str, ...]
    takes: Type
    gives: Gives
    run: Callable[[Any, Call], Given]
    package: str = ""
    long_s: float = 0.0

    def ports_of(self, config: Config) -> tuple[str, ...]:
        """All ports, ERROR apart."""
        return config.ports() if config.own_ports else self.ports

    def takes_of(self, config: Config) -> Type:
        """The type of payload that it needs."""
        return "object" if isinstance(config, Valued) and config.into.value else self.takes

    def gives_of(self, config: Config, taken: Type) -> Type:
        """What goes out at its ports. Args: taken: what comes in."""
        if isinstance(config, Valued) and config.into.value:
            return "object"
        return taken if self.gives == "same" else self.gives


def node(
    name: str,
    *,
    group: str,
    ports: tuple[str, ...] = (OUT,),
    takes: Type = "any",
    gives: Gives = "same",
    package: str = "",
    long_s: float = 0.0,
) -> Callable[[Callable[[Any, Call], Any]], Node]:
    """
    Make a node of a function; the first sentence of its docstring is what people read.

    The function gets its configuration, whose model is the annotation of its first parameter, and a Call. If that model
    is a Valued, it gives a value, which goes into the payload; else an Outcome, Wait, Pause or None. It does nothing
    and changes nothing: what is to be done it gives back as effects. Whatever it raises goes out at its error port.

    Args: as Node's. Raises ValueError: `long_s` is below 0, or above LONGEST_S.
    """
    if not 0 <= long_s <= LONGEST_S:
        raise ValueError(f"long_s is {long_s:g}; it is from 0 to {LONGEST_S:g} seconds")

    def made(function: Callable[[Any, Call], Any]) -> Node:
        first = next(iter(signature(function).parameters))
        config: type[Config] = get_type_hints(function)[first]
        summary = " ".join((function.__doc__ or "").strip().split("\n\n")[0].split())
        run = _valued(function) if issubclass(config, Valued) else function
        return Node(name, summary, group, config, ports, takes, gives, run, package, long_s)

    return made


def put(payload: Any, path: tuple[str, ...], value: Any) -> Any:
    """The payload with a value at a place; what is on the way and no object is replaced by one. Nothing is changed."""
    if not path:
        return value
    below = payload.get(path[0]) if isinstance(payload, dict) else None
    base = payload if isinstance(payload, dict) else {}
    return {**base, path[0]: put(below, path[1:], value)}


def _valued(function: Callable[[Any, Call], Any]) -> Callable[[Any, Call], Outcome]:
    def run(config: Valued, call: Call) -> Outcome:
        return Outcome(OUT, put(call.scope["payload"], config.into.value, function(config, call)))

    return run


def _unfit(template: Template, wanted: str, value: Any) -> str:
    if value is None:
        return f"{template}: {wanted} is expected, and there is nothing"
    return f"{template}: {wanted} is expected, not {value!r:.80}"
