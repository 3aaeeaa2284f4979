"""Kinds of bridge that other packages bring: entry points of one group, each loaded when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import structlog

from bridges.base import BridgeSpec

log: Final = structlog.get_logger()

GROUP: Final = "thamesthrive_hub.bridges"
"""In a package's pyproject: `[project.entry-points."thamesthrive_hub.bridges"]`, `kind = "package.module:SPEC"`."""


class PackageError(ValueError):
    """An installed kind of bridge that cannot be used; names the package."""


def names() -> frozenset[str]:
    """Of the kinds that are installed."""
    return frozenset(installed())


def load(kind: str) -> BridgeSpec | None:
    """
    The spec of an installed kind; None: no package has it.

    Raises: PackageError: it has a fault, or two packages have it.
    """
    found = installed().get(kind)
    if found is None:
        return None
    if len(found) > 1:
        both = " and ".join(_package(entry) for entry in found)
        raise PackageError(f"the packages {both} both have a bridge of type {kind!r}: uninstall one of them")
    spec = loaded(found[0])
    if isinstance(spec, PackageError):
        raise spec
    return spec


def warn_of_taken(ours: Mapping[str, str]) -> None:
    """Say which installed kinds are left out because the hub has that name itself. Args: ours: our kinds."""
    for kind, found in installed().items():
        if kind in ours:
            for entry in found:
                log.warning(
                    "bridges.name_taken",
                    type=kind,
                    package=_package(entry),
                    what_to_do=f"the hub has a bridge of type {kind} itself: the package has to rename its own",
                )


@cache
def installed() -> Mapping[str, list[EntryPoint]]:
    """By name. What is installed while the process runs is seen by the next process."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        found.setdefault(entry.name, []).append(entry)
    return found


@cache
def loaded(entry: EntryPoint) -> BridgeSpec | PackageError:
    """A fault as well is remembered: the bridge processes ask again and again."""
    where = f"the bridge {entry.name!r} of the package {_package(entry)} ({entry.value})"
    try:
        spec = entry.load()
    except Exception as exc:  # noqa: BLE001 - whatever a module of somebody else does when it is imported
        return PackageError(f"{where} cannot be loaded: {type(exc).__name__}: {exc}")
    if not isinstance(spec, BridgeSpec):
        return PackageError(f"{where} is no bridges.base.BridgeSpec")
    if spec.kind != entry.name:
        return PackageError(f"{where} calls itself {spec.kind!r}: the entry point's name has to be the same")
    return spec


def _package(entry: EntryPoint) -> str:
    return "?" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
