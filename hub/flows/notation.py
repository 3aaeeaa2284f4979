"""How values are written in a flow: `profile@traits.name`, texts with `{{ … }}`, expressions behind `=`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeAlias

import msgspec

from hub.conditions.meaning import TEXT, TOPS, Kind
from hub.edge.expression import EVALUATION, ExpressionError, compile_expression
from hub.edge.functions import NO_META
from hub.edge.paths import found_at

Scope: TypeAlias = Mapping[str, Any]
"""What a node sees: a document by each of SOURCES."""
Getter: TypeAlias = Callable[[Scope], Any]
"""Raises ValueFault."""

SOURCES: Final = ("payload", "event", "profile", "session", "memory", "flow")
KINDS: Final[dict[str, Kind]] = {"event": "events", "profile": "profiles", "session": "sessions"}
"""Of the documents whose shape is known."""
FLOW: Final = ("id", "name", "version", "run", "trigger")
"""What `flow@` has."""
OPTIONAL: Final = "?"
"""Behind a key: it is left out where its value is null."""

_TOPS: Final[Mapping[str, frozenset[str]]] = {
    **{source: TOPS[kind] | {path[0] for path in TEXT[kind]} for source, kind in KINDS.items()},
    "flow": frozenset(FLOW),
}
"""What the documents have at their top, where that is known."""
_REFERENCE: Final = re.compile(rf"({'|'.join(SOURCES)})@(.+)", re.DOTALL)
_KEY: Final = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|([^\s.@\[\]{}"]+)')
_MARKED: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_OPEN: Final = "{{"
_WHOLE: Final = "..."


class NotationError(ValueError):
    """A value that is not written right. `path`: where in the template; `column`: in its text, from 1; 0: unknown."""

    def __init__(self, detail: str, column: int = 0, path: tuple[str | int, ...] = (), text: str = "") -> None:
        """Args: detail: a sentence for the person who wrote it. text: the one that `column` is of."""
        super().__init__(detail)
        self.detail = detail
        self.column = column
        self.path = path
        self.text = text


class ValueFault(ValueError):
    """An expression that cannot be evaluated on what is there; says which, and why."""


def is_reference(text: str) -> bool:
    """Whether a text names a place in one of the documents."""
    return _REFERENCE.fullmatch(text) is not None and _keys(text.partition("@")[2]) is not None


def reference(text: str) -> tuple[str, ...]:
    """
    The path of `profile@traits.name` in a scope: `("profile", "traits", "name")`.

    Raises: NotationError: it is none, or the document has nothing of that name.
    """
    match = _REFERENCE.fullmatch(text)
    keys = None if match is None else _keys(match[2])
    if match is None or keys is None:
        known = ", ".join(f"{source}@" for source in SOURCES)
        raise NotationError(f"{text!r} is no place in a document; write one such as profile@traits.name ({known})", 1)
    source = match[1]
    tops = _TOPS.get(source)
    if keys and tops is not None and keys[0] not in tops:
        near = get_close_matches(keys[0], tops, 1)
        hint = f"; is it {source}@{near[0]}?" if near else f"; if the text is meant, write ='{text}'"
        raise NotationError(f"{source}@ has no {keys[0]!r}{hint}", len(source) + 2, text=text)
    return (source, *keys)


def compiled(template: Any, path: tuple[str | int, ...] = ()) -> Getter:
    """
    A function that makes the value of a template, JSON whose texts may be references, expressions, texts with marks.

    Args: path: where in a larger template it stands.

    Raises: NotationError.
    """
    if isinstance(template, str):
        try:
            return _text(template)
        except NotationError as exc:
            raise NotationError(exc.detail, exc.column, path, template) from exc
    if isinstance(template, Mapping):
        return _object(template, path)
    if isinstance(template, list):
        return _list(template, path)
    return _constant(template)


def as_text(value: Any) -> str:
    """A value within a text: null is empty, what is no text is written as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _constant(value: Any) -> Getter:
    def same(_: Scope) -> Any:
        return value

    same.constant = True  # type: ignore[attr-defined]
    return same


