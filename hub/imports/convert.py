"""From a row to a record of events.v1: as a payload, or as a refusal with what the row held."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.edge.functions import NO_META
from hub.edge.inbound import Taken, refused
from hub.edge.mapping import CompiledMapping
from hub.edge.repeatable import encoded, events_in, taken
from hub.errors import InvalidPayload
from hub.ids import derived
from hub.imports.rows import Row
from hub.settings import Limits
from schemas.codec import encode_inbound

LARGEST_ORIGINAL: Final = 1024 * 1024
"""Bytes of a row that lie in its dead letter's record; more of them go to the store."""
_encode: Final = msgspec.json.Encoder().encode
ORIGIN: Final = "import:"
"""How the origin of a row begins: `import:<id>:<name of the row>`."""


class Converted(NamedTuple):
    """
    A record for events.v1.

    Attributes:
        events: How many are in it: 0 when the mapping drops the row.
        refusal: Why it is no payload; None: it is one.
        blob: Bytes that have to be in the store before it is sent.
    """

    key: bytes
    value: bytes
    events: int
    refusal: InvalidPayload | None = None
    blob: bytes | None = None


class Converter:
    """One import's way of making records; the same row gives the same ids, whenever it is read."""

    def __init__(
        self,
        *,
        id: str,
        source: str,
        file: str,
        mapping: CompiledMapping | None,
        catalogue: Catalogue,
        limits: Limits,
        began_ms: int,
    ) -> None:
        """
        Args:
            source: Event source id of rows that name none.
            file: What `meta('file')` gives.
            began_ms: When the import began first, milliseconds since 1970: the time of events that have none.
        """
        self._id = id
        self._origin = f"{ORIGIN}{id}:"
        self._source = source
        self._file = file
        self._mapping = mapping
        self._uses_meta = mapping is not None and mapping.uses_meta
        self._catalogue = catalogue
        self._limits = limits
        self._began_ms = began_ms

    def convert(self, row: Row, now_ms: int) -> Converted:
        """Raises nothing: a row that is wrong makes a record as well. Args: now_ms: receive time, since 1970."""
        payload_id = derived("import", self._id, row.name)
        try:
            found = self._taken(row, payload_id, now_ms)
            value = encoded(found.record)
        except InvalidPayload as exc:
            return self._refusal(exc, row, payload_id, now_ms)
        return Converted(found.key, value, events_in(found.record))

    def preview(self, row: Row, now_ms: int) -> tuple[msgspec.Raw | None, InvalidPayload | None]:
        """The payload of a row as JSON, in the /track shape, without events if it is dropped; or why there is none."""
        try:
            self._taken(row, derived("import", self._id, row.name), now_ms)
            return msgspec.Raw(self._payload(row)), None
        except InvalidPayload as exc:
            return None, exc

    def _taken(self, row: Row, payload_id: str, now_ms: int) -> Taken:
        return taken(
            self._payload(row),
            source=self._source,
            payload_id=payload_id,
            origin=self._origin + row.name,
            time_ms=self._began_ms if row.time_ms is None else row.time_ms,
            now_ms=now_ms,
            catalogue=self._catalogue,
            limits=self._limits,
        )

    def _payload(self, row: Row) -> bytes:
        """As JSON. Raises InvalidPayload."""
        if row.error:
            raise InvalidPayload("unreadable_row", row.error)
        raw, value, mapping = row.raw, row.value, self._mapping
        if raw is not None and len(raw) > self._limits.body_bytes:
            raise InvalidPayload(
                "body_too_large", f"the row has {len(raw)} bytes; the limit is {self._limits.body_bytes}"
            )
        if mapping is None:
            return raw if raw is not None else _json(value)
        if raw is not None:
            return mapping.payload(raw, self._limits, self._meta(row) if self._uses_meta else NO_META)
        if mapping.format != "json":
            raise InvalidPayload("mapping_failed", f"the mapping is for {mapping.format}, and these rows are objects")
        return _json(mapping(value, self._meta(row) if self._uses_meta else NO_META))

    def _meta(self, row: Row) -> dict[str, Any]:
        return {"row": row.number, "position": row.name, "file": self._file, **(row.meta or {})}

    def _refusal(self, error: InvalidPayload, row: Row, payload_id: str, now_ms: int) -> Converted:
        body = _original(row)
        blob = body if len(body) > min(self._limits.body_bytes, LARGEST_ORIGINAL) else None
        key, record = refused(
            error,
            body=body,
            headers={},
            origin=self._origin + row.name,
            source=self._source,
            now_ms=now_ms,
            definitions_offset=self._catalogue.offset,
            body_sha256=None if blob is None else hashlib.sha256(blob).hexdigest(),
            payload_id=payload_id,
            time_ms=self._began_ms if row.time_ms is None else row.time_ms,
            meta={name: msgspec.Raw(_json(value)) for name, value in self._meta(row).items()},
        )
        return Converted(key, encode_inbound(record), 1, error, blob)


def _original(row: Row) -> bytes:
    """What a replay begins with: the row's own bytes, or the object that a mapping got."""
    if row.raw is not None:
        return row.raw
    try:
        return _json(row.value)
    except InvalidPayload:
        return repr(row.value).encode("utf-8", "replace")


def _json(value: Any) -> bytes:
    try:
        return _encode(value)
    except (OverflowError, UnicodeEncodeError, TypeError) as exc:
        raise InvalidPayload("mapping_failed", f"what was made of the row is no JSON: {exc}") from exc
