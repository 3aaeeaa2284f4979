"""What other vendors' clients send, as payloads: requests as they were seen on the wire, shortened."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Source
from hub.definitions.write_keys import source_of, taken
from hub.edge.clocks import ON_TIME_MS, corrected
from hub.edge.inbound import inbound
from hub.edge.mapping.library import document_of
from hub.edge.payload import Payload
from hub.edge.vendors import cloudevents, posthog, segment
from hub.edge.vendors.wire import Converted, document
from hub.errors import InvalidPayload
from hub.ids import derived, ordered
from hub.model import OUTLIERS
from hub.pipeline.records import lookup_partitions
from hub.settings import Limits
from schemas.codec import encode_inbound
from schemas.records import Inbound

NOW_MS = 1_795_641_148_600  # 2026-11-25T21:12:28.600Z
EVENT_MS = 1_795_641_148_455
LIMITS = Limits()


def of_segment(body: Any, call: str = segment.BATCH, limits: Limits = LIMITS) -> list[Payload]:
    found = document(json.dumps(body).encode(), limits)
    return segment.convert(found, call, source_id="shop", now_ms=NOW_MS, limits=limits).payloads


def of_posthog(body: Any, by_event: bool = False, sent_at: str | None = None) -> Converted:
    found = document(json.dumps(body).encode(), LIMITS)
    return posthog.convert(found, sent_at=sent_at, by_event=by_event, source_id="shop", now_ms=NOW_MS, limits=LIMITS)


def of_cloudevents(headers: dict[str, str], body: bytes) -> list[Payload]:
    named = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return cloudevents.convert(named, body, source_id="shop", limits=LIMITS).payloads


def said(payload: Payload) -> dict[str, Any]:
    event = payload.events[0]
    return {
        "profile": payload.profile_id,
        "session": payload.session_id,
        "id": event.client_id,
        "type": event.type,
        "time": event.time_ms,
        "properties": json.loads(event.properties),
        "context": json.loads(event.context),
        "options": json.loads(event.options),
    }


SEGMENT_NODE = {
    "batch": [
        {
            "timestamp": "2026-11-25T21:12:28.455Z",
            "integrations": {},
            "event": "Order Done",
            "type": "track",
            "properties": {"a": 1},
            "context": {"library": {"name": "@segment/analytics-node"}},
            "userId": "u1",
            "anonymousId": "an1",
            "messageId": "node-next-1795641148455-2d04986c",
            "_metadata": {"nodeVersion": "v20.20.2", "retryCount": 2},
        },
        {
            "timestamp": "2026-11-25T21:12:28.456Z",
            "userId": "u1",
            "type": "alias",
            "previousId": "an1",
            "context": {},
            "messageId": "fee22f11-cc20-48a7-bd5b-cc5be883dfb0",
        },
    ],
    "writeKey": "wk",
    "sentAt": "2026-11-25T21:12:28.546Z",
}


def test_a_batch_of_segment_calls():
    track, alias = map(said, of_segment(SEGMENT_NODE))
    assert track == {
        "profile": "u1",
        "session": None,
        "id": "node-next-1795641148455-2d04986c",
        "type": "order-done",
        "time": EVENT_MS,
        "properties": {"a": 1},
        "context": {"library": {"name": "@segment/analytics-node"}, "userId": "u1", "anonymousId": "an1"},
        "options": {"integrations": {}},
    }
    assert (alias["type"], alias["profile"], alias["time"]) == ("alias", "u1", EVENT_MS + 1)
    assert alias["properties"] == {"previousId": "an1", "userId": "u1"}


@pytest.mark.parametrize(
    ("call", "message", "type", "properties"),
    [
        ("identify", {"userId": 17, "traits": {"email": "a@b.c"}}, "identify", {"email": "a@b.c"}),
        ("identify", {"userId": "17", "context": {"traits": {"e": 1}}}, "identify", {"e": 1}),
        ("group", {"userId": "17", "groupId": "g1", "traits": {"n": 1}}, "group", {"n": 1, "groupId": "g1"}),
        ("page", {"userId": "17", "name": "Home", "properties": {"url": "x"}}, "page", {"url": "x", "name": "Home"}),
        ("screen", {"userId": "17", "name": "S", "category": "C"}, "screen", {"name": "S", "category": "C"}),
        ("track", {"userId": "17", "event": "Purchase", "name": "no", "properties": None}, "purchase", {}),
        ("track", {"userId": "17", "type": "page"}, "page", {}),
    ],
)
def test_single_calls_know_what_they_are_by_their_route(call, message, type, properties):
    (found,) = map(said, of_segment({"messageId": "m", **message}, call))
    assert (found["type"], found["properties"], found["profile"]) == (type, properties, "17")


def test_a_batch_has_a_context_and_integrations_for_all_its_calls():
    body = {
        "batch": [
            {"type": "track", "event": "a", "anonymousId": "an", "context": {"ip": "192.0.2.1"}},
            {"type": "track", "event": "b", "anonymousId": "an", "integrations": {"X": True}},
        ],
        "context": {"ip": "192.0.2.9", "app": "x"},
        "integrations": {"All": False},
    }
    first, second = map(said, of_segment(body))
    assert first["context"] == {"ip": "192.0.2.1", "app": "x", "anonymousId": "an"}
    assert (first["options"], second["options"]) == ({"integrations": {"All": False}}, {"integrations": {"X": True}})
    assert second["context"]["ip"] == "192.0.2.9"


def test_a_call_is_what_the_ready_made_mapping_makes_of_it():
    """A queue that carries Segment's calls and this door agree, so that an event that takes both is stored once."""
    mapping = document_of("segment")
    for case in mapping["tests"]:
        if "expect" not in case:
            continue
        (found,) = of_segment({**case["message"]}, "track")
        wanted = case["expect"]
        event = wanted["events"][0]
        assert said(found)["properties"] == event["properties"], case["name"]
        assert said(found)["context"] == event["context"], case["name"]
        assert (found.profile_id, found.id) == (wanted["profile"]["id"], wanted["id"])
        assert found.session_id == wanted.get("session", {}).get("id")


