"""Arithmetic in a flow: `profile@stats.events * 2 + max(payload@a, 1)`, compiled to a function."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple, TypeAlias

from hub.flows.notation import Getter, NotationError, Scope, ValueFault, is_reference
from hub.flows.notation import compiled as template

Formula: TypeAlias = Callable[[Scope], "int | float"]
"""Raises ValueFault."""
Number: TypeAlias = "int | float"

DEEPEST: Final = 60
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<place>[a-z]+@(?:\[\"(?:[^\"\\]|\\.)*\"\]|[^\s()*/%,+\-\[\]])+(?:"
    r"\[\"(?:[^\"\\]|\\.)*\"\](?:\.[^\s()*/%,+\-\[\]]+)?)*)|(?P<name>[a-z]+)|(?P<sign>[()+\-*/%,]))"
)
_INT64: Final = 1 << 63
_BINDS: Final = {"+": 1, "-": 1, "*": 2, "/": 2, "%": 2}


class _Token(NamedTuple):
    kind: str
    text: str
    column: int


def compiled(text: str) -> Formula:
    """
    A function that calculates; numbers and places of numbers with + - * / % and brackets, and FUNCTIONS of them.

    Raises: NotationError: with the column.
    """
    reader = _Reader(text)
    value = reader.expression(0, 0)
    reader.expect_end()

    def calculated(scope: Scope) -> Number:
        try:
            found: Number = value(scope)
        except ArithmeticError as exc:
            words = "it divides by zero" if isinstance(exc, ZeroDivisionError) else "the result is too large"
            raise ValueFault(f"{text!r} cannot be calculated: {words}") from exc
        if not math.isfinite(found) or (isinstance(found, int) and not -_INT64 <= found < _INT64):
            raise ValueFault(f"{text!r} cannot be calculated: the result is too large, or no number")
        return found

    return calculated


def number_of(value: Any, what: str) -> Number:
    """A number, also one that is written as a text. Args: what: it is, for the error. Raises ValueFault."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and "_" not in value and len(value) <= 64:
        for kind in (int, float):
            try:
                found = kind(value)
            except ValueError:
                continue
            if math.isfinite(found):
                return found
    raise ValueFault(f"{what}: a number is expected, not {value!r:.80}")


def plus(left: Number, right: Number) -> Number:
    """Money adds up to the cent: 0.1 + 0.2 is 0.3 here."""
    if type(left) is int and type(right) is int:
        return left + right
    return float(Decimal(repr(left)) + Decimal(repr(right)))


def times(left: Number, right: Number) -> Number:
    """The product, of decimals as they are written."""
    if type(left) is int and type(right) is int:
        return left * right
    return float(Decimal(repr(left)) * Decimal(repr(right)))


def divided(left: Number, right: Number) -> Number:
    """A whole number where it comes out even. Raises ZeroDivisionError."""
    if type(left) is int and type(right) is int and right and left % right == 0:
        return left // right
    return left / right


def remainder(left: Number, right: Number) -> Number:
    """With the sign of the right side, as in Python. Raises ZeroDivisionError."""
    return left % right


def rounded(value: Number, digits: Number = 0) -> Number:
    """Halves away from zero, as people round; a whole number if there are no digits."""
    places = int(max(-20, min(20, digits)))
    step = Decimal(1).scaleb(-places)
    found = Decimal(repr(value)).quantize(step, rounding="ROUND_HALF_UP")
    return int(found) if places <= 0 else float(found)


_SIGNS: Final[dict[str, Callable[[Number, Number], Number]]] = {
    "+": plus,
    "-": lambda left, right: plus(left, -right),
    "*": times,
    "/": divided,
    "%": remainder,
}
FUNCTIONS: Final[dict[str, tuple[Callable[..., Number], int, int]]] = {
    "min": (min, 1, 100),
    "max": (max, 1, 100),
    "sum": (lambda *numbers: sum(numbers[1:], numbers[0]), 1, 100),
    "abs": (abs, 1, 1),
    "round": (rounded, 1, 2),
    "floor": (math.floor, 1, 1),
    "ceil": (math.ceil, 1, 1),
    "sqrt": (lambda value: math.sqrt(value) if value >= 0 else math.nan, 1, 1),
    "power": (lambda base, exponent: float(base) ** float(exponent), 2, 2),
}
"""By name: what it does, and how many numbers it takes at least and at most."""


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._at = 0

    def expression(self, least: int, depth: int) -> Getter:
        """What binds at least so closely."""
        if depth > DEEPEST:
            raise NotationError("it is nested too deeply", self._column)
        left = self._operand(depth)
        while (sign := self._peek()) and sign in _BINDS and _BINDS[sign] >= least:
            self._at += 1
            left = _joined(_SIGNS[sign], left, self.expression(_BINDS[sign] + 1, depth + 1))
        return left

    def expect_end(self) -> None:
        """Raises NotationError: there is more."""
        if self._at < len(self._tokens):
            raise NotationError(f"{self._tokens[self._at].text!r} cannot stand here", self._column)

    def _operand(self, depth: int) -> Getter:
        if self._at >= len(self._tokens):
            raise NotationError("the formula ends too early; a number is expected", self._column)
        token = self._tokens[self._at]
        self._at += 1
        if token.kind == "number":
            number = int(token.text) if token.text.isdigit() else float(token.text)
            return lambda _: number
        if token.kind == "place":
            return _placed(token)
        if token.kind == "name":
            return self._call(token, depth)
        if token.text == "(":
            inner = self.expression(0, depth + 1)
            self._expect(")")
            return inner
        if token.text in "+-":
            inner = self.expression(3, depth + 1)
            return inner if token.text == "+" else lambda scope: -inner(scope)
        raise NotationError(f"{token.text!r} cannot stand here; a number is expected", token.column)

    def _call(self, token: _Token, depth: int) -> Getter:
        if token.text not in FUNCTIONS:
            raise NotationError(f"there is no function {token.text}(); there are {', '.join(FUNCTIONS)}", token.column)
        function, least, most = FUNCTIONS[token.text]
        self._expect("(")
        arguments = [self.expression(0, depth + 1)]
        while self._peek() == ",":
            self._at += 1
            arguments.append(self.expression(0, depth + 1))
        self._expect(")")
        if not least <= len(arguments) <= most:
            raise NotationError(f"{token.text}() does not take {len(arguments)} numbers", token.column)
        return lambda scope: function(*(argument(scope) for argument in arguments))

    def _peek(self) -> str:
        return self._tokens[self._at].text if self._at < len(self._tokens) else ""

    def _expect(self, text: str) -> None:
        if self._peek() != text:
            raise NotationError(f"{text!r} is expected here", self._column)
        self._at += 1

    @property
    def _column(self) -> int:
        return self._tokens[self._at].column if self._at < len(self._tokens) else len(self._text.rstrip()) + 1


def _placed(token: _Token) -> Getter:
    if not is_reference(token.text):
        raise NotationError(f"{token.text!r} is no place in a document", token.column)
    try:
        value = template(token.text)
    except NotationError as exc:
        raise NotationError(exc.detail, token.column + max(0, exc.column - 1)) from exc
    return lambda scope: number_of(value(scope), token.text)


def _joined(sign: Callable[[Number, Number], Number], left: Getter, right: Getter) -> Getter:
    return lambda scope: sign(left(scope), right(scope))


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            blanks = len(text[at:]) - len(text[at:].lstrip())
            raise NotationError(f"{text[at + blanks]!r} cannot stand here", at + blanks + 1)
        kind = match.lastgroup
        found.append(_Token(kind, match[kind], match.start(kind) + 1))
        at = match.end()
    return found
