"""Where a run goes: start, conditions, branches that part and meet, answers, ends."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from hub.flows.effects import Respond
from hub.flows.fields import Query, Template
from hub.flows.node import ERROR, OUT, THEN, Call, Config, NodeFault, Outcome, Valued, check_event_type, node
from hub.flows.notation import as_text

GROUP: Final = "Flow"
START: Final = "start"
JOIN: Final = "join"
_PORT: Final = r"^[a-z0-9][a-z0-9_-]{0,39}$"


class Nothing(Config):
    """Nothing to configure."""


class Start(Config):
    """Where a run begins."""

    event_types: Annotated[
        list[str],
        Field(default_factory=list, description="Only when one of these has triggered it. Empty: whatever has."),
    ]
    condition: Annotated[Query | None, Field(description="Only if it is true. Unset: always.")] = None
    payload: Annotated[
        Template | None, Field(description="Template of the payload to begin with. Unset: what the trigger gives.")
    ] = None

    @model_validator(mode="after")
    def _of_some_event(self) -> Start:
        for type in self.event_types:
            check_event_type(type)
        return self


@node(START, group=GROUP, gives="any")
def start(config: Start, call: Call) -> Outcome | None:
    """Begin here; a flow may begin at several nodes."""
    if config.event_types and call.scope["event"].get("type") not in config.event_types:
        return None
    if config.condition is not None and not config.condition(call.scope, call.now_ms):
        return None
    return Outcome(OUT, call.payload if config.payload is None else config.payload(call.scope))


@node("end", group=GROUP, ports=())
def end(_config: Nothing, _call: Call) -> Outcome | None:
    """End a branch: the same as a port that leads nowhere, written out."""
    return None


class If(Config):
    """A condition."""

    condition: Annotated[Query, Field(description="Such as profile@traits.spent > 100 AND event@type = purchase.")]


@node("if", group=GROUP, ports=THEN)
def if_(config: If, call: Call) -> Outcome:
    """Go on at `then` if a condition is true, else (also if it is unknown) at `else`."""
    return call.asked(config.condition(call.scope, call.now_ms))


class Case(Config):
    """One way out."""

    port: Annotated[str, Field(pattern=_PORT, description="Its name.")]
    condition: Annotated[Query | None, Field(description="It is taken if this is true.")] = None
    value: Annotated[Any, Field(description="Or if the node's `on` is this, or one of these.")] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Case:
        if (self.condition is None) == (self.value is None):
            raise ValueError("give either `condition` or `value`")
        return self


class Switch(Config):
    """Several ways out."""

    own_ports: ClassVar[bool] = True

    on: Annotated[Template | None, Field(description="What the cases' values are compared with.")] = None
    cases: Annotated[list[Case], Field(min_length=1, max_length=100, description="The first that holds is taken.")]

    def ports(self) -> tuple[str, ...]:
        """Those of the cases, and `else`."""
        return (*dict.fromkeys(case.port for case in self.cases), THEN[1])

    @model_validator(mode="after")
    def _complete(self) -> Switch:
        if self.on is None and any(case.condition is None for case in self.cases):
            raise ValueError("cases with a `value` need `on`, what it is compared with")
        _check_free(self.ports())
        return self


@node("switch", group=GROUP)
def switch(config: Switch, call: Call) -> Outcome:
    """Go on at the port of the first case that holds, else at `else`."""
    found = None if config.on is None else config.on(call.scope)
    for case in config.cases:
        if case.condition is not None:
            holds = case.condition(call.scope, call.now_ms)
        else:
            values = case.value if isinstance(case.value, list) else [case.value]
            holds = any(_same(found, value) for value in values)
        if holds:
            return call.go(case.port)
    return call.go(THEN[1])


class Share(Config):
    """One way out, and how many take it."""

    port: Annotated[str, Field(pattern=_PORT, description="Its name.")]
    weight: Annotated[float, Field(gt=0, le=1_000_000, description="As against the others.")] = 1.0


class Split(Config):
    """Several ways out, by chance."""

    own_ports: ClassVar[bool] = True

    shares: Annotated[list[Share], Field(min_length=2, max_length=100)]
    by: Annotated[
        Template | None,
        Field(
            description="Whoever has the same here goes the same way each time, such as profile@id for an A/B test. "
            "Unset: each run anew."
        ),
    ] = None
    seed: Annotated[str, Field(description="Another text here parts them differently.")] = ""

    def ports(self) -> tuple[str, ...]:
        """Those of the shares."""
        return tuple(share.port for share in self.shares)

    @model_validator(mode="after")
    def _apart(self) -> Split:
        if len(set(self.ports())) < len(self.shares):
            raise ValueError("each share has a port of its own")
        _check_free(self.ports())
        return self


@node("split", group=GROUP)
def split(config: Split, call: Call) -> Outcome:
    """Part the runs by chance in given shares, each profile always the same way if you like."""
    what = call.run if config.by is None else as_text(config.by(call.scope))
    left = call.share("split", config.seed or call.node, what) * sum(share.weight for share in config.shares)
    for share in config.shares:
        left -= share.weight
        if left < 0:
            return call.go(share.port)
    return call.go(config.shares[-1].port)


class Join(Config):
    """How branches meet."""

    wait_for: Annotated[
        Literal["all", "any"],
        Field(description="all: it goes on only if something comes along every edge. any: along one at least."),
    ] = "any"
    payload: Annotated[
        Literal["merge", "by-node", "first"],
        Field(
            description="merge: members of all payloads in one object, later edges first. by-node: an object, each "
            "payload under the id of the node that it comes from. first: that of the first edge."
        ),
    ] = "merge"


@node(JOIN, group=GROUP, gives="any")
def join(config: Join, call: Call) -> Outcome:
    """Let branches meet, once it is known of each whether something comes along it."""
    sources = call.sources
    if config.payload == "first":
        return call.go()
    if config.payload == "by-node":
        return Outcome(OUT, dict(sources))
    merged: dict[str, Any] = {}
    for id, payload in sources.items():
        if not isinstance(payload, dict):
            raise NodeFault(f"what comes from {id} is no object, so it cannot be merged: use by-node")
        merged.update(payload)
    return Outcome(OUT, merged)


class Remember(Config):
    """What to remember."""

    values: Annotated[
        dict[str, Template], Field(min_length=1, description="By name, templates; `memory@NAME` has them then.")
    ]


@node("remember", group=GROUP)
def remember(config: Remember, call: Call) -> Outcome:
    """Keep values for later nodes of this run, under `memory@`."""
    kept = {name: template(call.scope) for name, template in config.values.items()}
    return Outcome(OUT, call.payload, memory=kept)


class Answered(Config):
    """What to answer."""

    body: Annotated[Template, Field(description="Template of an object: members of the answer.")]


@node("respond", group=GROUP)
def respond(config: Answered, call: Call) -> Outcome:
    """Put members into the answer to whoever waits for the run; a later one replaces an earlier one."""
    return call.go(OUT, Respond(dict(call.members(config.body))))


class Explain(Config):
    """What to say."""

    text: Annotated[Template, Field(description="For people, such as `{{ profile@id }} is a regular`.")]


@node("explain", group=GROUP)
def explain(config: Explain, call: Call) -> Outcome:
    """Write a sentence into the trace of the run."""
    return call.go(note=as_text(config.text(call.scope)))


class Fail(Config):
    """Why."""

    message: Annotated[Template, Field(description="What the error says.")]


@node("fail", group=GROUP)
def fail(config: Fail, call: Call) -> Outcome:
    """Fail: go on at the error port, or let the run fail."""
    raise NodeFault(as_text(config.message(call.scope)))


class Resolve(Valued):
    """Conditions."""

    conditions: Annotated[dict[str, Query], Field(min_length=1, description="By name.")]


@node("resolve", group=GROUP, gives="object")
def resolve(config: Resolve, call: Call) -> dict[str, bool]:
    """Say of several conditions which are true."""
    return {name: query(call.scope, call.now_ms) for name, query in config.conditions.items()}


class Exists(Config):
    """A place."""

    value: Annotated[Template, Field(description="What is looked for, such as profile@traits.plan.")]


@node("exists", group=GROUP, ports=THEN)
def exists(config: Exists, call: Call) -> Outcome:
    """Whether there is a value: it is not null, and no empty text, list or object."""
    return call.asked(config.value(call.scope) not in (None, "", [], {}))


@node("is-new-profile", group=GROUP, ports=THEN)
def is_new_profile(_config: Nothing, call: Call) -> Outcome:
    """Whether the event made the profile."""
    outcome = call.scope["event"].get("outcome")
    return call.asked(isinstance(outcome, dict) and outcome.get("profile_created") is True)


@node("is-new-visit", group=GROUP, ports=THEN)
def is_new_visit(_config: Nothing, call: Call) -> Outcome:
    """Whether a visit began with the event (docs/sessions.md)."""
    metadata = call.scope["event"].get("metadata")
    flags = metadata.get("flags") if isinstance(metadata, dict) else None
    return call.asked(isinstance(flags, list) and "visit_started" in flags)


def _check_free(ports: tuple[str, ...]) -> None:
    if ERROR in ports:
        raise ValueError(f"no port can be called {ERROR}: every node has one of this name")


def _same(left: Any, right: Any) -> bool:
    # True == 1 in Python but not in JSON
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)
