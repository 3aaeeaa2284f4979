"""One version of a flow, compiled: made once, run as often as you like, by several threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hub.definitions.flows import FlowLimits
from hub.definitions.kinds import Flow
from hub.flows.check import FlowError, check
from hub.flows.node import ERROR, Config, Node
from hub.flows.nodes.control import JOIN, START, Join


class Step(NamedTuple):
    """
    A node, ready to be run.

    Attributes:
        arrivals: The edges that lead to it, each (node, port), in the order of the nodes.
        waits_for_all: Whether something has to come along all of them.
        catches: Whether its error port leads somewhere.
        may_be_endless: Whether nobody can tell how long it takes: it is of a package, or has an expression that goes
            through lists, perhaps through lists within lists.
    """

    id: str
    node: Node
    config: Config
    arrivals: Sequence[tuple[str, str]]
    is_start: bool
    waits_for_all: bool
    catches: bool
    skip: bool
    may_be_endless: bool


class CompiledFlow(NamedTuple):
    """A flow. `steps`: each behind those that lead to it. `version`: of its definition."""

    id: str
    name: str
    version: int
    steps: Sequence[Step]
    limits: FlowLimits


def compile_flow(id: str, spec: Flow, version: int) -> CompiledFlow:
    """Raises FlowError, which has all that is wrong."""
    found = check(spec)
    if found.problems:
        raise FlowError(found.problems)
    arrivals: dict[str, list[tuple[str, str]]] = {id: [] for id in found.order}
    for source in found.order:
        for port, targets in found.parts[source].to.items():
            for target in targets:
                arrivals[target].append((source, port))
    steps = []
    for each in found.order:
        part = found.parts[each]
        is_join = part.node.name == JOIN and isinstance(part.config, Join)
        steps.append(
            Step(
                each,
                part.node,
                part.config,
                arrivals[each],
                is_start=part.node.name == START,
                waits_for_all=is_join and part.config.wait_for == "all",  # type: ignore[attr-defined]
                catches=bool(part.to.get(ERROR)),
                skip=part.skip,
                may_be_endless=bool(part.node.package) or _has_loops(spec.nodes[each].config),
            )
        )
    return CompiledFlow(id, spec.name, version, steps, spec.limits)


def _has_loops(config: Any) -> bool:
    if isinstance(config, str):
        is_computed = config.startswith("=") or "{{" in config
        return is_computed and any(sign in config for sign in "[*&")  # a projection, a filter, an argument of map()
    if isinstance(config, Mapping):
        return any(map(_has_loops, config.values()))
    return isinstance(config, list) and any(map(_has_loops, config))
