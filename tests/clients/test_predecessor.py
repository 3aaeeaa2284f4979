"""Requests of the predecessor's script for pages, by its contract, from a real browser on another site."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from hub.ids import derived
from tests.clients.asking import stored
from tests.clients.browser import Browser, Site, browser, site
from tests.clients.installed import Installed
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

pytestmark = [pytest.mark.long, pytest.mark.timeout(200)]

PAGE: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "predecessor" / "page.json").read_text())
# with credentials, whatever the page says: so it is for a beacon
BEACON: Final = "navigator.sendBeacon('HUB/track', new Blob([JSON.stringify(BODY)], {type: 'application/json'}))"
FETCH: Final = """fetch('HUB/track', {method: 'POST', credentials: 'omit', body: JSON.stringify(BODY),
    headers: {'Content-Type': 'application/json', 'x-timestamp': Date.now()}}).then(answer => answer.json())"""


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        made.pages["/"] = "<!doctype html><title>Shop</title>"
        yield made


@pytest.fixture
def chromium(clients: Installed, tmp_path: Path) -> Iterator[Browser]:
    with browser(clients, tmp_path / "browser.log") as made:
        yield made


@pytest.mark.parametrize(("how", "script"), [("fetch", FETCH), ("beacon", BEACON)], ids=["fetch", "beacon"])
def test_a_page_with_the_predecessors_own_script_is_heard(
    how: str, script: str, hub: WholeHub, web: Site, chromium: Browser
) -> None:
    source = f"before-{how}"
    hub.define("source", source)
    session = f"{PAGE['session']['id']}-{how}"
    body = {**PAGE, "source": {"id": source}, "session": {"id": session}}
    answer = chromium.open(web.url).evaluate(script.replace("HUB", hub.url).replace("BODY", json.dumps(body)))
    profile = derived("session", session)
    if how == "fetch":
        assert (answer["profile"]["id"], answer["session"]["id"]) == (profile, session)
    eventually(lambda: len(stored(hub, source)) == 2, 30)
    order, view = sorted(stored(hub, source), key=lambda event: event["type"], reverse=True)
    assert (view["type"], order["type"]) == ("page-view", "purchase-order")
    assert {order["profile"]["id"], view["profile"]["id"]} == {profile}
    assert order["metadata"]["time"]["create"].startswith("2026-11-26T09:15:00.456")
    assert (view["hit"]["url"], view["hit"]["name"]) == ("https://shop.example/boats?utm_source=mail", "Boats")
    context = hub.get(f"/sessions/{session}")["context"]
    assert context["screen"]["local"]["width"] == 1920
    assert context["utm"]["campaign"] == "spring"
