"""Segments in Chromium: made by somebody who has not read anything, looked at, changed; names are text."""

from __future__ import annotations

from typing import Final

import pytest

from tests.console.filled import SOURCE
from tests.console.tab import DESKTOP, PHONE, Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

HOSTILE: Final = '<img src=x onerror="window.hurt=1">'


def order(hub: WholeHub, profile: str, amount: float) -> None:
    events = [{"type": "order", "properties": {"amount": amount}}]
    assert hub.http.post("/track", json={"source": SOURCE, "profile": {"id": profile}, "events": events}).is_success


def test_a_segment_is_made_with_a_look_at_its_size(hub: WholeHub, at: Tab) -> None:
    hub.define(
        "mapping",
        "spent",
        event_type="order",
        fields=[{"event": "properties.amount", "profile": "traits.paid", "op": "add"}],
    )
    for n in range(4):
        order(hub, f"person-{n}", 200 * n)
    eventually(lambda: hub.get("/profiles/count", q="traits.paid > 0")["count"] == 3)
    at.go("/segments")
    at.page.tap("::-p-text(New segment)")
    at.page.until("document.activeElement.closest('form') !== null")
    at.page.type("Spent over 300")
    at.tab_to("Condition")
    at.page.type("traits.paid > ")
    at.expect("status of 4")  # as long as it is no condition yet
    at.sees("column 14: the query ends too early")
    at.page.type("300")
    at.sees("2 profiles of 12 would be in it now.")
    assert at.findings() == []
    at.tab_to("Create segment")
    at.page.press("Enter")
    at.page.until("location.pathname === '/console/segments/spent-over-300'")
    at.sees("2 profiles")
    eventually(lambda: hub.get("/segments/spent-over-300")["backfill"]["state"] == "done")
    at.sees("12 of 12 profiles looked at")
    at.sees("person-3")


def test_why_somebody_is_in_a_segment_or_not(at: Tab) -> None:
    at.go("/segments/big-spenders")
    at.page.tap('::-p-aria([name="Profile id"][role="textbox"])')
    at.page.type("person-1")
    at.page.press("Enter")
    at.sees("not in it")
    at.sees("traits.spent")
    assert at.findings() == []


def test_a_change_of_somebody_else_is_not_overwritten(hub: WholeHub, at: Tab) -> None:
    hub.define("segment", "shared", name="Shared", condition="traits.plan = 'pro'")
    at.go("/segments/shared")
    at.page.tap('::-p-aria([name="Edit"][role="button"])')
    at.page.until("document.querySelector('form textarea') !== null")
    hub.define("segment", "shared", name="Shared", condition="traits.plan = 'free'")
    at.expect("status of 409")
    at.page.tap('::-p-aria([name="Save"][role="button"])')
    at.page.until("document.querySelector('form [role=alert]') !== null")
    assert hub.get("/definitions/segment/shared")["spec"]["condition"] == "traits.plan = 'free'"


def test_a_list_is_changed(hub: WholeHub, at: Tab) -> None:
    hub.define("segment", "guests", name="Guests")
    at.go("/segments/guests")
    at.page.tap("[aria-label='Profile id to add']")
    at.page.type("person-2")
    at.page.press("Enter")
    eventually(lambda: hub.get("/segments/guests")["size"] == 1)
    at.sees("Take off")
    at.page.tap("[aria-label='Take person-2 off the list']")
    eventually(lambda: hub.get("/segments/guests")["size"] == 0)
    at.sees("Nobody is in it now.")


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_read_them_and_names_are_text(hub: WholeHub, at: Tab, dark: bool) -> None:
    hub.define("segment", "hostile", name=HOSTILE, description=HOSTILE, condition=f"traits.name = '{HOSTILE}'")
    order(hub, "hostile", 1)
    at.page.scheme(dark=dark)
    for path in ("/segments", "/segments/hostile", "/segments?new=1"):
        at.go(path)
        at.settled()
        assert at.findings() == [], path
        at.page.size(*PHONE)
        assert not at.is_wider_than_window(), path
        at.page.size(*DESKTOP)
    at.go("/segments")
    at.sees(HOSTILE)
    assert at.page.evaluate("window.hurt") is None
