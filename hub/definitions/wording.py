"""What pydantic finds wrong, in words for whoever wrote it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from hub.definitions.fields import INDEXED, PROFILE, SOURCE
from hub.definitions.flows import NODE_ID
from hub.definitions.kinds import CONSENT_TIME, DELIMITER, GUARDED, IMPORTED_DELIMITER, ORIGIN, PAGE, SENT, WRITE_KEY
from hub.definitions.schedule import DURATION

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_DURATION: Final = "this is no duration: write one such as 90s, 15m or 1d12h (s, m, h, d, w)"
_DELIMITER: Final = "this is no delimiter: write one character, which is no double quote and no line break"
_PATTERNS: Final[Mapping[str, str]] = {
    SOURCE: "this is no place in an event: write one such as properties.amount, context.page.url or type",
    SENT: "this is no place in what is sent: write one below properties or context, such as properties.email",
    GUARDED: "this is no place in what is sent: write one below properties, context or request, such as request.ip",
    INDEXED: "this is no index field: write one below data, traits, hit or device, such as traits.branch",
    PROFILE: "this is no field of a profile: write primary_id, or one below traits, data, stats, interests, consents "
    "or aux, such as traits.city",
    ORIGIN: "this is no origin: write one as browsers do, in lower case and without a path, such as https://shop.example",
    WRITE_KEY: "this is no write key: it has 1 to 256 printable ASCII characters, no space and no colon",
    PAGE: "this is no address of a page: write one that begins with https:// and has no spaces",
    CONSENT_TIME: _DURATION,
    NODE_ID: "this is no id of a node: write letters, digits, - and _, at most 64, and no - first",
    DELIMITER: _DELIMITER,
    IMPORTED_DELIMITER: _DELIMITER,
}
"""What is said instead of a regular expression."""


def said(found: ErrorDetails) -> str:
    """Args: found: one of a ValidationError's `errors()`."""
    if found["type"] == "string_pattern_mismatch":
        pattern = found.get("ctx", {}).get("pattern", "")
        if DURATION in pattern:
            return _DURATION
        if pattern in _PATTERNS:
            return _PATTERNS[pattern]
    return found["msg"].removeprefix("Value error, ")
