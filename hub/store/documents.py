"""Documents of the API that are not kept as JSON: dead letters."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from hub.model import DeadLetter

SHOWN_BYTES: Final = 65_536
"""Most bytes of a dead letter's body in its document; the whole is a download."""


def dead_letter_document(letter: DeadLetter) -> dict[str, Any]:
    """All of a dead letter but its body: what is searched, and shown together with `body_view`."""
    return {
        "id": letter.id,
        "source": letter.source,
        "reason": letter.reason,
        "detail": letter.detail,
        "stage": letter.stage,
        "origin": letter.origin,
        "at": _iso(letter.at_ms),
        "attempts": letter.attempts,
        "body_size": letter.body_size,
        "body_sha256": letter.body_sha256,
        "headers": _headers(letter.headers),
        "position": letter.position._asdict(),
    }


def body_view(start: bytes, size: int) -> dict[str, Any]:
    """
    The body as JSON can show it: `body` is its text if it is UTF-8, else null, and then `body_base64` has the bytes.

    Args:
        start: The first SHOWN_BYTES of the body, or all of it.
        size: Of the whole body, in bytes; when `start` is shorter, `body_truncated` is true.
    """
    start = start[:SHOWN_BYTES]
    truncated = len(start) < size
    text = _text(start, truncated)
    encoded = base64.b64encode(start).decode() if text is None else None
    return {"body": text, "body_base64": encoded, "body_truncated": truncated}


def _text(start: bytes, truncated: bool) -> str | None:
    try:
        return start.decode()
    except UnicodeDecodeError as exc:
        # a cut may go through a character of up to four bytes
        if truncated and exc.reason == "unexpected end of data" and len(start) - exc.start < 4:
            return start[: exc.start].decode()
        return None


def _headers(raw: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        # a letter is the last resort: it is kept and shown even if its headers are no JSON object
        return {"unreadable": raw.decode("latin-1")}


def _iso(at_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
