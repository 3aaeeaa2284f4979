"""A condition as a Python function of a document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from hub.store.query.ast import And, Condition, HasText, IsOneOf, Value

Matcher: TypeAlias = Callable[[Mapping[str, Any]], bool]

_MISSING: Final = object()


def compile_python(condition: Condition) -> Matcher:
    """A function that tells whether a document (decoded JSON) matches. Args: condition: as `for_kind` gives it."""
    if isinstance(condition, And):
        parts = tuple(compile_python(part) for part in condition.parts)
        return lambda document: all(part(document) for part in parts)
    path = condition.field.path
    if isinstance(condition, HasText):
        text = condition.text
        return lambda document: text != "" and (_at(document, path, None) or None) == text
    if isinstance(condition, IsOneOf):
        texts = frozenset(condition.texts)
        return lambda document: _at(document, path, None) in texts
    value = condition.value
    return lambda document: equals(_at(document, path), value)


def equals(found: object, value: Value) -> bool:
    """Whether a value of a document, or one item of it where it is a list, is `value`."""
    if value is None:
        return found is None or found is _MISSING
    if isinstance(found, list):
        return any(_same(item, value) for item in found)
    return _same(found, value)


def _same(found: object, value: Value) -> bool:
    # bool is an int in Python; in JSON true is not 1
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    return found == value


def _at(document: object, path: tuple[str, ...], missing: object = _MISSING) -> object:
    for key in path:
        if isinstance(document, Mapping):
            document = document.get(key, missing)
        elif (
            isinstance(document, list)
            and key.isascii()
            and key.isdecimal()
            and len(key) < 10
            and int(key) < len(document)
        ):
            document = document[int(key)]
        else:
            return missing
    return document
