"""Whether a line of a mapping is used for an event: a JMESPath expression on it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from hub.edge.expression import EVALUATION, ExpressionError, Getter, compile_expression
from hub.edge.functions import NUMBERS


class ConditionError(ValueError):
    """The condition cannot be evaluated; the message says why."""


class Condition:
    """Compiled once per change of a definition. One that cannot be compiled fails on each event, and says why."""

    def __init__(self, text: str) -> None:
        """Args: text: a JMESPath expression."""
        self.text = text
        self._getter: Getter | None = None
        self._fault = ""
        try:
            self._getter = compile_expression(text)
        except ExpressionError as exc:
            self._fault = str(exc)

    def holds(self, event: Mapping[str, Any]) -> bool:
        """
        Whether it is true of an event, as JMESPath has it: null, false, '', [] and {} are false, 0 is true.

        Args: event: the members that docs/event-types.md lists, and `profile`.

        Raises: ConditionError.
        """
        if self._getter is None:
            raise ConditionError(f"the condition is no expression: {self._fault}")
        try:
            found = self._getter(event, {})
        except EVALUATION as exc:
            raise ConditionError(f"the condition cannot be evaluated: {exc}") from exc
        return bool(found) or type(found) in NUMBERS


@lru_cache(maxsize=4096)
def condition(text: str) -> Condition:
    """The same expression is compiled once, however many lines have it."""
    return Condition(text)


def check(text: str) -> None:
    """Raises ExpressionError: it is not JMESPath, or calls what is no function."""
    compile_expression(text)
