"""Our compiled Avro writers give the bytes that fastavro gives."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import CodecError, codec
from schemas.records import MERGE, PATCH, REFUSED, TRACK
from tests import factories

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
LONG = st.integers(-(2**63), 2**63 - 1)
BYTES = st.binary(max_size=30) | st.just(b"x" * 5000)
EVENT = st.fixed_dictionaries(
    {
        "id": TEXT,
        "client_id": st.none() | TEXT,
        "type": TEXT,
        "time_ms": st.none() | LONG,
        "properties": BYTES,
        "context": BYTES,
        "options": BYTES,
        "tags": st.lists(TEXT, max_size=3),
    }
)
TRACKS = st.fixed_dictionaries(
    {
        "session_id": st.none() | TEXT,
        "profile_less": st.booleans(),
        "context": BYTES,
        "properties": BYTES,
        "options": BYTES,
        "request": BYTES,
        "events": st.lists(EVENT, max_size=3),
    }
)
OTHERS = [
    (PATCH, {"cause": TEXT, "operations": BYTES}),
    (MERGE, {"loser_id": TEXT, "loser_version": LONG, "snapshot": BYTES, "step": TEXT, "reason": BYTES}),
    (
        REFUSED,
        {
            "reason": TEXT,
            "detail": TEXT,
            "body": BYTES,
            "body_sha256": st.none() | TEXT,
            "body_size": LONG,
            "headers": BYTES,
            "key": st.none() | BYTES,
            "time_ms": st.none() | LONG,
            "meta": st.none() | BYTES,
        },
    ),
]
BODIES = st.one_of(
    st.tuples(st.just(TRACK), TRACKS), *(st.tuples(st.just(name), st.fixed_dictionaries(body)) for name, body in OTHERS)
)
INBOUNDS = st.fixed_dictionaries(
    {
        "id": TEXT,
        "source": TEXT,
        "profile_id": TEXT,
        "received_at_ms": LONG,
        "definitions_offset": LONG,
        "origin": TEXT,
        "body": BODIES,
        "sent_as": st.none() | TEXT,
        "first_at": st.none() | TEXT,
        "forwarded_for": st.none() | TEXT,
    }
)


@given(INBOUNDS)
def test_inbound_is_written_as_fastavro_writes_it(record: Any) -> None:
    inbound = codec("inbound")
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, fastavro.parse_schema(inbound.schema), record)
    assert inbound.encode(record)[10:] == expected.getvalue()
    assert inbound.decode(inbound.encode(record)) == record


@pytest.mark.parametrize("name", ["stored", "trigger", "dead_letter"])
def test_the_other_records_too(name: str) -> None:
    values: dict[str, Any] = {"string": "ä", "bytes": b"\0", "long": -5, "int": 7, "boolean": True}

    def value(kind: Any) -> Any:
        if isinstance(kind, list):
            return value(kind[1])
        return [value(kind["items"])] * 2 if isinstance(kind, dict) else values[kind]

    record = {field["name"]: value(field["type"]) for field in codec(name).schema["fields"]}
    assert codec(name).decode(codec(name).encode(record)) == record


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"id": 5},
        {"id": "\ud800"},
        {"received_at_ms": 2**63},
        {"received_at_ms": "1"},
        {"body": ("thamesthrive.hub.v1.Nothing", {})},
        {"body": (PATCH, {"cause": "x"})},
        {"body": (PATCH, {"cause": "x", "operations": "text"})},
    ],
)
def test_a_record_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        codec("inbound").encode({**factories.track("p"), **change})


@pytest.mark.parametrize("like", [1.0, "1"])
def test_what_only_looks_like_a_number_seen_before_is_refused(like: Any) -> None:
    """Encodings of numbers are kept, and 1.0 == 1."""
    codec("inbound").encode({**factories.track("p"), "received_at_ms": 1})
    with pytest.raises(CodecError):
        codec("inbound").encode({**factories.track("p"), "received_at_ms": like})
