"""What the collector makes of a heartbeat's event, and that the same heartbeat is always the same record."""

from __future__ import annotations

from hub.pipeline.heartbeat import SOURCE
from schemas.codec import decode_inbound
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import Hub
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told
from workers.agents.events import event_id, record, run_id


def heartbeat(profile_id: str, due_ms: int = NOW_MS, now_ms: int = NOW_MS) -> Inbound:
    bytes_ = record(
        event_id("daily", due_ms, profile_id),
        profile_id,
        heartbeat="daily",
        event_type="checked",
        properties=b'{"n": 1}',
        time_ms=due_ms,
        now_ms=now_ms,
        definitions_offset=-1,
    )
    return decode_inbound(bytes_)


def counts(hub: Hub) -> tuple[int, int, int, int]:
    found = hub.counts()
    return found["received"], found["stored"], found["duplicate"], found["dropped"]


def test_it_is_an_ordinary_event_of_a_source_of_its_own() -> None:
    hub = settled(sign_in("e1", "a", 1), heartbeat("a"))
    found = told(hub, event_id("daily", NOW_MS, "a"))
    assert (found["type"], found["source"]["id"], found["properties"]) == ("checked", SOURCE, {"n": 1})
    assert hub.profile("a")["stats"]["events"] == 2
    assert_balanced(hub, 2)


def test_told_again_it_counts_once() -> None:
    """Sent again after a crash, at another moment."""
    hub = settled(sign_in("e1", "a", 1), heartbeat("a"), heartbeat("a", now_ms=NOW_MS + 60_000))
    assert counts(hub) == (3, 2, 1, 0)
    assert hub.profile("a")["stats"]["events"] == 2
    assert not hub.store.count("events", "metadata.flags CONTAINS conflict")


def test_it_makes_nobody() -> None:
    """Who was seen and has gone since, as somebody had them erased, does not come back as a profile with one event."""
    hub = settled(heartbeat("ghost"), sign_in("e1", "a", 1), heartbeat("a"))
    assert [profile["id"] for profile in hub.profiles()] == ["a"]
    assert hub.store.get("events", event_id("daily", NOW_MS, "ghost")) is None
    assert counts(hub) == (3, 2, 0, 1)


def test_somebody_who_is_new_in_the_same_batch_is_there() -> None:
    hub = Hub()
    for inbound in (heartbeat("a", NOW_MS - 1), sign_in("e1", "a", 1), heartbeat("a")):
        hub.put(inbound)
    hub.settle()
    assert counts(hub) == (3, 2, 0, 1)


def test_whoever_was_merged_gets_it_where_they_are_now() -> None:
    hub = settled(sign_in("e1", "a", 1), sign_in("e2", "b", 2), ask("a", "b"), heartbeat("b"))
    assert hub.profile("b")["id"] == "a"
    assert hub.profile("a")["stats"]["events"] == 3
    assert told(hub, event_id("daily", NOW_MS, "b"))["profile"]["id"] == "a"


def test_ids_are_made_of_heartbeat_time_and_profile() -> None:
    ids = {event_id(heartbeat, due_ms, whose) for heartbeat in ("h", "h2") for due_ms in (1, 2) for whose in ("a", "b")}
    assert len(ids) == 8
    # for ever: another id for the same would be a second event
    assert event_id("h", 1, "a") == "d8a1d153-17d7-5cd1-9d45-35c99e8158b5"
    assert run_id("h", 1) == "b1866d07-0305-5157-b954-1fcb4a7b1097"
