"""From the tree of the grammar to the condition: what each rule of query.lark means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, cast

from lark import Token, Tree

from hub.conditions.ast import (
    And,
    Between,
    Compare,
    Condition,
    Constant,
    Dated,
    Field,
    Folded,
    Holds,
    IsEmpty,
    IsNull,
    Matches,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Order,
    Pattern,
    Place,
    Single,
)
from hub.conditions.calls import call, later
from hub.conditions.errors import QueryError
from hub.conditions.literals import column_of, key_of, line_of, plain_text, raw_text, text_of, word_of
from hub.conditions.patterns import PatternError, regular
from hub.conditions.times import shift_of

MAX_CONDITIONS: Final = 100
"""Most conditions in one query: SQLite takes expressions up to 1,000 deep."""
MAX_DEPTH: Final = 30
"""Most brackets and NOT inside each other."""
MAX_ITEMS: Final = 1_000
"""Most values in one list."""

_Node: TypeAlias = Tree[Token]
_ORDERS: Final[dict[str, Order]] = {"<": "<", ">": ">", "<=": "<=", "=<": "<=", ">=": ">=", "=>": ">="}
_UNEQUAL: Final = frozenset({"!=", "<>", "≠"})
_FLIPPED: Final[dict[Order, Order]] = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def build(tree: _Node) -> And:
    """The condition of a whole query. Raises QueryError: it means nothing, or is too large."""
    builder = _Builder()
    parts = [builder.visit(cast("_Node", child), 0) for child in tree.children]
    return parts[0] if parts and isinstance(parts[0], And) else And(tuple(parts))


def build_field(node: _Node) -> Field:
    """The field of a path that stands alone."""
    tokens = cast("list[Token]", list(node.children))
    first = tokens[0]
    prefix = tokens.pop(0)[:-1].lower() if first.type in {"PREFIX", "KNOWN_PREFIX"} else ""
    return Field(tuple(key_of(token) for token in tokens), prefix, line_of(first), column_of(first))


class _Builder:
    def __init__(self) -> None:
        self._conditions = 0

    def visit(self, node: _Node, depth: int) -> Condition:
        if depth > MAX_DEPTH:
            raise _error(node, f"brackets and NOT are more than {MAX_DEPTH} deep")
        if node.data in {"either", "both"}:
            parts = tuple(self.visit(cast("_Node", child), depth + 1) for child in node.children)
            return Or(parts) if node.data == "either" else And(parts)
        if node.data == "group":
            return self.visit(cast("_Node", node.children[0]), depth + 1)
        if node.data == "negated":
            return Not(self.visit(cast("_Node", node.children[1]), depth + 1))
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise _error(node, f"more than {MAX_CONDITIONS} conditions; the limit is {MAX_CONDITIONS}")
        return _CONDITIONS[str(node.data)](node)


def _compared(node: _Node) -> Condition:
    left, sign, right = node.children
    text = str(sign)
    order = _ORDERS.get(text, "=")
    place, value = _place(cast("_Node", left)), cast("_Node", right)
    if isinstance(place, Moment | Now):  # the time stands first: turn it round
        return (
            Compare(_field_of(value), _FLIPPED[order], place)
            if text not in _UNEQUAL
            else Not(Compare(_field_of(value), "=", place))
        )
    if value.data == "list":
        if order != "=":
            raise _error(value, f"a list has no order: {text} takes one value")
        condition: Condition = _among(place, value)
    else:
        operand = _operand(value, days=order != "=" or isinstance(place, Dated))
        if isinstance(operand, Constant) and operand.value is None:
            if order != "=":
                raise _error(value, "null has no order; IS NULL asks for it")
            condition = IsNull(place)
        elif isinstance(operand, Pattern) and order != "=":
            raise _error(value, r"a pattern has no order; a star that is meant is written \*")
        else:
            condition = Compare(place, order, operand)
    return Not(condition) if text in _UNEQUAL else condition


def _between(node: _Node) -> Condition:
    place = _only_field(node)
    low, high = (_operand(value, days=True) for value in _values(node))
    for operand, value in zip((low, high), _values(node), strict=True):
        if isinstance(operand, Pattern) or (isinstance(operand, Constant) and operand.value is None):
            raise _error(value, "BETWEEN takes numbers, texts or times")
    return _turned(node, between(place, low, high))


def between(place: Place, low: Operand, high: Operand) -> Condition:
    """That a field lies between two values or fields."""
    if isinstance(low, Field | Folded | Dated) or isinstance(high, Field | Folded | Dated):
        return And((Compare(place, ">=", low), Compare(place, "<=", high)))
    return Between(place, low, high)


def _one_of(node: _Node) -> Condition:
    return _turned(node, _among(_only_field(node), _values(node)[0]))


def _among(place: Place, node: _Node) -> Condition:
    if len(node.children) > MAX_ITEMS:
        raise _error(node, f"{len(node.children)} values in a list; the limit is {MAX_ITEMS}")
    singles: list[Single] = []
    has_null = False
    for child in node.children:
        operand = _operand(cast("_Node", child), days=isinstance(place, Dated))
        if isinstance(operand, Field | Folded | Dated):
            raise _error(cast("_Node", child), "a list holds values, no fields")
        if isinstance(operand, Constant) and operand.value is None:
            has_null = True
        else:
            singles.append(operand)
    among = OneOf(place, tuple(singles))
    return Or((IsNull(place), among)) if has_null else among


def _matched(node: _Node) -> Condition:
    value = _values(node)[-1]
    if value.data not in {"text", "word"}:
        raise _error(value, "a regular expression is a text in quotes")
    pattern = raw_text(_token(value))
    try:
        regular(pattern)
    except PatternError as exc:
        raise _error(value, str(exc)) from exc
    return _turned(node, Matches(_only_field(node), pattern))


def _held(how: str) -> Callable[[_Node], Condition]:
    def held(node: _Node) -> Condition:
        (value,) = _values(node)
        if value.data not in {"text", "word"}:
            raise _error(value, "one text or number is expected here")
        token = _token(value)
        text = plain_text(token)
        found = None if value.data == "text" else word_of(token, days=False)
        constant = found if isinstance(found, Constant) else Constant(text, text)
        if constant.value is None:
            raise _error(value, "null is in no text and no list; IS NULL asks for it")
        if how == "contains":
            return _turned(node, Holds(_only_field(node), "contains", constant))
        return _turned(node, Holds(_only_field(node), "starts" if how == "starts" else "ends", Constant(text, text)))

    return held


def _null(node: _Node) -> Condition:
    return _turned(node, IsNull(_only_field(node)))


def _empty(node: _Node) -> Condition:
    return _turned(node, IsEmpty(_only_field(node)))


def _exists(node: _Node) -> Condition:
    is_turned = any(isinstance(child, Token) and child.type == "NOT" for child in node.children)
    field = IsNull(_only_field(node))
    return field if is_turned else Not(field)


_CONDITIONS: Final[dict[str, Callable[[_Node], Condition]]] = {
    "compared": _compared,
    "between": _between,
    "one_of": _one_of,
    "matched": _matched,
    "null": _null,
    "empty": _empty,
    "exists": _exists,
    "contains": _held("contains"),
    "starts": _held("starts"),
    "ends": _held("ends"),
}


def _turned(node: _Node, condition: Condition) -> Condition:
    """NOT of it, where the rule has that word, or the sign !~."""
    signs = [child for child in node.children if isinstance(child, Token)]
    return Not(condition) if any(sign.type == "NOT" or sign == "!~" for sign in signs) else condition


def _only_field(node: _Node) -> Place:
    place = _place(cast("_Node", node.children[0]))
    if isinstance(place, Moment | Now):
        raise _error(node, "a field is expected before this word")
    return place


def _values(node: _Node) -> list[_Node]:
    return [child for child in node.children[1:] if isinstance(child, Tree)]


def _place(node: _Node) -> Place | Moment | Now:
    inner = cast("_Node", node.children[0])
    found = build_field(inner) if inner.data == "field" else _moment(inner)
    if isinstance(found, Constant | Pattern):
        raise _error(node, "a condition begins with a field")
    return found


def _operand(node: _Node, *, days: bool) -> Operand:
    if node.data == "text":
        return text_of(_token(node), days=days)
    if node.data == "word":
        return word_of(_token(node), days=days)
    if node.data in {"reference", "field"}:
        return build_field(node)
    if node.data == "list":
        raise _error(node, "one value is expected here, no list")
    return _moment(node)


def _field_of(node: _Node) -> Place:
    """The right side, where the left is a time: there a word without quotes is a field."""
    operand = _operand(node, days=False)
    if isinstance(operand, Constant) and operand.is_bare and isinstance(operand.value, str):
        return bare_field(operand)
    if isinstance(operand, Field | Folded | Dated):
        return operand
    raise _error(node, "one of both sides has to be a field")


def bare_field(word: Constant) -> Field:
    """The field that a word without quotes names."""
    return Field(tuple(word.written.split(".")), "", word.line, word.column)


def _moment(node: _Node) -> Operand:
    first, *shifts = node.children
    if isinstance(first, Token):
        found: Operand = Now()
    else:
        name, *arguments = first.children
        found = call(cast("Token", name), [_argument(cast("_Node", argument)) for argument in arguments])
    tokens = cast("list[Token]", shifts)
    for token in tokens:
        try:
            shift = shift_of(token)
        except ValueError as exc:
            raise QueryError(str(exc), line_of(token), column_of(token)) from exc
        found = later(found, (shift,), token)
    return found


def _argument(node: _Node) -> Operand:
    if node.data == "text":
        text = plain_text(_token(node))
        return Constant(text, text)
    if node.data == "call":
        name, *arguments = node.children
        return call(cast("Token", name), [_argument(cast("_Node", argument)) for argument in arguments])
    return build_field(node)


def _token(node: _Node) -> Token:
    return cast("Token", node.children[0])


def _error(node: _Node, words: str) -> QueryError:
    # a rule that has matched nothing, such as [], has no place
    line, column = (1, 1) if node.meta.empty else (node.meta.line, node.meta.column)
    return QueryError(words, line, column)
