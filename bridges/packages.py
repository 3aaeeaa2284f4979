"""Kinds of bridge that other packages bring."""

from __future__ import annotations

from collections.abc import Container
from operator import attrgetter
from typing import Final

import structlog

from bridges.base import BridgeSpec
from hub.packages import Installed, package_of

log: Final = structlog.get_logger()

GROUP: Final = "thamesthrive_hub.bridges"
BRIDGES: Final = Installed(GROUP, BridgeSpec, "bridge", "no bridges.base.BridgeSpec", attrgetter("kind"))


def warn_of_taken(ours: Container[str]) -> None:
    """Say which installed kinds are left out because the hub has that name itself. Args: ours: our kinds."""
    for kind, found in BRIDGES.entries().items():
        if kind in ours:
            for entry in found:
                log.warning(
                    "bridges.name_taken",
                    type=kind,
                    package=package_of(entry),
                    what_to_do=f"the hub has a bridge of type {kind} itself: the package has to rename its own",
                )
