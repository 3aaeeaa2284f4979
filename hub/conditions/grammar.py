"""From the text of a condition to its tree, or to an error that says what was expected."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from hub.conditions.ast import And, Field
from hub.conditions.build import build, build_field
from hub.conditions.errors import QueryError

MAX_CHARACTERS: Final = 20_000
"""Longest query."""

_COMPARISON: Final = "a comparison (=, !=, <, >=, IN, BETWEEN, IS NULL, …)"
_FIELD: Final = "a field"
_VALUE: Final = "a value"
_PLAIN: Final = {
    "_AND": "AND",
    "_OR": "OR",
    "NOT": "NOT",
    **dict.fromkeys(
        (
            *("COMPARISON", "TILDE", "_IN", "_IS", "_BETWEEN", "_CONTAINS", "_STARTS", "_ENDS", "_MATCHES", "EXISTS"),
            "_EMPTY",
        ),
        _COMPARISON,
    ),
    "_NULL": "NULL",
    "_WHERE": "WHERE",
    "_IN_LAST": "IN LAST",
    "SPAN": "a span such as 30 days",
    "_WITH": "WITH",
    "_DOT": "a dot and a key",
    "_OPEN": '["key"]',
    "_CLOSE": "]",
    "_LEFT": "(",
    "_RIGHT": ")",
    "_COMMA": "a comma",
    "PREFIX": _FIELD,
    "NAME": _FIELD,
    "TICKED": _FIELD,
    "TEXT": "a text in quotes",
    "WORD": _VALUE,
    "$END": "the end",
}


@lru_cache(maxsize=256)
def parse(text: str) -> And:
    """
    The condition of a query; a blank text matches everything.

    Raises: QueryError: it is not valid; says where and what was expected.
    """
    try:
        return build(_tree(text, "start"))
    except QueryError as exc:
        exc.show(text)
        raise


def parse_field(text: str) -> Field:
    """A field that stands alone. Raises QueryError: it is none."""
    try:
        return build_field(_tree(text, "field"))
    except QueryError as exc:
        exc.show(text)
        raise


def _tree(text: str, start: str) -> Tree[Token]:
    if len(text) > MAX_CHARACTERS:
        raise QueryError(f"the query has {len(text)} characters; the limit is {MAX_CHARACTERS}", 1, 1)
    _check_characters(text)
    try:
        return _parser().parse(text, start=start)
    except UnexpectedInput as exc:
        raise _explain(text, exc) from exc


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("query.lark").read_text(encoding="utf-8")
    return Lark(
        grammar,
        parser="lalr",
        lexer="contextual",
        start=["start", "field"],
        maybe_placeholders=False,
        propagate_positions=True,
    )


def _check_characters(text: str) -> None:
    start, words = text.find("\0"), "the character NUL cannot be searched"
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        start, words = exc.start, "half of a surrogate pair is no character"
    if start >= 0:
        before = text[:start]
        raise QueryError(words, before.count("\n") + 1, start - before.rfind("\n"))


def _explain(text: str, exc: UnexpectedInput) -> QueryError:
    if isinstance(exc, UnexpectedToken):
        names, at_end = exc.accepts, exc.token.type == "$END"
        found = "the query ends too early" if at_end else f"{str(exc.token)!r} cannot stand here"
    else:
        names, at_end = set(getattr(exc, "allowed", ())), False
        found = _unreadable(text, int(getattr(exc, "pos_in_stream", 0)))
    line, column = _end(text) if at_end else (exc.line, exc.column)
    if "WORD" in names:
        names = names & {"WORD", "TEXT"}  # and all that is a value as well
    elif "NAME" in names:
        names = names - {"TEXT", "$END", "_LEFT"}  # a quoted key is a field too
    return QueryError(found, line, column, tuple(sorted({_PLAIN[name] for name in names if name in _PLAIN})))


def _unreadable(text: str, position: int) -> str:
    character = text[position]
    if character in "\"'`":
        return f"the text that begins here has no closing {character}"
    word = re.match(r"\w+", text[position:])
    return f"{word[0] if word else character!r} cannot stand here"


def _end(text: str) -> tuple[int, int]:
    shown = text.rstrip()
    return shown.count("\n") + 1, len(shown) - shown.rfind("\n")
