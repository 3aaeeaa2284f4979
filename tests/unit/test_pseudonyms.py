"""Values that go onto the log as hashes, and identification points that still know whose they are."""

from __future__ import annotations

from typing import Any

import msgspec

from hub.definitions.catalogue import Catalogue
from hub.edge.admit import admit
from hub.edge.identifiers import Identifier, Line, identifiers
from hub.edge.inbound import inbound
from hub.settings import Limits
from schemas.records import TRACK, Event

KEY = b"0123456789abcdef"
FIELDS = [
    {"event": "properties.email", "kind": "email"},
    {"event": "properties.card.0.number"},
    {"event": "context.phone", "kind": "phone", "region": "GB"},
]


def catalogue(**spec: Any) -> Catalogue:
    made = Catalogue(KEY)
    document = {"spec": {"fields": FIELDS, **spec}, "updated_at_ms": 0}
    made.apply(b"pseudonym/mine", msgspec.json.encode(document), 0)
    return made


def sent(made: Catalogue, type: str = "order", source: str = "shop", **parts: Any) -> tuple[Event, bytes]:
    body = {"source": {"id": source}, "profile": {"id": "p1"}, "events": [{"type": type, **parts}]}
    payload = admit(msgspec.json.encode(body), Limits())
    taken = inbound(
        payload, catalogue=made, payload_id="a", now_ms=1, origin="rest", request=b"{}", new_id=lambda _: "x"
    )
    assert taken.record["body"][0] == TRACK
    (event,) = taken.record["body"][1]["events"]
    return event, event["properties"] + event["context"]


def test_nothing_of_a_value_is_on_the_log() -> None:
    event, raw = sent(
        catalogue(),
        properties={"email": "Ann.Lee@Example.com", "card": [{"number": 4111111111111111}], "n": 1},
        context={"phone": "020 7946 0123", "page": "/"},
    )
    for secret in (b"ann", b"Ann", b"example", b"4111", b"7946"):
        assert secret not in raw
    properties, context = msgspec.json.decode(event["properties"]), msgspec.json.decode(event["context"])
    assert properties["n"] == 1
    assert context["page"] == "/"
    assert properties["email"].startswith("pseudonym:email:")
    assert properties["card"][0]["number"].startswith("pseudonym:id:")


def test_an_identification_point_knows_a_pseudonym_as_it_knew_the_value() -> None:
    line = Line("mail", "", ("properties", "email"), "email", "", "")
    plain = {"properties": {"email": "ann.lee@example.com"}}
    found: list[Identifier] = []
    for written in ("Ann.Lee@Example.com", " ann.lee@EXAMPLE.com", "mailto:ann.lee@example.com"):
        event, _ = sent(catalogue(), properties={"email": written})
        found += identifiers([line], "shop", {"properties": msgspec.json.decode(event["properties"])}, KEY)[0]
    assert set(found) == set(identifiers([line], "shop", plain, KEY)[0])
    other = line._replace(kind="id")
    assert identifiers([other], "shop", {"properties": msgspec.json.decode(event["properties"])}, KEY)[0] == []


def test_what_is_none_of_the_kind_is_hashed_all_the_same() -> None:
    values = ["n/a", "", "x" * 5_000, {"deep": ["secret"]}, True, 3.5]
    tokens = []
    for value in values:
        event, raw = sent(catalogue(), properties={"email": value})
        assert b"secret" not in raw
        tokens.append(msgspec.json.decode(event["properties"])["email"])
    assert all(token.startswith("pseudonym:text:") for token in tokens)
    assert len(set(tokens)) == len(values)


def test_only_events_that_it_is_for() -> None:
    made = catalogue(event_type="order", source="shop")
    plain = {"email": "a@b.com"}
    assert b"a@b.com" not in sent(made, properties=plain)[1]
    assert b"a@b.com" in sent(made, "view", properties=plain)[1]
    assert b"a@b.com" in sent(made, source="app", properties=plain)[1]
    assert b"a@b.com" in sent(catalogue(enabled=False), properties=plain)[1]
    odds: list[dict[str, Any]] = [{"card": "x"}, {"card": []}, {"card": {"0": 1}}, {"email": None}]
    for odd in odds:
        assert msgspec.json.decode(sent(made, properties=odd)[0]["properties"]) == odd


def test_nor_is_it_in_what_a_payload_says_around_its_events() -> None:
    """Its context counts for each of them, and both go into its session."""
    body = {
        "source": {"id": "shop"},
        "profile": {"id": "p1"},
        "context": {"phone": "020 7946 0123", "email": "a@b.com"},
        "properties": {"email": "ann@example.com", "phone": "1"},
        "events": [{"type": "view"}, {"type": "order"}],
    }
    payload = admit(msgspec.json.encode(body), Limits())

    def around(made: Catalogue) -> tuple[dict[str, Any], dict[str, Any]]:
        record = inbound(
            payload, catalogue=made, payload_id="a", now_ms=1, origin="rest", request=b"{}", new_id=lambda _: "x"
        ).record
        assert record["body"][0] == TRACK
        track = record["body"][1]
        return msgspec.json.decode(track["context"]), msgspec.json.decode(track["properties"])

    context, properties = around(catalogue(event_type="order"))
    assert context == {"phone": context["phone"], "email": "a@b.com"}
    assert context["phone"].startswith("pseudonym:phone:")
    assert properties == {"email": properties["email"], "phone": "1"}
    assert properties["email"].startswith("pseudonym:email:")
    of_others = catalogue(event_type="invoice")
    assert around(of_others) == (body["context"], body["properties"])


def test_a_message_that_comes_again_is_the_same() -> None:
    first, _ = sent(catalogue(), properties={"email": "a@b.com"})
    again, _ = sent(catalogue(), properties=msgspec.json.decode(first["properties"]))
    assert first["properties"] == again["properties"]