@pytest.mark.parametrize(
    ("body", "reason", "where"),
    [
        ([], "not_json", ""),
        ({}, "wrong_type", "batch"),
        ({"batch": [1]}, "wrong_type", "batch[0]"),
        ({"batch": [{"type": "page"}, {"type": "track"}]}, "missing_field", "batch[1].event"),
        ({"batch": [{"type": "dance"}]}, "wrong_type", "batch[0].type"),
        ({"batch": [{"type": "track", "event": "a", "timestamp": "soon"}]}, "bad_time", "batch[0].timestamp"),
        ({"batch": [{"type": "track", "event": "a", "userId": {}}]}, "wrong_type", "batch[0].userId"),
        ({"batch": [{"type": "track", "event": "a", "properties": [1]}]}, "wrong_type", "batch[0].properties"),
        ({"batch": [{"type": "page"}] * 1001}, "too_many_events", "batch"),
        ({"batch": [{"type": "page", "properties": {"x": "y" * 300_000}}]}, "event_too_large", "batch[0]"),
    ],
)
def test_a_refusal_names_the_message(body, reason, where):
    with pytest.raises(InvalidPayload) as refused:
        of_segment(body)
    assert (refused.value.reason, refused.value.where) == (reason, where)


@pytest.mark.parametrize("text", [b'{"a":1,"a":2}', b'{"a":"\\u0000"}', b'{"a":12345678901234567890}', b"{", b"\xff"])
def test_what_track_would_not_take_is_not_taken_here_either(text):
    with pytest.raises(InvalidPayload):
        document(text, LIMITS)


def test_where_a_write_key_may_stand():
    assert segment.write_key({"writeKey": "k"}) == "k"
    assert segment.write_key({"batch": [{"writeKey": "k"}]}) == "k"
    assert segment.write_key([{"writeKey": "k"}]) == segment.write_key({"batch": []}) == ""
    for body in (
        {"api_key": "k"},
        {"token": "k"},
        {"properties": {"token": "k"}},
        [{"properties": {"token": "k"}}],
        {"batch": [{"properties": {"token": "k"}}]},
    ):
        assert posthog.write_key(body) == "k"
    assert posthog.write_key([]) == posthog.write_key(3) == posthog.write_key({"batch": []}) == ""


HOUR_MS = 3_600_000


