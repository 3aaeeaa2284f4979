"""Which segments do flows say who is in? By their nodes, so that a segment can name the flows that decide it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Flow, Segment

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "add-to-segment": ("segments",),
    "remove-from-segment": ("segments",),
    "move-to-segment": ("leave", "enter"),
    "segment-by-condition": ("segment",),
}
"""By type of node, the fields of its configuration that name segments it lets profiles into, or takes them out of."""


def decides(flow: Flow) -> Mapping[str, list[str]]:
    """By id of a segment that the flow decides, the ids of the nodes that do. Nodes that are skipped do nothing."""
    found: dict[str, list[str]] = {}
    for id, node in flow.nodes.items():
        if not node.skip:
            for segment in _named(_FIELDS.get(node.type, ()), node.config):
                nodes = found.setdefault(segment, [])
                if id not in nodes:
                    nodes.append(id)
    return found


def deciders(flows: Mapping[str, Entry]) -> Mapping[str, list[str]]:
    """By id of a segment, the ids of the flows that decide it, by id; none that is switched off. Args: flows: by id."""
    found: dict[str, list[str]] = {}
    for id, entry in sorted(flows.items()):
        if entry.spec.enabled:
            for segment in decides(cast("Flow", entry.spec)):
                found.setdefault(segment, []).append(id)
    return found


def powerless(flow: Flow, segments: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
    """Nodes that change nothing as things are, each with why. Args: segments: that are defined, by id."""
    for segment, nodes in decides(flow).items():
        entry = segments.get(segment)
        if entry is None:
            why = f"there is no segment {segment!r}: nobody is let into it before it is defined"
        elif cast("Segment", entry.spec).condition:
            why = f"the segment {segment!r} has a condition, which says who is in it: a flow changes nothing there"
        elif not entry.spec.enabled:
            why = f"the segment {segment!r} is switched off: nobody enters or leaves it"
        else:
            continue
        yield from ((node, why) for node in nodes)


def _named(fields: tuple[str, ...], config: Mapping[str, Any]) -> Iterator[str]:
    for field in fields:
        value = config.get(field)
        for one in value if isinstance(value, list) else (value,):
            if isinstance(one, str):
                yield one
