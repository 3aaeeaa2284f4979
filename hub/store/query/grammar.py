"""From the text of a search to its condition, or to an error that says what was expected."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Final, cast

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput, UnexpectedToken

from hub.store.query.ast import And, Equals, Field, Value
from hub.store.query.errors import QueryError

MAX_CONDITIONS: Final = 100
"""Most conditions in one query: SQLite takes expressions up to 1,000 deep."""

_NUMBER: Final = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.IGNORECASE)
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", '"': '"', "'": "'", "/": "/"}
_WORDS: Final[dict[str, Value]] = {"true": True, "false": False, "null": None, "none": None}
_PLAIN: Final = {
    "AND": "AND",
    "_EQUAL": "=",
    "_DOT": "a dot and a key",
    "_OPEN": '["key"]',
    "_CLOSE": "]",
    "PREFIX": "a field",
    "NAME": "a field",
    "TICKED": "a field",
    "TEXT": "a text in quotes",
    "WORD": "a value",
    "$END": "the end",
}


@lru_cache(maxsize=256)
def parse(text: str) -> And:
    """
    The condition of a query; a blank text matches everything.

    Raises: QueryError: it is not valid; says where and what was expected.
    """
    _check_characters(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as exc:
        raise _explain(text, exc) from exc
    conditions = [node for node in tree.children if isinstance(node, Tree)]
    if len(conditions) > MAX_CONDITIONS:
        raise QueryError(f"{len(conditions)} conditions; the limit is {MAX_CONDITIONS}", 1, 1)
    return And(tuple(_equals(node) for node in conditions))


@cache
def _parser() -> Lark:
    grammar = Path(__file__).with_name("query.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False)


def _equals(node: Tree[Token]) -> Equals:
    field, value = cast("list[Tree[Token]]", node.children)
    token = cast("Token", value.children[0])
    written = _unquote(token) if token.type == "TEXT" else str(token)
    return Equals(_field(field), written if token.type == "TEXT" else _bare(token), written)


def _field(node: Tree[Token]) -> Field:
    tokens = cast("list[Token]", node.children)
    first = tokens[0]
    prefix = tokens.pop(0)[:-1].lower() if first.type == "PREFIX" else ""
    return Field(tuple(_key(token) for token in tokens), prefix, _line(first), _column(first))


def _key(token: Token) -> str:
    if token.type == "TEXT":
        return _unquote(token)
    return token[1:-1] if token.type == "TICKED" else str(token)


def _bare(token: Token) -> Value:
    lowered = token.lower()
    if lowered in _WORDS:
        return _WORDS[lowered]
    return _number(token) if _NUMBER.fullmatch(token) else str(token)


def _number(text: str) -> int | float:
    # int() of thousands of digits is slow and then refused; nothing beyond 19 digits fits 64 bits
    if text.lstrip("+-").isdecimal() and len(text) <= 20 and -(2**63) <= int(text) < 2**63:
        return int(text)
    return float(text)


def _unquote(token: Token) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if len(code) == 5:
            return chr(int(code[1:], 16))
        if code not in _ESCAPES:
            raise QueryError(f"\\{code} is no escape; a backslash is written \\\\", _line(token), _column(token))
        return _ESCAPES[code]

    text = _ESCAPE.sub(character, token[1:-1])
    try:  # two escapes may be the halves of one character
        return text.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError as exc:
        raise QueryError("half of a surrogate pair is no character", _line(token), _column(token)) from exc


def _check_characters(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        before = text[: exc.start]
        line, column = before.count("\n") + 1, exc.start - before.rfind("\n")
        raise QueryError("half of a surrogate pair is no character", line, column) from exc


def _explain(text: str, exc: UnexpectedInput) -> QueryError:
    if isinstance(exc, UnexpectedToken):
        names, at_end = exc.accepts, exc.token.type == "$END"
        found = "the query ends too early" if at_end else f"{str(exc.token)!r} cannot stand here"
    else:
        names, at_end = set(getattr(exc, "allowed", ())), False
        found = _unreadable(text, int(getattr(exc, "pos_in_stream", 0)))
    line, column = _end(text) if at_end else (exc.line, exc.column)
    if "NAME" in names:
        names = names - {"TEXT", "$END"}  # a quoted key is a field too
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


def _line(token: Token) -> int:
    return token.line or 1


def _column(token: Token) -> int:
    return token.column or 1
