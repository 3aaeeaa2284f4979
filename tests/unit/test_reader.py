"""Our compiled Avro readers give the records that fastavro gives."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import HEADER_BYTES, CodecError, codec, decode_inbound, encode_inbound
from schemas.records import TRACK
from tests import factories
from tests.unit.test_writer import INBOUNDS

_SAMPLE = encode_inbound(factories.track("p", factories.event("e", n=1), session_id="s"))


def _by_fastavro(data: bytes) -> Any:
    """None: it is no record."""
    source = io.BytesIO(data[HEADER_BYTES:])
    schema = fastavro.parse_schema(codec("inbound").schema)
    try:
        record = fastavro.schemaless_reader(source, schema, None, return_record_name=True)
    except (ValueError, IndexError, EOFError, OverflowError, MemoryError):
        return None
    return record if source.tell() == len(data) - HEADER_BYTES else None


@given(INBOUNDS)
def test_inbound_is_read_as_fastavro_reads_it(record: Any) -> None:
    assert decode_inbound(encode_inbound(record)) == record == _by_fastavro(encode_inbound(record))


@pytest.mark.parametrize("bits", range(64))
def test_numbers_of_every_length(bits: int) -> None:
    for number in (2**bits - 1, -(2**bits), 2**bits // 3):
        record = {**factories.track("p"), "received_at_ms": number, "definitions_offset": -number // 2}
        data = encode_inbound(record)  # type: ignore[arg-type]
        assert _by_fastavro(data)["received_at_ms"] == number
        assert decode_inbound(data) == _by_fastavro(data)


@given(st.integers(HEADER_BYTES, len(_SAMPLE) - 1), st.binary(max_size=12), st.integers(0, 12))
def test_of_bytes_that_were_damaged_nothing_is_made_that_is_not_there(at: int, instead: bytes, of: int) -> None:
    data = _SAMPLE[:at] + instead + _SAMPLE[at + of :]
    try:
        found = decode_inbound(data)
    except CodecError:
        return
    assert found == _by_fastavro(data)


@pytest.mark.parametrize("end", range(HEADER_BYTES, len(_SAMPLE)))
def test_what_was_cut_off_is_no_record(end: int) -> None:
    with pytest.raises(CodecError, match="broken inbound record"):
        decode_inbound(_SAMPLE[:end])


def test_a_block_of_an_array_may_say_how_long_it_is() -> None:
    """Ours never do, but Avro allows it. A count below 0 has the block's size in bytes behind it."""
    record = decode_inbound(encode_inbound(factories.track("p", factories.event("e"))))
    assert record["body"][0] == TRACK
    record["body"][1]["events"][0]["tags"] = ["a", "b"]
    data = encode_inbound(record)
    plain, sized = b"\x04\x02a\x02b\x00", b"\x03\x08\x02a\x02b\x00"
    assert data.count(plain) == 1
    found = decode_inbound(data.replace(plain, sized))
    assert found == record == _by_fastavro(data.replace(plain, sized))


@pytest.mark.parametrize("size", [b"\x01", b"\x81\x01", b"\xff" * 9 + b"\x02", b"\xff" * 12])
def test_a_size_that_is_none_is_refused(size: bytes) -> None:
    """Below 0, or of more than 64 bits."""
    with pytest.raises(CodecError, match="broken inbound record"):
        decode_inbound(_SAMPLE[:HEADER_BYTES] + size + _SAMPLE[HEADER_BYTES:])
