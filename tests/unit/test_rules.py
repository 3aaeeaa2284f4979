"""Filters, validators, data-compliance, reshapers and enrichment, as what is stored shows them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet

from hub.collector.geo import places
from hub.collector.state import Memory
from hub.definitions.kinds import (
    DataCompliance,
    Filter,
    IdentificationPoint,
    IdentifierField,
    Mapping,
    Reshaper,
    Rule,
    Validator,
)
from hub.edge.identifiers import Points
from hub.errors import Refused
from hub.pipeline.definitions import Definitions
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import Outcome, process
from hub.pipeline.records import LogRecord, decode
from hub.pipeline.rules.checks import check_rule
from hub.pipeline.rules.clock import hour_of
from hub.pipeline.rules.compliance import as_sent, is_given
from hub.pipeline.rules.enrichment import Places, joined
from hub.pipeline.rules.language import language_of
from hub.pipeline.rules.page import page_of
from hub.pipeline.rules.steps import compile_steps
from hub.replay.rebuild import inbound_of
from hub.settings import Collector
from hub.store.memory import MemoryStore
from schemas.records import TRACK, Inbound
from tests.factories import NOW_MS, event, log, totals, track

ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 "
    "Mobile/15E148 Safari/604.1"
)
DESKTOP = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
ADDS_UP = ("totals", Mapping.model_validate({"event_type": "purchase", "fields": [
    {"event": "properties.amount", "profile": "traits.total", "op": "add"},
    {"event": "properties.consents.*", "profile": "consents.*"},
    {"event": "device.type", "profile": "traits.device"},
]}))  # fmt: skip
BY_EMAIL = IdentificationPoint(
    event_type="purchase", identifiers=[IdentifierField(event="properties.email", kind="email")]
)


class Hub:
    """A collector without Kafka, with these rules; their ids are a, b, c …"""

    def __init__(self, *rules: Rule, points: Points | None = None, geo: Places | None = None) -> None:
        named = list(zip("abcdefgh", rules, strict=False))
        self.definitions = Definitions(
            1,
            compile_mappings([ADDS_UP]),
            points or Points(),
            rules=compile_steps(
                [(id, one) for id, one in named if isinstance(one, Filter)],
                [(id, one) for id, one in named if isinstance(one, Validator)],
                [(id, one) for id, one in named if isinstance(one, DataCompliance)],
                [(id, one) for id, one in named if isinstance(one, Reshaper)],
                key=b"key",
            ),
            places=geo,
        )
        self.store = MemoryStore()
        self.epoch = self.store.epoch("topic")

    def take(self, *inbounds: Inbound, start: int = 0) -> Outcome:
        return self.again(log(*inbounds, start=start))

    def again(self, records: Sequence[LogRecord]) -> Outcome:
        decoded = list(decode(records))
        progress = self.store.progress(self.epoch)
        state = Memory(Collector()).load(decoded, self.epoch, progress, self.store, definitions=self.definitions)
        outcome = process(decoded, state, self.definitions)
        self.store.write(outcome.batch)
        return outcome

    def event(self, id: str = "e1") -> dict[str, Any]:
        found = self.store.get("events", id)
        assert found is not None
        return found

    def profile(self, id: str = "p1") -> dict[str, Any]:
        found = self.store.get("profiles", id)
        assert found is not None
        return found

    def counts(self) -> dict[str, int]:
        return {name: number for name, number in totals(self.store).items() if number}


def sent(
    id: str = "e1",
    *,
    by: str = "p1",
    agent: str = "",
    ip: str | None = None,
    context: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    **properties: Any,
) -> Inbound:
    """A payload with one purchase, from a browser."""
    one = event(id, **properties)
    one["context"] = json.dumps(context or {}).encode()
    inbound = track(by, one)
    assert inbound["body"][0] == TRACK
    told = {**(headers or {}), **({"user-agent": agent} if agent else {})}
    inbound["body"][1]["request"] = json.dumps({"headers": told, "ip": ip}).encode() if told or ip else b"{}"
    return inbound


# filters


@pytest.mark.parametrize(
    ("rule", "dropped"),
    [
        (Filter(bots=True), ["robot"]),
        (Filter(networks=["10.1.0.0/16", "2001:db8::/32"]), ["office", "mapped", "six"]),
        (Filter(when="properties.amount > `5`"), ["office"]),
        (Filter(when="request.headers.dnt == '1'"), ["mapped"]),
        (Filter(networks=["10.1.0.0/16"], when="properties.amount > `5`"), ["office"]),
        (Filter(source="elsewhere"), []),
        (Filter(event_type="page-view"), []),
        (Filter(bots=True, enabled=False), []),
    ],
)
def test_a_filter_drops_what_is_all_that_it_says_and_the_balance_counts_it(rule, dropped):
    hub = Hub(rule)
    outcome = hub.take(
        sent("robot", agent=ROBOT, ip="192.0.2.7"),
        sent("office", agent=DESKTOP, ip="10.1.2.3", amount=10),
        sent("mapped", ip="::ffff:10.1.2.3", headers={"dnt": "1"}),
        sent("six", ip="2001:db8::1"),
        sent("away", agent=PHONE, ip="not an address", amount=5),
        sent("queue"),
    )
    kept = [one["id"] for one in outcome.stored]
    assert kept == [id for id in ("robot", "office", "mapped", "six", "away", "queue") if id not in dropped]
    assert hub.counts() == {"received": 6, "stored": len(kept)} | ({"dropped": len(dropped)} if dropped else {})
    assert outcome.filtered == ({"a": len(dropped)} if dropped else {})
    assert hub.profile()["stats"]["events"] == len(kept)


def test_a_server_that_sends_for_its_customers_says_whose_address_and_agent_it_is():
    hub = Hub(Filter(bots=True))
    server = {"ip": "192.0.2.1", "agent": "python-requests/2.32"}
    hub.take(
        sent("robot", **server, context={"userAgent": ROBOT}), sent("human", **server, context={"userAgent": PHONE})
    )
    assert [one["id"] for one in hub.take(sent("server", **server), start=2).stored] == []
    assert hub.event("human")["device"]["type"] == "mobile"
    assert hub.counts() == {"received": 3, "stored": 1, "dropped": 2}


def test_a_filter_that_marks_keeps_the_event_and_says_so():
    hub = Hub(Filter(networks=["10.0.0.0/8"], action="flag"))
    hub.take(sent("e1", ip="10.1.2.3", amount=2))
    assert hub.event()["metadata"]["flags"] == ["filtered"]
    assert hub.event()["outcome"]["rules"] == [{"rule": "filter/a", "did": "flagged", "field": "", "detail": ""}]
    assert hub.profile()["traits"]["total"] == 2


def test_the_first_event_that_is_kept_begins_the_visit_when_the_one_before_is_dropped():
    hub = Hub(Filter(when="properties.amount == `0`"))
    hub.take(track("p1", event("e1", amount=0), event("e2", amount=1), session_id="s1"))
    assert hub.event("e2")["metadata"]["flags"] == ["visit_started"]
    assert hub.event("e2")["outcome"]["profile_created"] is True
    assert hub.counts() == {"received": 2, "stored": 1, "dropped": 1}


def test_a_payload_that_is_dropped_whole_leaves_no_profile_and_claims_no_identifier():
    points = Points([("mail", BY_EMAIL)])
    hub = Hub(Filter(when="properties.amount == `0`"), Validator(properties={"required": ["amount"]}), points=points)
    hub.take(sent("e1", by="p1", amount=0, email="a@example.com"), sent("e2", by="p2", email="a@example.com"))
    assert hub.store.get("profiles", "p1") is None
    outcome = hub.take(sent("e3", by="p3", amount=1, email="a@example.com"), start=2)
    assert outcome.batch.identity is not None
    assert [one["did"] for one in hub.event("e3")["outcome"]["identity"]] == ["claimed"]


def test_what_was_dropped_stays_dropped_when_it_is_told_again_without_the_filter():
    hub = Hub(Filter(when="properties.amount == `0`"))
    records = log(sent("e1", amount=0), sent("e2", amount=1))
    hub.again(records)
    hub.definitions = Hub().definitions
    assert [one["id"] for one in hub.again(records).stored] == ["e2"]
    assert hub.counts() == {"received": 2, "stored": 1, "dropped": 1}


def test_a_condition_that_cannot_be_evaluated_is_not_met_and_the_event_says_so():
    hub = Hub(Filter(when="number(properties.amount) > `5`"))
    hub.take(sent(amount="many"))
    assert "rule_failed" in hub.event()["metadata"]["flags"]
    (did,) = hub.event()["outcome"]["rules"]
    assert (did["rule"], did["did"], did["field"]) == ("filter/a", "failed", "when")
    assert "not a number" in did["detail"]


# validators

PRICED = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number", "minimum": 0}}}


def test_an_event_that_is_not_as_the_schema_says_is_kept_and_goes_into_no_profile():
    hub = Hub(Validator(properties=PRICED, context={"required": ["page"]}))
    hub.take(
        sent("e1", amount=-4, context={"page": {}}), sent("e2", amount=2, context={"page": {}}), sent("e3", amount=3)
    )
    assert hub.event("e2")["metadata"]["flags"] == []
    assert hub.event("e1")["metadata"]["flags"] == hub.event("e3")["metadata"]["flags"] == ["invalid"]
    assert [(did["did"], did["field"]) for did in hub.event("e1")["outcome"]["rules"]] == [
        ("invalid", "properties.amount")
    ]
    assert hub.event("e3")["outcome"]["rules"][0]["field"] == "context"
    assert (hub.profile()["traits"]["total"], hub.profile()["stats"]["events"]) == (2, 3)
    assert hub.counts() == {"received": 3, "stored": 3}


def test_what_is_wrong_is_said_without_the_value():
    hub = Hub(Validator(properties={"properties": {"card": {"type": "number"}, "mail": {"format": "email"}}}))
    hub.take(sent(card="4111 1111 1111 1111", mail="secret"))
    said = json.dumps(hub.event()["outcome"]["rules"])
    assert ("properties.card" in said, "properties.mail" in said) == (True, True)
    assert ("4111" in said, "secret" in said) == (False, False)


def test_a_validator_of_mode_dead_letter_buries_the_event_and_no_other_and_stops_nobody():
    hub = Hub(Validator(properties=PRICED, mode="dead-letter"))
    records = log(track("p1", event("e1", amount="x"), event("e2", amount=2)))
    outcome = hub.again(records)
    (letter,) = outcome.batch.dead_letters
    assert (letter.reason, letter.stage) == ("schema_violation", "collector")
    assert [one["id"] for one in next(decode([records[0]._replace(value=letter.body)])).events] == ["e1"]
    assert "validator/a" in letter.detail
    assert "properties.amount" in letter.detail
    assert [one["id"] for one in outcome.stored] == ["e2"]
    assert hub.counts() == {"received": 2, "stored": 1, "dead": 1}
    assert outcome.own_dead == 0
    assert [one.id for one in hub.again(records).dead_letters] == [letter.id]
    assert hub.counts() == {"received": 2, "stored": 1, "dead": 1}


def test_a_validator_is_for_its_type_source_and_condition_and_off_is_off():
    rules = [
        Validator(properties=False, event_type="page-view"),
        Validator(properties=False, source="elsewhere"),
        Validator(properties=False, when="properties.amount > `5`"),
        Validator(properties=False, mode="off"),
    ]
    hub = Hub(*rules)
    hub.take(sent("e1", amount=1), sent("e2", amount=6))
    assert hub.event("e1")["metadata"]["flags"] == []
    assert [did["rule"] for did in hub.event("e2")["outcome"]["rules"]] == ["validator/c"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Validator(properties={"properties": {"a": {"type": "nmber"}}}), "properties.properties.a.type"),
        (Validator(context={"$ref": "https://example.com/schema"}), "put it into $defs"),
        (Validator(context={"$ref": "file:///etc/hostname"}), "put it into $defs"),
        (Validator(properties={"pattern": "(?=a)b"}), "properties.pattern"),
        (Reshaper(properties={"a": "properties.["}), "properties.a"),
        (Reshaper(context="nothing(properties)"), "context"),
    ],
)
def test_a_schema_or_template_that_is_none_is_refused_with_its_place_and_used_for_no_event(rule, words):
    with pytest.raises(ValueError, match=r".") as caught:
        check_rule(rule)
    assert words in str(caught.value)
    hub = Hub(rule)
    hub.take(sent(amount=1))
    assert hub.event()["metadata"]["flags"] == ["rule_failed"]
    assert hub.profile()["traits"]["total"] == 1


# reshapers


def test_the_first_reshaper_that_fits_is_used_and_what_was_sent_stays():
    hub = Hub(
        Reshaper(when="properties.kind == 'b2b'", properties={"amount": "`0`"}),
        Reshaper(properties={"amount": "properties.gross"}, context={"lang": "context.l"}),
        Reshaper(properties={"amount": "`7`"}),
    )
    inbound = sent("e1", gross=5, context={"l": "en"})
    hub.take(inbound, sent("e2", by="p2", kind="b2b"))
    kept = hub.event()
    assert (kept["properties"], kept["context"]) == ({"amount": 5}, {"lang": "en"})
    assert kept["raw"] == {"properties": {"gross": 5}, "context": {"l": "en"}}
    assert [did["rule"] for did in kept["outcome"]["rules"]] == ["reshaper/b", "reshaper/b"]
    assert (hub.profile("p1")["traits"]["total"], hub.profile("p2")["traits"]["total"]) == (5, 0)
    assert "context" not in hub.event("e2")["raw"]
    again = inbound_of([json.dumps(kept).encode()])
    assert again["body"][0] == inbound["body"][0] == TRACK
    (event_again,), (first,) = again["body"][1]["events"], inbound["body"][1]["events"]
    assert json.loads(event_again["properties"]) == json.loads(first["properties"])
    assert json.loads(event_again["context"]) == json.loads(first["context"])


@pytest.mark.parametrize("template", [{"amount": "number(properties.amount)"}, "properties.amount"])
def test_a_reshaper_that_fails_leaves_the_event_as_it_was(template):
    hub = Hub(Reshaper(properties=template, context={"x": "`1`"}), Reshaper(properties={"amount": "`7`"}))
    hub.take(sent(amount="many"))
    assert (
        hub.event()["metadata"]["flags"] == ["rule_failed", "mapping_problem"]
        or "rule_failed" in (hub.event()["metadata"]["flags"])
    )
    assert (hub.event()["properties"], hub.event()["context"]) == ({"amount": "many"}, {})
    assert "raw" not in hub.event()


def test_a_reshaper_that_gives_null_leaves_the_event_to_the_next():
    hub = Hub(Reshaper(properties="properties.nested"), Reshaper(properties={"amount": "`7`"}))
    hub.take(sent("e1", nested={"amount": 3}), sent("e2"))
    assert [hub.event(id)["properties"] for id in ("e1", "e2")] == [{"amount": 3}, {"amount": 7}]


def test_who_somebody_is_is_told_by_what_was_sent():
    hub = Hub(Reshaper(properties={"amount": "properties.amount"}), points=Points([("mail", BY_EMAIL)]))
    hub.take(sent(amount=1, email="a@example.com"))
    assert "email" not in hub.event()["properties"]
    assert [one["did"] for one in hub.event()["outcome"]["identity"]] == ["claimed"]


# data compliance

GUARD = DataCompliance.model_validate({"event_type": "purchase", "fields": [
    {"event": "properties.email", "consents": ["mail"]},
    {"event": "properties.items.0.card", "consents": ["mail", "pay"], "action": "hash"},
    {"event": "request.ip", "consents": ["mail"]},
]})  # fmt: skip


def test_what_a_profile_has_not_agreed_to_is_not_kept_anywhere():
    hub = Hub(Reshaper(properties={"mail": "properties.email", "card": "properties.items[0].card"}), GUARD)
    hub.take(sent(email="a@example.com", items=[{"card": 4111}], ip="192.0.2.77"))
    kept = hub.event()
    assert not any(text in json.dumps(kept) for text in ("a@example.com", "4111", "192.0.2.77"))
    assert kept["metadata"]["flags"] == ["consent_missing"]
    assert [(did["did"], did["field"]) for did in kept["outcome"]["rules"]][:3] == [
        ("removed", "properties.email"),
        ("hashed", "properties.items.0.card"),
        ("removed", "request.ip"),
    ]
    assert kept["raw"]["properties"]["items"] == [{"card": kept["properties"]["card"]}]
    assert kept["properties"]["card"].startswith("hash:")
    hub.take(sent("e2", items=[{"card": 4111}]), start=1)
    assert hub.event("e2")["properties"]["card"] == kept["properties"]["card"]


def test_what_needs_consent_is_not_taken_from_the_payloads_context_either():
    hub = Hub(DataCompliance(fields=[
        {"event": "context.location.city", "consents": ["place"]},
        {"event": "context.device.name", "consents": ["place"], "action": "hash"},
    ]))  # fmt: skip
    hub.take(around(sent(), **ABOUT))
    kept = hub.event()
    assert [(did["did"], did["field"]) for did in kept["outcome"]["rules"]] == [
        ("removed", "payload.context.location.city"),
        ("hashed", "payload.context.device.name"),
    ]
    assert "city" not in kept["device"]["geo"]
    assert kept["device"]["name"].startswith("hash:")
    assert as_sent(kept) == {"properties": {}, "context": {}}


def test_what_it_has_agreed_to_is_kept_from_then_on():
    hub = Hub(GUARD)
    hub.take(
        sent("e1", email="a@example.com"),
        sent("e2", consents={"mail": {"granted": True, "revoke": None}}),
        sent("e3", email="a@example.com", items=[{"card": 4}]),
        sent("e4", by="", email="a@example.com"),
        sent("e5", consents={"mail": {"granted": False, "revoke": None}}, email="b@example.com"),
        sent("e6", email="a@example.com"),
    )
    assert ["email" in hub.event(f"e{n}")["properties"] for n in (1, 3, 4, 5, 6)] == [False, True, False, True, False]
    assert hub.event("e3")["properties"]["items"][0]["card"].startswith("hash:")


@pytest.mark.parametrize(
    ("consent", "given"),
    [
        (True, True),
        ({"granted": True, "revoke": None}, True),
        ({"revoke": "2026-06-01T00:00:00Z"}, True),
        ({"granted": True, "revoke": "2026-05-01T00:00:00Z"}, False),
        ({"granted": True, "revoke": "some day"}, False),
        ({"granted": False}, False),
        (False, False),
        (None, False),
        ("yes", False),
    ],
)
def test_when_a_consent_holds(consent, given):
    assert is_given(consent, "2026-05-15T00:00:00.000Z") is given


# enrichment


def test_an_event_tells_its_device_program_page_campaign_language_and_hour():
    hub = Hub()
    context = {
        "page": {
            "url": "https://shop.example/a/b?utm_source=news&utm_campaign=spring%20sale&id=7#top",
            "title": "Shoes",
            "referrer": "https://news.example/",
        },
        "timezone": "Asia/Kolkata",
    }
    hub.take(sent(agent=PHONE, context=context, headers={"accept-language": "de;q=0.5, en-gb;q=0.9, *;q=0.1"}))
    kept = hub.event()
    assert kept["device"] == {"name": "iPhone", "brand": "Apple", "model": "iPhone", "type": "mobile"}
    assert kept["os"] == {"name": "iOS", "version": "17.5"}
    assert kept["app"] == {
        "type": "browser",
        "name": "Mobile Safari",
        "version": "17.5",
        "bot": False,
        "language": "en-GB",
    }
    assert kept["hit"] == {
        "url": context["page"]["url"],
        "host": "shop.example",
        "path": "/a/b",
        "query": "utm_source=news&utm_campaign=spring%20sale&id=7",
        "name": "Shoes",
        "referer": "https://news.example/",
    }
    assert kept["utm"] == {"source": "news", "campaign": "spring sale"}
    assert (kept["metadata"]["time"]["zone"], kept["metadata"]["time"]["hour"]) == ("Asia/Kolkata", 1)
    assert hub.profile()["traits"]["device"] == "mobile"


def test_what_the_context_says_itself_counts_more():
    hub = Hub()
    hub.take(
        sent(
            "e1",
            agent=DESKTOP,
            context={"locale": "fr_CA", "campaign": {"name": "x", "source": "y"}},
            headers={"accept-language": "en"},
        ),
        sent(
            "e2",
            context={
                "utm": {"source": "z"},
                "page": {"url": "https://a.example/?utm_source=q"},
                "time": {"tz": "Europe/Paris"},
            },
        ),
    )
    assert (hub.event("e1")["app"]["language"], hub.event("e1")["device"]["type"]) == ("fr-CA", "desktop")
    assert hub.event("e1")["utm"] == {"source": "y", "campaign": "x"}
    assert hub.event("e2")["utm"] == {"source": "z"}
    assert "hour" in hub.event("e2")["metadata"]["time"]


ABOUT = {
    "utm": {"source": "mail"},
    "time": {"local": "27/11/2026, 15:00:00", "tz": "Europe/Warsaw"},
    "browser": {"local": {"browser": {"userAgent": PHONE, "language": "pl-PL"}}},
    "screen": {"local": {"width": 390, "height": 844, "colorDepth": 24, "orientation": "portrait-primary"}},
    "device": {"name": "Una's phone", "type": "Mobile"},
    "location": {"country": {"name": "Poland", "code": "PL"}, "city": "Warsaw", "latitude": 52.2, "longitude": 21},
}
"""What the predecessor's clients say in a payload's context."""


def around(inbound: Inbound, **context: Any) -> Inbound:
    assert inbound["body"][0] == TRACK
    inbound["body"][1]["context"] = json.dumps(context).encode()
    return inbound


@pytest.mark.parametrize("rules", [[], [Filter(bots=True)]])
def test_the_payloads_context_counts_where_the_event_says_nothing(rules):
    hub = Hub(*rules)
    said = {"utm": {"source": "own"}, "timezone": "Asia/Kolkata", "device": {"model": "T 1"}}
    page = {"page": {"url": "https://a.example/?utm_source=page"}}
    hub.take(
        around(sent("e1", agent="curl/7"), **ABOUT),
        around(sent("e2", agent="curl/7", context=said), **ABOUT),
        around(sent("e3", agent="curl/7", context=page), **ABOUT),
    )
    one, two, three = (hub.event(id) for id in ("e1", "e2", "e3"))
    assert one["device"] == {
        "name": "Una's phone",
        "brand": "Apple",
        "model": "iPhone",
        "type": "mobile",
        "resolution": "390x844",
        "color_depth": 24,
        "orientation": "portrait-primary",
        "geo": {
            "country": {"name": "Poland", "code": "PL"},
            "city": "Warsaw",
            "latitude": 52.2,
            "longitude": 21,
            "location": [21, 52.2],
        },
    }
    assert (one["os"]["name"], one["app"]["language"], one["utm"]) == ("iOS", "pl-PL", {"source": "mail"})
    assert (one["metadata"]["time"]["zone"], one["context"]) == ("Europe/Warsaw", {})
    assert (two["device"]["name"], two["device"]["model"]) == ("iPhone", "T 1")
    assert (two["utm"], two["metadata"]["time"]["zone"]) == ({"source": "own"}, "Asia/Kolkata")
    assert three["utm"] == {"source": "page"}


def test_who_a_filter_is_for_may_stand_in_the_payloads_context():
    hub = Hub(Filter(bots=True), Filter(networks=["10.0.0.0/8"]))
    robot = {"browser": {"local": {"browser": {"userAgent": ROBOT}}}}
    hub.take(
        around(sent("e1", agent=PHONE), **robot),
        around(sent("e2", agent=PHONE), ip="10.1.2.3"),
        around(sent("e3", agent=PHONE), ip="192.0.2.1"),
    )
    assert hub.counts() == {"received": 3, "stored": 1, "dropped": 2}
    assert hub.event("e3")["app"]["name"] == "Mobile Safari"


def test_an_event_of_a_queue_that_tells_nothing_has_none_of_it():
    hub = Hub()
    hub.take(sent(amount=1))
    assert hub.event().keys().isdisjoint({"device", "os", "app", "hit", "utm", "raw"})
    assert "rules" not in hub.event()["outcome"]
    assert hub.event()["metadata"]["time"].keys() == {"insert", "create"}


ODD = st.one_of(st.none(), st.integers(), st.text(), st.dictionaries(st.text(), st.text()), st.lists(st.text()))


KEYS = ["page", "timezone", "time", "locale", "ip", "userAgent", "utm", "campaign", "browser", "screen", "device"]
BELOW = ["url", "title", "referrer", "tz", "source", "name", "local", "type", "width", "height", "country", "latitude"]
NUMBER = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "location"]),
        ODD | st.dictionaries(st.sampled_from([*BELOW, "longitude"]), ODD | NUMBER),
    )
)
def test_no_context_makes_the_collector_stumble(context):
    hub = Hub(Filter(bots=True, action="flag"), Filter(networks=["::/0"], action="flag"))
    hub.take(sent(context=context, agent="x"), around(sent("e2"), **context))
    assert hub.counts() == {"received": 2, "stored": 2}


@given(st.text(max_size=40).map(lambda text: f"https://shop.example/{text}") | st.text(max_size=40))
def test_a_page_has_the_url_that_was_sent(url):
    hit, _ = page_of({"url": url})
    assert hit.get("url", "") == url


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("en-gb", "en-GB"),
        ("de;q=0.5,fr", "fr"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("*", ""),
        ("", ""),
        ("q=;;,", ""),
        ("en;q=x", ""),
    ],
)
def test_the_language_that_somebody_likes_best(text, language):
    assert language_of(text) == language


@pytest.mark.parametrize("zone", ["Nowhere/At All", "../../etc/passwd", "America", "", "x" * 999, "\x00"])
def test_a_zone_that_is_none_has_no_hour(zone):
    assert hour_of(NOW_MS, zone) is None


JSON = st.recursive(st.integers(), lambda below: st.dictionaries(st.sampled_from("abc"), below, max_size=3))


@given(st.dictionaries(st.sampled_from("abc"), JSON), st.dictionaries(st.sampled_from("abc"), JSON))
def test_objects_are_joined_and_neither_is_changed(under, over):
    before = json.dumps([under, over])
    made = joined(under, over)
    assert json.dumps([under, over]) == before
    assert made.keys() == under.keys() | over.keys()
    assert joined(made, over) == made


# geo


@pytest.fixture
def geo(tmp_path):
    """A city database of one network."""
    writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], ipv4_compatible=True)
    place = {
        "country": {"iso_code": "GB", "names": {"en": "United Kingdom", "de": "Vereinigtes Königreich"}},
        "subdivisions": [{"names": {"en": "England"}}],
        "city": {"names": {"en": "London"}},
        "location": {"latitude": 51.5, "longitude": -0.12},
        "postal": {"code": "SW1A"},
    }
    writer.insert_network(IPSet(["192.0.2.0/24"]), place)
    file = tmp_path / "city.mmdb"
    writer.to_db_file(str(file))
    return file


def test_the_place_that_a_context_says_counts_more_than_the_file(geo):
    hub = Hub(geo=places(geo))
    hub.take(sent("e1", ip="192.0.2.7", context={"location": {"city": "Rome", "country": "Italy", "latitude": "x"}}))
    assert hub.event("e1")["device"]["geo"] == {"country": {"name": "Italy"}, "city": "Rome"}


def test_an_address_has_the_place_that_the_file_says(geo):
    hub = Hub(geo=places(geo))
    hub.take(
        sent("e1", ip="192.0.2.7", agent=PHONE),
        sent("e2", ip="198.51.100.1"),
        sent("e3", ip="198.51.100.1", context={"ip": "192.0.2.9"}),
        sent("e4", context={"ip": "rubbish"}),
    )
    found = hub.event("e1")["device"]
    assert found["type"] == "mobile"
    assert found["geo"] == {
        "country": {"name": "United Kingdom", "code": "GB"},
        "county": "England",
        "city": "London",
        "postal": "SW1A",
        "latitude": 51.5,
        "longitude": -0.12,
        "location": [-0.12, 51.5],
    }
    assert hub.event("e3")["device"]["geo"] == found["geo"]
    assert "device" not in hub.event("e2")
    assert "device" not in hub.event("e4")


def test_a_file_that_is_no_database_stops_the_collector_with_its_name(tmp_path):
    file = tmp_path / "city.mmdb"
    with pytest.raises(Refused, match="HUB_GEO__FILE"):
        places(file)
    file.write_bytes(b"none")
    with pytest.raises(Refused, match=r"city\.mmdb"):
        places(file)
    assert places(None) is None


def test_what_many_events_share_is_not_changed_through_a_profile():
    """What a user agent says is remembered; a line that puts it into a profile and one that adds to it there."""
    lines = [
        {"event": "device", "profile": "traits.device"},
        {"event": "properties.color", "profile": "traits.device.color"},
        {"event": "properties.color", "profile": "traits.device.name"},
    ]
    hub = Hub()
    hub.definitions = Definitions(
        1, compile_mappings([("m", Mapping.model_validate({"event_type": "purchase", "fields": lines}))])
    )
    hub.take(sent("e1", agent=PHONE, color="red"), sent("e2", by="p2", agent=PHONE))
    assert hub.profile("p1")["traits"]["device"]["color"] == "red"
    assert hub.event("e2")["device"] == {"name": "iPhone", "brand": "Apple", "model": "iPhone", "type": "mobile"}


def test_an_undo_sees_what_was_sent_without_what_was_hashed():
    hub = Hub(Reshaper(properties={"amount": "properties.amount"}), GUARD)
    hub.take(sent(amount=1, items=[{"card": 4, "n": 1}], email="a@example.com"))
    assert as_sent(hub.event()) == {"properties": {"amount": 1, "items": [{"n": 1}]}, "context": {}}
