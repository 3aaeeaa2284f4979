"""From a broker's message to a record of events.v1: as a payload, or as a refusal with its original bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from bridges.base import Delivery, Headers
from hub.definitions.catalogue import Catalogue
from hub.edge.functions import NO_META
from hub.edge.inbound import Taken, refused
from hub.edge.mapping import ID_HEADER, CompiledMapping
from hub.edge.repeatable import LARGEST_BYTES, encoded, events_in, taken
from hub.edge.times import within
from hub.errors import InvalidPayload
from hub.ids import derived, is_uuid
from hub.settings import Limits
from schemas.codec import encode_inbound

HEADERS_BYTES: Final = 327_680
"""Of a refused message's record: all that it has beside the body."""
KEY_BYTES: Final = 16_384
META_BYTES: Final = 65_536


class Converted(msgspec.Struct, frozen=True):
    """
    A record for events.v1.

    Attributes:
        reason: Why it was refused; None for a payload.
        blob: Bytes that have to be in the store before the record may be sent.
        events: How many events are in it, at least 1.
        detail: Of a refusal, in words.
    """

    key: bytes
    value: bytes
    reason: str | None
    blob: bytes | None
    events: int = 1
    detail: str = ""


class Preview(NamedTuple):
    """
    What would become of a message.

    Attributes:
        payload: As JSON, in the /track shape; None for a message that is refused.
        refused: Why it would go to the dead letters.
        dropped: No event is made of it.
    """

    payload: msgspec.Raw | None = None
    refused: InvalidPayload | None = None
    dropped: bool = False


class Converter:
    """One bridge's way of making records; the same delivery gives the same ids, whenever it comes."""

    def __init__(
        self,
        *,
        bridge: str,
        kind: str,
        source: str,
        mapping: CompiledMapping | None,
        catalogue: Catalogue,
        limits: Limits,
    ) -> None:
        """
        Args:
            bridge: The bridge's id.
            kind: The kind of broker, which keeps the coordinates of two brokers apart.
            source: Event source id of messages that name none.
        """
        self._origin = f"bridge:{bridge}:"
        self._kind = kind
        self._source = source
        self._mapping = mapping
        self._catalogue = catalogue
        self._limits = limits

    def convert(self, delivery: Delivery, now_ms: int) -> Converted:
        """
        Raises nothing: a message that is wrong makes a record as well.

        Args:
            now_ms: Receive time, milliseconds since 1970.
        """
        # the broker's time as well: a topic that was deleted and made again starts its offsets at 0
        payload_id = _own_id(delivery.headers) or derived(
            self._kind, self._source, delivery.position, str(delivery.time_ms)
        )
        try:
            key, value, events = self._payload(delivery, payload_id, now_ms)
        except InvalidPayload as exc:
            return self._refusal(exc, delivery, payload_id, now_ms)
        return Converted(key, value, None, None, events)

    def payload(self, delivery: Delivery, payload_id: str, now_ms: int) -> tuple[bytes, bytes]:
        """
        Key and value of a record for events.v1.

        Args:
            payload_id: Unless the message itself names one.

        Raises:
            InvalidPayload: No payload can be made of it.
        """
        key, value, _ = self._payload(delivery, payload_id, now_ms)
        return key, value

    def preview(self, delivery: Delivery, now_ms: int) -> Preview:
        """What would become of it; for people, so it is made twice. Raises nothing. Args: now_ms: as of `convert`."""
        try:
            found = self._taken(delivery, derived("preview", delivery.position), now_ms)
        except InvalidPayload as exc:
            return Preview(refused=exc)
        return Preview(msgspec.Raw(self._mapped(delivery)), dropped=not events_in(found.record))

    def _payload(self, delivery: Delivery, payload_id: str, now_ms: int) -> tuple[bytes, bytes, int]:
        found = self._taken(delivery, payload_id, now_ms)
        return found.key, encoded(found.record), max(1, events_in(found.record))

    def _taken(self, delivery: Delivery, payload_id: str, now_ms: int) -> Taken:
        # of what a bridge has decoded only that matters: most of a mail may be attachments that nobody asked for
        size = len(delivery.body if delivery.json is None else delivery.json)
        if size > self._limits.body_bytes:
            raise InvalidPayload(
                "body_too_large", f"the message has {size} bytes; the limit is {self._limits.body_bytes}"
            )
        return taken(
            self._mapped(delivery),
            source=self._source,
            payload_id=payload_id,
            origin=self._origin + delivery.position,
            time_ms=delivery.time_ms,
            now_ms=now_ms,
            catalogue=self._catalogue,
            limits=self._limits,
        )

    def _mapped(self, delivery: Delivery) -> bytes:
        """A payload as JSON. Raises InvalidPayload."""
        if delivery.fault:
            raise InvalidPayload("undecodable_message", delivery.fault)
        body = delivery.body if delivery.json is None else delivery.json
        if self._mapping is None:
            return body
        return self._mapping.payload(body, self._limits, delivery.meta() if self._mapping.uses_meta else NO_META)

    def _refusal(self, error: InvalidPayload, delivery: Delivery, payload_id: str, now_ms: int) -> Converted:
        body = delivery.body
        blob = body if len(body) > self._limits.body_bytes or len(body) > LARGEST_BYTES - HEADERS_BYTES else None
        # of a key that leaves no room in the record a replay has to do without
        key_kept = delivery.key if len(delivery.key or b"") <= KEY_BYTES else None
        headers = _headers(delivery.headers)
        key, record = refused(
            error,
            body=body,
            headers=headers,
            origin=self._origin + delivery.position,
            source=self._source,
            now_ms=now_ms,
            definitions_offset=self._catalogue.offset,
            body_sha256=None if blob is None else hashlib.sha256(blob).hexdigest(),
            payload_id=payload_id,
            key=key_kept,
            time_ms=within(delivery.time_ms),
            meta=_more(delivery, key_kept, headers, now_ms),
        )
        return Converted(key, encode_inbound(record), error.reason, blob, detail=error.detail)


