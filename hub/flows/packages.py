"""Nodes that other packages bring."""

from __future__ import annotations

from operator import attrgetter
from typing import Final

from hub.flows.node import Node
from hub.packages import Installed, package_of

GROUP: Final = "thamesthrive_hub.nodes"
NODES: Final = Installed(GROUP, Node, "node", "none: make it with hub.flows.node.node", attrgetter("name"))


def load(name: str) -> Node | None:
    """An installed node, with its package; None: no package has it. Raises PackageError."""
    made = NODES.load(name)
    if made is None:
        return None
    return made._replace(package=package_of(NODES.entries()[name][0]))
