"""JMESPath as mappings write it: parsed, and checked for functions that do not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from math import prod
from typing import Any, Final, TypeAlias

import jmespath
from jmespath.exceptions import JMESPathError, LexerError, ParseError

from hub.edge.functions import Functions

Node: TypeAlias = Any
"""A node of the library's syntax tree: a dict with type, children and mostly value."""

TABLE: Final[dict[str, dict[str, Any]]] = Functions.FUNCTION_TABLE
DEEPEST: Final = 60
"""Levels of an expression; a hundred alternatives are written as `not_null(…)`."""
MOST_COPIES: Final = 10_000
"""How often what an expression is given may be in what it gives: `[@, @] | [@, @] | …` doubles it with each step."""
_CHAINS: Final = frozenset(
    {"pipe", "subexpression", "index_expression", "projection", "value_projection", "filter_projection"}
)
_SUMS: Final = frozenset({"multi_select_list", "multi_select_dict", "function_expression"})
_MOST: Final = {"parse_time": 3, "if": 3, "lookup": 3}
"""Arguments of functions whose last one may be left out; the library knows only `as many as you like`."""


class ExpressionError(ValueError):
    """An expression that cannot be compiled. `column` counts from 1."""

    def __init__(self, detail: str, column: int) -> None:
        """Args: detail: a sentence for the person who wrote it."""
        super().__init__(f"{detail} (column {column})")
        self.detail = detail
        self.column = column


def parse(text: str) -> Node:
    """
    The syntax tree of an expression.

    Raises: ExpressionError: not JMESPath, an unknown function, a wrong number of arguments, or one that would give too
        much.
    """
    try:
        node = jmespath.compile(text).parsed
        _check(node, text)
        if _copies(node) > MOST_COPIES:
            raise ExpressionError(
                f"it may give what it is given more than {MOST_COPIES:,} times over; take single fields of it", 1
            )
    except LexerError as exc:
        raise ExpressionError(f"{exc.message} at {exc.token_value!r}", exc.lexer_position + 1) from exc
    except ParseError as exc:
        raise ExpressionError(exc.msg, exc.lex_position + 1) from exc
    except (JMESPathError, ValueError) as exc:
        if isinstance(exc, ExpressionError):
            raise
        raise ExpressionError(str(exc), 1) from exc
    except RecursionError as exc:
        raise ExpressionError("it is nested too deeply", 1) from exc
    return node


def calls(node: Node) -> Iterator[str]:
    """Names of the functions that are called somewhere in it."""
    if node["type"] == "function_expression":
        yield node["value"]
    for child in node["children"]:
        if isinstance(child, dict):  # those of a slice are numbers
            yield from calls(child)


def _check(node: Node, text: str, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ExpressionError("it is nested too deeply", 1)
    if node["type"] == "function_expression":
        name, given = node["value"], len(node["children"])
        found = re.search(rf"\b{name}\s*\(", text)
        column = found.start() + 1 if found else 1
        if name not in TABLE:
            near = get_close_matches(name, TABLE, 1, 0.8)
            raise ExpressionError(f"unknown function {name}()" + (f"; is it {near[0]}()?" if near else ""), column)
        _check_count(name, given, column)
    for child in node["children"]:
        if isinstance(child, dict):
            _check(child, text, depth + 1)


def _copies(node: Node) -> int:
    """How often what a node is given may be in what it gives, at most; of a list, for each of its items."""
    kind = node["type"]
    if kind in ("comparator", "not_expression"):
        return 1
    children = [
        _copies(child) for child in node["children"][: 2 if kind in _CHAINS else None] if isinstance(child, dict)
    ]
    if kind in _CHAINS or any(child["type"] == "expref" for child in node["children"] if isinstance(child, dict)):
        return prod(children)
    return max(1, sum(children) if kind in _SUMS else max(children, default=1))


def _check_count(name: str, given: int, column: int) -> None:
    signature = TABLE[name]["signature"]
    least, variadic = len(signature), bool(signature) and signature[-1].get("variadic", False)
    most = _MOST.get(name) if variadic else least
    if given >= least and (most is None or given <= most):
        return
    if most == least:
        wanted = f"{least} argument{'' if least == 1 else 's'}"
    else:
        wanted = f"at least {least} arguments" if given < least else f"at most {most} arguments"
    raise ExpressionError(f"{name}() takes {wanted}, not {given}", column)
