"""What the edge takes, and with which words it refuses the rest."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.edge.admit import admit
from hub.edge.json_check import check, surely_clean
from hub.edge.payload import Payload
from hub.errors import REASONS, InvalidPayload
from hub.settings import Limits

LIMITS = Limits()


def body(*events: Any, **fields: Any) -> bytes:
    return json.dumps({"source": {"id": "shop"}, "events": list(events), **fields}).encode()


def refusal(raw: bytes, limits: Limits = LIMITS) -> InvalidPayload:
    with pytest.raises(InvalidPayload) as caught:
        admit(raw, limits)
    assert caught.value.reason in REASONS
    return caught.value


def one_event(raw_event: str) -> bytes:
    return f'{{"source":{{"id":"shop"}},"events":[{{"type":"ok"}},{raw_event}]}}'.encode()


def test_a_full_payload_keeps_everything_that_the_client_sent():
    payload = admit(
        body(
            {
                "id": " order-1 ",
                "type": " Purchase Order ",
                "time": {"insert": "2026-11-24T15:00:00Z", "create": "2026-11-24T14:00:00.250+01:00"},
                "properties": {"amount": 25.5, "name": "é 😀"},
                "context": {"page": {"url": "https://shop.example/"}},
                "options": {"async": False},
                "tags": ["sale"],
            },
            id="p1",
            session={"id": " s1 "},
            profile={"id": "u1 "},
            context={"a": 1},
            properties={"b": 2},
            options={"saveSession": False},
            request={"c": 3},
            profile_less=True,
            metadata={"time": "whatever"},
            debug="ignored",
            unknown=[1],
        ),
        LIMITS,
    )
    assert (payload.id, payload.source_id, payload.session_id, payload.profile_id) == ("p1", "shop", "s1", "u1")
    assert payload.profile_less
    free_form = (payload.context, payload.properties, payload.options, payload.request)
    assert [json.loads(part) for part in free_form] == [{"a": 1}, {"b": 2}, {"saveSession": False}, {"c": 3}]
    event = payload.events[0]
    assert (event.client_id, event.type, event.tags) == ("order-1", "purchase-order", ["sale"])
    assert event.time_ms == 1_795_525_200_250
    assert json.loads(event.properties) == {"amount": 25.5, "name": "é 😀"}
    assert json.loads(event.context) == {"page": {"url": "https://shop.example/"}}
    assert json.loads(event.options) == {"async": False}


def test_the_least_payload_is_a_source_and_a_type():
    payload = admit(b'{"source":"shop","events":[{"type":"x"}]}', LIMITS)
    assert payload.source_id == "shop"
    assert (payload.id, payload.session_id, payload.profile_id, payload.profile_less) == (None, None, None, False)
    assert (payload.context, payload.events[0].properties, payload.events[0].tags) == (b"{}", b"{}", [])
    assert payload.events[0].time_ms is None


@pytest.mark.parametrize(
    ("event", "hour"),
    [
        ({"metadata": {"time": {"create": "2026-11-24T01:00:00Z", "insert": "2026-11-24T02:00:00Z"}}}, 1),
        ({"metadata": {"time": {"create": None, "insert": "2026-11-24T02:00:00Z"}}}, 2),
        ({"time": {"insert": "2026-11-24T03:00:00Z"}, "metadata": {"time": {"create": "2026-11-24T01:00:00Z"}}}, 3),
        ({"metadata": {"time": None, "ip": 1}}, None),
        ({"metadata": None}, None),
    ],
)
def test_an_events_time_may_stand_where_stored_events_have_it(event, hour):
    raw = json.dumps({"source": "shop", "events": [{"type": "a", **event}]}).encode()
    expected = None if hour is None else (1_795_478_400 + hour * 3_600) * 1_000
    assert admit(raw, LIMITS).events[0].time_ms == expected


def test_nulls_mean_absent():
    nothing = {"properties": None, "context": None, "options": None, "tags": None, "id": None, "time": None}
    payload = admit(
        body({"type": "x", **nothing}, session=None, profile={"id": None}, context=None, request=None), LIMITS
    )
    assert (payload.session_id, payload.profile_id, payload.context) == (None, None, b"{}")
    assert payload.events[0].properties == b"{}"


@pytest.mark.parametrize(
    ("raw", "reason", "where"),
    [
        (b"", "not_json", ""),
        (b"hello", "not_json", ""),
        (b"[]", "not_json", ""),
        (b"null", "not_json", ""),
        (b"\xff\xfe{", "not_json", ""),
        (b'{"source":"\xed\xa0\x80","events":[]}', "not_json", ""),
        (b'\xef\xbb\xbf{"source":"shop","events":[]}', "not_json", ""),
        (b'{"source":"shop","events":[]} x', "not_json", ""),
        (b'{"source":"shop","events":[],}', "not_json", ""),
        (b'{"source":"sh\x00op","events":[]}', "not_json", ""),
        (b'{"events":[]}', "missing_field", "source"),
        (b'{"source":null,"events":[]}', "missing_field", "source"),
        (b'{"source":{},"events":[]}', "missing_field", "source.id"),
        (b'{"source":{"id":" "},"events":[]}', "bad_id", "source.id"),
        (b'{"source":{"id":7},"events":[]}', "wrong_type", "source.id"),
        (b'{"source":["shop"],"events":[]}', "wrong_type", "source"),
        (b'{"source":"shop"}', "missing_field", "events"),
        (b'{"source":"shop","events":{}}', "wrong_type", "events"),
        (b'{"source":"shop","events":[5]}', "wrong_type", "events[0]"),
        (b'{"source":"shop","events":[],"session":"s1"}', "wrong_type", "session"),
        (b'{"source":"shop","events":[],"session":{"id":""}}', "bad_id", "session.id"),
        (b'{"source":"shop","events":[],"profile":{"id":5}}', "wrong_type", "profile.id"),
        (b'{"source":"shop","events":[],"profile":{"id":"a\\u0007b"}}', "bad_id", "profile.id"),
        (b'{"source":"shop","events":[],"profile_less":"yes"}', "wrong_type", "profile_less"),
        (b'{"source":"shop","events":[],"context":[]}', "wrong_type", "context"),
        (b'{"source":"shop","events":[],"id":5}', "wrong_type", "id"),
        (b'{"source":"shop","events":[],"messageId":""}', "bad_id", "messageId"),
        (one_event("{}"), "missing_field", "events[1].type"),
        (one_event('{"type":" "}'), "bad_id", "events[1].type"),
        (one_event('{"type":5}'), "wrong_type", "events[1].type"),
        (one_event('{"type":"x","id":5}'), "wrong_type", "events[1].id"),
        (one_event('{"type":"x","properties":"text"}'), "wrong_type", "events[1].properties"),
        (one_event('{"type":"x","properties":true}'), "wrong_type", "events[1].properties"),
        (one_event('{"type":"x","tags":"a"}'), "wrong_type", "events[1].tags"),
        (one_event('{"type":"x","tags":[1]}'), "wrong_type", "events[1].tags[0]"),
        (one_event('{"type":"x","time":"2026-11-24"}'), "wrong_type", "events[1].time"),
        (one_event('{"type":"x","time":{"create":true}}'), "wrong_type", "events[1].time.create"),
        (one_event('{"type":"x","time":{"create":"yesterday"}}'), "bad_time", "events[1].time.create"),
        (one_event('{"type":"x","time":{"create":"0000-01-01T00:00:00Z"}}'), "bad_time", "events[1].time.create"),
        (one_event('{"type":"x","time":{"insert":"9999-12-31T23:59:59Z"}}'), "bad_time", "events[1].time.insert"),
        (one_event('{"type":"x","metadata":{"time":{"create":"x"}}}'), "bad_time", "events[1].metadata.time.create"),
        (one_event('{"type":"x","properties":{"a":"\\u0000"}}'), "nul_character", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a\\u0000":1}}'), "nul_character", "events[1].properties"),
        (one_event('{"type":"x","properties":{"a":["b","\\ud800"]}}'), "lone_surrogate", "events[1].properties.a[1]"),
        (one_event('{"type":"x","properties":{"a":"\\udc00\\ud800"}}'), "lone_surrogate", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a":"\\ud800\\u0041"}}'), "lone_surrogate", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a":NaN}}'), "number_out_of_range", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a":-Infinity}}'), "number_out_of_range", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a":1e999}}'), "number_out_of_range", "events[1].properties.a"),
        (
            one_event('{"type":"x","properties":{"a":9223372036854775808}}'),
            "number_out_of_range",
            "events[1].properties.a",
        ),
        (
            one_event('{"type":"x","properties":{"a":-9223372036854775809}}'),
            "number_out_of_range",
            "events[1].properties.a",
        ),
        (
            one_event('{"type":"x","properties":{"a":' + "9" * 5000 + "}}"),
            "number_out_of_range",
            "events[1].properties.a",
        ),
        (one_event('{"type":"x","properties":{"a":1,"a":1}}'), "duplicate_key", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a" :1,"a" :2}}'), "duplicate_key", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a":1,"\\u0061":":"}}'), "duplicate_key", "events[1].properties.a"),
        (one_event('{"type":"x","properties":{"a":1,"a":"\\u003a"}}'), "duplicate_key", "events[1].properties.a"),
        (b'{"source":"shop","events":[],"source":"shop"}', "duplicate_key", "source"),
    ],
)
def test_a_malformed_payload_is_refused_with_reason_and_field(raw, reason, where):
    error = refusal(raw)
    assert (error.reason, error.where) == (reason, where)
    assert error.detail


@pytest.mark.parametrize("levels", [33, 300, 10_000, 200_000])
def test_nesting_beyond_the_limit_is_refused(levels):
    inner = levels - 4  # payload, events, event, properties
    raw = body({"type": "x", "properties": {"a": 1}}).replace(b'"a": 1', b'"a": ' + b"[" * inner + b"]" * inner)
    assert refusal(raw).reason == "too_deep"


def test_nesting_at_the_limit_is_taken():
    inner = LIMITS.depth - 4
    raw = body({"type": "x", "properties": {"a": 1}}).replace(b'"a": 1', b'"a": ' + b"[" * inner + b"]" * inner)
    assert admit(raw, LIMITS)


def test_many_containers_are_not_mistaken_for_depth():
    assert admit(body(*[{"type": "x", "properties": {"a": [{}]}}] * 100), LIMITS).events[99].type == "x"


def test_size_limits_are_refused_with_413():
    few = Limits(body_bytes=400, events=2, event_bytes=50)
    for raw, reason, where in [
        (body({"type": "x", "properties": {"a": "y" * 400}}), "body_too_large", ""),
        (body({"type": "x"}, {"type": "x"}, {"type": "x"}), "too_many_events", "events"),
        (body({"type": "x"}, {"type": "x", "properties": {"a": "y" * 50}}), "event_too_large", "events[1]"),
        (body({"type": "x", "context": {"a": "y" * 50}}), "event_too_large", "events[0]"),
    ]:
        error = refusal(raw, few)
        assert (error.reason, error.where, error.status) == (reason, where, 413)


def test_ids_and_types_beyond_the_limit_are_refused():
    long = "x" * 257
    assert refusal(body({"type": "x"}, profile={"id": long})).where == "profile.id"
    assert refusal(body({"type": long})).where == "events[0].type"
    assert admit(body({"type": "x" * 256}), LIMITS)


def test_the_largest_integers_are_taken():
    raw = one_event('{"type":"x","properties":{"a":9223372036854775807,"b":-9223372036854775808}}')
    assert json.loads(admit(raw, LIMITS).events[1].properties) == {"a": 2**63 - 1, "b": -(2**63)}


def test_a_refusal_names_the_source_if_it_was_readable():
    assert refusal(body({"type": 5})).source == "shop"
    assert refusal(body({"type": "x", "time": {"create": "?"}})).source == "shop"
    assert refusal(b'{"source":5,"events":[]}').source == ""
    assert refusal(b"junk").source == ""


def test_types_are_told_in_words():
    assert refusal(b'{"source":5,"events":[]}').detail == "expected text or an object or null, got an integer"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_payload_or_a_refusal(raw):
    try:
        outcome: Payload | str = admit(raw, LIMITS)
    except InvalidPayload as error:
        outcome = error.reason
    assert isinstance(outcome, Payload) or outcome in REASONS


# JSON text with all that may go wrong in it: keys that meet, escapes, colons in strings, spaces, numbers at the edges
_STRINGS = (
    r"""a b : é x\" \": \\ \\u0000 \u0000 \u0061 \u003a \u003A """
    r"""\ud83d\ude00 \ud800 \udfff \ud800x 1234567890123456789012"""
)
_strings = st.sampled_from(["", *_STRINGS.split(" ")]).map(lambda text: f'"{text}"')
_NUMBERS = (
    "0 -0 1.5 1e5 1e308 1e309 NaN -9223372036854775808 9223372036854775807 9223372036854775808 18446744073709551616"
)
_numbers = st.sampled_from([*_NUMBERS.split(), "1" + "0" * 30, "1" + "0" * 30 + ".5"])
_space = st.sampled_from(["", "", " ", "\n", "\t"])


def _objects(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.tuples(_strings, _space, inner, _space).map(lambda p: f"{p[0]}{p[1]}:{p[3]}{p[2]}")
    return st.lists(pair, max_size=4).map(lambda pairs: "{" + ",".join(pairs) + "}")


_documents = st.recursive(
    _strings | _numbers | st.sampled_from(["true", "null"]),
    lambda inner: _objects(inner) | st.lists(inner, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
    max_leaves=12,
)


@given(_documents)
def test_the_cheap_look_never_passes_what_the_close_look_refuses(text):
    raw = text.encode()
    try:
        document = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    if surely_clean(raw, document):
        check(raw)


@given(_objects(_documents))
def test_free_form_json_arrives_as_it_was_sent_or_is_refused(properties):
    raw = one_event(f'{{"type":"x","properties":{properties}}}')
    try:
        arrived = admit(raw, Limits(depth=200)).events[1].properties
    except InvalidPayload as error:
        refused_at = error.where
    else:
        refused_at = None
        assert arrived == properties.encode()
        check(arrived)
    assert refused_at is None or refused_at.startswith("events[1].properties")
