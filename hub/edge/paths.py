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
