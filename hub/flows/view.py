"""What nodes see of the profile: as it was when the run began, with what the run itself has changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.flows.effects import ChangeField, ChangeSegment, Effect
from hub.flows.node import NodeFault
from hub.pipeline.draft import Draft
from hub.pipeline.operations import MISSING, OperationError, apply


class View:
    """
    For reading only: what is sent to the profile's owner are the operations, as whatever is here may be old by then.

    Attributes:
        doc: The document as it is now; never changed in place.
    """

    __slots__ = ("doc",)

    def __init__(self, profile: Mapping[str, Any]) -> None:
        """Args: profile: its document; empty: there is none."""
        self.doc: Mapping[str, Any] = profile

    def take(self, effects: tuple[Effect, ...]) -> None:
        """See these changes from now on. Raises NodeFault: one of them cannot be; then none is seen."""
        if not any(isinstance(effect, ChangeField | ChangeSegment) for effect in effects):
            return
        if not self.doc:
            raise NodeFault("there is no profile that could be changed")
        draft = Draft(dict(self.doc))
        for effect in effects:
            if isinstance(effect, ChangeField):
                _change(draft, effect)
            elif isinstance(effect, ChangeSegment):
                within = set(draft.doc.get("segments") or ())
                draft.doc["segments"] = sorted(
                    within | {effect.segment} if effect.enters else within - {effect.segment}
                )
        self.doc = draft.doc


def _change(draft: Draft, effect: ChangeField) -> None:
    path = tuple(effect.field.split("."))
    current = draft.get(path)
    try:
        new = apply(effect.op, current, effect.value)
    except OperationError as exc:
        raise NodeFault(f"{effect.field}: {exc}") from exc
    if new is MISSING:
        draft.remove(path)
    else:
        draft.set(path, new)
