"""Patterns of texts: the `*` of a search, and regular expressions that take no longer than the text is long."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import re2

MAX_PATTERN: Final = 1_000
"""Most characters of a regular expression."""

_MEMORY: Final = 4 << 20  # bytes that one compiled expression may take


class PatternError(ValueError):
    """It is no regular expression of RE2, or too large a one."""


@lru_cache(maxsize=256)
def regular(pattern: str) -> Callable[[str], bool]:
    """
    Whether the expression is found in a text, anywhere. RE2: linear time, so no look-around and no back-references.

    Raises: PatternError.
    """
    if len(pattern) > MAX_PATTERN:
        raise PatternError(f"a regular expression has at most {MAX_PATTERN} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        search = re2.compile(pattern, options).search
    except re2.error as exc:
        words = exc.args[0].decode(errors="replace") if exc.args and isinstance(exc.args[0], bytes) else str(exc)
        raise PatternError(f"no regular expression of RE2: {words}") from exc
    return lambda text: search(text) is not None


def wildcard(parts: tuple[str, ...]) -> Callable[[str], bool]:
    """Whether a text has these parts in this order, the first at its beginning, the last at its end."""
    first, *middle, last = parts

    def matches(text: str) -> bool:
        if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
            return False
        begin, end = len(first), len(text) - len(last)
        for part in middle:  # the earliest place of each leaves the most for the others
            found = text.find(part, begin, end)
            if found < 0:
                return False
            begin = found + len(part)
        return True

    return matches


def glob(parts: tuple[str, ...]) -> str:
    """The same as a pattern of SQLite's GLOB."""
    return "*".join(_escaped(part) for part in parts)


def _escaped(part: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in part)
