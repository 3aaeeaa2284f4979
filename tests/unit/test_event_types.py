"""What the event types make of events and profiles: those that come with the hub, and people's own."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hub.api.definitions import built_in_of
from hub.api.lines import check_lines
from hub.api.story import Found, event_story
from hub.collector.definitions import CompiledDefinitions
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.event_types import built_in
from hub.definitions.fields import FieldMapping
from hub.definitions.kinds import EventType, Mapping
from hub.pipeline.definitions import Definitions
from hub.replay.rebuild import inbound_of
from schemas.records import TRACK
from tests.factories import NOW_MS, track
from tests.factories import event as bare_event
from tests.unit.event_type_cases import CASES, Case
from tests.unit.hub_model import Hub

MISSING = object()


def definitions(**own: dict[str, Any]) -> Definitions:
    """Those that come with the hub, and some event types and mappings (`mapping_x`) of people's own."""
    catalogue = Catalogue(b"key")
    for number, (name, spec) in enumerate(own.items()):
        kind, id = ("mapping", name) if name.startswith("mapping_") else ("event-type", name.replace("_", "-"))
        document = {"kind": kind, "id": id, "spec": spec, "updated_at_ms": 1}
        catalogue.apply(f"{kind}/{id}".encode(), msgspec.json.encode(document), number)
    return CompiledDefinitions(catalogue).at_least(len(own) - 1)


BUILT_IN = definitions()


def event(id: str, type: str, at: int = 0, tags: list[str] | None = None, /, **properties: Any) -> Any:
    """Args: at: its own time, in milliseconds from some moment."""
    made = bare_event(id, type, time_ms=NOW_MS - 100_000 + at)
    return {**made, "properties": msgspec.json.encode(properties), "tags": tags or []}


def taken(*inbounds: Any, hub: Hub | None = None, definitions: Definitions = BUILT_IN) -> Hub:
    hub = hub or Hub(1, definitions)
    for inbound in inbounds:
        hub.put(inbound)
        hub.settle()
    return hub


def stored(hub: Hub, id: str) -> dict[str, Any]:
    found = hub.store.get("events", id)
    assert found is not None
    return found


def at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key, MISSING) if isinstance(document, dict) else MISSING
    return document


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value} if path else {}
    found: dict[str, Any] = {}
    for key, below in value.items():
        found |= leaves(below, f"{path}.{key}" if path else key)
    return found


def nested(fields: dict[str, Any]) -> dict[str, Any]:
    """The same, each value by the path of its own."""
    found: dict[str, Any] = {}
    for path, value in fields.items():
        found |= leaves(value, path)
    return found


def test_every_type_has_its_example_and_there_are_65() -> None:
    assert built_in().keys() == CASES.keys()
    assert len(CASES) == 65


@pytest.mark.parametrize(("type", "case"), CASES.items(), ids=CASES)
def test_a_type_makes_these_fields_and_no_others(type: str, case: Case) -> None:
    hub = taken(track("ann", event("e1", type, **case.properties)))
    document, profile = stored(hub, "e1"), hub.profile("ann")
    index = {name: document[name] for name in ("data", "traits", "hit", "device") if name in document}
    assert leaves(index) == nested(case.event)
    parts = ("primary_id", "data", "traits", "interests", "consents", "aux")
    of_profile = leaves({name: profile[name] for name in parts if profile.get(name, {}) != {}})
    assert of_profile == nested({"data.anonymous": True, **case.profile})
    assert at(document, "journey.state") == (case.journey or MISSING)
    assert document["tags"]["values"] == list(case.tags)
    assert document["tags"]["count"] == len(case.tags)
    assert document["properties"] == case.properties
    assert (document["outcome"]["problems"], document["metadata"]["flags"]) == ([], [])


@pytest.mark.parametrize("type", CASES)
def test_an_empty_event_of_a_type_is_kept_and_makes_nothing_up(type: str) -> None:
    hub = taken(track("ann", event("e1", type)))
    assert stored(hub, "e1")["metadata"]["flags"] == []
    assert hub.counts()["stored"] == 1
    assert all(value not in (None, {}, []) for value in leaves(hub.profile("ann")["data"]).values())


