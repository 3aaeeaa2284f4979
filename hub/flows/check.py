"""Is a flow right? All that is wrong with it is said at once, each with its node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from pydantic import ValidationError

from hub.conditions import QueryError
from hub.definitions.flows import FlowNode, OnSchedule
from hub.definitions.kinds import Flow
from hub.definitions.wording import said
from hub.edge.admit import event_type
from hub.edge.mapping.problems import Path, Problem
from hub.flows import conditions, searches
from hub.flows.fields import FAULT
from hub.flows.graph import circle, ordered, reached
from hub.flows.node import ERROR, Config, Node, Type
from hub.flows.nodes.control import JOIN, START
from hub.flows.registry import UnknownNode, node_of

_SHOWN: Final = 5


class Part(NamedTuple):
    """A node of a flow, its configuration compiled."""

    id: str
    node: Node
    config: Config
    to: Mapping[str, list[str]]
    skip: bool


class Checked(NamedTuple):
    """
    What there is to say of a flow.

    Attributes:
        problems: Why it cannot be used.
        warnings: What is probably not meant, or has to be known.
        parts: By id, those nodes that are right by themselves.
        order: Their ids, each behind those that lead to it; as far as there are no circles.
    """

    problems: list[Problem]
    warnings: list[Problem]
    parts: dict[str, Part]
    order: list[str]


class FlowError(ValueError):
    """A flow that cannot be used; the message names every node that is at fault."""

    def __init__(self, problems: list[Problem]) -> None:
        """Args: problems: at least one."""
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        super().__init__("; ".join(map(str, problems[:_SHOWN])) + more)
        self.problems = problems


def check(spec: Flow) -> Checked:
    """Look at all of it."""
    problems: list[Problem] = list(_triggers(spec))
    parts: dict[str, Part] = {}
    for id, given in spec.nodes.items():
        made = _part(id, given, problems)
        if made is not None:
            parts[id] = made
    edges: dict[str, list[str]] = {}
    for id, given in spec.nodes.items():
        edges[id] = []
        for port, targets in given.to.items():
            for place, target in enumerate(targets):
                if target in spec.nodes:
                    edges[id].append(target)
                else:
                    problems.append(Problem(("nodes", id, "to", port, place), _no_node(target, spec.nodes)))
            if len(set(targets)) < len(targets):
                problems.append(Problem(("nodes", id, "to", port), "a node is named twice"))
        if id in parts:
            problems += _ports(parts[id])
    problems += _shape(spec, edges)
    order = [id for id in ordered(edges) if id in parts]
    if not problems:
        problems += _types(parts, order)
    return Checked(problems, list(_warnings(parts, edges)), parts, order)


def _part(id: str, given: FlowNode, problems: list[Problem]) -> Part | None:
    where: Path = ("nodes", id)
    try:
        node = node_of(given.type)
    except UnknownNode as exc:
        problems.append(Problem((*where, "type"), str(exc)))
        return None
    try:
        config = node.config.model_validate(given.config)
    except ValidationError as exc:
        problems += (_of_config(where, node, found) for found in exc.errors(include_url=False))
        return None
    return Part(id, node, config, given.to, given.skip)


def _of_config(where: Path, node: Node, found: Any) -> Problem:
    path: Path = (*where, "config", *found["loc"])
    if found["type"] == FAULT:
        context = found["ctx"]
        line, column, text = context["line"], context["column"], context["text"]
        detail = context["detail"]
        if line > 1 or (line and "\n" in text):
            detail, column = f"line {line}, column {column}: {detail}", 0
        return Problem((*path, *context["path"]), detail, column or None, text if column else "")
    if found["type"] == "extra_forbidden":
        near = get_close_matches(str(path[-1]), node.config.model_fields, 1) if len(found["loc"]) == 1 else []
        hint = f"; is it {near[0]!r}?" if near else ""
        return Problem(path, f"a node of type {node.name!r} has no such field{hint}")
    if found["type"] == "missing":
        return Problem(path, f"a node of type {node.name!r} needs this field")
    return Problem(path, said(found))


def _no_node(target: str, nodes: Mapping[str, Any]) -> str:
    near = get_close_matches(target, nodes, 1)
    return f"there is no node {target!r}" + (f"; is it {near[0]!r}?" if near else "")


def _ports(part: Part) -> Iterator[Problem]:
    known = (*part.node.ports_of(part.config), ERROR)
    for port in part.to:
        if port not in known:
            yield Problem(
                ("nodes", part.id, "to", port),
                f"a node of type {part.node.name!r} has no port {port!r}; it has {', '.join(known)}",
            )


def _shape(spec: Flow, edges: dict[str, list[str]]) -> Iterator[Problem]:
    starts = [id for id, given in spec.nodes.items() if given.type == START]
    if not starts:
        yield Problem(("nodes",), f"no node is of type {START!r}: there is nowhere to begin")
    entered = {target for targets in edges.values() for target in targets}
    for id in starts:
        if id in entered:
            yield Problem(("nodes", id), f"a node of type {START!r} is where a run begins: no node can lead to it")
    found = circle(edges)
    if found:
        yield Problem(("nodes", found[0]), f"it is on a circle: {' → '.join(found)}")
    if starts:
        within = reached(edges, starts)
        for id in spec.nodes:
            if id not in within:
                yield Problem(("nodes", id), f"it is never reached: no way leads to it from a node of type {START!r}")


def _types(parts: Mapping[str, Part], order: list[str]) -> Iterator[Problem]:
    """Whether what goes along each edge is what the node at its end works with."""
    arriving: dict[str, set[Type]] = {id: set() for id in order}
    for id in order:
        part = parts[id]
        came = arriving[id]
        taken: Type = next(iter(came)) if len(came) == 1 else "any"
        given = taken if part.skip else part.node.gives_of(part.config, taken)
        for port, targets in part.to.items():
            kind: Type = "object" if port == ERROR else given
            for place, target in enumerate(targets):
                arriving[target].add(kind)
                other = parts[target]
                wanted = "any" if other.skip else other.node.takes_of(other.config)
                if kind != wanted and "any" not in (kind, wanted):
                    words = f"{target} takes {_named(wanted)}, and {_named(kind)} goes out here"
                    hint = "" if given != kind or wanted != "object" else "; with `into`, the value goes into an object"
                    yield Problem(("nodes", id, "to", port, place), words + hint)


def _named(kind: str) -> str:
    return f"an {kind}" if kind in ("object", "any") else f"a {kind}"


def _warnings(parts: Mapping[str, Part], edges: Mapping[str, list[str]]) -> Iterator[Problem]:
    arrivals: dict[str, int] = dict.fromkeys(edges, 0)
    for targets in edges.values():
        for target in targets:
            arrivals[target] += 1
    for part in parts.values():
        where: Path = ("nodes", part.id)
        why = part.config.repeats()
        if why:
            yield Problem(where, f"what it does may be done twice after a crash (at least once): {why}")
        if part.node.name == JOIN and arrivals[part.id] < 2:
            yield Problem(where, "only one edge leads to it: there is nothing to join")


def _triggers(spec: Flow) -> Iterator[Problem]:
    for place, trigger in enumerate(spec.triggers):
        where: Path = ("triggers", place)
        type = getattr(trigger, "event_type", None)
        if type == "*":
            yield Problem((*where, "event_type"), "a trigger is for one event type, and * is none")
        elif type is not None and type != event_type(type):
            detail = f"no event is of this type: it would be {event_type(type)!r}"
            yield Problem((*where, "event_type"), detail)
        text = getattr(trigger, "condition", "")
        if not text.strip():
            continue
        try:
            if isinstance(trigger, OnSchedule):
                searches.check(text, "profiles")
            else:
                conditions.compiled(text)
        except QueryError as exc:
            line = f"line {exc.line}, " if "\n" in text else ""
            expected = f"; expected {' or '.join(exc.expected)}" if exc.expected else ""
            column = None if line else exc.column or None
            detail = f"{line}column {exc.column}: {exc.detail}{expected}" if line else f"{exc.detail}{expected}"
            yield Problem((*where, "condition"), detail, column, text if column else "")
