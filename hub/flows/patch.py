"""The changes of the profile that a run wants, together: one record for its owner."""

from __future__ import annotations

from collections.abc import Iterable

from hub.flows.effects import ChangeField, ChangeSegment, Effect, RaiseEvent
from hub.flows.node import NodeFault
from hub.ids import derived
from hub.pipeline.flow_changes import TYPE, why_no_field


def changes(effects: Iterable[tuple[str, Effect]]) -> list[tuple[str, ChangeField | ChangeSegment]]:
    """Those effects that change the profile, in their order, each with its node."""
    return [(id, effect) for id, effect in effects if isinstance(effect, ChangeField | ChangeSegment)]


def patch_id(run: str, nodes: Iterable[str]) -> str:
    """
    The id of the record that has the changes of these nodes: a run that is made again makes the same one; what comes
    behind a pause is another.

    Not of whose profile they are: a run is about one, which may have become part of another since.
    """
    return derived("flow-patch", run, *dict.fromkeys(nodes))


def check(effects: Iterable[Effect]) -> None:
    """
    What the collector would not do, or would take for something else. Nodes of the hub's own want none of that.

    Raises: NodeFault.
    """
    for effect in effects:
        if isinstance(effect, ChangeField):
            why = why_no_field(effect.field)
            if why:
                raise NodeFault(f"{effect.field}: {why}")
        elif isinstance(effect, RaiseEvent) and effect.type == TYPE:
            raise NodeFault(f"{TYPE} events are the hub's own: nobody raises them")
