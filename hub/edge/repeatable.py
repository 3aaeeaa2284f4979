"""Records of what may be read again, as a queue's message or a file's row: the same each time, whenever that is."""

from __future__ import annotations

from typing import Any, Final

from hub.definitions.catalogue import Catalogue
from hub.edge.admit import admit
from hub.edge.inbound import Taken, check_source, inbound
from hub.edge.times import within
from hub.errors import InvalidPayload
from hub.ids import ordered
from hub.settings import Limits
from schemas.codec import CodecError, encode_inbound
from schemas.records import TRACK, Inbound
from schemas.topics import MAX_RECORD_BYTES

LARGEST_BYTES: Final = MAX_RECORD_BYTES - 4_096
"""Of a record's value: the rest is for Kafka's own framing."""
_REQUEST: Final = b"{}"


def taken(
    body: bytes,
    *,
    source: str,
    payload_id: str,
    origin: str,
    time_ms: int | None,
    now_ms: int,
    catalogue: Catalogue,
    limits: Limits,
) -> Taken:
    """
    The record of a payload that is brought by a bridge or an import.

    Args:
        body: In the /track shape, JSON.
        source: Event source id of what names none.
        payload_id: Unless the payload says itself what it is called.
        time_ms: Of events that have none of their own, milliseconds since 1970: not the receive time, which is another
            one when it is read again. Out of the years 1 to 9998 it is their first or last moment.
        now_ms: The receive time.

    Raises: InvalidPayload.
    """
    payload = admit(body, limits, source)
    check_source(payload.source_id, catalogue, "bridge")
    found = inbound(
        payload,
        payload_id=payload_id,
        now_ms=now_ms,
        catalogue=catalogue,
        origin=origin,
        request=_REQUEST,
        new_id=ordered,
    )
    track: Any = found.record["body"][1]
    for event in track["events"]:
        if event["time_ms"] is None:
            event["time_ms"] = within(time_ms)
    return found


def encoded(record: Inbound) -> bytes:
    """Raises InvalidPayload: it does not fit, or nobody can write it: that must not stop what is behind it."""
    try:
        value = encode_inbound(record)
    except CodecError as exc:
        raise InvalidPayload("wrong_type", str(exc), "", record["source"]) from exc
    if len(value) > LARGEST_BYTES:
        raise InvalidPayload("body_too_large", f"its record would have {len(value)} bytes", "", record["source"])
    return value


def events_in(record: Inbound) -> int:
    """How many events it has: none, if a mapping has dropped what came."""
    return len(record["body"][1]["events"]) if record["body"][0] == TRACK else 0
