"""Avro bytes of the hub's records: single-object encoding, read by fingerprint."""

from __future__ import annotations

import io
import json
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.reader import compile_reader
from schemas.records import DeadLetter, Inbound, Stored, Trigger
from schemas.writer import compile_writer

AVRO: Final = Path(__file__).parent / "avro"
MARKER: Final = b"\xc3\x01"
HEADER_BYTES: Final = 10
"""Marker (2 bytes) and CRC-64-AVRO fingerprint (8 bytes, little-endian). Source: Avro 1.12 specification."""


class CodecError(ValueError):
    """These bytes are no record of the wanted kind; the message says why."""


class Codec:
    """Encodes with today's schema, decodes with whichever known version wrote the bytes."""

    def __init__(self, name: str) -> None:
        """Args: name: file name in `schemas/avro` without its ending."""
        self.name = name
        self.schema: dict[str, Any] = json.loads((AVRO / f"{name}.avsc").read_text())
        self._parsed = fastavro.parse_schema(self.schema)
        self._header = MARKER + _fingerprint(self.schema)
        self._write = compile_writer(self.schema, self._header)
        self._read = compile_reader(self.schema)
        self._writers: dict[bytes, Any] = {self._header: self._parsed}
        for path in sorted((AVRO / "past" / name).glob("*.avsc")):
            past = json.loads(path.read_text())
            self._writers.setdefault(MARKER + _fingerprint(past), fastavro.parse_schema(past))

    def encode(self, record: Any) -> bytes:
        """Raises CodecError when `record` does not fit the schema."""
        try:
            return self._write(record)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as exc:
            raise CodecError(f"cannot encode {self.name}: {exc}") from exc

    def decode(self, data: bytes) -> Any:
        """Raises CodecError when `data` was not written by a known version of this record."""
        writer = self._writers.get(data[:HEADER_BYTES])
        if writer is None:
            what = "of a newer release, or no" if data.startswith(MARKER) else "not a"
            raise CodecError(f"{what} {self.name} record: unknown header {data[:HEADER_BYTES].hex() or '(empty)'}")
        try:
            record, end = self._read(data, HEADER_BYTES) if writer is self._parsed else self._read_past(data, writer)
        except (ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError, MemoryError) as exc:
            raise CodecError(f"broken {self.name} record: {exc}") from exc
        if end != len(data):
            what = f"{len(data) - end} bytes too many" if end < len(data) else f"{end - len(data)} bytes too few"
            raise CodecError(f"broken {self.name} record: {what}")
        return record

    def _read_past(self, data: bytes, writer: Any) -> tuple[Any, int]:
        """A record as an earlier version wrote it, as today's, and the place behind it."""
        source = io.BytesIO(data)
        source.seek(HEADER_BYTES)
        return fastavro.schemaless_reader(source, writer, self._parsed, return_record_name=True), source.tell()


def _fingerprint(schema: dict[str, Any]) -> bytes:
    # fastavro gives the digest's hex in big-endian order of the little-endian bytes the specification asks for
    return bytes.fromhex(fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO"))


@cache
def codec(name: str) -> Codec:
    """The codec of one record; built once a process."""
    return Codec(name)


def encode_inbound(record: Inbound) -> bytes:
    """The bytes of a record on events.v1."""
    return codec("inbound").encode(record)


def decode_inbound(data: bytes) -> Inbound:
    """A record of events.v1 from its bytes. Raises CodecError."""
    return cast("Inbound", codec("inbound").decode(data))


def encode_stored(record: Stored) -> bytes:
    """The bytes of a record on stored.v1."""
    return codec("stored").encode(record)


def decode_stored(data: bytes) -> Stored:
    """A record of stored.v1 from its bytes. Raises CodecError."""
    return cast("Stored", codec("stored").decode(data))


def encode_trigger(record: Trigger) -> bytes:
    """The bytes of a record on triggers.v1."""
    return codec("trigger").encode(record)


def decode_trigger(data: bytes) -> Trigger:
    """A record of triggers.v1 from its bytes. Raises CodecError."""
    return cast("Trigger", codec("trigger").decode(data))


def encode_dead_letter(record: DeadLetter) -> bytes:
    """The bytes of a record on dead.v1."""
    return codec("dead_letter").encode(record)


def decode_dead_letter(data: bytes) -> DeadLetter:
    """A record of dead.v1 from its bytes. Raises CodecError."""
    return cast("DeadLetter", codec("dead_letter").decode(data))
