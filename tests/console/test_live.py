"""What comes in, live, in the console: filtered, paused, opened, and a thousand a second without freezing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.console.customers import HOSTILE, SCRIPT, track
from tests.console.filled import SOURCE
from tests.console.tab import DESKTOP, PHONE, Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, whole_hub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ROWS = "[...document.querySelectorAll('main tbody tr')]"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    with whole_hub(tmp_path_factory.mktemp("live") / "data") as hub:
        hub.define("source", SOURCE, type=["rest"], name="Shop")
        yield hub


@contextmanager
def coming(hub: WholeHub, *types: str, many: int = 1) -> Iterator[None]:
    """Events of these types, so many of each in a request, one request after the other."""
    over = threading.Event()

    def send() -> None:
        n = 0
        while not over.wait(0.1 if many == 1 else 0):
            n += 1
            track(hub, f"p-{n % 50}", f"s-{n % 50}", *({"type": type, "properties": {"n": n}} for type in types * many))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_watch_filter_pause_and_open_with_the_keyboard(hub: WholeHub, at: Tab) -> None:
    at.go("/live")
    at.sees("Nothing comes in just now")
    at.page.until("document.querySelector('main').innerText.includes('live')")
    with coming(hub, "page-view", "purchase"):
        at.page.until(f"{ROWS}.length > 4")
        at.page.press("/")
        at.page.type("type = purchase")
        at.page.press("Escape", "Enter")
        at.page.until(f"{ROWS}.length > 2 && {ROWS}.every(row => row.cells[1].innerText === 'purchase')")
        assert at.page.evaluate("location.search") == "?q=type+%3D+purchase"
        at.tab_to("Events as they come")
        at.page.press("p")
        at.sees("have come meanwhile")
        before = at.page.evaluate(f"{ROWS}.length")
        at.tab_to("purchase")
        at.page.press("Enter")
        at.sees("Its whole story")
        assert at.page.evaluate(f"{ROWS}.length") == before
        assert at.findings() == []
    at.tab_to("Its whole story")
    at.page.press("Enter")
    at.sees("Written to Kafka")


def test_a_filter_that_is_wrong_says_where(at: Tab) -> None:
    at.expect("status of 422")
    at.go("/live?q=type+%3D+%3D")
    at.sees("Line 1, column 8:")


def test_a_thousand_a_second_do_not_freeze_it(hub: WholeHub, at: Tab) -> None:
    """It says that it samples, keeps 200 rows, and draws at most four times a second."""
    at.go("/live?rate=200")
    at.page.until("document.querySelector('main').innerText.includes('live')")
    at.page.evaluate(
        "(window.drawn = [], new MutationObserver(() => drawn.push(performance.now()))"
        ".observe(document.querySelector('main'), {childList: true, subtree: true}), 0)"
    )
    with coming(hub, "page-view", many=200):
        at.page.until("document.querySelector('[data-sampled=true]') !== null")
        at.sees("are shown: a sample")
        at.page.until(f"{ROWS}.length === 200")
        at.page.tap("::-p-text(Pause)")
        at.sees("have come meanwhile")
    assert at.page.evaluate(f"{ROWS}.length") == 200
    apart: list[float] = at.page.evaluate("drawn.map((at, n) => n ? at - drawn[n - 1] : 1000)")
    # a drawing is one change of the page, or some within a moment
    assert len([one for one in apart if 20 < one < 150]) <= len(apart) / 4, apart


@pytest.mark.parametrize("dark", [False, True])
def test_what_comes_is_text_in_both_themes_and_on_a_phone(hub: WholeHub, at: Tab, dark: bool) -> None:
    at.page.scheme(dark=dark)
    # of many it would be a sample
    eventually(lambda: hub.totals()["in_flight"] == 0, 60)
    at.go("/live")
    at.page.until("document.querySelector('main').innerText.includes('live')")
    for size in (DESKTOP, PHONE):
        at.page.size(*size)
        track(hub, HOSTILE, HOSTILE, {"type": HOSTILE, "properties": {HOSTILE: HOSTILE, "url": SCRIPT}}, agent=HOSTILE)
        at.page.until(f"{ROWS}.length > 0 && document.body.innerText.includes('onerror')")
        assert at.page.evaluate("window.hacked === undefined && !document.querySelector('main img')")
        assert not at.is_wider_than_window()
        assert at.findings() == []