def _own_id(headers: Headers) -> str | None:
    """The id that the sender gave the message. Only a UUID will do: it is unique whoever made it."""
    for name, value in headers:
        if name == ID_HEADER and value is not None:
            text = value.decode("latin-1")
            return text.lower() if is_uuid(text) else None
    return None


def _headers(headers: Headers) -> dict[str, bytes]:
    """By name; a name that is there again gets a number, so that nothing is lost. Cut off where they are too large."""
    named: dict[str, bytes] = {}
    size = 0
    for name, value in headers:
        size += len(name) + len(value or b"")
        if size > (HEADERS_BYTES - KEY_BYTES - META_BYTES) // 6:  # one byte takes up to six in JSON: an escape
            named["(cut off)"] = b"the headers are too large for a dead letter"
            break
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name} ({number})", number + 1
        named[unique] = value or b""
    return named


def _more(delivery: Delivery, key: bytes | None, headers: Mapping[str, bytes], now_ms: int) -> dict[str, msgspec.Raw]:
    """What `meta(…)` gives of it and would not of its letter otherwise: META_BYTES, the small before the large."""
    # of a message without a time, a replay has the time when it came
    time_ms = now_ms if delivery.time_ms is None else within(delivery.time_ms)
    known = Delivery(b"", delivery.position, time_ms, key, list(headers.items())).meta()
    told = delivery.meta()
    more = {name: _as_json(value) for name, value in told.items() if name not in known or known[name] != value}
    kept: dict[str, msgspec.Raw] = {}
    size = 0
    for name, text in sorted(more.items(), key=lambda item: len(item[1])):
        size += len(name) + len(text) + len('"":,')
        if size > META_BYTES:
            break
        kept[name] = msgspec.Raw(text)
    return kept


def _as_json(value: Any) -> bytes:
    """Of a bridge of somebody's own it may be anything."""
    return msgspec.json.encode(value, enc_hook=str)
