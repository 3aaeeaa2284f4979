"""The changes of the profile that a run wants, together: one record for its owner."""

from __future__ import annotations

from collections.abc import Iterable

from hub.flows.effects import ChangeField, ChangeSegment, Effect
from hub.ids import derived


def changes(effects: Iterable[tuple[str, Effect]]) -> list[tuple[str, ChangeField | ChangeSegment]]:
    """Those effects that change the profile, in their order, each with its node."""
    return [(id, effect) for id, effect in effects if isinstance(effect, ChangeField | ChangeSegment)]


def patch_id(run: str, nodes: Iterable[str], profile: str) -> str:
    """
    The id of the record that has the changes of these nodes: a run that is made again makes the same one; what comes
    behind a pause is another.
    """
    return derived("flow-patch", run, profile, *nodes)
