"""One JMESPath expression, compiled; and the same by the library alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from jmespath.exceptions import JMESPathError

from hub.edge.code import MESSAGE, Code
from hub.edge.functions import Interpreter
from hub.edge.syntax import ExpressionError, parse

__all__ = ["EVALUATION", "ExpressionError", "Getter", "compile_expression", "interpreted"]

Getter: TypeAlias = Callable[[Any, Mapping[str, Any]], Any]
"""(message, meta) → value. Raises one of EVALUATION."""

EVALUATION: Final = (JMESPathError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What an expression may raise on a message that it does not fit; the library lets Python's own errors through."""


def compile_expression(text: str) -> Getter:
    """
    A function that evaluates `text` on a message; see `hub.edge.code`.

    Raises: ExpressionError: not JMESPath, an unknown function, or a wrong number of arguments.
    """
    code = Code()
    code.line(f"return {code.value(parse(text), MESSAGE)}")
    return code.function()


def interpreted(text: str) -> Getter:
    """The same by the library alone: what the compiled ones are measured against."""
    node = parse(text)
    return lambda message, meta: Interpreter(meta, message).visit(node, message)
