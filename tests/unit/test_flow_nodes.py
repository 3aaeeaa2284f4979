"""Each node by itself: what it gives of a configuration and what it sees."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import example
from hypothesis import given as for_any
from hypothesis import strategies as st

from hub.conditions import parse
from hub.conditions.python import compile_python
from hub.edge.times import time_ms
from hub.flows.effects import (
    Answer,
    CallHttp,
    ChangeField,
    ChangeSegment,
    LookUp,
    MergeProfiles,
    RaiseEvent,
    Respond,
    SendMessage,
)
from hub.flows.node import NodeFault, Outcome, Resumed, Wait
from hub.flows.notation import ValueFault
from hub.flows.pause import Pause
from hub.flows.registry import described, ours
from tests.unit.flow_cases import EVENT, NOW_MS, asked

ITEMS = [{"n": "tea", "price": 3}, {"n": "jam", "price": 9.5}, {"n": "tea", "price": 3}]
ORDER = {"items": ITEMS, "text": " Tea & Jam ", "numbers": [3, 1, None, 2], "mixed": [True, 1, "a", None]}
LONDON = {"latitude": 51.5074, "longitude": -0.1278}

VALUES: list[tuple[str, dict[str, Any], Any]] = [
    ("resolve", {"conditions": {"rich": "event@properties.amount > 10", "old": "a > 3"}}, {"rich": True, "old": False}),
    ("compute", {"value": {"n": "event@properties.city", "m": "memory@m"}}, {"n": "Leeds", "m": 5}),
    ("calculate", {"formula": "event@properties.amount * 2"}, 25.0),
    ("round", {"number": 2.345, "digits": 2}, 2.35),
    ("round", {"number": "1250", "digits": -2}, 1300),
    ("map-value", {"value": "profile@traits.plan", "table": {"gold": 1}, "other": 0}, 1),
    ("map-value", {"value": "event@properties.city", "table": {"gold": 1}, "other": 0}, 0),
    (
        "choose-value",
        {"cases": [{"condition": "a = 2", "value": "x"}, {"condition": "a = 1", "value": "event@type"}]},
        "purchase",
    ),
    ("choose-value", {"cases": [{"condition": "a = 2", "value": "x"}], "other": "none"}, "none"),
    ("merge-objects", {"objects": [{"a": {"x": 1}}, {"a": {"y": 2}}], "deep": True}, {"a": {"x": 1, "y": 2}}),
    ("merge-objects", {"objects": [{"a": {"x": 1}, "b": 1}, {"a": {"y": 2}}]}, {"a": {"y": 2}, "b": 1}),
    ("hash", {"value": "abc"}, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("hash", {"value": " ABC ", "normalise": True, "how": "md5"}, "900150983cd24fb0d6963f7d28e17f72"),
    ("mask", {"text": "+441632960961"}, "*********0961"),
    ("mask", {"text": "abc", "first": 1, "last": 2}, "***"),
    ("distance", {**LONDON, "to_latitude": 48.8566, "to_longitude": 2.3522}, pytest.approx(343.6, abs=1)),
    ("distance", {**LONDON, "to_latitude": 51.5074, "to_longitude": -0.1278}, 0.0),
    ("text", {"template": "{{ profile@traits.name }} has {{ payload@a }}"}, "Ann has 1"),
    ("change-case", {"text": "profile@traits.name", "case": "upper"}, "ANN"),
    ("change-case", {"text": "Tea & Jam!", "case": "slug"}, "tea-jam"),
    ("trim", {"text": "..a..", "characters": ".", "side": "left"}, "a.."),
    ("split-text", {"text": "a, b,c"}, ["a", "b", "c"]),
    ("join-text", {"items": [1, "a", None]}, "1, a, "),
    ("replace-text", {"text": "a-b-c", "find": "-", "replace": "profile@id"}, "aannbannc"),
    ("cut-text", {"text": "abcdef", "begin": 1, "end": -2}, "bcd"),
    ("likeness", {"text": "night", "other": "nacht"}, 0.6),
    ("length", {"value": "profile@traits.colours"}, 1),
    ("length", {"value": "profile@traits.none"}, 0),
    ("regex-find", {"text": "a1 b22", "pattern": r"[a-z](\d+)"}, ["1", "22"]),
    ("regex-find", {"text": "a1 b22", "pattern": r"\d", "most": 2}, ["1", "2"]),
    ("regex-replace", {"text": "a1 b22", "pattern": r"([a-z])\d+", "replace": r"\1!"}, "a! b!"),
    (
        "parse-url",
        {"url": "https://a.example:81/p?x=1&y=#f"},
        {
            "scheme": "https",
            "host": "a.example",
            "port": 81,
            "path": "/p",
            "query": {"x": "1", "y": ""},
            "fragment": "f",
        },
    ),
    ("encode", {"text": "é?", "notation": "url"}, "%C3%A9%3F"),
    ("encode", {"text": "é?", "notation": "base64"}, "w6k/"),
    ("encode", {"text": "é?", "notation": "base64url"}, "w6k_"),
    ("encode", {"text": "é?", "notation": "hex"}, "c3a93f"),
    ("decode", {"text": "w6k_", "notation": "base64url"}, "é?"),
    ("decode", {"text": "w6k/"}, "é?"),
    ("decode", {"text": "c3a93f", "notation": "hex"}, "é?"),
    ("decode", {"text": "%C3%A9%3F", "notation": "url"}, "é?"),
    ("parse-json", {"text": '{"a": [1]}'}, {"a": [1]}),
    ("write-json", {"value": {"a": "payload@a"}}, '{"a":1}'),
    ("sort-list", {"items": ITEMS, "by": "price", "descending": True}, [ITEMS[1], ITEMS[0], ITEMS[2]]),
    ("sort-list", {"items": [2, "b", None, True, 1, "a"]}, [None, True, 1, 2, "a", "b"]),
    ("unique-items", {"items": [1, True, 1, 1.5, "1"]}, [1, True, 1.5, "1"]),
    ("unique-items", {"items": ITEMS, "by": "n"}, ITEMS[:2]),
    ("cut-list", {"items": [1, 2, 3, 4], "begin": -2}, [3, 4]),
    ("filter-list", {"items": ITEMS, "condition": "price > memory@m"}, [ITEMS[1]]),
    (
        "map-list",
        {"items": ITEMS, "template": "{{ payload@n }} of {{ profile@id }}"},
        ["tea of ann", "jam of ann", "tea of ann"],
    ),
    ("sum-up", {"items": ITEMS, "by": "price"}, 15.5),
    ("sum-up", {"items": [0.1, 0.2, None]}, 0.3),
    ("sum-up", {"items": [3, 1, None, 2], "how": "average"}, 2),
    ("sum-up", {"items": [3, 1, None, 2], "how": "median"}, 2),
    ("sum-up", {"items": [3, 1, None, 2], "how": "count"}, 3),
    ("sum-up", {"items": [3, 1], "how": "smallest"}, 1),
    ("sum-up", {"items": [], "how": "largest"}, None),
    ("count-values", {"items": ITEMS, "by": "n"}, {"tea": 2, "jam": 1}),
    ("group-list", {"items": ITEMS, "by": "n"}, {"tea": [ITEMS[0], ITEMS[2]], "jam": [ITEMS[1]]}),
    ("combine-lists", {"left": [1, 2, 2], "right": [2, 3]}, [1, 2, 3]),
    ("combine-lists", {"left": [1, 2], "right": [2, 3], "how": "both"}, [2]),
    ("combine-lists", {"left": [1, 2], "right": [2, 3], "how": "only-left"}, [1]),
    ("combine-lists", {"left": [1, 2], "right": [2, 3], "how": "not-both"}, [1, 3]),
    ("read-table", {"text": 'a,b\n1,"x,y"\n2,'}, [{"a": "1", "b": "x,y"}, {"a": "2", "b": ""}]),
    ("write-table", {"items": ITEMS[:2]}, "n,price\ntea,3\njam,9.5\n"),
    ("write-table", {"items": [{"a": "x,y"}], "columns": ["a", "b"], "delimiter": ";"}, "a;b\nx,y;\n"),
    (
        "now",
        {"time_zone": "America/New_York"},
        {
            "time": "2025-11-25T16:00:00.000Z",
            "date": "2025-11-25",
            "clock": "11:00:00",
            "year": 2025,
            "month": 11,
            "day": 25,
            "hour": 11,
            "minute": 0,
            "weekday": 2,
            "week": 48,
            "time_zone": "America/New_York",
        },
    ),
    ("move-time", {"time": "2026-01-31T00:00:00Z", "by": ["1 month", "-1d"]}, "2026-02-27T00:00:00.000Z"),
    ("move-time", {"by": "2h"}, "2025-11-25T18:00:00.000Z"),
    ("start-of", {"of": "day", "time_zone": "America/New_York"}, "2025-11-25T05:00:00.000Z"),
    ("start-of", {"of": "week"}, "2025-11-24T00:00:00.000Z"),
    ("time-between", {"begin": "profile@metadata.time.insert"}, 5),
    ("time-between", {"begin": "profile@traits.born", "unit": "years"}, 35),
    ("time-between", {"begin": "2025-01-31", "end": "2025-02-28", "unit": "months"}, 1),
    ("time-between", {"begin": "2025-01-31", "end": "2025-02-27", "unit": "months"}, 0),
    ("time-between", {"begin": "2025-02-28", "end": "2025-01-31", "unit": "months"}, -1),
    ("time-between", {"begin": "2025-11-25T15:15:00Z", "unit": "hours"}, 0.75),
    ("time-between", {"begin": "2025-11-25T15:15:00Z", "unit": "hours", "whole": True}, 0),
    ("format-time", {"format": "%d.%m.%Y %H:%M", "time_zone": "Europe/Paris"}, "25.11.2025 17:00"),
    ("parse-time", {"text": "04/05/1990", "format": "%d/%m/%Y"}, "1990-05-04T00:00:00Z"),
    ("rank-interests", {"most": 1}, [{"interest": "jam", "value": 5}]),
]

PORTS: list[tuple[str, dict[str, Any], str]] = [
    ("if", {"condition": "profile@traits.plan = gold"}, "then"),
    ("if", {"condition": "profile@traits.none > 1"}, "else"),
    ("switch", {"cases": [{"port": "x", "condition": "a = 2"}, {"port": "y", "condition": "a = 1"}]}, "y"),
    ("switch", {"on": "event@type", "cases": [{"port": "x", "value": ["visit", "purchase"]}]}, "x"),
    ("switch", {"on": "payload@a", "cases": [{"port": "x", "value": True}]}, "else"),
    ("split", {"shares": [{"port": "x", "weight": 1e-9}, {"port": "y"}]}, "y"),
    ("exists", {"value": "profile@traits.plan"}, "then"),
    ("exists", {"value": "profile@data"}, "else"),
    ("is-new-profile", {}, "else"),
    ("is-new-visit", {}, "else"),
    ("has-consents", {"consents": ["mail"]}, "then"),
    ("has-consents", {"consents": ["mail", "sms"]}, "else"),
    ("has-consents", {"consents": ["mail", "sms"], "all": False}, "then"),
    ("has-consents", {"consents": ["ads"]}, "else"),
    ("has-segment", {"segments": ["regulars"]}, "then"),
    ("has-segment", {"segments": ["regulars", "vip"]}, "else"),
    ("has-segment", {"segments": ["regulars", "vip"], "all": False}, "then"),
    ("compare-text", {"text": "Tea and jam", "other": ["x", "JAM"], "ignore_case": True}, "then"),
    ("compare-text", {"text": "Tea", "other": "tea", "how": "is"}, "else"),
    ("compare-text", {"text": "Tea", "other": "T", "how": "starts"}, "then"),
    ("compare-text", {"text": "Tea", "other": "T", "how": "ends"}, "else"),
    ("regex-match", {"text": "x", "pattern": "y"}, "else"),
    ("check-value", {"value": "ann@example.com", "kind": "email"}, "then"),
    ("check-value", {"value": "ann@", "kind": "email"}, "else"),
    ("check-value", {"value": "+44 20 7946 0958", "kind": "phone"}, "then"),
    ("check-value", {"value": "https://a.example", "kind": "url"}, "then"),
    ("check-value", {"value": "a.example", "kind": "url"}, "else"),
    ("check-value", {"value": "10.0.0.1", "kind": "ipv4"}, "then"),
    ("check-value", {"value": "::1", "kind": "ipv4"}, "else"),
    ("check-value", {"value": "::1", "kind": "ipv6"}, "then"),
    ("check-value", {"value": "00000000-0000-5000-8000-000000000000", "kind": "uuid"}, "then"),
    ("check-value", {"value": "2025-11-25", "kind": "time"}, "then"),
    ("check-value", {"value": "yesterday", "kind": "time"}, "else"),
    ("check-value", {"value": "1.5", "kind": "number"}, "then"),
    ("check-value", {"value": "1.5", "kind": "whole-number"}, "else"),
    ("check-value", {"value": "[1", "kind": "json"}, "else"),
    ("same-value", {"left": {"a": 1}, "right": {"a": "payload@a"}}, "then"),
    ("same-value", {"left": True, "right": 1}, "else"),
    ("is-within", {**LONDON, "centre_latitude": 51.5, "centre_longitude": 0, "radius_km": 15}, "then"),
    ("is-within", {**LONDON, "centre_latitude": 51.5, "centre_longitude": 0, "radius_km": 5}, "else"),
    # the sun set in London at 15:59 that day, and it rose in Tokyo at 06:29 (21:29Z)
    ("is-daytime", {**LONDON, "time": "2025-11-25T15:50:00Z"}, "then"),
    ("is-daytime", {**LONDON, "time": "2025-11-25T16:08:00Z"}, "else"),
    ("is-daytime", {"latitude": 35.68, "longitude": 139.77, "time": "2025-11-25T21:20:00Z"}, "else"),
    ("is-daytime", {"latitude": 35.68, "longitude": 139.77, "time": "2025-11-25T21:38:00Z"}, "then"),
    ("is-daytime", {"latitude": 78, "longitude": 15, "time": "2025-06-21T00:00:00Z"}, "then"),
    ("is-time-of-day", {"begin": "09:00", "end": "16:00"}, "else"),
    ("is-time-of-day", {"begin": "16:00", "end": "16:01"}, "then"),
    ("is-time-of-day", {"begin": "22:00", "end": "06:00", "time_zone": "Asia/Tokyo"}, "then"),
    ("is-weekday", {}, "else"),
    ("is-weekday", {"days": ["wednesday"], "time_zone": "Asia/Tokyo"}, "then"),
]

EFFECTS: list[tuple[str, dict[str, Any], list[Any]]] = [
    (
        "update-profile",
        {"fields": {"traits.city": "event@properties.city", "profile@traits.n": "payload@none"}},
        [ChangeField("set", "traits.city", "Leeds")],
    ),
    (
        "update-profile",
        {"fields": {"traits.city": "x"}, "only": "if-empty"},
        [ChangeField("set-if-empty", "traits.city", "x")],
    ),
    (
        "copy",
        {"source": "event@properties.city", "target": "traits.city"},
        [ChangeField("set", "traits.city", "Leeds")],
    ),
    ("copy", {"source": "event@properties.none", "target": "traits.city"}, []),
    (
        "append-to-profile",
        {"field": "traits.colours", "value": "blue"},
        [ChangeField("append", "traits.colours", "blue")],
    ),
    (
        "append-to-profile",
        {"field": "traits.colours", "value": ["red"], "unique": True},
        [ChangeField("append-unique", "traits.colours", ["red"])],
    ),
    (
        "remove-from-profile",
        {"field": "traits.colours", "value": "red"},
        [ChangeField("remove", "traits.colours", "red")],
    ),
    ("increment", {"field": "stats.orders"}, [ChangeField("increment", "stats.orders", 1)]),
    (
        "decrement",
        {"field": "stats.credit", "by": "event@properties.amount"},
        [ChangeField("decrement", "stats.credit", 12.5)],
    ),
    (
        "keep-extreme",
        {"field": "stats.most", "value": "event@properties.amount"},
        [ChangeField("max", "stats.most", 12.5)],
    ),
    ("keep-extreme", {"field": "stats.least", "value": 3, "keep": "smallest"}, [ChangeField("min", "stats.least", 3)]),
    ("delete-from-profile", {"fields": ["traits.plan"]}, [ChangeField("delete", "traits.plan")]),
    ("add-interest", {"interest": "Green Tea"}, [ChangeField("increment", "interests.green-tea", 1)]),
    (
        "value-changed",
        {"name": "city", "value": "event@properties.city"},
        [ChangeField("set", "aux.flows.city", "Leeds")],
    ),
    ("limit", {"name": "mails", "within": "1d"}, [ChangeField("set", "aux.flows.mails", [NOW_MS])]),
    (
        "add-consent",
        {"consents": ["mail"], "until": "2026-01-01"},
        [ChangeField("set", "consents.mail", {"granted": True, "revoke": "2026-01-01T00:00:00.000Z"})],
    ),
    (
        "add-consent",
        {"consents": ["mail"], "granted": False, "until": "2026-01-01"},
        [ChangeField("set", "consents.mail", {"granted": False, "revoke": None})],
    ),
    (
        "resolve-into-profile",
        {"fields": {"traits.rich": "event@properties.amount > 10"}},
        [ChangeField("set", "traits.rich", True)],
    ),
    ("add-to-segment", {"segments": ["a", "b"]}, [ChangeSegment("a", True), ChangeSegment("b", True)]),
    ("remove-from-segment", {"segments": ["a"]}, [ChangeSegment("a", False)]),
    ("move-to-segment", {"leave": "a", "enter": "b"}, [ChangeSegment("a", False), ChangeSegment("b", True)]),
    ("segment-by-condition", {"segment": "s", "condition": "a = 1"}, [ChangeSegment("s", True)]),
    ("segment-by-condition", {"segment": "s", "condition": "a = 2"}, [ChangeSegment("s", False)]),
    ("respond", {"body": {"city": "event@properties.city"}}, [Respond({"city": "Leeds"})]),
]


@pytest.mark.parametrize(("type", "config", "value"), VALUES)
def test_values(type: str, config: dict[str, Any], value: Any) -> None:
    given = asked(type, config)
    assert isinstance(given, Outcome)
    assert (given.port, given.output) == ("out", {"a": 1, "value": value})
    inner = given.output["value"]
    assert isinstance(inner, bool) == isinstance(value, bool)
    assert msgspec.json.decode(msgspec.json.encode(inner)) == inner
    assert asked(type, {**config, "into": ""}) == Outcome("out", inner)


@pytest.mark.parametrize(("type", "config", "port"), PORTS)
def test_ports(type: str, config: dict[str, Any], port: str) -> None:
    given = asked(type, config)
    assert isinstance(given, Outcome)
    assert (given.port, given.output, given.effects) == (port, {"a": 1}, ())


@pytest.mark.parametrize(("type", "config", "effects"), EFFECTS)
def test_effects(type: str, config: dict[str, Any], effects: list[Any]) -> None:
    given = asked(type, config)
    assert isinstance(given, Outcome)
    assert (list(given.effects), given.output) == (effects, {"a": 1})


def test_start_lets_through_what_it_is_for() -> None:
    assert asked("start", {}) == Outcome("out", {"a": 1})
    assert asked("start", {"event_types": ["visit"]}) is None
    assert asked("start", {"condition": "event@type = visit"}) is None
    assert asked("start", {"event_types": ["purchase"], "payload": {"c": "event@properties.city"}}) == Outcome(
        "out", {"c": "Leeds"}
    )
    assert asked("end", {}) is None


def test_join() -> None:
    sources = {"x": {"a": 1, "b": 1}, "y": {"b": 2}}
    assert asked("join", {}, sources=sources) == Outcome("out", {"a": 1, "b": 2})
    assert asked("join", {"payload": "by-node"}, sources=sources) == Outcome("out", sources)
    assert asked("join", {"payload": "first"}, {"a": 1}, sources=sources) == Outcome("out", {"a": 1})
    with pytest.raises(NodeFault, match="what comes from y is no object"):
        asked("join", {}, sources={"x": {}, "y": 3})


def test_values_that_later_nodes_see_and_words_for_people() -> None:
    assert asked("remember", {"values": {"x": "payload@a"}}) == Outcome("out", {"a": 1}, memory={"x": 1})
    assert asked("explain", {"text": "of {{ profile@id }}"}) == Outcome("out", {"a": 1}, note="of ann")
    with pytest.raises(NodeFault, match="no good: 1"):
        asked("fail", {"message": "no good: {{ payload@a }}"})


def test_so_often_in_a_time() -> None:
    config = {"name": "mails", "most": 2, "within": "1h"}
    old, new = NOW_MS - 3_600_000, NOW_MS - 3_599_999

    def port(*times: Any) -> Any:
        return asked("limit", config, documents={"profile": {"aux": {"flows": {"mails": [*times]}}}})

    assert port(old, new) == Outcome("then", {"a": 1}, (ChangeField("set", "aux.flows.mails", [new, NOW_MS]),))
    assert port(new, NOW_MS) == Outcome("else", {"a": 1})
    assert port(new, "x", True).port == "then"


def test_a_visit_that_begins() -> None:
    event = {"metadata": {"flags": ["visit_started"]}}
    assert asked("is-new-visit", {}, documents={"event": event}) == Outcome("then", {"a": 1})


def test_members_of_the_payload() -> None:
    payload = {"a": 1, "b": {"c": 2, "d": 3}}
    assert asked("keep-keys", {"keys": ["b.c", "none"]}, payload) == Outcome("out", {"b": {"c": 2}})
    assert asked("drop-keys", {"keys": ["b.c", "none.x"]}, payload) == Outcome("out", {"a": 1, "b": {"d": 3}})
    assert asked("cut-out", {"place": "b.d"}, payload) == Outcome("out", 3)
    assert asked("copy", {"source": "event@type", "target": "payload@b.e"}, payload) == Outcome(
        "out", {"a": 1, "b": {"c": 2, "d": 3, "e": "purchase"}}
    )
    assert payload == {"a": 1, "b": {"c": 2, "d": 3}}
    with pytest.raises(NodeFault, match="nothing at 'x'"):
        asked("cut-out", {"place": "x"}, payload)


def test_groups_of_a_pattern_go_into_the_payload() -> None:
    given = asked("regex-match", {"text": "order 77 x", "pattern": r"order (?P<number>\d+)(y)?"})
    assert isinstance(given, Outcome)
    assert (given.port, given.output["groups"]) == ("then", {"0": "order 77", "number": "77", "2": None})


def test_events_say_who_raised_them() -> None:
    given = asked(
        "raise-event", {"event_type": "Gift Sent", "properties": {"n": "payload@a"}, "session": "session@id"}, depth=1
    )
    assert isinstance(given, Outcome)
    (effect,) = given.effects
    assert isinstance(effect, RaiseEvent)
    assert (effect.type, effect.profile, effect.session, effect.properties) == ("gift-sent", "ann", "s1", {"n": 1})
    assert effect.context == {"raised_by": {"flow": "f", "version": 7, "run": "r", "depth": 2}}
    assert given == asked(
        "raise-event", {"event_type": "Gift Sent", "properties": {"n": "payload@a"}, "session": "session@id"}, depth=1
    )
    with pytest.raises(NodeFault, match="event_type"):
        asked("raise-event", {"event_type": " "})


def test_merges() -> None:
    assert asked("merge-profiles", {"other": "bob"}) == Wait(LookUp("profiles", "", 1, id="bob"))
    given = asked("merge-profiles", {"other": "bob"}, answer=Answer(200, {}, [{"id": "bob"}]))
    assert isinstance(given, Outcome)
    assert [effect.other for effect in given.effects if isinstance(effect, MergeProfiles)] == ["bob"]
    for own in ("ann", "event@properties.none"):
        assert asked("merge-profiles", {"other": own}) == Outcome("out", {"a": 1})
    with pytest.raises(NodeFault, match="there is no profile 'bob'"):
        asked("merge-profiles", {"other": "bob"}, answer=Answer(200, {}, []))
    with pytest.raises(NodeFault, match="the store does not answer: it takes too long"):
        asked("merge-profiles", {"other": "bob"}, answer=Answer(0, error="it takes too long"))


def test_messages() -> None:
    given = asked("send", {"destination": "k", "message": {"a": "payload@a"}})
    assert isinstance(given, Outcome)
    (effect,) = given.effects
    assert isinstance(effect, SendMessage)
    assert (effect.destination, effect.content, effect.key) == ("k", {"a": 1}, "ann")
    mail = {"destination": "m", "to": "ann@example.com", "subject": "Hi {{ profile@id }}", "text": "x", "html": "<p>x"}
    given = asked("send-mail", mail)
    assert isinstance(given, Outcome)
    (effect,) = given.effects
    assert isinstance(effect, SendMessage)
    assert effect.content == {"to": "ann@example.com", "subject": "Hi ann", "text": "x", "html": "<p>x"}
    with pytest.raises(NodeFault, match="an address is expected"):
        asked("send-mail", {**mail, "to": "profile@traits.none"})


def test_look_ups_are_described_and_then_answered() -> None:
    config = {"query": "type = visit AND profile.id = {{ profile@id }} AND properties.n > {{ payload@a }}", "most": 2}
    given = asked("look-up", config)
    query = 'type = visit AND profile.id = "ann" AND properties.n > 1'
    assert given == Wait(LookUp("events", query, 2))
    assert asked("look-up", config, answer=Answer(200, {}, [EVENT])) == Outcome("out", {"a": 1, "value": [EVENT]})
    config = {"kind": "profiles", "query": "traits.plan = gold", "into": "n"}
    assert asked("count", config) == Wait(LookUp("profiles", "traits.plan = gold", 0, counts=True))
    assert asked("count", config, answer=Answer(200, {}, 7)) == Outcome("out", {"a": 1, "n": 7})
    with pytest.raises(NodeFault, match="does not answer: too slow"):
        asked("count", config, answer=Answer(0, error="too slow"))
    for wrong in ("type ==", "order@x = {{ payload@a }}", "type = {{ payload@a"):
        with pytest.raises(ValueError, match="query"):
            asked("look-up", {"query": wrong})


@example("*")
@example("an*")
@example('x" OR properties.x = "a')
@example("\\")
@example("\\u0000")
@for_any(
    st.one_of(
        st.text(), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
    )
)
def test_whatever_a_value_is_it_stays_a_value(value: Any) -> None:
    """Quotes, stars, operators in it ask for nothing else."""
    try:
        given = asked("look-up", {"query": "properties.x = {{ payload@v }}"}, {"v": value, "other": 1})
    except ValueFault:
        assert isinstance(value, str)
        assert "\0" in value or any("\ud800" <= character <= "\udfff" for character in value)
        return
    assert isinstance(given, Wait)
    assert isinstance(given.call, LookUp)
    matches = compile_python(parse(given.call.query))
    assert matches({"properties": {"x": value}}) or value == ""
    for other in ("another", "a", 12345.5):
        assert other == value or not matches({"properties": {"x": other}})


CALL = {
    "method": "POST",
    "url": "https://x.example/{{ payload@a }}?z=1",
    "query": {"q": "a b&c", "gone": "payload@none"},
    "headers": {"X-Who": "profile@id", "Authorization": "env:X_TOKEN"},
    "body": {"n": "payload@a"},
}


def test_calls_are_described_and_then_answered() -> None:
    given = asked("http-call", CALL)
    assert isinstance(given, Wait)
    call = given.call
    assert isinstance(call, CallHttp)
    assert (call.method, call.url) == ("POST", "https://x.example/1?z=1&q=a+b%26c")
    assert (call.headers, call.secrets) == ({"X-Who": "ann"}, {"Authorization": "X_TOKEN"})
    assert (call.body, call.content_type, call.idempotency_key) == ('{"n":1}', "application/json", call.id)
    assert given == asked("http-call", CALL)
    answered = asked("http-call", CALL, answer=Answer(201, {"x": "y"}, {"ok": True}))
    assert answered == Outcome(
        "out", {"a": 1, "response": {"status": 201, "headers": {"x": "y"}, "body": {"ok": True}}}
    )
    for answer, words in (
        (Answer(404, {}, "gone"), "status 404"),
        (Answer(0, error="timed out"), "no answer: timed out"),
    ):
        with pytest.raises(NodeFault, match=words) as caught:
            asked("http-call", CALL, answer=answer)
        assert caught.value.more["response"]["status"] == answer.status
    assert isinstance(asked("http-call", {**CALL, "passes": "200-299, 404"}, answer=Answer(404)), Outcome)


def test_calls_that_nobody_should_make_are_not_made() -> None:
    for url in ("file:///etc/passwd", "https://", "http://a b.example", "http://u:p@x.example", "x"):
        with pytest.raises(NodeFault):
            asked("http-call", {"url": "{{ payload@u }}"}, {"u": url})
    with pytest.raises(NodeFault, match="line break"):
        asked("http-call", {"url": "https://x.example", "headers": {"X-A": "payload@u"}}, {"u": "a\r\nHost: b"})
    # what comes with an event is never taken for the name of a variable
    given = asked("http-call", {"url": "https://x.example", "headers": {"X-A": "payload@u"}}, {"u": "env:SECRET"})
    assert isinstance(given, Wait)
    assert (given.call.headers, given.call.secrets) == ({"X-A": "env:SECRET"}, {})


def test_pauses() -> None:
    hour_ms = 3_600_000
    assert asked("pause", {"wait": "3d"}) == Pause(NOW_MS + 72 * hour_ms)
    assert asked("pause", {"until": "2026-01-01T00:00:00Z"}) == Pause(1_767_225_600_000)
    # 11:00 in New York: the next nine o'clock is tomorrow's; behind two days, that of Friday
    assert asked("pause", {"at": "09:00", "time_zone": "America/New_York"}) == Pause(NOW_MS + 22 * hour_ms)
    assert asked("pause", {"wait": "2d", "at": "09:00", "time_zone": "America/New_York"}) == Pause(
        NOW_MS + 70 * hour_ms
    )
    assert asked("pause", {"at": "16:00", "time_zone": "profile@traits.none"}) == Pause(NOW_MS)
    ten_years = Pause(NOW_MS + 10 * 366 * 24 * hour_ms)
    assert asked("pause", {"wait": "999999w"}) == asked("pause", {"wait": "999999w", "at": "15:00"}) == ten_years
    assert asked("pause", {"wait": "1h", "event_type": "visit", "grace": "1h"}) == Pause(
        NOW_MS + hour_ms, "visit", hour_ms
    )
    with pytest.raises(ValueFault, match="no time zone"):
        asked("pause", {"at": "09:00", "time_zone": "Mars/Base"})


def test_pauses_end() -> None:
    on_time, late = Pause(NOW_MS, grace_ms=60_000), Pause(NOW_MS - 60_001, grace_ms=60_000)
    for config, pause, event, port in (
        ({"wait": "1h"}, Pause(NOW_MS - 10_000_000), None, "out"),
        ({"wait": "1h", "grace": "1m"}, on_time, None, "out"),
        ({"wait": "1h", "grace": "1m"}, late, None, "late"),
        ({"wait": "1h", "event_type": "visit"}, on_time, None, "timeout"),
        ({"wait": "1h", "event_type": "visit"}, on_time, EVENT, "out"),
    ):
        given = asked("pause", config, resumed=Resumed(pause, event))
        assert isinstance(given, Outcome)
        assert given.port == port
        assert given.output == ({"a": 1} if event is None else {"a": 1, "event": EVENT})


@pytest.mark.parametrize(
    ("wait", "until"),
    [
        ("123d", "2026-03-29T01:30:00Z"),  # 01:30 is no time that day: the clock shows 02:30
        ("333d", "2026-10-25T00:30:00Z"),  # 01:30 comes twice: the first time
        ("334d", "2026-10-26T01:30:00Z"),
    ],
)
def test_pauses_over_a_change_of_the_clock(wait: str, until: str) -> None:
    given = asked("pause", {"wait": wait, "at": "01:30", "time_zone": "Europe/London"})
    assert given == Pause(time_ms(until, ""))


def test_what_is_by_chance_is_the_same_for_the_same_run() -> None:
    given = [asked("random-number", {"least": 1, "most": 6, "whole": True}) for _ in range(2)]
    assert given[0] == given[1]
    assert isinstance(given[0], Outcome)
    assert 1 <= given[0].output["value"] <= 6
    one, other = asked("make-id", {}), asked("make-id", {"of": ["a", "payload@a"]})
    assert one == asked("make-id", {})
    assert other == asked("make-id", {"of": ["a", 1]}) != one


@pytest.mark.parametrize("seed", ["", "other"])
def test_shares_are_as_they_should_be_and_keep(seed: str) -> None:
    config = {"shares": [{"port": "x", "weight": 3}, {"port": "y"}], "by": "payload@id", "seed": seed}
    ports = []
    for id in range(300):
        given = asked("split", config, {"id": str(id)})
        assert isinstance(given, Outcome)
        ports.append(given.port)
        assert given == asked("split", config, {"id": str(id)})
    # 300 draws of 3/4: six standard deviations
    assert abs(ports.count("x") - 225) < 6 * math.sqrt(300 * 3 / 16)


@pytest.mark.parametrize(
    ("type", "config", "words"),
    [
        ("change-case", {"text": "payload@none", "case": "upper"}, "a text is expected, and there is nothing"),
        ("change-case", {"text": "payload@...", "case": "upper"}, "a text is expected, not {'a': 1}"),
        ("join-text", {"items": "payload@a"}, "a list is expected, not 1"),
        ("merge-objects", {"objects": ["payload@a"]}, "an object is expected, not 1"),
        ("increment", {"field": "stats.n", "by": "event@type"}, "a number is expected, not 'purchase'"),
        ("length", {"value": 3}, "has no length"),
        ("decode", {"text": "a", "notation": "hex"}, "no text in hex"),
        ("decode", {"text": "_w==", "notation": "base64url"}, "no text in base64url"),
        ("parse-json", {"text": "{"}, "no JSON"),
        ("parse-url", {"url": "http://[x"}, "no URL"),
        ("parse-time", {"text": "soon", "format": "%d/%m/%Y"}, "does not match"),
        ("move-time", {"time": "9998-12-31", "by": "2 years"}, "outside the years"),
        ("time-between", {"begin": "soon"}, "no RFC 3339 time"),
        ("distance", {**LONDON, "to_latitude": 91, "to_longitude": 0}, "outside -90 to 90 degrees"),
        ("now", {"time_zone": "Mars/Base"}, "no time zone"),
        ("regex-replace", {"text": "a", "pattern": "a", "replace": r"\7"}, "does not fit the pattern"),
        ("add-interest", {"interest": "{}"}, "no name of an interest"),
        ("copy", {"source": "payload@none", "target": "traits.x", "missing": "fail"}, "nothing to copy"),
        ("send", {"destination": "k", "message": "payload@none"}, "nothing to send"),
        ("read-table", {"text": 'a\n"x'}, "no CSV"),
        ("read-table", {"text": "a,b,a\n1,2,3"}, "two columns are called 'a'"),
        ("map-list", {"items": [0] * 5_000, "template": "x" * 1_000}, "more than 4,194,304 bytes"),
    ],
)
def test_what_cannot_be_done_is_said(type: str, config: dict[str, Any], words: str) -> None:
    with pytest.raises((NodeFault, ValueFault, ValueError), match=words.replace("{", r"\{").replace("}", r"\}")):
        asked(type, config)


def test_every_node_is_tried_here_and_can_be_shown_as_a_form() -> None:
    """A node without a test, a sentence or a description of its fields is not finished."""
    source = Path(__file__).read_text()
    forms = {one["type"]: one for one in described()}
    for name, made in ours().items():
        assert f'"{name}"' in source, f"no test of the node {name}"
        assert made.summary.endswith(".")
        assert forms[name]["config"]["type"] == "object"
        assert made.config.__doc__
