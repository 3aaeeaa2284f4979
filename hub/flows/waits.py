"""Which events a flow may wait for in its middle: the collector tells of them while runs are paused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

RAISES: Final = "raise-event"
"""The one node of ours that has an `event_type` and does not wait for it."""


def waited_types(spec: Any) -> Iterator[str]:
    """
    Event types that end a pause: the `event_type` of its nodes, also of those that other packages bring.

    Args: spec: of a flow, as JSON has it; one that is wrong has none.
    """
    nodes = spec.get("nodes") if isinstance(spec, Mapping) else None
    for node in nodes.values() if isinstance(nodes, Mapping) else ():
        if not isinstance(node, Mapping) or node.get("type") == RAISES:
            continue
        config = node.get("config")
        type = config.get("event_type") if isinstance(config, Mapping) else None
        if isinstance(type, str) and type:
            yield type
