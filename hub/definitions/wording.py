"""What pydantic finds wrong, in words for whoever wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hub.definitions.schedule import DURATION

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def said(found: ErrorDetails) -> str:
    """Args: found: one of a ValidationError's `errors()`."""
    if found["type"] == "string_pattern_mismatch" and DURATION in found["msg"]:
        return "this is no duration: write one such as 90s, 15m or 1d12h (s, m, h, d, w)"
    return found["msg"].removeprefix("Value error, ")
