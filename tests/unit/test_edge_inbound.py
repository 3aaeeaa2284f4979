"""Ids and records: the same payload is the same events, whoever hands it in again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hub.definitions.catalogue import Catalogue
from hub.edge.admit import admit
from hub.edge.inbound import Taken, check_source, inbound, refused
from hub.errors import InvalidPayload
from hub.ids import derived, is_uuid, ordered
from hub.settings import Limits
from schemas.codec import decode_inbound, encode_inbound

NOW_MS = 1_795_533_660_000
NOT_FORWARDED: Any = {"sent_as": None, "first_at": None, "forwarded_for": None}
CATALOGUE = Catalogue(b"key")
CATALOGUE.offset = 3


def take(payload_id: str | None = None, **fields: Any) -> Taken:
    payload = {"source": "shop", "events": [{"type": "a"}, {"type": "b"}], **fields}
    return inbound(
        admit(json.dumps(payload).encode(), Limits()),
        catalogue=CATALOGUE,
        payload_id=payload_id,
        now_ms=NOW_MS,
        origin="rest",
        request=b'{"ip":"127.0.0.1"}',
        new_id=ordered,
    )


def event_ids(taken: Taken) -> list[str]:
    return [event["id"] for event in taken.record["body"][1]["events"]]  # type: ignore[typeddict-item]


def test_the_record_survives_its_codec():
    taken = take("p", session={"id": "s"}, profile={"id": "u"}, context={"a": 1}, request={"b": 2, "ip": "forged"})
    record = decode_inbound(encode_inbound(taken.record))
    assert record == taken.record | NOT_FORWARDED
    assert (record["id"], record["profile_id"], record["received_at_ms"]) == ("p", "u", NOW_MS)
    assert (record["definitions_offset"], record["origin"], taken.key) == (3, "rest", b"u")
    assert json.loads(record["body"][1]["request"]) == {"b": 2, "ip": "127.0.0.1"}  # type: ignore[typeddict-item]


def test_the_payloads_own_id_goes_before_any_other():
    assert take("from-header", id="own").record["id"] == "own"
    assert take("from-header", messageId="own").record["id"] == "own"
    assert take("from-header").record["id"] == "from-header"
    assert is_uuid(take().record["id"])
    assert take().record["id"] != take().record["id"]


def test_a_retry_makes_no_second_event_and_no_ghost_profile():
    first, second = take("order-7"), take("order-7")
    assert first == second
    assert len(set(event_ids(first))) == 2
    assert is_uuid(first.profile_id)


def test_payload_ids_of_two_sources_do_not_meet_unless_they_are_uuids():
    assert not set(event_ids(take("1"))) & set(event_ids(take("1", source="other")))
    assert take("1").profile_id != take("1", source="other").profile_id
    name = derived("test", "x")
    assert event_ids(take(name)) == event_ids(take(name, source="other"))


def test_the_profile_is_the_payloads_else_the_sessions_else_the_payload_ids():
    assert take(profile={"id": "u"}, session={"id": "s"}).profile_id == "u"
    assert take(session={"id": "s"}).profile_id == derived("session", "s")
    assert take("a").profile_id != take("b").profile_id


def test_a_payload_without_profile_is_keyed_by_its_own_id():
    taken = take("x", profile_less=True, profile={"id": "u"}, session={"id": "s"})
    assert (taken.key, taken.profile_id, taken.record["profile_id"], taken.session_id) == (b"x", "", "", "s")


def test_a_refusal_keeps_the_original_bytes_and_headers():
    error = InvalidPayload("bad_time", "no such time", "events[3].time.create", "shop")
    common: dict[str, Any] = {
        "headers": {"trace": b"\xff\x00"},
        "origin": "bridge:b:0/7",
        "source": "queue",
        "now_ms": NOW_MS,
        "definitions_offset": 3,
    }
    key, record = refused(error, body=b"\xff{", **common)
    assert decode_inbound(encode_inbound(record)) == record | NOT_FORWARDED
    assert (key, record["profile_id"], record["source"]) == (record["id"].encode(), "", "shop")
    body: Any = record["body"][1]
    assert (body["reason"], body["body"], body["body_size"]) == ("bad_time", b"\xff{", 2)
    assert "events[3].time.create" in body["detail"]
    assert json.loads(body["headers"])["trace"].encode("latin-1") == b"\xff\x00"
    assert refused(error, body=b"\xff{", **common)[0] == key, "a redelivery makes the same letter"
    large: Any = refused(error, body=b"x" * 9, body_sha256="ab", **common)[1]["body"][1]
    assert (large["body"], large["body_sha256"], large["body_size"]) == (b"", "ab", 9)
    assert refused(InvalidPayload("not_json", "?"), body=b"", **common)[1]["source"] == "queue"


def test_who_may_send_through_which_door():
    catalogue = Catalogue()
    for offset, (id, spec) in enumerate(
        {"shop": {}, "off": {"enabled": False}, "queue": {"type": ["bridge"]}, "@own": {}}.items()
    ):
        document = json.dumps({"spec": spec, "updated_at_ms": 0}).encode()
        catalogue.apply(f"source/{id}".encode(), document, offset)
    assert check_source("shop", catalogue, "rest").enabled
    assert check_source("queue", catalogue, "bridge").enabled
    for id, reason in [
        ("off", "disabled_source"),
        ("queue", "source_type"),
        ("@own", "source_type"),
        ("none", "unknown_source"),
        ("", "unknown_source"),
    ]:
        with pytest.raises(InvalidPayload) as caught:
            check_source(id, catalogue, "rest")
        assert (caught.value.reason, caught.value.status, caught.value.source) == (reason, 401, id)


def test_a_payload_without_ids_is_the_person_whom_an_identification_point_finds():
    """Every message of one address goes to one profile, however it is written, and the id tells nobody the address."""
    catalogue = Catalogue(b"key")
    point = {"event_type": "a", "identifiers": [{"event": "properties.email", "kind": "email"}]}
    value = json.dumps({"spec": point, "updated_at_ms": 0}).encode()
    catalogue.apply(b"identification-point/mail", value, 0)

    def profile_id(catalogue: Catalogue, **payload: Any) -> str:
        body = json.dumps({"source": "shop", **payload}).encode()
        taken = inbound(
            admit(body, Limits()),
            catalogue=catalogue,
            payload_id=None,
            now_ms=NOW_MS,
            origin="rest",
            request=b"{}",
            new_id=ordered,
        )
        return taken.profile_id

    def event(email: Any, type: str = "a") -> dict[str, Any]:
        return {"type": type, "properties": {"email": email}}

    ann = profile_id(catalogue, events=[event("Ann@Example.com ")])
    assert ann == profile_id(catalogue, events=[event(None), event("ann@example.com")])
    assert ann != profile_id(catalogue, events=[event("bob@example.com")])
    assert ann != profile_id(catalogue, events=[event("ann@example.com", "b")])
    assert profile_id(catalogue, events=[event("ann@example.com")], session={"id": "s"}) == derived("session", "s")
    other_key = Catalogue(b"other")
    other_key.apply(b"identification-point/mail", value, 0)
    assert ann != profile_id(other_key, events=[event("ann@example.com")])


def times(origin: str = "rest", **fields: Any) -> list[int | None]:
    payload = {"source": "shop", "events": [{"type": "a", "time": {"create": NOW_MS - 5000}}, {"type": "b"}], **fields}
    taken = inbound(
        admit(json.dumps(payload).encode(), Limits()),
        catalogue=CATALOGUE,
        payload_id=None,
        now_ms=NOW_MS,
        origin=origin,
        request=b"{}",
        new_id=ordered,
    )
    return [event["time_ms"] for event in taken.record["body"][1]["events"]]  # type: ignore[typeddict-item]


@pytest.mark.parametrize("name", ["sentAt", "sent_at"])
@pytest.mark.parametrize(
    ("sent_ms", "expected_ms"),
    [
        (NOW_MS - 3_600_000, NOW_MS - 5000 + 3_600_000),
        (NOW_MS + 7_200_300, NOW_MS - 5000 - 7_200_000),
        (NOW_MS - 59_999, NOW_MS - 5000),
    ],
)
def test_a_clock_that_is_wrong_by_more_than_a_minute_is_corrected(name: str, sent_ms: int, expected_ms: int) -> None:
    more: dict[str, Any] = {name: sent_ms}
    assert times(**more) == [expected_ms, None]


def test_what_has_lain_in_a_queue_says_nothing_of_its_senders_clock() -> None:
    assert times("bridge:orders:0/7", sentAt=NOW_MS - 3_600_000) == [NOW_MS - 5000, None]


def test_a_time_of_sending_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidPayload) as refused:
        times(sentAt="yesterday")
    assert (refused.value.reason, refused.value.where) == ("bad_time", "sentAt")
