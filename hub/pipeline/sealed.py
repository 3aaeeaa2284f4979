"""
Records of events.v1 that can be made unreadable: each is sealed with a key of its own, which is kept apart from it.

A sealed record is `MARKER`, the key's id, the length of the label (2 bytes, big-endian), the label in clear text, and
the record as it would have been without all this, in AES-256-GCM. When the key was thrown away, the label is left: what
is needed to count the record, and no more.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from hub.model import Void
from hub.pipeline.data_keys import ID_BYTES, KEY_BYTES, DataKey, Wrapping, new_id
from hub.pipeline.privacy import PROFILE, Judged, mark
from hub.pipeline.records import Decoded
from schemas.codec import CodecError, decode_inbound, encode_inbound
from schemas.records import MERGE, TRACK, Event, Inbound, Merge, Track

MARKER: Final = b"\xc4hub"
"""Begins a sealed record, and no Avro record."""

_LABEL_AT: Final = len(MARKER) + ID_BYTES + 2
_ONCE: Final = bytes(12)
"""A nonce is there so that one key may seal much. Ours seals one record, and is never used again."""
_NOTHING: Final = b"{}"
_LARGE_BYTES: Final = 4_096
_PLAIN: Final = b"\0"
_ZLIB: Final = b"\1"
MOST_EVENTS: Final = 200_000
"""No record holds more: each has a dozen bytes at least. Who says more is none of ours."""


class _Label(msgspec.Struct, frozen=True, array_like=True):
    """What of a record stays readable. `events`: how many. `step`: of a merge; empty: it is none."""

    source: str
    profile_id: str
    received_at_ms: int
    events: Annotated[int, msgspec.Meta(ge=0, le=MOST_EVENTS)]
    sent_as: str | None
    first_at: str | None
    forwarded_for: str | None
    step: str
    id: str
    loser_id: str


class Sealer:
    """Seals records, each with a new key. One for any number of threads."""

    def __init__(self, wrapping: Wrapping, identity_key: bytes) -> None:
        """Args: identity_key: as `hub.pipeline.privacy.mark` takes it."""
        self._wrapping = wrapping
        self._identity_key = identity_key

    def seal(self, value: bytes, first_ms: int | None = None) -> tuple[bytes, DataKey | None]:
        """
        The record to send, and its key, which has to be on keys.v1 before it.

        None: it stays as it is. That are records of no profile, requests, which hold nothing of the person, and
        messages that a bridge refused, of which nobody knows whose they are.

        Args: first_ms: When its message was received first, if an earlier record held it.
        """
        try:
            inbound = decode_inbound(value)
        except CodecError:
            return value, None  # sealed already, or none of ours
        if inbound["body"][0] not in (TRACK, MERGE) or not inbound["profile_id"]:
            return value, None
        label = _label(inbound)
        at_ms = label.received_at_ms if first_ms is None else min(first_ms, label.received_at_ms)
        id, key = new_id(at_ms), os.urandom(KEY_BYTES)
        clear = msgspec.msgpack.encode(label)
        head = b"".join((MARKER, id, len(clear).to_bytes(2, "big"), clear))
        owner = label.loser_id if label.step == "data" else label.sent_as or label.profile_id
        data_key = DataKey(id, mark(PROFILE, owner, self._identity_key), at_ms, self._wrapping.wrap(id, key))
        return head + AESGCM(key).encrypt(_ONCE, _packed(value), head), data_key


def is_sealed(value: bytes) -> bool:
    """Whether it takes a key to read the record."""
    return value.startswith(MARKER) and len(value) >= _LABEL_AT


def key_id(value: bytes) -> bytes:
    """Of a sealed record."""
    return value[len(MARKER) : len(MARKER) + ID_BYTES]


def opened(value: bytes, wrapped: bytes, wrapping: Wrapping) -> bytes:
    """
    The record in a sealed one; the sealed one itself when it is damaged, so that it is a dead letter like all such.

    Args: wrapped: its key. Raises: Refused: see `Wrapping.unwrap`.
    """
    key, begin = wrapping.unwrap(key_id(value), wrapped), _body_at(value)
    try:
        return _unpacked(AESGCM(key).decrypt(_ONCE, value[begin:], value[:begin]))
    except (ValueError, InvalidTag, zlib.error):
        return value


def stub(value: bytes) -> bytes | None:
    """
    What a sealed record is when its key was thrown away: whose it was, and as many events as it held, with nothing in
    them. None: it is damaged.
    """
    try:
        return encode_inbound(_inbound(msgspec.msgpack.decode(value[_LABEL_AT : _body_at(value)], type=_Label)))
    except (msgspec.DecodeError, UnicodeDecodeError, CodecError):
        return None


def with_shredded(judged: Judged, records: Sequence[Decoded]) -> Judged:
    """`judged`, with those records void, too, whose keys were thrown away: whoever they are of was erased."""
    more = {
        (one.record.partition, one.record.offset): Void("", 0, one.inbound["received_at_ms"], "")
        for one in records
        if one.record.is_shredded and one.inbound is not None
    }
    return judged._replace(records={**more, **judged.records}) if more else judged


def _packed(value: bytes) -> bytes:
    # what is sealed cannot be compressed any more, and a large record shall stay below the topic's limit
    return _ZLIB + zlib.compress(value, 1) if len(value) >= _LARGE_BYTES else _PLAIN + value


def _unpacked(value: bytes) -> bytes:
    return zlib.decompress(value[1:]) if value[:1] == _ZLIB else value[1:]


def _body_at(value: bytes) -> int:
    return _LABEL_AT + int.from_bytes(value[_LABEL_AT - 2 : _LABEL_AT], "big")


def _label(inbound: Inbound) -> _Label:
    """Of a Track or a Merge."""
    body = inbound["body"]
    is_merge = body[0] == MERGE
    return _Label(
        inbound["source"],
        inbound["profile_id"],
        inbound["received_at_ms"],
        len(body[1]["events"]) if body[0] == TRACK else 0,
        inbound.get("sent_as"),
        inbound.get("first_at"),
        inbound.get("forwarded_for"),
        body[1]["step"] if body[0] == MERGE else "",
        inbound["id"] if is_merge else "",
        body[1]["loser_id"] if body[0] == MERGE else "",
    )


def _inbound(label: _Label) -> Inbound:
    track: Track = {
        "session_id": None,
        "profile_less": False,
        "context": _NOTHING,
        "properties": _NOTHING,
        "options": _NOTHING,
        "request": _NOTHING,
        "events": [_EMPTY] * label.events,
    }
    merge: Merge = {
        "loser_id": label.loser_id,
        "loser_version": -1,
        "snapshot": _NOTHING,
        "step": label.step,
        "reason": _NOTHING,
    }
    return {
        "id": label.id,
        "source": label.source,
        "profile_id": label.profile_id,
        "received_at_ms": label.received_at_ms,
        "definitions_offset": -1,
        "origin": "",
        "sent_as": label.sent_as,
        "first_at": label.first_at,
        "forwarded_for": label.forwarded_for,
        "body": (MERGE, merge) if label.step else (TRACK, track),
    }


_EMPTY: Final[Event] = {
    "id": "",
    "client_id": None,
    "type": "",
    "time_ms": None,
    "properties": _NOTHING,
    "context": _NOTHING,
    "options": _NOTHING,
    "tags": [],
}
