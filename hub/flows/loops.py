"""Flows that trigger each other come to an end: an event that a flow raised says the how many-th it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hub.pipeline.flow_changes import RAISED_BY
from hub.pipeline.flow_changes import SOURCE as FLOW
from hub.pipeline.histories import SOURCE as SEGMENTS

SOURCE: Final = FLOW
"""Event source of what flows raise. Nobody else can send as it, so nobody else can say how deep an event is."""


def raised_by(flow: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The context of an event that a flow raises. Args: flow: as nodes see it. depth: from 1."""
    return {RAISED_BY: {"flow": flow["id"], "version": flow["version"], "run": flow["run"], "depth": depth}}


def depth_of(event: Mapping[str, Any]) -> int:
    """How many flows have raised events one after the other until this one; 0: it came from outside."""
    source, context = event.get("source"), event.get("context")
    id = source.get("id") if isinstance(source, dict) else None
    if id not in (SOURCE, SEGMENTS) or not isinstance(context, dict):
        return 0
    said = context.get(RAISED_BY)
    if said is None and id == SEGMENTS:
        return 0  # it does not come from a flow
    depth = said.get("depth") if isinstance(said, dict) else None
    return depth if type(depth) is int and depth > 0 else 1