def test_a_clock_that_is_an_hour_slow_is_corrected():
    slow = {**SEGMENT_NODE, "sentAt": "2026-11-25T20:12:28.600Z"}
    slow["batch"] = [{**SEGMENT_NODE["batch"][0], "timestamp": "2026-11-25T20:12:28.455Z"}]
    (found,) = map(said, of_segment(slow))
    assert found["time"] == EVENT_MS


@given(st.integers(-10_000_000, 10_000_000), st.integers(0, 100_000_000))
def test_corrected_times_are_off_by_less_than_the_network(ahead_ms, age_ms):
    happened, sent = NOW_MS - age_ms, NOW_MS
    found = corrected(happened + ahead_ms, sent + ahead_ms, NOW_MS)
    assert found is not None
    assert abs(found - happened) < ON_TIME_MS


def test_clocks_that_say_nothing_or_nonsense_correct_nothing():
    assert corrected(None, 5, NOW_MS) is None
    assert corrected(5, None, NOW_MS) == 5
    assert corrected(-62_135_596_800_000, NOW_MS + HOUR_MS, NOW_MS) == -62_135_596_800_000
    (found,) = of_segment({**SEGMENT_NODE, "batch": SEGMENT_NODE["batch"][:1], "sentAt": "yesterday"})
    assert found.events[0].time_ms == EVENT_MS


def test_a_retry_whose_corrected_time_is_in_another_month_is_looked_for_there():
    end_ms = 1_796_083_200_000  # 2026-12-01
    slow_ms = 90_000
    first = corrected(end_ms - slow_ms - 10, end_ms - slow_ms, end_ms)
    again = corrected(end_ms - slow_ms - 10, end_ms - slow_ms + 5_000, end_ms + 6_000)
    assert first is not None
    assert again is not None
    assert first < end_ms < again
    assert {"2026-11", "2026-12"} <= {*lookup_partitions(first, end_ms)}
    assert {"2026-11", "2026-12"} <= {*lookup_partitions(again, end_ms + 6_000)}
    assert lookup_partitions(end_ms - HOUR_MS, end_ms) == ("2026-11", OUTLIERS)


POSTHOG_NODE = {
    "api_key": "phc_k",
    "batch": [
        {
            "event": "$identify",
            "properties": {"$set": {"email": "x"}, "$anon_distinct_id": "an1", "$session_id": "s1", "token": "phc_k"},
            "timestamp": "2026-11-25T21:12:28.455Z",
            "uuid": "01a2148d-8718-7d75-82b8-e053248ea543",
            "distinct_id": "d1",
        },
        {
            "timestamp": "2026-11-25T21:12:28.456Z",
            "distinct_id": "d1",
            "$set": {"email": "x"},
            "event": "$set",
            "properties": {"$lib": "posthog-python"},
            "uuid": "c80c5903-cbeb-4c5f-995a-284165b27846",
        },
    ],
    "sent_at": "2026-11-25T21:12:28.546Z",
}


def test_a_batch_of_posthog_events():
    identify, old_set = map(said, of_posthog(POSTHOG_NODE).payloads)
    assert identify == {
        "profile": "d1",
        "session": "s1",
        "id": "01a2148d-8718-7d75-82b8-e053248ea543",
        "type": "$identify",
        "time": EVENT_MS,
        "properties": {"$set": {"email": "x"}, "$anon_distinct_id": "an1", "$session_id": "s1"},
        "context": {"distinct_id": "d1"},
        "options": {},
    }
    assert old_set["properties"] == {"$set": {"email": "x"}, "$lib": "posthog-python"}


def test_posthog_events_of_a_browser():
    event = {"event": "$pageview", "properties": {"token": "k", "distinct_id": "d1"}, "uuid": "u", "offset": 1500}
    for body in (event, [event], {"batch": [event]}):
        (found,) = map(said, of_posthog(body).payloads)
        assert (found["profile"], found["time"], found["type"]) == ("d1", NOW_MS - 1500, "$pageview")
    ahead = {**event, "timestamp": "2026-11-25T22:12:28.455Z"}
    (found,) = map(said, of_posthog([ahead], sent_at=str(NOW_MS + HOUR_MS)).payloads)
    assert found["time"] == EVENT_MS
    honest = {**ahead, "properties": {**event["properties"], "$ignore_sent_at": True}}
    (found,) = map(said, of_posthog([honest], sent_at=str(NOW_MS + HOUR_MS)).payloads)
    assert found["time"] == EVENT_MS + HOUR_MS


