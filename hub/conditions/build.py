"""From the tree of the grammar to the condition: what each rule of query.lark means."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias, cast

from lark import Token, Tree

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Constant,
    Dated,
    History,
    Holds,
    IsEmpty,
    IsNull,
    Items,
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
from hub.conditions.errors import QueryError
from hub.conditions.literals import plain_text, raw_text, word_of
from hub.conditions.meaning import bare_field, between
from hub.conditions.operands import (
    TIMES,
    Node,
    Scope,
    build_field,
    error,
    history_of,
    is_place,
    operand_of,
    place_of,
    scoped_field,
)
from hub.conditions.patterns import PatternError, regular
from hub.conditions.walk import atoms, operands

MAX_CONDITIONS: Final = 100
"""Most conditions in one query: SQLite takes expressions up to 1,000 deep."""
MAX_DEPTH: Final = 30
"""Most brackets and NOT inside each other."""
MAX_ITEMS: Final = 1_000
"""Most values in one list."""

_Rule: TypeAlias = Callable[[Node, Scope], Condition]
_ORDERS: Final[dict[str, Order]] = {"<": "<", ">": ">", "<=": "<=", "=<": "<=", ">=": ">=", "=>": ">="}
_UNEQUAL: Final = frozenset({"!=", "<>", "≠"})
_FLIPPED: Final[dict[Order, Order]] = {"=": "=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}


def build(tree: Node) -> And:
    """The condition of a whole query. Raises QueryError: it means nothing, or is too large."""
    builder = _Builder()
    parts = [builder.visit(cast("Node", child), Scope(builder.visit)) for child in tree.children]
    return parts[0] if parts and isinstance(parts[0], And) else And(tuple(parts))


class _Builder:
    def __init__(self) -> None:
        self._conditions = 0

    def visit(self, node: Node, scope: Scope) -> Condition:
        if scope.depth > MAX_DEPTH:
            raise error(node, f"brackets and NOT are more than {MAX_DEPTH} deep")
        if node.data in {"either", "both"}:
            parts = tuple(self.visit(cast("Node", child), scope.deeper()) for child in node.children)
            return Or(parts) if node.data == "either" else And(parts)
        if node.data == "group":
            return self.visit(cast("Node", node.children[0]), scope.deeper())
        if node.data == "negated":
            return Not(self.visit(cast("Node", node.children[1]), scope.deeper()))
        self._conditions += 1
        if self._conditions > MAX_CONDITIONS:
            raise error(node, f"more than {MAX_CONDITIONS} conditions; the limit is {MAX_CONDITIONS}")
        condition = _RULES[str(node.data)](node, scope)
        for atom in atoms(condition):
            _check_history(atom)
        return _quantified(condition, node, scope)


def _compared(node: Node, scope: Scope) -> Condition:
    left, sign, right = node.children
    text = str(sign)
    order = _ORDERS.get(text, "=")
    place, value = place_of(cast("Node", left), scope), cast("Node", right)
    if isinstance(place, Moment | Now):  # the time stands first: turn it round
        condition: Condition = Compare(_field_of(value, scope), _FLIPPED[order], place)
    elif value.data == "list":
        if order != "=":
            raise error(value, f"a list has no order: {text} takes one value")
        condition = _among(place, value, scope)
    else:
        condition = _stands(place, order, value, scope)
    return Not(condition, or_unknown=True) if text in _UNEQUAL else condition


def _stands(place: Place, order: Order, value: Node, scope: Scope) -> Condition:
    operand = operand_of(value, scope, days=order != "=" or _is_time(place))
    if isinstance(operand, Constant) and operand.value is None:
        if order != "=":
            raise error(value, "null has no order; IS NULL asks for it")
        return IsNull(place)
    if isinstance(operand, Pattern) and order != "=":
        raise error(value, r"a pattern has no order; a star that is meant is written \*")
    return Compare(place, order, operand)


def _between(node: Node, scope: Scope) -> Condition:
    place = _only_field(node, scope)
    low, high = (operand_of(value, scope, days=True) for value in _values(node))
    for operand, value in zip((low, high), _values(node), strict=True):
        if isinstance(operand, Pattern) or (isinstance(operand, Constant) and operand.value is None):
            raise error(value, "BETWEEN takes numbers, texts or times")
    return _turned(node, between(place, low, high))


def _one_of(node: Node, scope: Scope) -> Condition:
    return _turned(node, _among(_only_field(node, scope), _values(node)[0], scope))


def _among(place: Place, node: Node, scope: Scope) -> Condition:
    if len(node.children) > MAX_ITEMS:
        raise error(node, f"{len(node.children)} values in a list; the limit is {MAX_ITEMS}")
    singles: list[Single] = []
    has_null = False
    for child in node.children:
        operand = operand_of(cast("Node", child), scope, days=_is_time(place))
        if is_place(operand):
            raise error(cast("Node", child), "a list holds values, no fields")
        if isinstance(operand, Constant) and operand.value is None:
            has_null = True
        else:
            singles.append(cast("Single", operand))
    among = OneOf(place, tuple(singles))
    return Or((IsNull(place), among)) if has_null else among


def _matched(node: Node, scope: Scope) -> Condition:
    value = _values(node)[-1]
    if value.data not in {"text", "word"} or len(value.children) > 1:
        raise error(value, "a regular expression is a text in quotes")
    pattern = raw_text(cast("Token", value.children[0]))
    try:
        regular(pattern)
    except PatternError as exc:
        raise error(value, str(exc)) from exc
    return _turned(node, Matches(_only_field(node, scope), pattern))


def _held(how: Literal["contains", "starts", "ends"]) -> _Rule:
    def held(node: Node, scope: Scope) -> Condition:
        (value,) = _values(node)
        if value.data not in {"text", "word"} or len(value.children) > 1:
            raise error(value, "one text or number is expected here")
        token = cast("Token", value.children[0])
        text = plain_text(token)
        found = None if value.data == "text" else word_of(token, days=False)
        constant = found if isinstance(found, Constant) else Constant(text, text)
        if constant.value is None:
            raise error(value, "null is in no text and no list; IS NULL asks for it")
        place = _only_field(node, scope)
        return _turned(node, Holds(place, how, constant if how == "contains" else Constant(text, text)))

    return held


def _null(node: Node, scope: Scope) -> Condition:
    return _turned(node, IsNull(_only_field(node, scope)))


def _empty(node: Node, scope: Scope) -> Condition:
    return _turned(node, IsEmpty(_only_field(node, scope)))


def _exists(node: Node, scope: Scope) -> Condition:
    is_turned = any(isinstance(child, Token) and child.type == "NOT" for child in node.children)
    field = IsNull(_only_field(node, scope))
    return field if is_turned else Not(field)


def _some(node: Node, scope: Scope) -> Condition:
    """Of the items of a list, each an object or a value."""
    quantifier, field, where = (cast("Node", child) for child in node.children)
    inner = scope.visit(where, scope.deeper()._replace(within="item"))
    return Items(scoped_field(field, scope), _how(cast("Token", quantifier)), inner)


def _never(node: Node, scope: Scope) -> Condition:
    return Compare(history_of(node, scope, "count"), "=", Constant(0, "0"))


_RULES: Final[dict[str, _Rule]] = {
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
    "some": _some,
    "never": _never,
}


def _turned(node: Node, condition: Condition) -> Condition:
    """NOT of it, where the rule has that word, or the sign !~."""
    signs = [child for child in node.children if isinstance(child, Token)]
    return Not(condition) if any(sign.type == "NOT" or sign == "!~" for sign in signs) else condition


def _quantified(condition: Condition, node: Node, scope: Scope) -> Condition:
    """A condition on ANY(field) and the like, which so far is one on the item."""
    left = node.children[0]
    if not isinstance(left, Tree) or left.data != "place":
        return condition
    each = cast("Node", left.children[0])
    if each.data != "each":
        return condition
    for atom in atoms(condition):
        if any(map(is_place, operands(atom))):
            raise error(node, f"{each.children[0]}() is compared with values, not with fields")
    quantifier, field = each.children
    return Items(scoped_field(cast("Node", field), scope), _how(cast("Token", quantifier)), condition)


def _how(quantifier: Token) -> Literal["any", "all", "none"]:
    return cast("Literal['any', 'all', 'none']", quantifier.lower())


def _check_history(atom: Atom) -> None:
    """Raises QueryError: a history is asked for what it cannot be."""
    sides: tuple[Operand, ...] = (atom.field, *operands(atom))
    for history in sides:
        if not isinstance(history, History):
            continue
        is_time = history.function in TIMES
        wanted = "time" if is_time else "number"
        words = ""
        if not isinstance(atom, Compare | Between | OneOf | IsNull):
            words = f"{history.function}() is a {wanted}: it can be compared, and be one of several"
        elif any(side is not history and not _may_be(side, is_time=is_time) for side in sides):
            words = f"{history.function}() is a {wanted}, and is compared with one"
        if words:
            raise QueryError(words, history.line, history.column)


def _may_be(operand: Operand, *, is_time: bool) -> bool:
    """Whether it can be a time, else whether it can be a number."""
    if isinstance(operand, Constant):
        is_number = isinstance(operand.value, int | float) and not isinstance(operand.value, bool)
        return operand.time_us is not None if is_time else is_number or _may_be_field(operand)
    if isinstance(operand, History):
        return (operand.function in TIMES) is is_time
    if isinstance(operand, Dated | Moment | Now):
        return is_time
    return is_place(operand)


def _may_be_field(word: Constant) -> bool:
    return word.is_bare and "." in word.written


def _is_time(place: Place) -> bool:
    return isinstance(place, Dated) or (isinstance(place, History) and place.function in TIMES)


def _only_field(node: Node, scope: Scope) -> Place:
    place = place_of(cast("Node", node.children[0]), scope)
    if isinstance(place, Moment | Now):
        raise error(node, "a field is expected before this word")
    return place


def _values(node: Node) -> list[Node]:
    return [child for child in node.children[1:] if isinstance(child, Tree)]


def _field_of(node: Node, scope: Scope) -> Place:
    """The right side, where the left is a time: there a word without quotes is a field."""
    operand = operand_of(node, scope, days=False)
    if isinstance(operand, Constant) and operand.is_bare and isinstance(operand.value, str):
        return bare_field(operand)
    if is_place(operand):
        return cast("Place", operand)
    raise error(node, "one of both sides has to be a field")


__all__ = ["MAX_CONDITIONS", "MAX_DEPTH", "MAX_ITEMS", "build", "build_field"]
