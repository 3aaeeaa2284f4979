"""What a takeover brings: profiles and sessions once, events that change nothing, also told again, merged, undone."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hub.migration import events, profiles, sessions
from hub.migration.made import Document, Takeover
from hub.pipeline.copying import lines_left
from hub.replay.rebuild import inbound_of
from schemas.records import Inbound
from tests.factories import NOW_MS
from tests.unit.hub_model import DEFINITIONS, Hub
from tests.unit.segment_cases import define, segments
from tests.unit.test_flow_collecting import SIGN_IN, flow, hub_with
from tests.unit.test_identity import ask, assert_balanced, settled, sign_in, told, undo

TAKEOVER = Takeover("082x.t", "task", False)
GOLD = {"plan": "gold"}
THEN = "2024-03-01T09:00:00+00:00"


def profile_of(id: str, *, update: str = THEN, takeover: Takeover = TAKEOVER, **more: Any) -> list[Inbound]:
    time = {
        "insert": "2023-01-01T00:00:00",
        "update": update,
        "visit": {"count": more.pop("visits", 3), "current": THEN},
    }
    source = {"id": id, "ids": [id], "metadata": {"time": time}, **more}
    return [one for _, one in profiles.convert(Document("profile", id, source), takeover, NOW_MS).records]


def event_of(id: str, profile_id: str, *, takeover: Takeover = TAKEOVER, **properties: Any) -> Inbound:
    source = {
        "id": id,
        "type": "sign-in",
        "source": {"id": "shop"},
        "profile": {"id": profile_id},
        "session": {"id": f"s-{profile_id}"},
        "metadata": {"time": {"insert": THEN}},
        "properties": properties,
    }
    return events.convert(Document("event", id, source), takeover, NOW_MS).records[0][1]


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def test_a_profile_comes_with_all_that_it_had() -> None:
    hub = settled(
        *profile_of(
            "a",
            traits={"plan": "gold", "deep": {"x": 1}},
            data={
                "pii": {"firstname": "Ann"},
                "preferences": {"colors": "red"},
                "contact": {"email": {"main": "a@b.c"}},
            },
            stats={"views": 5, "counters": {"orders": 2}},
            interests={"tea": 1.5},
            consents={"marketing": {"revoke": "2030-01-01T00:00:00"}},
        )
    )
    ours = hub.profile("a")
    assert ours["traits"] == {"plan": "gold", "deep": {"x": 1}}
    assert ours["data"]["preferences"] == {"colors": ["red"]}
    assert ours["data"]["anonymous"] is False
    assert ours["stats"] == {"events": 0, "visits": 3, "views": 5, "counters": {"orders": 2}}
    assert ours["interests"] == {"tea": 1.5}
    assert ours["consents"] == {"marketing": {"granted": True, "revoke": "2030-01-01T00:00:00.000Z"}}
    assert ours["metadata"]["time"]["insert"] == "2023-01-01T00:00:00.000Z"
    assert ours["metadata"]["time"]["visit"]["current"] == "2024-03-01T09:00:00.000Z"
    assert_balanced(hub, 1)


def test_a_second_time_changes_nothing_and_a_changed_one_brings_the_difference() -> None:
    first = profile_of("a", stats={"counters": {"orders": 2}}, traits={"n": 1})
    hub = settled(*first, *first)
    assert hub.profile("a")["stats"] == {"events": 0, "visits": 3, "counters": {"orders": 2}}
    assert hub.counts()["duplicate"] == 1
    later = "2024-05-01T09:00:00+00:00"
    settled(*profile_of("a", update=later, visits=5, stats={"counters": {"orders": 7}}, traits={"n": 2}), hub=hub)
    assert hub.profile("a")["stats"] == {"events": 0, "visits": 5, "counters": {"orders": 7}}
    assert hub.profile("a")["traits"] == {"n": 2}


def test_what_this_hub_knows_better_stays_and_counters_are_added() -> None:
    hub = settled(sign_in("e1", "a", 7, session_id="s"))
    before = hub.profile("a")["traits"]
    settled(*profile_of("a", traits=dict.fromkeys(before, 1) | {"old": 1}, visits=3), hub=hub)
    assert hub.profile("a")["traits"] == {**before, "old": 1}
    assert hub.profile("a")["stats"]["visits"] == 4


@pytest.mark.parametrize("is_first", [True, False])
def test_events_of_the_past_are_kept_and_change_nothing(is_first: bool) -> None:
    of_profile, of_events = profile_of("a", traits={"x": 1}), [event_of(uuid(n), "a", n=5) for n in range(3)]
    hub = settled(*of_profile, *of_events) if is_first else settled(*of_events, *of_profile)
    ours = hub.profile("a")
    assert ours["traits"] == {"x": 1}
    assert ours["stats"] == {"events": 3, "visits": 3}
    document = told(hub, uuid(1))
    assert document["outcome"]["changes"] == []
    assert document["metadata"]["flags"] == []
    # a mapping that is in force counts as applied: a copy would bring it a second time
    assert lines_left(document, DEFINITIONS, []) == []
    session = hub.store.get("sessions", "s-a")
    assert session is not None
    assert session["metadata"]["status"] == "ended"
    assert_balanced(hub, 4)


def test_events_that_are_applied_anew_count_as_any_other() -> None:
    anew = Takeover("082x.t", "task", True)
    hub = settled(event_of(uuid(1), "a", takeover=anew, n=5), *profile_of("a", takeover=anew, stats={"views": 9}))
    twin = settled(sign_in("e1", "b", 5, session_id="s"))
    assert hub.profile("a")["traits"] == twin.profile("b")["traits"]
    assert hub.profile("a")["stats"] == {"events": 1, "visits": 1}


def test_a_session_that_goes_on_here_is_not_over_and_keeps_what_it_has() -> None:
    hub = settled(sign_in("e1", "a", 1, session_id="s"))
    source = {
        "id": "s",
        "profile": {"id": "a"},
        "metadata": {"time": {"insert": THEN, "duration": 60}, "channel": "web"},
        "context": {"screen": 1},
        "device": {"name": "phone"},
    }
    made = sessions.convert(Document("session", "s", source), TAKEOVER, NOW_MS)
    settled(*(one for _, one in made.records), hub=hub)
    session = hub.store.get("sessions", "s")
    assert session is not None
    assert session["metadata"]["status"] == "started"
    assert session["metadata"]["time"]["insert"] == "2024-03-01T09:00:00.000Z"
    assert session["context"] == {"screen": 1, "predecessor": {"device": {"name": "phone"}}}
    assert session["stats"]["events"] == 1
    assert hub.profile("a")["stats"] == {"events": 1, "visits": 1}


def test_other_ids_lead_to_the_profile() -> None:
    hub = settled(*profile_of("b", ids=["b", "a", "emm-0123"], traits={"x": 1}))
    for id in ("a", "b"):
        ours = hub.profile(id)
        assert (sorted(ours["ids"]), ours["traits"]) == (["a", "b"], {"x": 1})
        assert ours["stats"]["visits"] == 3


def test_segments_without_a_condition_are_entered_by_name() -> None:
    hub = Hub()
    define(hub, segments(vip=None, gold="traits.plan = gold"))
    settled(*profile_of("a", segments=["vip", "gold", "nope"]), hub=hub)
    assert hub.profile("a")["segments"] == ["vip"]


@pytest.mark.parametrize("loser", ["a", "b"])
def test_a_merge_after_it_can_be_undone(loser: str) -> None:
    """What came from the predecessor before and after the merge belongs to whom it named."""
    hub = settled(*profile_of("a", traits={"x": 1}, stats={"views": 2}), *profile_of("b", traits={"y": 2}))
    apart = {id: hub.profile(id) for id in ("a", "b")}
    settled(ask("b", "a"), hub=hub)
    assert hub.profile("a")["stats"]["visits"] == 6
    settled(*profile_of(loser, update="2024-06-01T00:00:00", traits={"z": 3}, visits=4, stats={"views": 9}), hub=hub)
    assert hub.profile("a")["stats"]["visits"] == 7
    settled(event_of(uuid(1), loser, n=5), hub=hub)
    settled(undo(hub, "b"), hub=hub)
    other = "b" if loser == "a" else "a"
    assert hub.profile(other)["traits"] == apart[other]["traits"]
    assert hub.profile(other)["stats"] == apart[other]["stats"]
    assert hub.profile(loser)["traits"] == {**apart[loser]["traits"], "z": 3}
    assert hub.profile(loser)["stats"] == {"events": 1, "visits": 4, "views": 9}


def test_rebuilt_from_the_store_it_gives_the_same() -> None:
    sent = [*profile_of("a", traits={"x": 1}, stats={"views": 2}), event_of(uuid(1), "a", n=5)]
    hub = settled(*sent)
    ids = [one["body"][1]["events"][0]["id"] for one in sent]  # type: ignore[typeddict-item]
    rebuilt = [inbound_of([msgspec.json.encode(told(hub, id))]) for id in ids]
    again = settled(*(one for one in rebuilt if one is not None))
    assert [told(again, id) for id in ids] == [told(hub, id) for id in ids]
    assert again.profile("a") == hub.profile("a")


@pytest.mark.parametrize("is_anew", [True, False])
def test_no_flow_is_run_by_what_is_past(is_anew: bool) -> None:
    """Neither by an event, nor by a segment that is entered with it, nor is a pause ended."""
    takeover = Takeover("082x.t", "task", is_anew)
    some = segments(vip=None, gold="traits.plan = gold")
    flows = {
        "in": flow(SIGN_IN),
        "vip": flow({"type": "segment-entered", "segment": "vip"}),
        "gold": flow({"type": "segment-entered", "segment": "gold"}),
    }
    past = [
        event_of(uuid(1), "a", takeover=takeover),
        *profile_of("a", takeover=takeover, segments=["vip"], traits=GOLD),
    ]
    hub = hub_with(flows, *past, some=some, waited=("sign-in",))
    assert hub.profile("a")["segments"] == ["gold", "vip"]
    assert hub.log.triggers == []
    settled(sign_in("e1", "a", 1), hub=hub)
    assert [one["target"] for one in hub.log.triggers] == ["sign-in", "in"]