@given(
    type=st.sampled_from(sorted(CASES)),
    wrong=st.sampled_from([0, False, "", [], {}, "text", 1.5, [1], {"a.b": 1}, {"x": {"y": None}}, True]),
)
def test_no_value_costs_the_event_or_the_other_fields(type: str, wrong: Any) -> None:
    """Each property in turn is something else than it should be."""
    properties = CASES[type].properties
    for name in properties:
        hub = taken(track("ann", event("e1", type, **{**properties, name: wrong})))
        assert hub.counts()["stored"] == 1
        whole = nested(CASES[type].event)
        document = stored(hub, "e1")
        for path, value in whole.items():
            source = built_in()[type].copied
            if not any(place.startswith(f"properties.{name}") for field, place in source.items() if _meet(field, path)):
                assert at(document, path) == value


def _meet(field: str, path: str) -> bool:
    return path == field or path.startswith(f"{field}.") or field.startswith(f"{path}.")


def test_what_the_schema_does_not_have_is_kept_and_flagged() -> None:
    pii = {"firstname": "Ann", "shoe": {"colour": "red"}, "birthday": True}
    hub = taken(track("ann", event("e1", "profile-update", pii=pii)))
    document = stored(hub, "e1")
    assert document["metadata"]["flags"] == ["odd_index_field"]
    assert document["data"]["pii"] == hub.profile("ann")["data"]["pii"] == pii
    problems = {one["field"]: one["detail"] for one in document["outcome"]["problems"]}
    assert problems.keys() == {"data.pii.shoe", "data.pii.birthday"}
    assert "no such field in the schema" in problems["data.pii.shoe"]
    assert problems["data.pii.birthday"] == "it should be a text, and is true or false; kept as it is"


def test_a_hundred_unknown_fields_do_not_fill_the_event_with_problems() -> None:
    hub = taken(track("ann", event("e1", "profile-update", pii={f"x{n}": n for n in range(100)})))
    problems = stored(hub, "e1")["outcome"]["problems"]
    assert len(problems) == 11
    assert "90 more" in problems[-1]["detail"]
    assert len(hub.profile("ann")["data"]["pii"]) == 100


def test_zero_false_and_empty_text_are_values() -> None:
    spec = {
        "event_type": "seen",
        "fields": [{"event": f"properties.{name}", "profile": f"traits.{name}"} for name in ("zero", "no", "empty")],
    }
    hub = taken(
        track("ann", event("e1", "seen", zero=5, no=True, empty="x")),
        track("ann", event("e2", "seen", zero=0, no=False, empty="")),
        definitions=definitions(mapping_seen=spec),
    )
    assert hub.profile("ann")["traits"] == {"zero": 0, "no": False, "empty": ""}


def test_checkouts_are_counted_and_the_share_of_those_completed_is_told() -> None:
    events = [event(f"s{n}", "checkout-started", value=10) for n in range(3)]
    hub = taken(track("ann", *events, event("c1", "checkout-completed", value=10)))
    metrics = hub.profile("ann")["data"]["metrics"]
    assert metrics == {"ltcosc": 3, "ltcosv": 30, "ltcocc": 1, "ltcocv": 10, "ltv": 10, "ltcop": 0.333333}
    changes = stored(hub, "c1")["outcome"]["changes"]
    assert changes[-1] == {"field": "data.metrics.ltcop", "op": "derive", "old": 0.0, "new": 0.333333}


def test_who_can_be_reached_is_not_anonymous_until_that_is_deleted() -> None:
    forget = {"event_type": "forget", "fields": [{"profile": "data.contact.email.main", "op": "delete"}]}
    hub = Hub(1, definitions(mapping_forget=forget))
    taken(track("ann", event("e1", "page-view")), hub=hub)
    assert hub.profile("ann")["data"] == {"anonymous": True}
    taken(track("ann", event("e2", "sign-up", 1, email={"main": "a@x.org"})), hub=hub)
    assert hub.profile("ann")["data"]["anonymous"] is False
    taken(track("ann", event("e3", "forget", 2)), hub=hub)
    assert hub.profile("ann")["data"] == {"anonymous": True}


def test_the_journey_goes_on_with_the_second_visit() -> None:
    hub = taken(
        track("ann", event("e1", "page-view"), event("e2", "page-view"), session_id="s1"),
        track("ann", event("e3", "page-view"), session_id="s2"),
        track("", event("e4", "page-view")),
    )
    states = [stored(hub, f"e{n}")["journey"]["state"] for n in range(1, 5)]
    assert states == ["awareness", "awareness", "consideration", "awareness"]
    assert stored(hub, "e4")["profile"] is None


