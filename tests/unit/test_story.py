"""The story of an event as it is told from documents alone, where the live tests do not come."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.api.story import BROKER, MADE_ANEW, PRODUCER, SENDER, Found, event_story, letter_story
from hub.log.reader import Record
from hub.model import Position
from hub.pipeline.definitions import Definitions
from hub.pipeline.letters import refused
from hub.pipeline.process import process
from hub.pipeline.records import decode
from hub.pipeline.state import State
from hub.store.documents import dead_letter_document, failed_again, resolved
from schemas.codec import encode_inbound
from schemas.records import REFUSED, Inbound, Refused
from tests.factories import NOW_MS, event, log, track

NOTHING = Found("hub.events.v1", None, "gone", None, {})
OF_THE_LOG = Record(NOW_MS + 3, False, b"ann", encode_inbound(track("ann", event("e1"), event("e2"))))


def document(inbound: Inbound, place: int = 0) -> dict[str, Any]:
    """Of the event at a place of a record, as the collector makes it."""
    state = State(1, {}, {}, {}, {}, {})
    outcome = process(list(decode(log(inbound))), state, Definitions(4, {}))
    found: dict[str, Any] = msgspec.json.decode(outcome.batch.events[place].doc)
    return found


def steps(story: dict[str, Any]) -> list[tuple[str, int | None]]:
    return [(one["step"], one["after_ms"]) for one in story["times"]]


def test_a_bridge_is_named_with_the_coordinates_that_its_broker_knows() -> None:
    inbound = track("ann", event("e1"))
    inbound["origin"] = "bridge:orders:mqtt/a:b/7"
    edge = event_story(document(inbound), NOTHING)["edge"]
    assert (edge["door"], edge["bridge"], edge["coordinates"]) == ("bridge", "orders", "mqtt/a:b/7")


@pytest.mark.parametrize(
    ("origin", "bridge", "coordinates"),
    [
        ("bridge:eu:orders:t/0/7", "eu:orders", "t/0/7"),
        ("bridge:eu:t/0/7", "eu", "t/0/7"),
        ("destination:eu:orders:7", "eu", "orders:7"),
        ("bridge:gone:t/0/7", "gone", "t/0/7"),
        ("flow:a:b:run-1", "a:b", "run-1"),
        ("heartbeat:a:b", "a:b", None),
        ("rest", None, None),
    ],
)
def test_whatever_has_a_colon_in_its_id_is_named_whole(
    origin: str, bridge: str | None, coordinates: str | None
) -> None:
    inbound = track("ann", event("e1"))
    inbound["origin"] = origin
    known = {"bridge": ["eu", "eu:orders"], "destination": ["eu"], "flow": ["a:b"], "heartbeat": ["a:b"]}
    found = NOTHING._replace(ids=known)
    edge = event_story(document(inbound), found)["edge"]
    assert (edge["bridge"], edge["coordinates"]) == (bridge, coordinates)


def test_times_that_are_not_known_are_left_out_and_bridged() -> None:
    found = NOTHING._replace(written_at_ms=NOW_MS + 20)
    assert steps(event_story(document(track("ann", event("e1"))), found)) == [
        ("happened", None),
        ("received", 1000),
        ("stored", 20),
    ]
    assert steps(event_story(document(track("ann", event("e1", time_ms=None))), NOTHING)) == [("received", None)]


def test_a_clock_that_is_ahead_shows_as_a_negative_time() -> None:
    found = NOTHING._replace(record=OF_THE_LOG, written_at_ms=NOW_MS - 5)
    story = event_story(document(track("ann", event("e1"))), found)
    assert steps(story)[2:] == [("logged", 3), ("stored", -8)]


@pytest.mark.parametrize(("by_broker", "clock"), [(False, PRODUCER), (True, BROKER)])
def test_a_time_says_whose_clock_it_is(by_broker: bool, clock: str) -> None:
    found = NOTHING._replace(record=OF_THE_LOG._replace(by_broker=by_broker))
    times = event_story(document(track("ann", event("e1"))), found)["times"]
    assert (times[0]["clock"], times[2]["clock"]) == (SENDER, clock)


@pytest.mark.parametrize("value", [b"", b"rubbish", encode_inbound(track("ann", event("e2"), event("e1")))])
def test_a_record_of_another_event_at_the_same_place_is_not_taken_for_this_one(value: bytes) -> None:
    """The topic may have been made anew, and the collector not have seen it yet."""
    found = NOTHING._replace(record=OF_THE_LOG._replace(value=value))
    story = event_story(document(track("ann", event("e1"))), found)
    assert (story["log"]["record"], story["log"]["note"], story["payload_events"]) == (None, MADE_ANEW, None)
    assert [step for step, _ in steps(story)] == ["happened", "received"]


def test_an_event_of_nobody_has_no_profile_and_no_session() -> None:
    story = event_story(document(track("", event("e1", time_ms=1))), NOTHING)
    assert (story["profile"], story["session"]) == (None, None)
    ((flag, meaning),) = [(one["flag"], one["meaning"]) for one in story["validation"]["flags"]]
    assert flag == "time_out_of_range"
    assert meaning


def test_a_profile_shows_where_it_stands_now() -> None:
    doc = document(track("ann", event("e1"), session_id="s1"))
    profile = {"id": "amy", "metadata": {"version": 99}}
    session = {"profile": {"id": "bob"}, "metadata": {"time": {"insert": "2026-01-01T00:00:00.000Z"}}}
    story = event_story(doc, NOTHING._replace(profile=profile, session=session))
    assert story["profile"]["version"] == Position(1, 0, 0, 0).version
    assert story["profile"]["version_now"] == 99
    assert story["identity"] == {"sent_as": None, "forwarded_for": None, "decisions": [], "profile_now": "amy"}
    assert story["session"] == {"id": "s1", "profile": "bob", "began_at": "2026-01-01T00:00:00.000Z"}
    assert event_story(doc, NOTHING)["session"]["profile"] is None


def test_a_dead_letter_tells_what_became_of_it() -> None:
    body: Refused = {
        "reason": "not_json",
        "detail": "no JSON",
        "body": b"{oops",
        "body_sha256": None,
        "body_size": 5,
        "headers": b"{}",
        "key": None,
        "time_ms": None,
        "meta": None,
    }
    inbound: Inbound = {**track("", event("e1")), "origin": "bridge:orders:t/0/7", "body": (REFUSED, body)}
    letter = refused(Position(1, 0, 5, 0), inbound, body)
    first = dead_letter_document(letter)
    story = letter_story(first, NOTHING._replace(written_at_ms=NOW_MS + 9))
    assert story["edge"]["coordinates"] == "t/0/7"
    assert (story["dead_letter"]["status"], story["dead_letter"]["attempts"]) == ("open", 1)
    assert steps(story) == [("received", None), ("stored", 9)]

    replayed = msgspec.structs.replace(letter, at_ms=NOW_MS + 60_000, position=Position(1, 0, 8, 0))
    again = resolved(failed_again(first, replayed), NOW_MS + 90_000)
    story = letter_story(again, NOTHING._replace(written_at_ms=NOW_MS + 60_007))
    assert (story["log"]["offset"], steps(story)) == (8, [("received", None), ("stored", 7)])
    assert story["dead_letter"]["first_at"] < story["dead_letter"]["at"] < story["dead_letter"]["resolved_at"]
