"""Nodes that other packages bring: entry points of one group, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from hub.flows.node import Node

GROUP: Final = "thamesthrive_hub.nodes"
"""In a package's pyproject: `[project.entry-points."thamesthrive_hub.nodes"]`, `name = "package.module:function"`."""


class PackageError(ValueError):
    """An installed node that cannot be used; names the package."""


def names() -> frozenset[str]:
    """Of the nodes that are installed."""
    return frozenset(installed())


def load(name: str) -> Node | None:
    """
    An installed node; None: no package has it.

    Raises: PackageError: it has a fault, or two packages have it.
    """
    found = installed().get(name)
    if found is None:
        return None
    if len(found) > 1:
        both = " and ".join(_package(entry) for entry in found)
        raise PackageError(f"the packages {both} both have a node {name!r}: uninstall one of them")
    made = loaded(found[0])
    if isinstance(made, PackageError):
        raise made
    return made


@cache
def installed() -> Mapping[str, list[EntryPoint]]:
    """By name. What is installed while the process runs is seen by the next process."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


@cache
def loaded(entry: EntryPoint) -> Node | PackageError:
    """A fault as well is remembered."""
    where = f"the node {entry.name!r} of the package {_package(entry)} ({entry.value})"
    try:
        made = entry.load()
    except Exception as exc:  # noqa: BLE001 - whatever a module of somebody else does when it is imported
        return PackageError(f"{where} cannot be loaded: {type(exc).__name__}: {exc}")
    if not isinstance(made, Node):
        return PackageError(f"{where} is none: make it with hub.flows.node.node")
    if made.name != entry.name:
        return PackageError(f"{where} calls itself {made.name!r}: the entry point's name has to be the same")
    return made._replace(package=_package(entry))


def _package(entry: EntryPoint) -> str:
    return "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
