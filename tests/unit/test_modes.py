"""What a source or a payload asks of the collector: to keep nothing of it, not to follow its session, a channel."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from hub.definitions.catalogue import Catalogue
from hub.edge.admit import admit
from hub.edge.inbound import inbound
from hub.errors import InvalidPayload
from hub.ids import ordered
from hub.replay.rebuild import inbound_of
from hub.settings import Limits
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import DEFINITIONS, Hub
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo

FLEETING = {"saveEvents": False}
STATIC = {"static_profile_id": True}


def with_options(options: dict[str, Any], sent: Inbound) -> Inbound:
    sent["body"][1]["options"] = msgspec.json.encode(options)  # type: ignore[typeddict-unknown-key]
    return sent


def fleeting(id: str, profile_id: str, n: int, who: str = "", session_id: str | None = None) -> Inbound:
    return with_options(FLEETING, sign_in(id, profile_id, n, who, session_id=session_id))


def static(id: str, profile_id: str, n: int, session_id: str) -> Inbound:
    return with_options(STATIC, sign_in(id, profile_id, n, session_id=session_id))


def total(hub: Hub, id: str) -> int:
    found = hub.store.get("profiles", id)
    return 0 if found is None else found["traits"]["sum"]


def test_what_is_not_to_be_kept_changes_the_profile_and_is_told() -> None:
    hub = Hub(1)
    hub.put(fleeting("e1", "a", 1, session_id="s"), sign_in("e2", "a", 2, session_id="t"))
    owner = hub.owners[0]
    outcome = owner.begin(9)
    assert outcome is not None
    assert [one["id"] for one in outcome.stored] == ["e1", "e2"]
    document = json.loads(outcome.stored[0]["event"])
    assert (document["session"], document["properties"]) == ({"id": "s"}, {"n": 1})
    hub.settle()
    assert (total(hub, "a"), hub.profile("a")["stats"]) == (3, {"events": 2, "visits": 1})
    assert [hub.store.get("events", id) is None for id in ("e1", "e2")] == [True, False]
    assert [hub.store.get("sessions", id) is None for id in ("s", "t")] == [True, False]
    assert hub.counts() == {"received": 2, "stored": 1, "duplicate": 0, "dropped": 1, "dead": 0}


@pytest.mark.parametrize("crash", ["computed", "written", "told"])
@pytest.mark.parametrize("holder", ["a", "b", ""])
@pytest.mark.parametrize("partitions", [1, 3])
def test_wherever_a_collector_dies_it_counts_once(partitions: int, holder: str, crash: str) -> None:
    """Its session is held by its own profile, by another, to which it goes then, or by nobody."""
    hub = Hub(partitions)
    if holder:
        hub.put(sign_in("e0", holder, 10, session_id="s"))
        hub.settle()
    hub.put(fleeting("e1", "a", 1, session_id="s"))
    hub.owners[hub.log.of("a")].step(9, crash)
    hub.settle()
    expected = {"a": 0, "b": 0}
    expected[holder or "a"] = 11 if holder else 1
    assert {id: total(hub, id) for id in expected} == expected
    assert_balanced(hub, 2 if holder else 1)


def test_it_is_told_again_after_a_crash() -> None:
    """A destination gets every event at least once."""
    hub = settled(sign_in("e0", "a", 10, session_id="s"))
    hub.put(fleeting("e1", "a", 1, session_id="s"))
    owner = hub.owners[hub.log.of("a")]
    owner.step(9, "written")
    outcome = owner.begin(9)
    assert outcome is not None
    assert [one["id"] for one in outcome.stored] == ["e1"]
    assert not outcome.batch.events


def test_it_still_tells_who_somebody_is() -> None:
    hub = settled(sign_in("e1", "a", 1, "w"), fleeting("e2", "b", 2, "w"))
    assert [profile["id"] for profile in hub.profiles()] == ["a"]
    assert total(hub, "a") == 3


@pytest.mark.parametrize("what", ["saveEvents", "saveSession", "saveProfile"])
def test_a_session_that_is_not_kept_is_nobodys(what: str) -> None:
    hub = Hub(1)
    hub.put(unsaved("e1", "a", 1, what, session_id="s"), sign_in("e2", "b", 2, session_id="s"))
    hub.settle()
    assert (total(hub, "a"), total(hub, "b")) == (0 if what == "saveProfile" else 1, 2)
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert session["profile"] == {"id": "b"}


@pytest.mark.parametrize("options", [{"saveEvents": True}, {"saveEvents": 0}, {"note": "saveEvents"}])
def test_only_false_means_that_nothing_is_kept(options: dict[str, Any]) -> None:
    hub = settled(with_options(options, sign_in("e1", "a", 1)))
    assert hub.counts()["stored"] == 1


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("partitions", [1, 3])
def test_a_payload_may_stay_with_its_profile_whoever_holds_the_session(partitions: int, at_once: bool) -> None:
    hub = Hub(partitions)
    hub.put(sign_in("a1", "a", 1, session_id="s"))
    if not at_once:
        hub.settle()
    hub.put(static("b1", "b", 2, "s"), sign_in("c1", "c", 4, session_id="s"))
    hub.owners[hub.log.of("a")].step(9)
    hub.settle()
    assert {id: total(hub, id) for id in "abc"} == {"a": 5, "b": 2, "c": 0}
    assert told(hub, "b1")["metadata"]["flags"] == ["session_of_another_profile"]
    again = inbound_of([msgspec.json.encode(told(hub, "b1"))])
    assert again["body"][1]["options"] == msgspec.json.encode(STATIC)  # type: ignore[typeddict-item]


def test_events_and_new_sessions_have_the_channel_of_their_source() -> None:
    hub = Hub(1, msgspec.structs.replace(DEFINITIONS, channels={"shop": "web", "till": "shop"}))
    hub.put(sign_in("e1", "a", 1, session_id="s"), {**sign_in("e0", "a", 1, session_id="s"), "source": "till"})
    hub.settle()
    hub.owners[0].definitions = msgspec.structs.replace(DEFINITIONS, channels={"shop": "app"})
    hub.put(sign_in("e2", "a", 1, session_id="s"), {**sign_in("e3", "a", 1), "source": "other"})
    hub.settle()
    assert [told(hub, id)["metadata"].get("channel") for id in ("e1", "e0", "e2", "e3")] == ["web", "shop", "app", None]
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert session["metadata"]["channel"] == "web"


def test_the_edge_writes_what_the_source_says() -> None:
    catalogue = Catalogue()
    spec: dict[str, Any] = {"transitional": True, "permanent_profile_id": True}
    catalogue.apply(b"source/shop", msgspec.json.encode({"spec": spec, "updated_at_ms": 1}), 0)
    spec = {"sessions": "30m", "system_events": True}
    catalogue.apply(b"source/queue", msgspec.json.encode({"spec": spec, "updated_at_ms": 1}), 1)

    def options(source: str = "shop", **more: Any) -> Any:
        body = {"source": source, "events": [{"type": "a"}], **more}
        taken = inbound(
            admit(msgspec.json.encode(body), Limits()),
            catalogue=catalogue,
            payload_id=None,
            now_ms=NOW_MS,
            origin="rest",
            request=b"{}",
            new_id=ordered,
        )
        return msgspec.json.decode(taken.record["body"][1]["options"])  # type: ignore[typeddict-item]

    assert options(profile={"id": "a"}) == FLEETING | STATIC
    assert options(profile={"id": "a"}, options={"x": 1, "saveEvents": True}) == {"x": 1} | FLEETING | STATIC
    assert options(profile_less=True) == FLEETING | STATIC
    assert options("queue") == {"systemEvents": True, "sessions": "30m"}
    assert options("queue", session={"id": "s"}) == {"systemEvents": True}, "it names its session"
    with pytest.raises(InvalidPayload, match="wants to be told the profile") as refused:
        options(session={"id": "s"})
    assert (refused.value.reason, refused.value.source) == ("missing_field", "shop")


def unsaved(id: str, profile_id: str, n: int, what: str, who: str = "", session_id: str | None = None) -> Inbound:
    return with_options({what: False}, sign_in(id, profile_id, n, who, session_id=session_id))


def test_a_session_that_is_not_to_be_saved_is_left_as_it_is() -> None:
    hub = settled(
        unsaved("e1", "a", 1, "saveSession", session_id="s"),
        sign_in("e2", "b", 2, session_id="s"),
        unsaved("e3", "b", 4, "saveSession", session_id="s"),
        unsaved("e4", "c", 8, "saveSession", session_id="s"),
    )
    assert (total(hub, "a"), total(hub, "b"), total(hub, "c")) == (1, 14, 0), "it still says whose the events are"
    assert hub.store.get("sessions", "s")["stats"]["events"] == 1  # type: ignore[index]
    assert (hub.profile("a")["stats"], hub.profile("b")["stats"]["visits"]) == ({"events": 1, "visits": 0}, 1)
    assert told(hub, "e1")["session"] == {"id": "s"}
    assert told(hub, "e1")["metadata"]["flags"] == ["session_not_saved"]
    assert hub.counts()["stored"] == 4


def test_a_profile_that_is_not_to_be_saved_is_left_as_it_is() -> None:
    """With its identifiers and its session; its events are kept."""
    hub = settled(
        sign_in("e1", "a", 1, "w", session_id="s"),
        unsaved("e2", "a", 2, "saveProfile", session_id="s"),
        unsaved("e3", "b", 4, "saveProfile", "v", session_id="t"),
    )
    before = settled(sign_in("e1", "a", 1, "w", session_id="s"))
    assert hub.profiles() == before.profiles()
    assert hub.store.get("sessions", "s") == before.store.get("sessions", "s")
    assert hub.store.get("sessions", "t") is None
    assert [told(hub, id)["profile"] for id in ("e2", "e3")] == [{"id": "a"}, {"id": "b"}]
    assert told(hub, "e2")["metadata"]["flags"] == ["profile_not_saved"]
    settled(sign_in("e4", "c", 8, "v"), hub=hub)
    assert (hub.profile("c")["ids"], total(hub, "b")) == (["c"], 0), "b has claimed nothing"
    assert hub.counts()["stored"] == 4


@pytest.mark.parametrize("what", ["saveSession", "saveProfile"])
@pytest.mark.parametrize("crash", ["computed", "written", "told"])
def test_what_is_not_saved_stays_so_in_a_replay_and_after_a_crash(what: str, crash: str) -> None:
    hub = Hub(1)
    hub.put(sign_in("e0", "a", 1, session_id="s"), unsaved("e1", "a", 2, what, session_id="s"))
    hub.owners[0].step(9, crash)
    hub.settle()
    again = settled(*(inbound_of([msgspec.json.encode(told(hub, id))]) for id in ("e0", "e1")))
    for one in (hub, again):
        assert total(one, "a") == (3 if what == "saveSession" else 1)
        assert one.store.get("sessions", "s")["stats"]["events"] == 1  # type: ignore[index]
        assert one.counts()["stored"] == 2


def test_an_undo_knows_what_changed_nothing() -> None:
    hub = settled(sign_in("a1", "a", 1), sign_in("b1", "b", 2), ask("b", "a"), unsaved("b2", "b", 4, "saveProfile"))
    settled(undo(hub, "b"), hub=hub)
    assert (total(hub, "a"), total(hub, "b")) == (1, 2)


def unkept(*sent: Inbound, places: tuple[int, ...], name: str = "saveEvent") -> Inbound:
    """One payload of all their events, of which those at `places` say that they are not to be kept."""
    events = [event for one in sent for event in one["body"][1]["events"]]  # type: ignore[typeddict-item]
    for place in places:
        events[place]["options"] = msgspec.json.encode({name: False})
    sent[0]["body"][1]["events"] = events  # type: ignore[typeddict-unknown-key]
    return sent[0]


@pytest.mark.parametrize("name", ["saveEvent", "save"])
def test_one_event_of_a_payload_may_be_fleeting(name: str) -> None:
    hub = Hub(1)
    parts = (sign_in("e1", "a", 1, session_id="s"), sign_in("e2", "a", 2), sign_in("e3", "a", 4))
    hub.put(unkept(*parts, places=(0, 1), name=name))
    outcome = hub.owners[0].begin(9)
    assert outcome is not None
    assert [one["id"] for one in outcome.stored] == ["e1", "e2", "e3"]
    hub.settle()
    assert [hub.store.get("events", id) is not None for id in ("e1", "e2", "e3")] == [False, False, True]
    assert (total(hub, "a"), hub.profile("a")["stats"]) == (7, {"events": 3, "visits": 1})
    assert hub.store.get("sessions", "s")["stats"]["events"] == 3  # type: ignore[index]
    assert hub.counts() == {"received": 3, "stored": 1, "duplicate": 0, "dropped": 2, "dead": 0}


@pytest.mark.parametrize("places", [(0,), (0, 1)])
@pytest.mark.parametrize("crash", ["computed", "written", "told"])
@pytest.mark.parametrize("holder", ["a", "b", ""])
@pytest.mark.parametrize("partitions", [1, 3])
def test_fleeting_events_count_once_wherever_a_collector_dies(
    partitions: int, holder: str, crash: str, places: tuple[int, ...]
) -> None:
    """And are told at least once, by whoever has applied them."""
    hub = Hub(partitions)
    if holder:
        settled(sign_in("e0", holder, 10, session_id="s"), hub=hub)
    hub.put(unkept(sign_in("e1", "a", 1, session_id="s"), sign_in("e2", "a", 2), places=places))
    owner = hub.owners[hub.log.of("a")]
    owner.step(9, crash)
    again = owner.begin(9)
    ids = [] if again is None else [json.loads(one["event"])["id"] for one in again.stored]
    if (holder or "a") == "a":
        assert ids == ["e1", "e2"]
    hub.settle()
    assert total(hub, holder or "a") == (13 if holder else 3)
    assert hub.store.get("sessions", "s")["stats"]["events"] == (3 if holder else 2)  # type: ignore[index]
    assert_balanced(hub, 3 if holder else 2)
