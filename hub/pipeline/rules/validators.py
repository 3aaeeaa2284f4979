"""Validators: whether an event is as it has to be."""

from __future__ import annotations

from typing import Final

from hub.definitions.kinds import Validator
from hub.pipeline.rules.hand import INVALID, Did, Hand
from hub.pipeline.rules.schema import Schema, SchemaError
from hub.pipeline.rules.scope import scope

KIND: Final = "validator"


class ValidatorStep:
    """A validator, compiled."""

    def __init__(self, id: str, definition: Validator) -> None:
        """Once per change of the definition. A schema that is none is used for no event, and each says why."""
        self.scope = scope(KIND, id, definition)
        self.buries = definition.mode == "dead-letter"
        self._properties: Schema | None = None
        self._context: Schema | None = None
        self._fault = ""
        try:
            if definition.properties is not None:
                self._properties = Schema("properties", definition.properties)
            if definition.context is not None:
                self._context = Schema("context", definition.context)
        except SchemaError as exc:
            self._fault = str(exc)

    def refuses(self, hand: Hand) -> bool:
        """Whether the event is not as it has to be; what is wrong is noted."""
        if not self.scope.covers(hand):
            return False
        if self._fault:
            self.scope.failed(hand, "", self._fault)
            return False
        found: list[tuple[str, str]] = []
        if self._properties is not None and not self._properties.fits(hand.properties):
            found += self._properties.faults(hand.properties)
        if self._context is not None and not self._context.fits(hand.context):
            found += self._context.faults(hand.context)
        for field, detail in found:
            hand.note(Did(self.scope.rule, "invalid", field, detail), INVALID)
        return bool(found)
