"""The opaque text that says where the next page of a search begins."""

from __future__ import annotations

import base64
from typing import NamedTuple

import msgspec

from hub.store.port import Kind
from hub.store.query import QueryError


class Cursor(NamedTuple):
    """The last item of a page, by what its kind is ordered by; the next page holds what is ordered after it."""

    kind: str
    partition: str  # of events; "" for all else
    time_ms: int  # of events and dead letters; 0 for all else
    seq: int  # the store's own running number: between equal times the later write comes first


def encode_cursor(cursor: Cursor) -> str:
    """As text that is safe in a URL."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).rstrip(b"=").decode()


def decode_cursor(text: str, kind: Kind) -> Cursor:
    """Raises QueryError when `text` did not come from a page of this kind."""
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.json.decode(raw, type=Cursor)
    except (ValueError, RecursionError) as exc:
        raise QueryError("the cursor is not one that a page of this hub gave; leave it out to begin anew") from exc
    if cursor.kind != kind:
        raise QueryError(f"the cursor belongs to a search of {cursor.kind}, not of {kind}")
    if not all(-(2**63) <= number < 2**63 for number in (cursor.time_ms, cursor.seq)):
        raise QueryError("the cursor holds a number that no page has; leave it out to begin anew")
    return cursor
