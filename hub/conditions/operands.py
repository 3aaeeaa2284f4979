"""What stands on the sides of a comparison: fields, values, times, histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast

from lark import Token, Tree

from hub.conditions.ast import (
    Condition,
    Constant,
    Dated,
    Field,
    Folded,
    Function,
    History,
    Moment,
    Now,
    Operand,
    Pattern,
    Place,
    Window,
)
from hub.conditions.calls import call, later
from hub.conditions.errors import QueryError
from hub.conditions.literals import column_of, key_of, line_of, plain_text, text_of, word_of
from hub.conditions.meaning import bare_field, meant
from hub.conditions.times import bounded, shift_of
from hub.conditions.walk import moves

Node: TypeAlias = Tree[Token]
Within: TypeAlias = Literal["", "event", "item"]

TIMES: Final = frozenset({"first", "last"})
"""Functions of a history that give a time; the others give a number."""


class Scope(NamedTuple):
    """
    Where in a query something stands.

    Attributes:
        visit: Makes the condition of a node.
        depth: How many brackets and NOT are around it.
        within: What fields are of, where that is no document: an event of a history, an item of a list.
    """

    visit: Callable[[Node, Scope], Condition]
    depth: int = 0
    within: Within = ""

    def deeper(self) -> Scope:
        """Inside one more bracket."""
        return self._replace(depth=self.depth + 1)


def build_field(node: Node) -> Field:
    """The field of a path."""
    tokens = cast("list[Token]", list(node.children))
    first = tokens[0]
    prefix = tokens.pop(0)[:-1].lower() if first.type in {"PREFIX", "KNOWN_PREFIX"} else ""
    return Field(tuple(key_of(token) for token in tokens), prefix, line_of(first), column_of(first))


def scoped_field(node: Node, scope: Scope) -> Field:
    """The same. Raises QueryError: it has a prefix that it cannot have there."""
    field = build_field(node)
    if field.prefix and field.prefix != scope.within and scope.within:
        words = f"in here fields are those of the {scope.within}, without {field.prefix}@"
        raise QueryError(words, field.line, field.column)
    return Field(field.path, "", field.line, field.column) if scope.within else field


def place_of(node: Node, scope: Scope) -> Place | Moment | Now:
    """The left side. Raises QueryError: it is a value."""
    inner, *shifts = node.children
    inner = cast("Node", inner)
    if inner.data == "each":  # the item itself: `Items` has the field
        return Field((), "", inner.meta.line, inner.meta.column)
    if inner.data == "history":
        return history_of(inner, scope)
    found = scoped_field(inner, scope) if inner.data == "field" else _moment(inner, scope)
    found = moved(found, cast("list[Token]", shifts))
    if isinstance(found, Constant | Pattern):
        raise error(node, "a condition begins with a field")
    return found


def operand_of(node: Node, scope: Scope, *, days: bool) -> Operand:
    """The right side. Args: days: a day alone is a time as well."""
    if node.data == "list":
        raise error(node, "one value is expected here, no list")
    if node.data == "history":
        return history_of(node, scope)
    if node.data == "moment":
        return _moment(node, scope)
    first, *shifts = node.children
    if node.data == "moved":
        found: Operand = scoped_field(cast("Node", first), scope)
    elif node.data == "text":
        found = text_of(cast("Token", first), days=days or bool(shifts))
    else:
        found = word_of(cast("Token", first), days=days or bool(shifts))
        is_name = isinstance(found, Constant) and isinstance(found.value, str) and found.time_us is None
        if shifts and is_name:
            found = bare_field(cast("Constant", found))
    return moved(found, cast("list[Token]", shifts))


def moved(operand: Operand, tokens: list[Token]) -> Operand:
    """So much later, each token a span of time. Raises QueryError."""
    for token in tokens:
        try:
            shift = shift_of(token)
        except ValueError as exc:
            raise QueryError(str(exc), line_of(token), column_of(token)) from exc
        operand = later(operand, (shift,), token)
    return operand


def history_of(node: Node, scope: Scope, function: Function | None = None) -> History:
    """
    What a profile's events come to. Args: function: None: the one that is named.

    Raises QueryError: it cannot stand here, or asks for what is not kept.
    """
    if scope.within:
        raise error(node, f"an {scope.within} has no history")
    name, series, *span = node.children
    function = function or cast("Function", cast("Token", name).lower())
    tokens = [child for child in cast("Node", series).children if isinstance(child, Token)]
    path, where = [key_of(token) for token in tokens], _where(cast("Node", series), scope)
    field = Field(tuple(path[1:]), "", line_of(tokens[1]), column_of(tokens[1])) if len(path) > 1 else None
    if field is None and function in {"sum", "avg", "min", "max"}:
        raise error(node, f"{function}() takes a number of the event, such as {path[0]}.properties.price")
    if field is not None and function in TIMES:
        raise error(node, f"{function}() takes an event type alone: it is a time")
    window = _window(cast("Token", span[0])) if span else None
    return History(function, path[0], where, field, window, line=node.meta.line, column=node.meta.column)


def error(node: Node, words: str) -> QueryError:
    """About this part of the query."""
    # a rule that has matched nothing, such as [], has no place
    line, column = (1, 1) if node.meta.empty else (node.meta.line, node.meta.column)
    return QueryError(words, line, column)


def is_place(operand: Any) -> bool:
    """Whether it is read from a document."""
    return isinstance(operand, Field | Folded | Dated | History)


def _where(node: Node, scope: Scope) -> Condition | None:
    where = node.children[-1]
    if isinstance(where, Token):
        return None
    condition = scope.visit(where, scope.deeper()._replace(within="event"))
    if moves(condition):
        raise error(where, "events are counted when they come, so this cannot ask for now")
    return meant(condition, "events")


def _window(token: Token) -> Window:
    try:
        (shift,) = bounded((shift_of(token),))
    except ValueError as exc:
        raise QueryError(str(exc), line_of(token), column_of(token)) from exc
    if shift.amount == 0:
        raise QueryError("a span of time is longer than 0", line_of(token), column_of(token))
    return Window(shift.amount, shift.unit)


def _moment(node: Node, scope: Scope) -> Operand:
    first, *shifts = node.children
    if isinstance(first, Token):
        found: Operand = Now()
    else:
        found = _call(first, scope)
    return moved(found, cast("list[Token]", shifts))


def _call(node: Node, scope: Scope) -> Operand:
    name, *arguments = node.children
    return call(cast("Token", name), [_argument(cast("Node", argument), scope) for argument in arguments])


def _argument(node: Node, scope: Scope) -> Operand:
    if node.data == "text":
        text = plain_text(cast("Token", node.children[0]))
        return Constant(text, text)
    return _call(node, scope) if node.data == "call" else scoped_field(node, scope)
