"""Dead letters from records that cannot be taken."""

from __future__ import annotations

from msgspec.structs import replace

from hub import ids
from hub.model import DeadLetter, Position
from hub.pipeline.records import LogRecord
from schemas.codec import CodecError, decode_inbound, encode_inbound
from schemas.records import TRACK, Inbound, Refused, Track
from schemas.replays import Replay

UNKNOWN_SOURCE = "unknown"
OUTWARD = "destination:"
"""How the origin of a message begins that a destination could not send: `destination:<id>:<place on stored.v1>`."""
OF_FLOW = "flow/"
"""How the place begins of a message that a flow has sent, in such an origin; its id follows."""


def undecodable(record: LogRecord, position: Position, detail: str) -> DeadLetter:
    """A record that is none of ours: its own bytes are the original."""
    return DeadLetter(
        id=_letter_id(position),
        source=UNKNOWN_SOURCE,
        reason="undecodable_record",
        detail=detail,
        stage="collector",
        origin="log",
        at_ms=record.at_ms,
        attempts=1,
        body=record.value,
        body_sha256=None,
        body_size=len(record.value),
        headers=b"{}",
        position=position,
        key=record.key,
        time_ms=record.at_ms,
    )


def failed(record: LogRecord, position: Position, inbound: Inbound, reason: str, detail: str) -> DeadLetter:
    """
    A record that the collector cannot work with: its bytes are the original; or one event of it, at the position's
    place: the original is the record with that event alone. A payload of a thousand would fill the disk otherwise.
    """
    body = _alone(record, inbound, position.place)
    return DeadLetter(
        id=_letter_id(position),
        source=inbound["source"],
        reason=reason,
        detail=detail,
        stage="collector",
        origin=inbound["origin"],
        at_ms=inbound["received_at_ms"],
        attempts=1,
        body=body,
        body_sha256=None,
        body_size=len(body),
        headers=b"{}",
        position=position,
        payload_id=inbound["id"],
        key=record.key,
        time_ms=record.at_ms,
    )


def refused(position: Position, inbound: Inbound, body: Refused) -> DeadLetter:
    """A message that a bridge could not make a payload of, or a destination could not send: with its original bytes."""
    return DeadLetter(
        id=ids.derived("dead", inbound["id"]),
        source=inbound["source"] or UNKNOWN_SOURCE,
        reason=body["reason"],
        detail=body["detail"],
        stage="destination" if is_outward(inbound) else "bridge",
        origin=inbound["origin"],
        at_ms=inbound["received_at_ms"],
        attempts=1,
        body=body["body"],
        body_sha256=body["body_sha256"],
        body_size=body["body_size"],
        headers=body["headers"],
        position=position,
        payload_id=inbound["id"],
        key=body["key"],
        time_ms=body["time_ms"],
        meta=body["meta"],
    )


def is_outward(inbound: Inbound | None) -> bool:
    """Whether a record tells of a message that was not sent: its event was received and stored before, and counted."""
    return inbound is not None and inbound["origin"].startswith(OUTWARD)


def again(letter: DeadLetter, record: LogRecord, replay: Replay) -> DeadLetter:
    """The letter of a replay that has failed: the one that was replayed, with why and when it failed this time."""
    return replace(letter, id=replay.letter_id, attempts=replay.attempt, at_ms=record.at_ms)


def _alone(record: LogRecord, inbound: Inbound, place: int) -> bytes:
    body = inbound["body"]
    if body[0] != TRACK or len(body[1]["events"]) < 2:
        return record.value
    alone: Track = {**body[1], "events": [body[1]["events"][place]]}
    return encode_inbound({**inbound, "body": (TRACK, alone)})


def as_sent(original: bytes, definitions_offset: int) -> tuple[bytes, bytes] | None:
    """
    Key and value of the record to send of an original of this collector's: as it was sent first, for a collector that
    waits for these definitions, which may be why it is sent again. None: it is none of our records.

    One that was handed on to another profile is handed on anew: where it is, it counts as applied already.
    """
    try:
        inbound = decode_inbound(original)
    except CodecError:
        return None
    inbound["definitions_offset"] = max(inbound["definitions_offset"], definitions_offset)
    if inbound.get("first_at"):
        inbound["profile_id"] = inbound.get("sent_as") or inbound["profile_id"]
        inbound["sent_as"] = inbound["first_at"] = inbound["forwarded_for"] = None
    return (inbound["profile_id"] or inbound["id"]).encode(), encode_inbound(inbound)


def _letter_id(position: Position) -> str:
    return ids.derived("dead", *map(str, position))