def test_a_consent_that_is_not_named_stays_as_it_is() -> None:
    hub = taken(
        track("ann", event("e1", "consent-update", 1, consents={"mail": {"revoke": None}, "ads": {"revoke": None}})),
        track("ann", event("e2", "consent-update", 2, consents={"ads": {"revoke": "2026-01-01T00:00:00Z"}})),
        track("ann", event("e3", "consent-update", 0, consents={"ads": {"revoke": None}})),
    )
    assert hub.profile("ann")["consents"] == {"mail": {"revoke": None}, "ads": {"revoke": "2026-01-01T00:00:00Z"}}


def test_a_card_that_was_given_back_is_gone_also_if_its_making_comes_later() -> None:
    added, removed = (
        event("e1", "loyalty-card-added", 1, id="L1", name="Gold"),
        event("e2", "loyalty-card-removed", 2, id="L1"),
    )
    for records in ((added, removed), (removed, added)):
        hub = taken(*(track("ann", one) for one in records))
        assert hub.profile("ann")["data"] == {"anonymous": True}
    hub = taken(track("ann", added), track("ann", event("e3", "loyalty-card-removed", 3, id="another")))
    assert hub.profile("ann")["data"]["loyalty"]["card"] == {"id": "L1", "name": "Gold"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_an_event_that_comes_late_does_not_overwrite_what_is_newer(order: tuple[int, int]) -> None:
    events = [event("e1", "sign-up", 1, firstname="Anne"), event("e2", "sign-up", 2, firstname="Ann")]
    hub = taken(*(track("ann", events[n]) for n in order))
    assert hub.profile("ann")["data"]["pii"]["firstname"] == "Ann"


def test_a_clock_that_is_years_ahead_does_not_keep_a_field_for_years() -> None:
    ahead = {**event("e1", "sign-up", firstname="Future"), "time_ms": NOW_MS + 400 * 86_400_000}
    hub = taken(
        track("ann", ahead),
        track("ann", event("e2", "sign-up", 200_000, firstname="Ann"), received_at_ms=NOW_MS + 300_000),
    )
    assert hub.profile("ann")["data"]["pii"]["firstname"] == "Ann"


@pytest.mark.parametrize("bad", ["v2.0", "", [], True, "x" * 300])
def test_an_interest_whose_name_is_no_key_costs_its_own_line(bad: Any) -> None:
    hub = taken(track("ann", event("e1", "increase-interest", interest=bad)))
    document = stored(hub, "e1")
    assert document["metadata"]["flags"] == ["mapping_problem"]
    assert "key" in document["outcome"]["problems"][0]["detail"]
    assert hub.profile("ann")["interests"] == {}


def test_ones_own_type_replaces_the_built_in_one_or_switches_it_off() -> None:
    own = {
        "tags": ["mine"],
        "copy": {"traits.page": "properties.id"},
        "defaults": {"data.journey.state": "start"},
        "profile": [{"event": "traits.page", "profile": "traits.last_page"}],
    }
    hub = Hub(1, definitions(page_view=own, search={"enabled": False}))
    taken(
        track("ann", event("e1", "page-view", 0, ["sent", "mine"], id="/tea"), event("e2", "search", query="tea")),
        hub=hub,
    )
    document = stored(hub, "e1")
    assert (document["traits"], document["data"]) == ({"page": "/tea"}, {"journey": {"state": "start"}})
    assert document["tags"] == {"values": ["sent", "mine"], "count": 2}
    assert "hit" not in document
    assert hub.profile("ann")["traits"] == {"last_page": "/tea"}
    assert stored(hub, "e2")["tags"]["values"] == []
    assert "hit" not in stored(hub, "e2")


def test_lines_of_mappings_see_index_fields_and_come_after_those_of_the_type() -> None:
    spec = {"event_type": "sign-up", "fields": [{"event": "data.pii.firstname", "profile": "data.pii.display_name"}]}
    hub = taken(track("ann", event("e1", "sign-up", firstname="Ann")), definitions=definitions(mapping_name=spec))
    assert hub.profile("ann")["data"]["pii"] == {"firstname": "Ann", "display_name": "Ann"}
    assert [change["field"] for change in stored(hub, "e1")["outcome"]["changes"]] == [
        "data.pii.firstname",
        "data.pii.display_name",
    ]


def test_a_record_that_is_rebuilt_has_the_tags_that_were_sent() -> None:
    """A replay through another definition is not left with the labels of the first one."""
    hub = taken(track("ann", event("e1", "page-view", 0, ["mine"])))
    document = stored(hub, "e1")
    assert document["tags"] == {"values": ["mine", "activity:browsing", "event:behavioral"], "count": 3, "sent": 1}
    body = inbound_of([msgspec.json.encode(document)])["body"]
    assert body[0] == TRACK
    assert body[1]["events"][0]["tags"] == ["mine"]


def test_a_change_of_a_definition_is_compiled_and_nothing_else() -> None:
    catalogue = Catalogue(b"key")
    compiled = CompiledDefinitions(catalogue)
    first = compiled.at_least(-1)
    assert compiled.at_least(-1) is first
    catalogue.apply(b"source/shop", b'{"spec": {}, "updated_at_ms": 1}', 0)
    second = compiled.at_least(0)
    assert (second.mappings, second.types) == (first.mappings, first.types)
    assert second.mappings is first.mappings
    catalogue.apply(b"event-type/search", b'{"spec": {"enabled": false}, "updated_at_ms": 1}', 1)
    third = compiled.at_least(1)
    assert "search" not in third.types
    catalogue.apply(b"event-type/search", None, 2)
    assert "search" in compiled.at_least(2).types


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"copy": {"properties.x": "properties.y"}}, "pattern"),
        ({"copy": {"data.x": "nowhere.y"}}, "pattern"),
        ({"copy": {"data.ec": "properties.y", "data.ec.order": "properties.z"}}, "one is in the other"),
        ({"profile": [{"profile": "traits.x"}]}, "needs `event`"),
        ({"profile": [{"event": "properties.*", "profile": "traits.x"}]}, "end of both paths"),
        ({"profile": [{"profile": "traits.x", "op": "delete", "value": 1}]}, "neither"),
        ({"profile": [{"event": "id", "profile": "traits.{nowhere}"}]}, "no path in the event"),
        ({"profile": [{"event": "id", "profile": "ids.x"}]}, "pattern"),
        ({"profile": [{"event": "id", "profile": "metadata.version"}]}, "pattern"),
    ],
)
def test_a_type_that_cannot_work_is_refused(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        EventType.model_validate(spec)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ({"event": "id", "profile": "traits.x", "when": "a ="}, r"\[0\]\.when"),
        ({"event": "id", "profile": "traits.x", "when": "numbr(a)"}, "is it number"),
        ({"profile": "stats.visits", "op": "increment"}, "the hub counts it"),
        ({"value": True, "profile": "data.anonymous"}, "follows from other fields"),
    ],
)
def test_lines_that_cannot_work_are_refused(line: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_lines(Mapping.model_validate({"event_type": "x", "fields": [line]}))
    with pytest.raises(ValueError, match=words):
        check_lines(EventType.model_validate({"profile": [line]}))


def test_what_comes_with_the_hub_is_as_strict() -> None:
    for spec in built_in().values():
        check_lines(spec)


def test_the_story_names_the_type_that_changed_a_field_and_what_follows_by_itself() -> None:
    spec = {"event_type": "sign-up", "fields": [{"profile": "stats.counters.{type}", "op": "increment"}]}
    hub = taken(
        track("ann", event("e1", "sign-up", email={"main": "a@x.org"})), definitions=definitions(mapping_count=spec)
    )
    mapping = Entry(Mapping.model_validate(spec), 0, 1)
    found = Found("events", None, "", None, {"mapping_count": mapping}, types=built_in_of("event-type"))
    story = event_story(stored(hub, "e1"), found)
    by = {change["field"]: [one["id"] for one in change["mappings"]] for change in story["mappings"]["changes"]}
    assert by == {
        "data.contact.email.main": ["event-type/sign-up"],
        "stats.counters.sign-up": ["mapping_count"],
        "data.anonymous": [],
    }


@pytest.mark.parametrize(
    ("profile", "field", "writes"),
    [
        ("traits.x", "traits.x", True),
        ("traits.x", "traits.xy", False),
        ("traits.*", "traits.x", True),
        ("traits.*", "traits.x.y", False),
        ("traits.**", "traits.x.y", True),
        ("interests.{properties.a}", "interests.tea", True),
        ("stats.{type}.{source}", "stats.a", False),
    ],
)
def test_which_fields_a_line_writes(profile: str, field: str, writes: bool) -> None:
    place = "properties.all" + (f".{profile.rpartition('.')[2]}" if profile.endswith("*") else "")
    assert FieldMapping(event=place, profile=profile).writes(field) is writes
