"""All types of node by name: ours, and those of installed packages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from types import ModuleType
from typing import Any, Final

from hub.flows.node import ERROR, Node
from hub.flows.nodes import (
    consents,
    control,
    events,
    lists,
    lookups,
    notations,
    outward,
    patterns,
    pauses,
    places,
    profile,
    segments,
    texts,
    times,
    values,
)
from hub.flows.packages import NODES, load
from hub.packages import PackageError

MODULES: Final[tuple[ModuleType, ...]] = (
    control,
    pauses,
    profile,
    consents,
    segments,
    events,
    outward,
    lookups,
    values,
    texts,
    patterns,
    notations,
    lists,
    times,
    places,
)


class UnknownNode(ValueError):
    """There is no such type of node, or it cannot be used; the message says why."""


@cache
def ours() -> Mapping[str, Node]:
    """By name, module by module."""
    found = (value for module in MODULES for value in vars(module).values() if isinstance(value, Node))
    return {made.name: made for made in found}


def node_of(name: str) -> Node:
    """A type of node; a name of ours stays ours. Raises UnknownNode."""
    made = ours().get(name)
    if made is not None:
        return made
    try:
        made = load(name)
    except PackageError as exc:
        raise UnknownNode(str(exc)) from exc
    if made is None:
        near = get_close_matches(name, [*ours(), *NODES.names()], 1)
        hint = f"; is it {near[0]!r}?" if near else "; GET /flows/nodes has all of them"
        raise UnknownNode(f"there is no node of type {name!r}{hint}")
    return made


def described() -> Iterator[dict[str, Any]]:
    """Every type of node, with the JSON Schema of its configuration."""
    for name in sorted({*ours(), *NODES.names()}):
        try:
            made = node_of(name)
        except UnknownNode as exc:
            yield {"type": name, "error": str(exc)}
            continue
        yield _form(made)


@cache
def _form(made: Node) -> dict[str, Any]:
    return {
        "type": made.name,
        "summary": made.summary,
        "group": made.group,
        "takes": made.takes,
        "gives": made.gives,
        "ports": list(made.ports) if not made.config.own_ports else [],
        "own_ports": made.config.own_ports,
        "error_port": ERROR,
        "package": made.package or None,
        "long_s": made.long_s or None,
        "config": made.config.model_json_schema(),
    }
