"""Events and one event in the console: found, narrowed down and followed by mouse and by keyboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from hub.settings import Kafka
from schemas.records import Inbound
from tests.console import customers, filled
from tests.console.customers import ANN, HOSTILE, MALLORY
from tests.console.filled import PEOPLE
from tests.console.tab import DESKTOP, PHONE, Tab
from tests.factories import event, track
from tests.kafka_tools import eventually, write_events
from tests.live.whole_hub import WholeHub, whole_hub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

SEARCH = "input[aria-label='Search events']"
OPTIONS = "[...document.querySelectorAll('[aria-label=Completions] [role=option]')]"
LINKS = "[...document.querySelectorAll('main a')].map(one => one.getAttribute('href'))"
PURCHASES = PEOPLE + 1  # all of `filled` but the one that is dead, Ann's and Mallory's


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    with whole_hub(tmp_path_factory.mktemp("events") / "data", agents=True) as hub:
        filled.fill(hub)
        customers.fill(hub)
        yield hub


def rows(at: Tab) -> list[str]:
    """Of the table of events, the first cell of each."""
    found: list[str] = at.page.evaluate(
        "[...document.querySelectorAll('table[aria-label=Events] tbody tr')].map(row => row.cells[0].innerText)"
    )
    return found


def until_found(at: Tab, many: int, type: str = "purchase") -> None:
    """Wait until so many events are shown, all of one type."""
    rows = "[...document.querySelectorAll('table[aria-label=Events] tbody tr')]"
    at.page.until(f"{rows}.length === {many} && {rows}.every(row => row.cells[0].innerText === '{type}')")


def test_find_events_with_the_keyboard_alone(at: Tab) -> None:
    """Fields, values and words are completed; the address has the search; an event is opened."""
    at.go("/events")
    at.page.press("/")
    at.page.type("ty")
    at.page.until(f"{OPTIONS}.some(one => one.innerText.startsWith('type'))")
    at.page.press("ArrowDown", "Enter")
    at.page.type("= ")
    at.page.until(f"{OPTIONS}.some(one => one.innerText.includes('purchase'))")
    assert at.findings() == []
    at.page.type("pur")
    at.page.until(f"{OPTIONS}.length === 1")
    at.page.press("ArrowDown", "Enter")
    at.page.until(f'document.querySelector("{SEARCH}").value === \'type = "purchase" \'')
    at.page.press("Enter")
    until_found(at, PURCHASES)
    assert at.page.evaluate("new URLSearchParams(location.search).get('q')") == 'type = "purchase"'
    at.sees(f"{PURCHASES} events")
    at.tab_to("purchase", most=120)
    at.page.press("Enter")
    at.page.until("/^.console.events.[0-9a-f-]{36}$/.test(location.pathname)")
    at.sees("Written to Kafka")


def test_a_query_that_is_wrong_says_where(at: Tab) -> None:
    at.expect("status of 422")
    at.go("/events?q=type%20%3D%20%3D%203")
    at.sees("Line 1, column 8:")
    assert "type = = 3\n       ^" in at.text("[aria-label='Where it is wrong']")
    assert at.findings() == []
    at.page.tap("::-p-text(Go there)")
    at.page.until(f'document.activeElement === document.querySelector("{SEARCH}")')
    assert at.page.evaluate("document.activeElement.selectionStart") == 7
    at.page.tap(f"{SEARCH}")
    at.page.press("Control+a", "Backspace")
    at.page.until("!document.body.innerText.includes('column 8')")


def test_narrow_down_with_the_mouse(at: Tab) -> None:
    """By a value, by what is not it, and by a part of the time."""
    at.go("/events")
    at.page.tap("[aria-label='Values of fields'] ::-p-text(purchase)")
    until_found(at, PURCHASES)
    at.go("/events")
    at.page.tap("[aria-label='Without type = purchase']")
    at.page.until("location.search.includes('%21%3D')")
    at.settled()
    at.page.until("!document.body.innerText.includes('Searching…')")
    assert "purchase" not in rows(at)
    at.go("/events?q=type+%3D+purchase&from=now-1h")
    until_found(at, PURCHASES)
    at.go("/events?from=2020-01-01T00:00:00Z&to=2020-02-01T00:00:00Z")
    at.sees("No event matches")
    at.page.tap("::-p-text(Show all events)")
    at.sees("segment-entered")


def test_a_part_of_the_time_is_chosen_by_dragging_over_the_chart(hub: WholeHub, at: Tab) -> None:
    """The address, the count and the rows follow; all events lie in the middle of what is shown at first."""
    (newest, *_) = hub.get("/events", q="type = purchase")["items"]
    middle = datetime.fromisoformat(newest["metadata"]["time"]["insert"])
    begin, end = middle - timedelta(hours=1), middle + timedelta(hours=1)
    whole = urlencode({"q": "type = purchase", "from": begin.isoformat(), "to": end.isoformat()})
    for part, many in (((0.1, 0.4), 0), ((0.4, 0.9), PURCHASES)):
        at.go(f"/events?{whole}")
        until_found(at, PURCHASES)
        before: str = at.page.evaluate("location.search")
        at.page.drag(".u-over", *part)
        at.page.until(f"location.search !== {json.dumps(before)}")
        chosen: list[str] = at.page.evaluate(
            "['from', 'to'].map(name => new URLSearchParams(location.search).get(name))"
        )
        for place, time in zip(part, map(datetime.fromisoformat, chosen), strict=True):
            assert abs(time - (begin + place * (end - begin))) < timedelta(minutes=3)
        at.page.until(f"document.querySelector('main [role=status]').innerText.startsWith('{many} events from')")
        until_found(at, many)


def test_columns_are_kept_in_the_address(at: Tab) -> None:
    at.go("/events?q=type+%3D+purchase&column=properties.amount")
    until_found(at, PURCHASES)
    assert "properties.amount" in at.text("table[aria-label=Events] thead")
    at.page.tap("::-p-text(Columns)")
    at.page.tap("[aria-label='Without the column properties.amount']")
    at.page.until("!document.querySelector('table[aria-label=Events] thead').innerText.includes('properties.amount')")


def test_the_story_of_an_event(hub: WholeHub, at: Tab) -> None:
    purchase = hub.get("/events", q=f'type = purchase AND profile.id = "{ANN}"')["items"][0]
    at.go(f"/events/{purchase['id']}")
    at.sees("Written to Kafka")
    said = " ".join(at.text().split())
    for words in ("Received at the edge", "250.5 spending version", "hub.events.v1", ANN, "Stored"):
        assert words in said, said
    at.page.tap(f"main a[href='/console/profiles/{ANN}']")
    at.page.until(f"location.pathname === '/console/profiles/{ANN}'")


def test_what_rules_did_to_an_event_is_told_in_words(hub: WholeHub, at: Tab) -> None:
    hub.define("filter", "marked", event_type="review", action="flag", when="properties.stars > `0`")
    hub.define("validator", "stars", event_type="review", properties={"properties": {"stars": {"type": "string"}}})
    hub.define("reshaper", "stars", event_type="review", properties={"stars": "properties.stars"})
    customers.track(hub, "reviewer", "r1", {"type": "review", "properties": {"stars": 5, "by": "ann"}})
    (review,) = eventually(lambda: hub.get("/events", q="type = review")["items"], 30)
    at.go(f"/events/{review['id']}")
    at.sees("filter marked marked it")
    at.sees("validator stars found it not valid at properties.stars: ")
    at.sees("reshaper stars made new properties; what was sent is in raw")
    assert at.findings() == []
    at.page.tap("main a[href='/console/definitions?kind=validator&id=stars']")
    at.page.until("location.pathname === '/console/definitions'")


def test_what_an_event_came_through_and_what_its_problems_are_of_leads_where_it_is(hub: WholeHub, at: Tab) -> None:
    """A takeover has no page, and neither has a mapping that is called as it is."""
    caller = {"event": "properties.by", "kind": "id"}
    hub.define("identification-point", "caller", event_type="call", identifiers=[caller])
    now_ms = int(datetime.now(UTC).timestamp() * 1_000)
    profile = event("took-1", "profile-taken-over", time_ms=now_ms, segments=["gone"])
    call = event("call-1", "call", time_ms=now_ms, by="n" * 2_000)
    past: Inbound = {**track("carl", profile, source="@migration"), "origin": "takeover:done:t1:profile/carl"}
    ours: Inbound = {**track("carl", call), "origin": "flow:welcome:run-1"}
    write_events(Kafka(bootstrap=hub.kafka), "hub", [past, ours])
    eventually(lambda: hub.get("/events/count", q='profile.id = "carl"')["count"] == 2, 60)
    at.go("/events/took-1")
    at.sees("a takeover: it was brought here from the installation that was there before")
    at.sees("could not bring all of it: segments.gone: there is no such segment")
    assert at.page.evaluate(f"{LINKS}.filter(to => /mapping|bridges/.test(to))") == []
    at.go("/events/call-1")
    at.sees("identification point caller properties.by: ")
    wanted = {"definitions?kind=identification-point&id=caller", "flows/welcome", "flows/welcome?run=run-1"}
    assert {f"/console/{one}" for one in wanted} <= set(at.page.evaluate(LINKS))
    assert at.findings() == []


def test_an_event_that_is_not_there(at: Tab) -> None:
    at.expect("status of 404")
    at.go("/events/none")
    at.sees("There is no event with this id")
    at.sees("Nothing is in flight")


@pytest.mark.parametrize("dark", [False, True])
def test_what_events_carry_is_text_in_both_themes_and_on_a_phone(hub: WholeHub, at: Tab, dark: bool) -> None:
    at.page.scheme(dark=dark)
    (hostile,) = hub.get("/events", q="type STARTS WITH '<img'")["items"]
    pages = ["/events", f"/events/{hostile['id']}", *_of_mallory(hub)]
    for page in pages:
        for size in (DESKTOP, PHONE):
            at.page.size(*size)
            at.go(page)
            at.settled()
            at.sees("onerror")
            assert at.page.evaluate("window.hacked === undefined && !document.querySelector('main img')"), page
            assert at.page.evaluate("document.querySelectorAll('a[href^=\"javascript:\" i]').length") == 0, page
            assert not at.is_wider_than_window(), page
            assert at.findings() == [], page
    assert HOSTILE in MALLORY


def _of_mallory(hub: WholeHub) -> list[str]:
    found = hub.get("/events", q="profile.id STARTS WITH mallory")["items"]
    return [f"/events/{one['id']}" for one in found if one["type"] == "purchase"]
