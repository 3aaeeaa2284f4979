"""The wire contracts: Avro schemas, their history, their examples."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import avro.io
import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType

from hub import ids
from hub.definitions.catalogue import Catalogue
from hub.edge.admit import admit
from hub.edge.inbound import inbound
from hub.pipeline.definitions import Definitions
from hub.pipeline.process import process
from hub.pipeline.records import LogRecord, decode
from hub.pipeline.state import State
from hub.settings import Limits
from schemas.codec import AVRO, HEADER_BYTES, CodecError, codec, decode_inbound, encode_inbound
from schemas.records import MERGE, PATCH, REFUSED, Inbound
from schemas.topics import TOPICS
from tests.factories import NOW_MS, event, track

NAMES = sorted(path.stem for path in AVRO.glob("*.avsc"))
EXAMPLES = sorted((Path(AVRO).parent / "examples" / "track").glob("*.json"))


def _past() -> Iterator[tuple[str, Path]]:
    for name in NAMES:
        for path in sorted((AVRO / "past" / name).glob("*.avsc")):
            yield name, path


def _parse(path: Path) -> avro.schema.Schema:
    return avro.schema.parse(path.read_text())


@pytest.mark.parametrize(("name", "past"), list(_past()), ids=lambda value: getattr(value, "stem", value))
def test_every_schema_reads_its_predecessors_and_they_read_it(name: str, past: Path) -> None:
    """A new collector reads what an old API wrote; during a rolling update an old one reads what a new API writes."""
    today, before = _parse(AVRO / f"{name}.avsc"), _parse(past)
    for reader, writer in ((today, before), (before, today)):
        result = ReaderWriterCompatibilityChecker().get_compatibility(reader, writer)
        assert result.compatibility is SchemaCompatibilityType.compatible, result.messages


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_has_a_predecessor_on_record(name: str) -> None:
    assert list((AVRO / "past" / name).glob("*.avsc"))


@pytest.mark.parametrize("name", NAMES)
def test_header_is_avros_single_object_encoding(name: str) -> None:
    """Marker and little-endian CRC-64-AVRO fingerprint, as the official package computes it."""
    fingerprint = _parse(AVRO / f"{name}.avsc").fingerprint("CRC-64-AVRO")
    assert codec(name)._header == b"\xc3\x01" + fingerprint


def test_the_official_reader_reads_what_we_write() -> None:
    record = track("p1", event("e1", n=1), session_id="s1")
    data = encode_inbound(record)
    schema = _parse(AVRO / "inbound.avsc")
    decoder = avro.io.BinaryDecoder(io.BytesIO(data[HEADER_BYTES:]))
    read: Any = avro.io.DatumReader(schema).read(decoder)
    assert read["profile_id"] == "p1"
    assert read["body"]["events"][0]["properties"] == b'{"n":1}'


@pytest.mark.parametrize(
    "body",
    [
        (PATCH, {"cause": "run-1", "operations": b"[]"}),
        (MERGE, {"loser_id": "p2", "loser_version": 3, "snapshot": b"{}", "step": "data", "reason": b"{}"}),
        (
            REFUSED,
            {
                "reason": "not_json",
                "detail": "",
                "body": b"\x00\xff",
                "body_sha256": None,
                "body_size": 2,
                "headers": b"{}",
                "key": b"\xff",
                "time_ms": 5,
                "meta": b'{"topic":"t"}',
            },
        ),
    ],
    ids=["patch", "merge", "refused"],
)
def test_every_body_survives(body: Any) -> None:
    record: Inbound = {
        **track("p1", event("e1")),
        "body": body,
        "sent_as": "p0",
        "first_at": "1/2/3",
        "forwarded_for": None,
    }
    assert decode_inbound(encode_inbound(record)) == record


@pytest.mark.parametrize("data", [b"", b"\xc3\x01", b"{}", b"\xc3\x01" + bytes(8) + b"x"])
def test_foreign_bytes_are_told_apart(data: bytes) -> None:
    with pytest.raises(CodecError, match="inbound"):
        decode_inbound(data)


@pytest.mark.parametrize("cut", [-1, 11, 40])
def test_damaged_bytes_are_told_apart(cut: int) -> None:
    data = encode_inbound(track("p1", event("e1", n=1)))
    with pytest.raises(CodecError, match="broken"):
        decode_inbound(data[:cut])
    with pytest.raises(CodecError, match="too many"):
        decode_inbound(data + b"x")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_goes_through_edge_codec_and_pipeline(path: Path) -> None:
    payload = admit(path.read_bytes(), Limits())
    taken = inbound(
        payload,
        catalogue=Catalogue(),
        payload_id=None,
        now_ms=NOW_MS,
        origin="rest",
        request=b"{}",
        new_id=lambda now: ids.derived("test", str(now)),
    )
    records = list(decode([LogRecord(0, 0, NOW_MS, taken.key, encode_inbound(taken.record))]))
    state = State(epoch=1, progress={}, profiles={}, sessions={}, events={}, replayed={})
    outcome = process(records, state, Definitions(-1, {}))
    sent = json.loads(path.read_bytes())
    assert not outcome.batch.dead_letters
    assert [json.loads(stored.doc)["properties"] for stored in outcome.batch.events] == [
        one["properties"] for one in sent["events"]
    ]
    assert len(outcome.batch.profiles) == (0 if sent.get("profile_less") else 1)


def test_topic_names_are_unique_and_carry_the_namespace() -> None:
    names = [topic.name("acme") for topic in TOPICS]
    assert len(set(names)) == len(names)
    assert all(name.startswith("acme.") for name in names)