def test_only_an_answer_by_event_leaves_events_out():
    body = {
        "batch": [{**POSTHOG_NODE["batch"][0], "options": {"x": 1}, "session_id": "s9"}, {"uuid": "bad", "event": "a"}]
    }
    converted = of_posthog(body, by_event=True)
    assert [said(payload)["options"] for payload in converted.payloads] == [{"x": 1}]
    assert converted.refused["bad"].where == "batch[1].distinct_id"
    with pytest.raises(InvalidPayload):
        of_posthog(body)


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "batch type event userId anonymousId messageId context traits properties timestamp sentAt groupId previousId name "
    "uuid distinct_id offset sent_at $set options session_id api_key token "
    "specversion id source subject time data data_base64 profileid sessionid"
)
MESSAGE = st.dictionaries(st.sampled_from(FIELDS.split()), ANY | st.sampled_from(["1.0", "track", "page"]))


@given(st.one_of(ANY, MESSAGE, st.fixed_dictionaries({"batch": st.lists(MESSAGE, max_size=3)}), st.lists(MESSAGE)))
def test_whatever_comes_is_taken_or_refused(body):
    """And what is taken fits into a record."""
    text = json.dumps(body).encode()
    assert isinstance(segment.write_key(body) + posthog.write_key(body), str)
    for make in (
        lambda: of_segment(body),
        lambda: of_segment(body, "track"),
        lambda: of_posthog(body).payloads,
        lambda: of_posthog(body, by_event=True).payloads,
        lambda: of_cloudevents(STRUCTURED, text),
        lambda: of_cloudevents({"Content-Type": cloudevents.BATCH}, text),
    ):
        try:
            payloads = make()
        except InvalidPayload:
            continue
        for payload in payloads:
            encode_inbound(recorded(payload))


def recorded(payload: Payload, now_ms: int = NOW_MS) -> Inbound:
    return inbound(
        payload,
        catalogue=Catalogue(b"key"),
        payload_id=None,
        now_ms=now_ms,
        origin="segment",
        request=b"{}",
        new_id=ordered,
    ).record


EVENT = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/s",
    "type": "com.example.Paid",
    "time": "2026-11-25T21:12:28.455Z",
}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=utf-8"}


def test_structured_and_binary_say_the_same():
    whole = {**EVENT, "subject": "p1", "ext1": "ü", "datacontenttype": "application/json", "data": {"a": 1}}
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    headers |= {"ce-subject": "p1", "ce-ext1": "%C3%BC", "Content-Type": "application/json"}
    structured, binary, many = (
        of_cloudevents(STRUCTURED, json.dumps(whole).encode()),
        of_cloudevents(headers, b'{"a": 1}'),
        of_cloudevents({"Content-Type": "application/cloudevents-batch+json"}, json.dumps([whole]).encode()),
    )
    assert said(structured[0]) == said(binary[0]) == said(many[0])
    assert structured[0].id == binary[0].id == many[0].id
    assert said(structured[0]) == {
        "profile": "p1",
        "session": None,
        "id": None,
        "type": "com.example.paid",
        "time": EVENT_MS,
        "properties": {"a": 1},
        "context": {
            "cloudevents": {
                "id": "A-1",
                "source": "/s",
                "subject": "p1",
                "ext1": "ü",
                "datacontenttype": "application/json",
            }
        },
        "options": {},
    }


def test_ids_of_two_cloudevent_sources_do_not_meet():
    ids = {
        of_cloudevents(STRUCTURED, json.dumps({**EVENT, "source": source, "id": id}).encode())[0].id
        for source, id in [("/a", "1"), ("/b", "1"), ("/a", "2"), ("/a1", "")]
        if id
    }
    assert len(ids) == 3


def test_an_event_has_the_ids_that_it_gets_through_a_queue():
    for case in document_of("cloudevents")["tests"]:
        if "expect" not in case or "meta" in case:
            continue
        (found,) = of_cloudevents(STRUCTURED, json.dumps(case["message"]).encode())
        assert found.id == case["expect"]["id"]
        assert said(found)["properties"] == case["expect"]["events"][0]["properties"]


