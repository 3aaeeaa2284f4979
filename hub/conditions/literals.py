"""What stands for a value in a query: texts with their escapes and stars, numbers, the three words."""

from __future__ import annotations

import re
import sys
from typing import Final

from lark import Token

from hub.conditions.ast import Constant, Pattern, Value
from hub.conditions.errors import QueryError
from hub.conditions.times import has_clock, read_time

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)|\*", re.DOTALL)
_ESCAPES: Final = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    **{character: character for character in "\\\"'/*"},
}
_STAR: Final = "\0"  # no query and no text of one has this character
_WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None, "none": None}


def text_of(token: Token, *, days: bool) -> Constant | Pattern:
    """
    A text in quotes; with a star in it, a pattern.

    Args: days: A day alone is a time as well.
    """
    text = _unescaped(token, _STAR)
    if _STAR in text:
        return Pattern(tuple(text.split(_STAR)), text.replace(_STAR, "*"))
    return Constant(text, text, False, _time(text, days), line_of(token), column_of(token))


def word_of(token: Token, *, days: bool) -> Constant | Pattern:
    """A value without quotes."""
    text = str(token)
    if "*" in text:
        return Pattern(tuple(text.split("*")), text)
    value = _bare(token)
    time_us = _time(text, days) if isinstance(value, str) else None
    return Constant(value, text, True, time_us, line_of(token), column_of(token))


def plain_text(token: Token) -> str:
    """A text in quotes, or a word, in which a star is a star."""
    return _unescaped(token, "*") if token.type == "TEXT" else str(token)


def raw_text(token: Token) -> str:
    """The same with its backslashes, as regular expressions have their own; only quotes need none of theirs."""
    return re.sub(r"\\([\"'])", r"\1", token[1:-1]) if token.type == "TEXT" else str(token)


def key_of(token: Token) -> str:
    """A key of a path."""
    if token.type == "TEXT":
        return plain_text(token)
    return token[1:-1] if token.type == "TICKED" else str(token)


def line_of(token: Token) -> int:
    """From 1."""
    return token.line or 1


def column_of(token: Token) -> int:
    """From 1."""
    return token.column or 1


def _time(text: str, days: bool) -> int | None:
    return read_time(text) if days or has_clock(text) else None


def _bare(token: Token) -> Value:
    lowered = token.lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    return _number(token) if _NUMBER.fullmatch(token) else str(token)


def _number(text: str) -> int | float:
    # int() of thousands of digits is slow and then refused; nothing beyond 19 digits fits 64 bits
    if text.lstrip("+-").isdecimal() and len(text) <= 20 and -(2**63) <= int(text) < 2**63:
        return int(text)
    return max(-sys.float_info.max, min(float(text), sys.float_info.max))


def _unescaped(token: Token, star: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code is None:
            return star
        if code == "u0000":
            raise QueryError("the character NUL cannot be searched", line_of(token), column_of(token))
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise QueryError(f"\\{code} is no escape; a backslash is written \\\\", line_of(token), column_of(token))
        return _ESCAPES[code]

    text = _ESCAPE.sub(character, token[1:-1])
    try:  # two escapes may be the halves of one character
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as exc:
        raise QueryError("half of a surrogate pair is no character", line_of(token), column_of(token)) from exc
