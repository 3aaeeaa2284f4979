"""Reshapers: bring events into the shape that all the rest works with."""

from __future__ import annotations

from typing import Any, Final, Literal

from hub.definitions.kinds import Reshaper
from hub.edge.mapping.problems import MappingError
from hub.edge.mapping.template import CompiledTemplate
from hub.errors import InvalidPayload
from hub.pipeline.operations import kind_of
from hub.pipeline.rules.hand import Did, Hand
from hub.pipeline.rules.scope import scope

KIND: Final = "reshaper"


class ReshaperStep:
    """A reshaper, compiled."""

    def __init__(self, id: str, definition: Reshaper) -> None:
        """Once per change of the definition. A template that is none is used for no event, and each says why."""
        self.scope = scope(KIND, id, definition)
        self._templates: list[tuple[Literal["properties", "context"], CompiledTemplate]] = []
        self._fault = ""
        try:
            if definition.properties is not None:
                self._templates.append(("properties", CompiledTemplate("properties", definition.properties)))
            if definition.context is not None:
                self._templates.append(("context", CompiledTemplate("context", definition.context)))
        except MappingError as exc:
            self._fault = str(exc)

    def reshapes(self, hand: Hand) -> bool:
        """
        Whether the event is done with, in its new shape or, with a note, as it was. A template that gives null changes
        nothing; when all do, the next reshaper is asked.
        """
        if not self.scope.covers(hand):
            return False
        if self._fault:
            self.scope.failed(hand, "", self._fault)
            return True
        made: list[tuple[Literal["properties", "context"], dict[str, Any]]] = []
        for part, template in self._templates:
            try:
                value = template(hand.view)
            except InvalidPayload as exc:
                self.scope.failed(hand, part, exc.detail)
                return True
            if value is not None and type(value) is not dict:
                self.scope.failed(hand, part, f"the template gives {kind_of(value)}, not an object")
                return True
            if value is not None:
                made.append((part, value))
        for part, value in made:
            hand.raw[part] = hand.properties if part == "properties" else hand.context
            hand.put(part, value)
            hand.note(Did(self.scope.rule, "reshaped", part))
        return bool(made)