@pytest.mark.parametrize(
    ("content_type", "body", "properties"),
    [
        ("application/json", b"[1]", {"data": [1]}),
        ("application/vnd.x+json", b'{"a":1}', {"a": 1}),
        ("text/plain", "ü".encode(), {"data": "ü"}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("application/octet-stream", b"\x00\xff", {"data_base64": base64.b64encode(b"\x00\xff").decode()}),
        ("", b"", {}),
    ],
)
def test_data_of_any_kind_is_kept(content_type, body, properties):
    headers = {f"ce-{name}": value for name, value in EVENT.items()}
    (found,) = of_cloudevents({**headers, **({"Content-Type": content_type} if content_type else {})}, body)
    assert said(found)["properties"] == properties


@pytest.mark.parametrize(
    ("event", "where"),
    [
        ({**EVENT, "specversion": "0.3"}, "specversion"),
        ({name: value for name, value in EVENT.items() if name != "id"}, "id"),
        ({**EVENT, "source": ""}, "source"),
        ({**EVENT, "time": "now"}, "time"),
        ({**EVENT, "type": None}, "type"),
    ],
)
def test_what_is_no_cloudevent(event, where):
    with pytest.raises(InvalidPayload) as refused:
        of_cloudevents(STRUCTURED, json.dumps(event).encode())
    assert refused.value.where == where
    with pytest.raises(InvalidPayload) as refused:
        of_cloudevents({"Content-Type": "application/cloudevents-batch+json"}, json.dumps([EVENT, event]).encode())
    assert refused.value.where == f"[1].{where}"


@pytest.mark.parametrize("value", ["%FF", "a%00"])
def test_headers_that_are_no_text_are_refused(value):
    headers = {f"ce-{name}": text for name, text in EVENT.items()}
    with pytest.raises(InvalidPayload) as refused:
        of_cloudevents({**headers, "ce-subject": value}, b"")
    assert refused.value.where == "ce-subject"


def test_a_message_that_is_sent_again_has_the_same_event_id():
    def ids(now_ms: int) -> list[str]:
        found = document(json.dumps(SEGMENT_NODE).encode(), LIMITS)
        payloads = segment.convert(found, "batch", source_id="shop", now_ms=now_ms, limits=LIMITS).payloads
        records = [recorded(payload, now_ms) for payload in payloads]
        return [record["body"][1]["events"][0]["id"] for record in records]  # type: ignore[typeddict-item]

    assert ids(NOW_MS) == ids(NOW_MS + HOUR_MS)
    assert ids(NOW_MS) == [
        derived("event", "shop", "node-next-1795641148455-2d04986c"),
        "fee22f11-cc20-48a7-bd5b-cc5be883dfb0",
    ]


def catalogue_of(**keys: list[str]) -> Catalogue:
    catalogue = Catalogue(b"key")
    for offset, (id, own) in enumerate(keys.items()):
        value = json.dumps({"spec": {"write_keys": own}, "updated_at_ms": 1}).encode()
        catalogue.apply(f"source/{id}".encode(), value, offset)
    return catalogue


def test_a_write_key_finds_its_source():
    catalogue = catalogue_of(b=["one", "two"], a=["three"])
    assert [source_of(key, catalogue) for key in ("one", "two", "three", "four")] == ["b", "b", "a", None]
    catalogue.apply(b"source/b", None, 9)
    assert source_of("one", catalogue) is None


def test_a_write_key_of_two_sources_is_the_first_ones_everywhere():
    assert source_of("k", catalogue_of(b=["k"], a=["k"])) == source_of("k", catalogue_of(a=["k"], b=["k"])) == "a"
    assert taken("c", Source(write_keys=["x", "k"]), catalogue_of(b=["k"])) == ("k", "b")
    assert taken("b", Source(write_keys=["k"]), catalogue_of(b=["k"])) is None


@pytest.mark.parametrize("spec", [{"write_keys": ["a:b"]}, {"write_keys": [""]}, {"allowed_origins": ["https://a.b/"]}])
def test_keys_and_origins_that_no_client_could_send_are_refused(spec):
    with pytest.raises(ValueError, match="pattern"):
        Source(**spec)
