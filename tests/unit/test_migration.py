"""Documents and definitions of the predecessor, each converted on its own; what of an installation is told by names."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import KINDS
from hub.errors import Refused
from hub.flows.check import check
from hub.flows.registry import ours
from hub.migration import events, profiles, sessions
from hub.migration.actions import ACTIONS, SERVICE, instead
from hub.migration.definitions import POINT, Defined, converted
from hub.migration.fates import KNOWN, Fate, counts, hide, judged
from hub.migration.fates import converted as fates_of
from hub.migration.flows import MISSING, unpacked
from hub.migration.installation import chosen, index_of, installations
from hub.migration.look import Copy
from hub.migration.made import Document, Left, Takeover, plain_keys
from hub.migration.metadata import document_of
from hub.migration.times import time_ms
from tests.factories import NOW_MS
from tests.predecessor import DEFINITIONS, SOURCE, flow_document

TAKEOVER = Takeover("082x.t", "task", False)
THEN = "2024-03-01T09:00:00+00:00"
ID = "0b7c5a6e-1111-4222-8333-444455556666"


def event_doc(**more: Any) -> Document:
    source = {
        "id": ID,
        "type": "purchase",
        "source": {"id": "shop"},
        "profile": {"id": "ann"},
        "session": {"id": "s"},
        "metadata": {"time": {"insert": THEN}},
        **more,
    }
    return Document("x.tracardi-event-2024-3", str(source["id"]), source)


def profile_doc(**more: Any) -> Document:
    source = {"id": "ann", "metadata": {"time": {"insert": THEN}}, **more}
    return Document("x.tracardi-profile-2024-q1", "ann", source)


def said(document: Document) -> dict[str, Any]:
    """Properties of the event that a profile becomes."""
    body: Any = profiles.convert(document, TAKEOVER, NOW_MS).records[0][1]["body"][1]
    found: dict[str, Any] = msgspec.json.decode(body["events"][0]["properties"])
    return found


@pytest.mark.parametrize(
    ("name", "kind", "part"),
    [
        ("082x.8504a.tracardi-event-2024-3", "event", "2024-3"),
        ("prod-09x.8504a.tracardi-profile-2024-q1", "profile", "2024-q1"),
        ("prod-082x.8504a.tracardi-event-source", "event-source", ""),
        ("08x.t.thamesthrive-session-2024-year", "session", "2024-year"),
        ("static-082x.t.tracardi-bridge", "bridge", ""),
    ],
)
def test_indices_are_told_by_their_names(name: str, kind: str, part: str) -> None:
    found = index_of(name)
    assert found is not None
    assert (found.kind, found.part) == (kind, part)


@pytest.mark.parametrize("name", [".kibana", "tracardi-event", "082x.t.other-event-2024-3", "prod-082x.tracardi-event"])
def test_other_indices_are_none(name: str) -> None:
    assert index_of(name) is None


def test_which_installation_is_meant_has_to_be_clear() -> None:
    names = [f"{stage}{version}.t.tracardi-event-2024-3" for stage in ("", "prod-") for version in ("082x", "09x")]
    found = installations([*names, "static-082x.t.tracardi-bridge", ".kibana"])
    assert len(found) == 4
    one = chosen(found, version="0.8.2", tenant="", production=True)
    assert (one.release, one.id, one.production) == ("0.8.2", "prod-082x.t", True)
    with pytest.raises(Refused, match=r"say which one is meant.*0\.9\.0, tenant t, production"):
        chosen(found, version="", tenant="", production=True)
    with pytest.raises(Refused, match="none of them is meant"):
        chosen(found, version="0.7", tenant="", production=None)
    with pytest.raises(Refused, match="no indices of Tracardi"):
        chosen([], version="", tenant="", production=None)
    with pytest.raises(Refused, match="none that this hub can take over"):
        chosen(installations(["074.t.tracardi-event-2023-1"]), version="", tenant="", production=None)


def test_indices_of_a_kind_are_in_the_order_of_time() -> None:
    names = [f"082x.t.tracardi-event-{part}" for part in ("2024-10", "2024-2", "2023-12")]
    (one,) = installations(names)
    assert [index.part for index in one.of("event")] == ["2023-12", "2024-2", "2024-10"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (THEN, 1_709_283_600_000),
        ("2024-03-01T09:00:00.5", 1_709_283_600_500),
        ("2024-03-01 10:00:00+01:00", 1_709_283_600_000),
        (1_709_283_600, 1_709_283_600_000),
        (1_709_283_600_000, 1_709_283_600_000),
        (datetime.fromisoformat("2024-03-01T09:00:00"), 1_709_283_600_000),
        ("", None),
        ("soon", None),
        (None, None),
        (True, None),
        ([], None),
        ("99999-01-01", None),
    ],
)
def test_times_are_read_as_they_are_written(value: Any, expected: int | None) -> None:
    assert time_ms(value) == expected


def test_an_event_keeps_id_time_and_what_was_said() -> None:
    document = event_doc(
        properties={"amount": 3},
        context={"page": {"url": "https://a"}},
        request={"headers": {"user-agent": "x", "Authorization": "secret", "cookie": "secret"}},
        tags={"values": ["a", "b"], "count": 2},
        traits={"tea": "green", "none": None},
        metadata={"time": {"insert": THEN, "create": "2024-02-29T23:00:00"}, "ip": "192.0.2.1", "valid": False},
    )
    made = events.convert(document, TAKEOVER, NOW_MS)
    key, record = made.records[0]
    body: Any = record["body"][1]
    assert (key, record["source"], record["profile_id"], body["session_id"]) == ("ann", "shop", "ann", "s")
    assert record["origin"] == f"takeover:done:task:{document.name}"
    (one,) = body["events"]
    assert (one["id"], one["client_id"], one["type"], one["tags"]) == (ID, None, "purchase", ["a", "b"])
    assert one["time_ms"] == made.time_ms == 1_709_247_600_000
    assert msgspec.json.decode(one["properties"]) == {"amount": 3}
    context = msgspec.json.decode(one["context"])
    assert context["page"] == {"url": "https://a"}
    assert context["predecessor"] == {"traits": {"tea": "green"}, "metadata": {"valid": False}}
    assert msgspec.json.decode(body["request"]) == {"headers": {"user-agent": "x"}, "ip": "192.0.2.1"}
    assert not made.changed


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"type": ""}, "it has no event type"),
        ({"type": None}, "it has no event type"),
        ({"metadata": {"time": {}}}, "it has no time"),
        ({"metadata": None}, "it has no time"),
        ({"id": "x" * 300}, "its id cannot be one here"),
        ({"properties": {"x": "y" * 20_000_000}}, "larger than a record"),
        ({"properties": {"x": "\ud800"}}, "no JSON"),
    ],
)
def test_an_event_that_cannot_be_one_is_left_in_words(more: dict[str, Any], why: str) -> None:
    with pytest.raises(Left, match=why):
        events.convert(event_doc(**more), TAKEOVER, NOW_MS)


def test_what_is_changed_in_an_event_is_said() -> None:
    made = events.convert(
        event_doc(id="1001", type="Page View", source={"id": "@internal-0"}, profile=None), TAKEOVER, NOW_MS
    )
    _, record = made.records[0]
    body: Any = record["body"][1]
    assert (body["events"][0]["type"], body["events"][0]["client_id"]) == ("page-view", "1001")
    assert (record["source"], body["profile_less"]) == ("@predecessor", True)
    assert len(made.changed) == 4


def test_a_profile_of_before_082_has_its_pii_below_data() -> None:
    found = said(
        profile_doc(
            pii={"name": "Ann", "surname": "Lee", "email": "a@b.c", "telephone": "1", "last_ip": "x"},
            traits={"public": {"plan": "gold"}, "private": {"n": 1}},
            interests=["tea"],
            stats={"visits": 4, "views": 2, "counters": {"a.b": 1}},
        )
    )
    assert found["data"] == {
        "pii": {"firstname": "Ann", "lastname": "Lee"},
        "contact": {"email": {"main": "a@b.c"}, "phone": {"main": "1"}},
    }
    assert found["traits"] == {"plan": "gold", "n": 1}
    assert found["aux"] == {"pii_last_ip": "x"}
    assert found["counters"] == {"stats.views": 2, "stats.counters.a_b": 1, "interests.tea": 1, "visits": 4}
    assert found["visits"]["count"] == 4


def test_what_this_hub_makes_itself_is_not_taken_over() -> None:
    data = {"anonymous": True, "metrics": {"ltcop": 0.5, "ltcosc": 4, "ltcocc": 2, "next": "x"}}
    found = said(profile_doc(data=data, stats={"events": 9}))
    assert found["data"] == {"metrics": {"next": "x"}}
    assert found["counters"] == {"data.metrics.ltcosc": 4, "data.metrics.ltcocc": 2}


def test_ids_that_are_hashes_are_left_and_others_lead_to_the_profile() -> None:
    made = profiles.convert(profile_doc(ids=["ann", "emm-1", "old", "old", "zoe", ""]), TAKEOVER, NOW_MS)
    asked = [(key, record["body"][1]["loser_id"]) for key, record in made.records[1:]]  # type: ignore[typeddict-item]
    assert asked == [("old", "ann"), ("zoe", "ann")]
    again = profiles.convert(profile_doc(ids=["ann", "emm-1", "old", "old", "zoe", ""]), TAKEOVER, NOW_MS + 5)
    assert [record["id"] for _, record in again.records] == [record["id"] for _, record in made.records]


def test_keys_that_no_field_can_have_are_changed() -> None:
    assert plain_keys({"a.b": {"c" * 300: 1}, "ok": 2}) == ({"a_b": {"c" * 256: 1}, "ok": 2}, True)
    assert plain_keys({"ok": {"x": [1]}}) == ({"ok": {"x": [1]}}, False)


def test_a_session_without_a_profile_is_left() -> None:
    with pytest.raises(Left, match="no profile"):
        sessions.convert(Document("s", "s", {"id": "s", "metadata": {"time": {"insert": THEN}}}), TAKEOVER, NOW_MS)


def test_of_several_copies_one_counts_and_the_rest_are_duplicates() -> None:
    documents = [event_doc(), profile_doc()]
    there = {ID: [Copy("x.tracardi-event-2024-1", 5), Copy(documents[0].within, 9)]}
    (fate,) = fates_of("event", documents[:1], there, TAKEOVER, NOW_MS)
    assert (fate.state, fate.why) == ("duplicate", "another index has it, too, and that is the first one")
    there = {"ann": [Copy("x.tracardi-profile-2024-q2", 5), Copy(documents[1].within, 9)]}
    (fate,) = fates_of("profile", documents[1:], there, TAKEOVER, NOW_MS)
    assert fate.state == "taken"


def test_what_nobody_shall_know_is_hashed_on_the_way() -> None:
    catalogue = Catalogue(b"0123456789abcdef")
    fields = [{"event": "properties.email", "kind": "email"}, {"event": "context.ip"}]
    spec = {"event_type": "purchase", "source": "shop", "fields": fields}
    catalogue.apply(b"pseudonym/payer", msgspec.json.encode({"spec": spec, "updated_at_ms": 0}), 0)
    document = event_doc(properties={"email": "ann@example.com", "n": 1}, context={"ip": "192.0.2.7"})
    fates = fates_of("event", [document], {}, TAKEOVER, NOW_MS)
    hide(fates, catalogue)
    body: Any = fates[0].records[0][1]["body"][1]
    (event,) = body["events"]
    assert msgspec.json.decode(event["properties"])["email"].startswith("pseudonym:email:")
    assert msgspec.json.decode(event["properties"])["n"] == 1
    assert msgspec.json.decode(event["context"])["ip"].startswith("pseudonym:id:")


@pytest.mark.parametrize("odd", [None, "", "x", -1, 1e308, True, [], [None], [{"a": 1}], {}, {"a.b": [1]}, "é" * 3000])
@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("event", event_doc(tags={"values": ["a"]}, request={"headers": {"a": "b"}}, context={"a": 1})),
        ("profile", profile_doc(ids=["b"], segments=["gold"], stats={"visits": 1}, interests={"a": 1}, pii={"a": 1})),
        ("session", event_doc(metadata={"time": {"insert": THEN, "duration": 1.5}, "channel": "web"})),
    ],
)
def test_a_document_that_is_half_written_keeps_no_other_from_being_taken(
    kind: str, document: Document, odd: object
) -> None:
    documents = [document._replace(source={}), *(document._replace(source=one) for one in _spoilt(document, odd))]
    fates = fates_of(kind, [*documents, document], {}, TAKEOVER, NOW_MS)
    assert fates[-1].state == "taken"
    assert all(fate.why for fate in fates if fate.state == "left")


def _spoilt(document: Document, odd: object) -> Iterator[dict[str, Any]]:
    """The document with that in each place of it."""

    def below(value: Any) -> Iterator[Any]:
        yield odd
        if isinstance(value, dict):
            for key, item in value.items():
                yield from ({**value, key: one} for one in below(item))
        elif isinstance(value, list):
            for place, item in enumerate(value):
                yield from ([*value[:place], one, *value[place + 1 :]] for one in below(item))

    yield from (one for one in below(dict(document.source)) if isinstance(one, dict))


def test_what_the_hub_has_is_a_duplicate_unless_this_task_has_brought_it() -> None:
    fates = fates_of("event", [event_doc(), event_doc(id="1", type="")], {}, TAKEOVER, NOW_MS)
    name = fates[0].document.name

    def states(origins: dict[str, str], erased: frozenset[str] = frozenset()) -> list[tuple[str, bool]]:
        return [(one.state, one.is_sent) for one in judged(fates, origins, erased, TAKEOVER)]

    assert states({}) == [("taken", True), ("left", False)]
    assert states({ID: f"takeover:done:task:{name}"}) == [("taken", False), ("left", False)]
    assert states({ID: f"takeover:done:other:{name}"}) == [("duplicate", False), ("left", False)]
    assert states({ID: "rest"}) == [("duplicate", False), ("left", False)]
    assert states({}, frozenset({"ann"})) == [("left", False), ("left", False)]
    assert counts("event", [Fate(event_doc(), "duplicate", why=KNOWN)]) == {
        "events read": 1,
        "events duplicate": 1,
        f"events duplicate: {KNOWN}": 1,
    }


def test_orders_behind_an_event_that_was_taken_before_are_sent_again() -> None:
    fates = fates_of("profile", [profile_doc(ids=["ann", "zoe"])], {}, TAKEOVER, NOW_MS)
    made = fates[0].made
    assert made is not None
    (again,) = judged(fates, {made.event_id: f"takeover:done:task:{fates[0].document.name}"}, frozenset(), TAKEOVER)
    assert [key for key, _ in again.records] == ["zoe"]
    (other,) = judged(fates, {made.event_id: "takeover:done:other:x"}, frozenset(), TAKEOVER)
    assert not other.records


def defined() -> dict[str, Defined]:
    documents: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for kind, document in DEFINITIONS:
        documents.setdefault(kind, []).append((document["id"], document))
    return {f"{one.kind or 'left'} {one.id or one.origin}": one for one in converted(documents, ["vip", "gold"])}


def test_definitions_are_ours_or_left_with_the_reason() -> None:
    found = defined()
    for one in found.values():
        if one.kind:
            KINDS[one.kind].model_validate(dict(one.spec))
    assert found[f"source {SOURCE}"].spec["type"] == ["rest"]
    assert found["source queue"].spec["type"] == ["bridge"]
    assert "define a bridge" in found["source queue"].changed[0]
    assert "'x'" not in str(found["source queue"].spec)
    assert found["source odd"].spec["enabled"] is False
    assert found["left event-source/@internal-0123456789"].left == "the hub has event sources of its own"
    assert found["segment gold"].spec["condition"] == 'profile@traits.plan == "gold"'
    assert "condition" not in found["segment odd"].spec
    assert "LIKES" in found["segment odd"].changed[0]
    assert "condition" not in found["segment vip"].spec
    assert found["consent-type marketing"].spec["auto_revoke"] == "15d"
    assert found["event-type tasting"].spec["copy"] == {"traits.tea": "properties.tea"}
    lines = found["mapping m1"].spec["fields"]
    assert lines[0] == {"event": "properties.tea", "profile": "traits.tea", "op": "set"}
    assert lines[1]["op"] == "append"
    (identifier,) = found["identification-point i1"].spec["identifiers"]
    assert identifier == {"event": "properties.email", "kind": "email"}
    assert (
        found[f"identification-point {POINT}"].spec["identifiers"][0]["event"] == "properties.data.contact.email.main"
    )
    assert found["redirect r1"].spec["source"] == "shop-hook"
    assert found["left rule/u1"].left == "it is a trigger of its flow here"


@pytest.mark.parametrize("odd", [None, "x", 5, [None], [5], [{"data": {"spec": 5}}], {"a": 1}])
def test_a_definition_that_is_half_written_keeps_no_other_from_being_taken(odd: object) -> None:
    documents: dict[str, list[tuple[str, dict[str, Any]]]] = {"segment": [("s1", {"name": "Gold"})]}
    for kind, name in (
        ("event-to-profile", "event_to_profile"),
        ("identification-point", "fields"),
        ("flow", "flowGraph"),
        ("consent-type", "name"),
        ("event-management", "index_schema"),
    ):
        documents[kind] = [("1", {"id": "1", "event_type": {"id": "purchase"}, name: odd})]
    documents["flow"] += [("2", {"flowGraph": {"nodes": odd}}), ("3", {"flowGraph": {"nodes": [], "edges": odd}})]
    found = {one.origin: one for one in converted(documents)}
    assert found["segment/s1"].kind == "segment"
    assert all(one.kind or one.left for one in found.values())
    assert found["flow/2"].left


def test_a_flow_whose_nodes_are_known_is_a_draft_that_can_be_deployed() -> None:
    draft = defined()["flow-draft f1"]
    flow = KINDS["flow"].model_validate(dict(draft.spec))
    assert not check(flow).problems  # type: ignore[arg-type]
    assert draft.spec["triggers"] == [{"type": "event", "event_type": "purchase", "source": SOURCE}]
    assert draft.spec["nodes"]["n2"]["to"] == {"then": ["n3"], "else": ["n4"]}


def test_a_node_without_a_counterpart_is_named_and_its_settings_stay_there() -> None:
    draft = defined()["flow-draft f2"]
    assert draft.spec["nodes"]["n2"]["type"] == f"{MISSING}SlackPoster"
    assert "no counterpart here: it asks a service" in draft.spec["nodes"]["n2"]["note"]
    assert "secret" not in str(draft.spec)
    assert draft.changed[0] == "1 of 2 nodes have no counterpart: SlackPoster"


def test_of_every_action_without_a_counterpart_it_is_said_what_to_do() -> None:
    """With nodes that there are."""
    for module, name, words in (
        ("tracardi.process_engine.action.v1.connectors.slack.plugin", "SlackPoster", SERVICE),
        ("com_tracardi.action.v1.limiter.plugin", "LimiterAction", "use `limit`"),
        ("tracardi.process_engine.action.v1.connectors.rabbitmq.publish.plugin", "RabbitPublisherAction", "`send`"),
        ("tracardi.process_engine.action.v1.connectors.mysql.query.plugin", "MySQLConnectorAction", "import or bridge"),
        ("com_tracardi.action.v1.tag_event.plugin", "TagEventAction", "what was sent stays"),
    ):
        assert words in instead(module, name), (name, instead(module, name))
    said = re.findall(r"`([a-z-]+)`", " ".join(one.instead for one in ACTIONS))
    assert set(said) - set(ours()) <= {"traits", "ux"}


def test_what_is_no_flow_is_left() -> None:
    bomb = base64.b64encode(gzip.compress(b"0" * 20_000_000)).decode()
    for packed in ("", "!!", base64.b64encode(b"{").decode(), bomb):
        (one,) = converted({"flow": [("f", {"id": "f", "draft": packed})]})
        assert one.left, packed[:20]
    assert unpacked(base64.b64encode(b'{"a": 1}').decode()) == {"a": 1}


def test_rows_of_mysql_are_the_documents_that_were_there_before() -> None:
    flow = flow_document("f1", [{"id": "n1", "class": "StartAction", "module": "flow.start.start_action"}], [])
    row = {"id": "f1", "tenant": "t", "production": 1, "name": "x", "draft": flow["draft"].encode(), "prod": None}
    (made,) = converted({"flow": [("f1", document_of(row))]})
    assert (made.kind, list(made.spec["nodes"])) == ("flow-draft", ["n1"])
    rule = document_of(
        {"id": "r", "flow_id": "f1", "flow_name": "x", "event_type_id": "buy", "source_id": None, "enabled": 1}
    )
    assert (rule["flow"]["id"], rule["event_type"]["id"], rule["source"]["id"], rule["enabled"]) == (
        "f1",
        "buy",
        "",
        True,
    )
    point = document_of({"id": "i", "fields": json.dumps([{"a": 1}]), "tags": "a,b"})
    assert point["fields"] == [{"a": 1}]
