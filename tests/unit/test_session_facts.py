"""What a session and a profile say of their events: when, how often, of what type, from where; in any order."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.pipeline.documents import iso, new_profile
from hub.pipeline.draft import Draft
from hub.pipeline.sessions import MOST_TYPES
from hub.pipeline.visits import VISIT, begin_visit, join_visits
from schemas.records import Event, Inbound
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import Hub
from tests.unit.test_identity import ask, settled, sign_in, undo

SECOND_MS = 1_000
DAY_MS = 86_400_000


def page(id: str, second: int, url: str = "", referrer: str = "", type: str = "page-view", **utm: str) -> Event:
    one = event(id, type, time_ms=NOW_MS - 1000 * SECOND_MS + second * SECOND_MS)
    about: dict[str, Any] = {"page": {"url": url, "referrer": referrer}} if url else {}
    one["context"] = msgspec.json.encode(about | ({"utm": utm} if utm else {}))
    return one


def sent(*events: Event, profile_id: str = "a", session_id: str = "s") -> Inbound:
    return track(profile_id, *events, session_id=session_id)


def session(hub: Hub, id: str = "s") -> dict[str, Any]:
    found = hub.store.get("sessions", id)
    assert found is not None
    return found


EVENTS = (
    page("e1", 0, "https://shop.example/sale?utm_source=mail", "https://news.example/"),
    page("e2", 10, "https://shop.example/shoes", "https://shop.example/sale"),
    page("e3", 70, type="order"),
    page("e4", 60, "https://shop.example/checkout", medium="cpc", source="ads"),
)


@pytest.mark.parametrize("order", list(permutations(range(4))))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_session_says_when_it_was_and_from_where_somebody_came(order: tuple[int, ...], at_once: bool) -> None:
    events = [EVENTS[n] for n in order]
    hub = settled(sent(*events)) if at_once else settled(*(sent(one) for one in events))
    found = session(hub)
    time = found["metadata"]["time"]
    start_ms = NOW_MS - 1000 * SECOND_MS
    assert (time["start"], time["end"], time["duration_s"]) == (iso(start_ms), iso(start_ms + 70 * SECOND_MS), 70)
    assert found["stats"] == {"events": 4, "types": {"page-view": 3, "order": 1}}
    assert found["first_touch"] == {
        "time": iso(start_ms),
        "event": {"id": "e1", "type": "page-view"},
        "url": "https://shop.example/sale?utm_source=mail",
        "referer": "https://news.example/",
        "utm": {"source": "mail"},
    }
    assert (found["last_touch"]["url"], found["last_touch"]["event"]["id"]) == ("https://shop.example/checkout", "e4")
    assert found["last_touch"]["utm"] == {"source": "ads", "medium": "cpc"}


def test_events_that_tell_no_place_are_no_touch() -> None:
    assert "first_touch" not in session(settled(sent(page("e1", 0, type="order"))))


def test_no_session_counts_more_than_so_many_types_one_by_one() -> None:
    events = [page(f"e{n}", n, type=f"type-{n % (MOST_TYPES + 10)}") for n in range(2 * MOST_TYPES)]
    stats = session(settled(sent(*events)))["stats"]
    assert (len(stats["types"]), stats["events"]) == (MOST_TYPES, 2 * MOST_TYPES)
    assert sum(stats["types"].values()) + stats["of_other_types"] == 2 * MOST_TYPES


def test_a_session_ends_with_its_event_and_goes_on_with_the_next() -> None:
    hub = settled(sent(page("e1", 0)))
    states = [session(hub)["metadata"]["status"]]
    for one in (page("e2", 1), page("e3", 2, type="visit-ended"), page("e4", 3)):
        settled(sent(one), hub=hub)
        states.append(session(hub)["metadata"]["status"])
    assert states == ["started", "active", "ended", "active"]
    assert hub.profile("a")["stats"]["visits"] == 1


def test_a_profile_says_how_often_somebody_comes() -> None:
    hub = Hub()
    for day in (0, 1, 7):
        hub.put(
            track("a", event(f"e{day}", time_ms=NOW_MS - 10 * DAY_MS + day * DAY_MS), session_id=f"s{day}"),
            track("a", event(f"f{day}", time_ms=NOW_MS - 10 * DAY_MS + day * DAY_MS + 5000), session_id=f"s{day}"),
        )
    hub.settle()
    first_ms = NOW_MS - 10 * DAY_MS
    assert hub.profile("a")["metadata"]["time"]["visit"] == {
        "first": iso(first_ms),
        "last": iso(first_ms + DAY_MS),
        "current": iso(first_ms + 7 * DAY_MS),
        "count": 3,
        "every_days": 3.5,
    }
    assert hub.profile("a")["stats"]["visits"] == 3


def test_a_visit_has_the_time_zone_of_its_customer() -> None:
    one = event("e1")
    one["context"] = b'{"time": {"tz": "Europe/Warsaw"}}'
    assert settled(sent(one)).profile("a")["metadata"]["time"]["visit"]["tz"] == "Europe/Warsaw"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=12, unique=True), st.integers(0, 2**12), st.randoms())
def test_visits_add_up_in_any_order_and_in_any_two_profiles(days: list[int], split: int, random: Any) -> None:
    def profile(days: list[int]) -> Draft:
        random.shuffle(days)
        draft = Draft(new_profile("a", iso(NOW_MS)))
        for day in days:
            begin_visit(draft, iso(NOW_MS + day * DAY_MS), "")
        return draft

    one = profile([day for n, day in enumerate(days) if split >> n & 1])
    other = profile([day for n, day in enumerate(days) if not split >> n & 1])
    join_visits(one, other.get(VISIT))
    whole = profile(days)
    assert one.get(VISIT) == whole.get(VISIT)
    visit = whole.get(VISIT)
    latest = sorted(days)[-2:]
    assert visit["first"] == iso(NOW_MS + min(days) * DAY_MS)
    assert [visit["last"], visit["current"]][-len(latest) :] == [iso(NOW_MS + day * DAY_MS) for day in latest]
    if len(days) > 1:
        assert visit["every_days"] == round((max(days) - min(days)) / (len(days) - 1), 3)


def test_a_merge_that_is_undone_gives_each_its_visits_back() -> None:
    def visit(id: str) -> dict[str, Any]:
        found: dict[str, Any] = hub.profile(id)["metadata"]["time"]["visit"]
        return found

    hub = settled(sign_in("a1", "a", 1, session_id="s1", at=1000), sign_in("b1", "b", 1, session_id="s2", at=2000))
    before = visit("a"), visit("b")
    settled(ask("b", "a"), hub=hub)
    assert (visit("a")["count"], visit("a")["first"], visit("a")["current"]) == (
        2,
        before[0]["current"],
        before[1]["current"],
    )
    settled(sign_in("b2", "b", 1, session_id="s3", at=3000), undo(hub, "b"), hub=hub)
    assert visit("a") == before[0]
    assert (visit("b")["count"], visit("b")["last"]) == (2, before[1]["current"])
    assert visit("b")["current"] == iso(NOW_MS - 100_000 + 3000)
