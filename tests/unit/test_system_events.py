"""Events of the hub's own beside those that caused them: once, told again, counted, and gone through a replay."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hub.definitions.fields import FieldMapping
from hub.definitions.kinds import Mapping
from hub.model import Counts
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.system_events import EVERY, SOURCE, id_of
from hub.replay.rebuild import inbound_of
from schemas.records import Inbound
from tests.unit.hub_model import DEFINITIONS, Hub
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo
from tests.unit.test_modes import with_options

TOLD = {"systemEvents": True}


def loud(id: str, profile_id: str, session_id: str | None = None, **options: Any) -> Inbound:
    return with_options(TOLD | options, sign_in(id, profile_id, 1, session_id=session_id))


def caused(hub: Hub, cause_id: str) -> list[str]:
    """Types of the events that one has caused."""
    return [type for type in EVERY if hub.store.get("events", id_of(type, cause_id)) is not None]


def by_source(hub: Hub) -> dict[str, Counts]:
    found: dict[str, Counts] = {}
    for key, counts in hub.store.counters():
        one = found.setdefault(key.source, Counts())
        one.received += counts.received
        one.stored += counts.stored
        one.duplicate += counts.duplicate
        one.dropped += counts.dropped
    return found


def test_what_begins_is_told_by_an_event_of_its_own() -> None:
    hub = settled(loud("e1", "a", "s"), loud("e2", "a", "s"), loud("e3", "a", "t"), loud("e4", "b"))
    assert caused(hub, "e1") == list(EVERY)
    assert caused(hub, "e2") == []
    assert caused(hub, "e3") == ["session-opened", "visit-started"]
    assert caused(hub, "e4") == ["profile-created"]
    started = told(hub, id_of("visit-started", "e1"))
    assert (started["source"], started["profile"], started["session"]) == ({"id": SOURCE}, {"id": "a"}, {"id": "s"})
    assert started["properties"] == {"trigger-event-types": ["sign-in"]}
    assert started["metadata"]["time"] == told(hub, "e1")["metadata"]["time"]
    assert started["metadata"]["flags"] == []


def test_of_a_payload_only_the_first_event_that_is_stored_causes_them() -> None:
    sent = loud("e1", "a", "s")
    sent["body"][1]["events"] += loud("e2", "a")["body"][1]["events"]  # type: ignore[typeddict-item]
    hub = settled(sent)
    assert (caused(hub, "e1"), caused(hub, "e2")) == (list(EVERY), [])
    assert hub.profile("a")["stats"] == {"events": 5, "visits": 1}


def test_nobody_gets_them_who_has_not_asked() -> None:
    assert caused(settled(sign_in("e1", "a", 1, session_id="s")), "e1") == []


def test_they_are_counted_by_themselves() -> None:
    hub = settled(loud("e1", "a", "s"), loud("e1", "a", "s"))
    assert by_source(hub) == {
        "shop": Counts(received=2, stored=1, duplicate=1),
        SOURCE: Counts(received=3, stored=3),
    }
    assert hub.counts()["stored"] == hub.store.count("events", "") == hub.profile("a")["stats"]["events"] == 4
    assert_balanced(hub, 5)


def test_what_is_not_stored_causes_nothing() -> None:
    hub = settled(loud("e1", "a", "s", saveEvents=False), loud("e2", "b", "t", saveProfile=False))
    assert (caused(hub, "e1"), caused(hub, "e2")) == ([], [])


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
def test_they_are_there_once_and_told_again_wherever_a_collector_dies(crash: str) -> None:
    hub = Hub(1)
    hub.put(loud("e1", "a", "s"))
    owner = hub.owners[0]
    owner.step(9, crash)
    outcome = owner.begin(9)
    assert outcome is not None
    assert [json.loads(one["event"])["type"] for one in outcome.stored] == ["sign-in", *EVERY]
    hub.settle()
    assert by_source(hub)[SOURCE] == Counts(received=3, stored=3)
    assert hub.profile("a")["stats"] == {"events": 4, "visits": 1}
    assert hub.store.get("sessions", "s")["stats"]["events"] == 4  # type: ignore[index]
    assert_balanced(hub, 4)


def test_mappings_are_for_them_too_and_an_undo_knows_them() -> None:
    line = FieldMapping(profile="traits.came", op="increment")
    mappings = compile_mappings([("came", Mapping(event_type="visit-started", fields=[line]))])
    hub = Hub(3, msgspec.structs.replace(DEFINITIONS, mappings=mappings))
    settled(loud("a1", "a", "s1"), loud("b1", "b", "s2"), ask("b", "a"), loud("b2", "b", "s3"), hub=hub)
    assert hub.profile("a")["traits"]["came"] == 3
    settled(undo(hub, "b"), hub=hub)
    assert (hub.profile("a")["traits"]["came"], hub.profile("b")["traits"]["came"]) == (1, 2)
    assert [hub.profile(id)["stats"] for id in "ab"] == [{"events": 4, "visits": 1}, {"events": 7, "visits": 2}]


def test_what_is_rebuilt_from_the_store_makes_them_anew() -> None:
    hub = settled(loud("e1", "a", "s"), loud("e2", "a", "s"))
    ids = ["e1", *(id_of(type, "e1") for type in EVERY)]
    documents = [told(hub, id) for id in ids]
    again = settled(inbound_of([msgspec.json.encode(one) for one in documents]))
    assert [told(again, id) for id in ids] == documents
    assert by_source(again)[SOURCE] == Counts(received=3, stored=3)
