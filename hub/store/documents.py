"""Documents of the API that are not kept as JSON: dead letters."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from hub.model import DeadLetter

OPEN: Final = "open"
RESOLVED: Final = "resolved"
SHOWN_BYTES: Final = 65_536
"""Most bytes of a dead letter's body in its document; the whole is a download."""


def dead_letter_document(letter: DeadLetter) -> dict[str, Any]:
    """
    All of a dead letter but its body: what is searched, and shown together with `body_view`.

    `status` is `open`, or `resolved` once a replay has been stored. `key` is text as latin-1, as the headers are, so
    that its bytes can be had back.
    """
    return {
        "id": letter.id,
        "status": OPEN,
        "source": letter.source,
        "reason": letter.reason,
        "detail": letter.detail,
        "stage": letter.stage,
        "origin": letter.origin,
        "at": _iso(letter.at_ms),
        "first_at": _iso(letter.at_ms),
        "resolved_at": None,
        "attempts": letter.attempts,
        "payload_id": letter.payload_id,
        "key": None if letter.key is None else letter.key.decode("latin-1"),
        "time_ms": letter.time_ms,
        "body_size": letter.body_size,
        "body_sha256": letter.body_sha256,
        "headers": _object(letter.headers),
        "meta": _object(letter.meta),
        "position": letter.position._asdict(),
    }


def failed_again(document: dict[str, Any], letter: DeadLetter) -> dict[str, Any]:
    """
    The document of a dead letter whose replay has failed: one more attempt, and why this one failed.

    What came in stays as it was. One that is resolved stays that, too: what is stored is stored.

    Args: document: as the store has it. letter: as the replay has made it.
    """
    return document | {
        "attempts": document["attempts"] + 1,
        "reason": letter.reason,
        "detail": letter.detail,
        "at": _iso(letter.at_ms),
        "position": letter.position._asdict(),
    }


def resolved(document: dict[str, Any], at_ms: int) -> dict[str, Any]:
    """The document of a dead letter whose replay has been stored. Args: at_ms: when it was replayed, first time."""
    if document["status"] == RESOLVED:
        return document
    return document | {"status": RESOLVED, "resolved_at": _iso(at_ms)}


def body_view(start: bytes, size: int, most: int = SHOWN_BYTES) -> dict[str, Any]:
    """
    The body as JSON can show it: `body` is its text if it is UTF-8, else null, and then `body_base64` has the bytes.

    Args:
        start: The first `most` bytes of the body, or all of it.
        size: Of the whole body, in bytes; when `start` is shorter, `body_truncated` is true.
    """
    start = start[:most]
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


def _object(raw: bytes | None) -> dict[str, Any]:
    try:
        return msgspec.json.decode(raw or b"{}", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # a letter is the last resort: it is kept and shown even if its headers are no JSON object
        return {"unreadable": (raw or b"").decode("latin-1")}


def _iso(at_ms: int) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
