"""The value at a path in a JSON document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def value_at(document: Mapping[str, Any], path: Iterable[str], missing: Any = None) -> Any:
    """The value, or `missing` when an object on the way does not have it. Args: path: keys, outermost first."""
    value: Any = document
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return missing
        value = value[key]
    return value


def found_at(document: Any, path: Iterable[str]) -> Any:
    """As `value_at`, None when it is missing; and digits are a position where there is a list on the way."""
    value: Any = document
    for key in path:
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isascii() and key.isdecimal() and len(key) < 10 and int(key) < len(value):
            value = value[int(key)]
        else:
            return None
    return value
