"""A message becomes a record with ids of its own coordinates, or a refusal that has all of it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.base import Delivery, Headers
from bridges.convert import Converter
from hub.definitions.catalogue import Catalogue
from hub.edge.mapping import ID_HEADER, compile_mapping
from hub.edge.times import END_MS, FIRST_MS
from hub.pipeline.records import decode
from hub.settings import Limits
from schemas.codec import decode_inbound
from schemas.records import REFUSED, Inbound
from schemas.topics import MAX_RECORD_BYTES
from tests.factories import log

NOW_MS = 1_780_000_000_000
UUID = "0190b5a0-0000-7000-8000-000000000001"


def catalogue() -> Catalogue:
    made = Catalogue()
    for number, (id, spec) in enumerate({"shop": {}, "web": {"type": ["rest"]}, "off": {"enabled": False}}.items()):
        made.apply(f"source/{id}".encode(), json.dumps({"spec": spec, "updated_at_ms": 0}).encode(), number)
    return made


def converter(mapping: dict[str, Any] | None = None, **changes: Any) -> Converter:
    settings: dict[str, Any] = {"bridge": "b1", "kind": "kafka", "source": "shop", "catalogue": catalogue()}
    compiled = None if mapping is None else compile_mapping(mapping)
    return Converter(**{**settings, "mapping": compiled, "limits": Limits(), **changes})


def record(delivery: Delivery, mapping: dict[str, Any] | None = None, now_ms: int = NOW_MS, **changes: Any) -> Inbound:
    return decode_inbound(converter(mapping, **changes).convert(delivery, now_ms).value)


def delivery(body: bytes = b'{"events": [{"type": "a"}]}', position: str = "t/0/1", **more: Any) -> Delivery:
    return Delivery(body, position, **{"time_ms": 1000, **more})


def test_ids_come_from_the_coordinates_and_the_brokers_time() -> None:
    one = record(delivery())
    assert one == record(delivery())
    assert one["id"] == record(delivery(), now_ms=NOW_MS + 1)["id"]
    others = [record(delivery(position="t/0/2")), record(delivery(time_ms=2000)), record(delivery(), source="off")]
    assert one["id"] not in {other["id"] for other in others}
    assert one["origin"] == "bridge:b1:t/0/1"


@pytest.mark.parametrize("time_ms", [2**64, 1_780_000_000_000_000_000, END_MS, FIRST_MS - 1, -(2**70)])
def test_a_time_that_no_event_can_have_costs_neither_the_event_nor_the_letter(time_ms: int) -> None:
    """Of a producer that counts nanoseconds, say; the collector would take such a record for rubbish."""
    kept = END_MS - 1 if time_ms > 0 else FIRST_MS
    found = decode(log(record(delivery(time_ms=time_ms))))
    assert [event["time_ms"] for one in found for event in one.events] == [kept]
    kind, letter = record(delivery(b"junk", time_ms=time_ms))["body"]
    assert kind == REFUSED
    assert letter["time_ms"] == kept
    assert msgspec.json.decode(letter["meta"] or b"")["timestamp"] == time_ms
    assert record(delivery(time_ms=time_ms))["id"] != record(delivery(time_ms=kept))["id"]


def test_an_event_without_a_time_happened_when_the_broker_got_it() -> None:
    _, body = record(
        delivery(b'{"events": [{"type": "a"}, {"type": "b", "time": {"create": "2026-01-01T00:00:00Z"}}]}')
    )["body"]
    assert [event["time_ms"] for event in body["events"]] == [1000, 1_767_225_600_000]  # type: ignore[typeddict-item]


def test_what_a_bridge_has_decoded_counts_instead_of_the_body() -> None:
    made = record(delivery(b"\x00avro", json=b'{"n": 7}'), {"event": {"type": "'made'", "properties": "@"}})
    [event] = made["body"][1]["events"]  # type: ignore[typeddict-item]
    assert json.loads(event["properties"]) == {"n": 7}


def test_what_a_bridge_cannot_decode_is_refused_with_its_own_bytes() -> None:
    kind, body = record(delivery(b"\x00avro", fault="the registry has no schema 7"))["body"]
    assert (kind, body["body"], body["reason"]) == (REFUSED, b"\x00avro", "undecodable_message")  # type: ignore[typeddict-item]
    assert body["detail"] == "the registry has no schema 7"  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ([(ID_HEADER, UUID.upper().encode())], True),
        ([("x", b"1"), (ID_HEADER, UUID.encode())], True),
        ([(ID_HEADER, b"7")], False),
        ([(ID_HEADER, b"\xff")], False),
        ([(ID_HEADER, None)], False),
    ],
)
def test_a_sender_may_give_the_id_in_a_header(headers: Headers, own: bool) -> None:
    assert (record(delivery(headers=headers))["id"] == UUID) is own


@pytest.mark.parametrize(
    ("source", "reason"),
    [("nobody", "unknown_source"), ("off", "disabled_source"), ("web", "source_type"), ("@x", "source_type")],
)
def test_a_source_that_may_not_send_is_refused_under_its_own_name(source: str, reason: str) -> None:
    refused = record(delivery(json.dumps({"source": {"id": source}, "events": [{"type": "a"}]}).encode()))
    assert refused["body"][0] == REFUSED
    assert refused["body"][1]["reason"] == reason  # type: ignore[typeddict-item]
    assert refused["source"] == source


def test_the_bridges_source_is_for_messages_that_name_none() -> None:
    for body in (b'{"events": []}', b'{"source": null, "events": []}'):
        assert record(delivery(body))["source"] == "shop"
    assert record(delivery(b'{"source": "web", "events": [{"type": "a"}]}'))["source"] == "web"


def test_a_message_that_does_not_map_is_refused_with_all_it_had() -> None:
    mapping = {"event": {"type": "'a'", "properties": {"n": "number(n)"}}}
    headers = [("h", b"\x00\xff"), ("h", b"2"), ("n", None)]
    refused = record(delivery(b'{"n": "x"}', headers=headers), mapping)
    _, body = refused["body"]
    assert body["reason"] == "mapping_failed"  # type: ignore[typeddict-item]
    assert "event.properties.n" in body["detail"]  # type: ignore[typeddict-item]
    assert body["body"] == b'{"n": "x"}'  # type: ignore[typeddict-item]
    assert msgspec.json.decode(body["headers"]) == {"h": "\x00\xff", "h (2)": "2", "n": ""}  # type: ignore[typeddict-item]


def test_a_mapping_sees_the_messages_key_headers_and_position() -> None:
    mapping = {
        "profile": "meta('key')",
        "event": {"type": "meta('headers').kind", "properties": {"p": "meta('position')"}},
    }
    made = record(delivery(b"{}", key=b"k", headers=[("kind", b"seen")]), mapping)
    event = made["body"][1]["events"][0]  # type: ignore[typeddict-item]
    assert (made["profile_id"], event["type"], event["properties"]) == ("k", "seen", b'{"p":"t/0/1"}')


def test_several_events_of_a_message_keep_their_ids_at_a_redelivery() -> None:
    mapping = {"profile": "who", "events": [{"each": "items", "type": "kind"}, {"type": "'order'"}]}
    body = b'{"who": "ann", "items": [{"kind": "tea"}, {"kind": "tea"}]}'
    made = record(delivery(body), mapping)
    events = made["body"][1]["events"]  # type: ignore[typeddict-item]
    assert [event["type"] for event in events] == ["tea", "tea", "order"]
    assert len({event["id"] for event in events}) == 3
    assert made == record(delivery(body), mapping)
    assert converter(mapping).convert(delivery(body), NOW_MS).events == 3


@pytest.mark.parametrize(
    ("mapping", "body"),
    [
        ({"when": "kind == 'sale'", "profile": "require(who)", "event": {"type": "kind"}}, b'{"kind": "test"}'),
        ({"profile": "who", "event": {"when": "n", "type": "'a'"}}, b'{"who": "ann"}'),
        ({"skip_empty": True, "event": {"type": "'a'"}}, b""),
    ],
)
def test_a_message_that_is_to_be_dropped_is_a_record_without_events(mapping: dict[str, Any], body: bytes) -> None:
    """So that it is counted, as dropped, from the log like everything else."""
    converted = converter(mapping).convert(delivery(body), NOW_MS)
    assert (converted.reason, converted.events) == (None, 1)
    made = decode_inbound(converted.value)
    assert (made["source"], made["body"][1]["events"]) == ("shop", [])  # type: ignore[typeddict-item]


def test_a_body_that_is_not_what_the_mapping_says_is_refused_with_its_bytes() -> None:
    refused = record(delivery(b"caf\xe9"), {"format": "text", "event": {"type": "@"}})
    assert refused["body"][0] == REFUSED
    assert "not utf-8, at byte 3" in refused["body"][1]["detail"]  # type: ignore[typeddict-item]
    assert refused["body"][1]["body"] == b"caf\xe9"  # type: ignore[typeddict-item]
    made = record(delivery(b"caf\xe9"), {"format": "text", "charset": "latin-1", "event": {"type": "@"}})
    assert made["body"][1]["events"][0]["type"] == "café"  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "body", [b'{"a": 1, "a": 2}', b'{"a": 9223372036854775808}', b'{"a": "\\u0000"}', b"nope", b""]
)
def test_a_mapped_message_is_read_as_strictly_as_a_payload(body: bytes) -> None:
    assert record(delivery(body), {"event": {"type": "'a'"}})["body"][0] == REFUSED


def test_what_is_too_large_for_a_record_goes_to_the_store() -> None:
    body = b'"' + b"x" * Limits().body_bytes + b'"'
    converted = converter().convert(delivery(body), NOW_MS)
    assert (converted.reason, converted.blob) == ("body_too_large", body)
    refused = decode_inbound(converted.value)["body"][1]
    assert (refused["body"], refused["body_size"]) == (b"", len(body))  # type: ignore[typeddict-item]


@given(
    st.binary(max_size=200) | st.sampled_from([b"{}", b"[]", b"null", b'{"events":[{}]}', b'{"events":1}']),
    st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=4),
    st.booleans(),
)
def test_whatever_comes_becomes_a_record(body: bytes, headers: Headers, mapped: bool) -> None:
    mapping = {"event": {"type": "a", "properties": "@"}} if mapped else None
    made = converter(mapping).convert(delivery(body, headers=headers), NOW_MS)
    assert decode_inbound(made.value)["source"] == "shop"


def test_huge_headers_still_fit_into_a_record() -> None:
    headers = [(f"name{n}", b"\x00" * 60_000) for n in range(40)]
    made = converter().convert(delivery(b"x" * 1_000_000, headers=headers), NOW_MS)
    assert len(made.value) < MAX_RECORD_BYTES