def is_constant(getter: Getter) -> bool:
    """Whether it gives the same whatever the scope."""
    return getattr(getter, "constant", False)


def _text(text: str) -> Getter:
    if text.startswith("="):
        return _expression(text[1:], 1)
    if _OPEN in text:
        return marked(text, as_text)
    return _placed(reference(text)) if is_reference(text) else _constant(text)


def _placed(path: tuple[str, ...]) -> Getter:
    source, *keys = path
    if not keys:
        return lambda scope: scope[source]
    if len(keys) == 1:
        return lambda scope: found_at(scope[source], keys)
    return lambda scope: found_at(scope, path)


def _expression(text: str, before: int) -> Getter:
    """Args: before: characters of the whole text in front of it."""
    try:
        evaluate = compile_expression(text.strip())
    except ExpressionError as exc:
        blanks = len(text) - len(text.lstrip())
        raise NotationError(exc.detail, exc.column + before + blanks) from exc

    def value(scope: Scope) -> Any:
        try:
            return evaluate(scope, NO_META)
        except EVALUATION as exc:
            raise ValueFault(f"{text.strip()!r} cannot be evaluated: {exc}") from exc

    return value


def marked(text: str, write: Callable[[Any], str]) -> Getter:
    """
    A function that makes a text with values in it. Args: write: a value as it is to stand there; raises ValueFault.

    Raises: NotationError.
    """
    parts: list[str | Getter] = []
    end = 0
    for mark in _MARKED.finditer(text):
        parts.append(text[end : mark.start()])
        inner = mark[1].strip()
        if not inner:
            raise NotationError("there is nothing between {{ and }}", mark.start() + 1)
        where = mark.start(1) + len(mark[1]) - len(mark[1].lstrip())
        try:
            parts.append(_placed(reference(inner)) if is_reference(inner) else _expression(inner, where))
        except NotationError as exc:
            column = exc.column if not is_reference(inner) else exc.column + where
            raise NotationError(exc.detail, column) from exc
        end = mark.end()
    rest = text[end:]
    if _OPEN in rest:
        raise NotationError("{{ has no }}", end + rest.index(_OPEN) + 1)
    pieces = tuple(part for part in (*parts, rest) if part != "")

    def value(scope: Scope) -> str:
        return "".join(piece if isinstance(piece, str) else write(piece(scope)) for piece in pieces)

    return value


def _object(template: Mapping[str, Any], path: tuple[str | int, ...]) -> Getter:
    names = [name.removesuffix(OPTIONAL) for name in template]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise NotationError(f"the key {twice!r} is there twice", path=path)
    parts = [
        (name.removesuffix(OPTIONAL), name.endswith(OPTIONAL), compiled(value, (*path, name)))
        for name, value in template.items()
    ]
    if all(is_constant(get) and not optional for _, optional, get in parts):
        return _constant(dict(template))
    if not any(optional for _, optional, _ in parts):
        plain = [(name, get) for name, _, get in parts]
        return lambda scope: {name: get(scope) for name, get in plain}

    def value(scope: Scope) -> dict[str, Any]:
        made = {}
        for name, optional, get in parts:
            found = get(scope)
            if found is not None or not optional:
                made[name] = found
        return made

    return value


def _list(template: list[Any], path: tuple[str | int, ...]) -> Getter:
    parts = [compiled(value, (*path, place)) for place, value in enumerate(template)]
    if all(map(is_constant, parts)):
        return _constant(template)
    return lambda scope: [get(scope) for get in parts]


def _keys(text: str) -> list[str] | None:
    """The keys of a path; none for the whole document; None: it is no path."""
    if text == _WHOLE:
        return []
    keys: list[str] = []
    at = 0
    while at < len(text):
        if keys and text[at] == ".":
            at += 1
        elif keys and text[at] != "[":
            return None
        match = _KEY.match(text, at)
        if match is None:
            return None
        keys.append(msgspec.json.decode(f'"{match[1]}"') if match[1] is not None else match[2])
        at = match.end()
    return keys or None
