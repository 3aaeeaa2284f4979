"""How soon each page of the console is usable with a month of a shop in the hub, and whether the live tail freezes."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import psutil
import pytest

from hub.api.console import CONSOLE
from hub.settings import Kafka
from schemas.topics import EVENTS as TOPIC
from tests.bench import conditions, shop
from tests.bench.results import RUNS, Floor, Row, write
from tests.clients.installed import installed
from tests.console import filled
from tests.console.pages import PAGES
from tests.console.tab import Tab, tab
from tests.kafka_tools import write as write_records
from tests.live.whole_hub import WholeHub, whole_hub
from tests.waiting import wait_for

EVENTS: Final = 1_000_000
PEOPLE: Final = 100_000
CHUNK: Final = 50_000
MOST_MS: Final = 1_000
RATE: Final = 1_000
SECONDS: Final = 10
AT_ONCE: Final = 20
"""Events in a request of the live tail's load."""
STILL_MS: Final = 200
"""Up to here a page is taken to respond well, by the bound of the web vital Interaction to Next Paint."""
SOMEBODY: Final = 4_242
IDLE_CORES: Final = 0.3
NAMESPACE: Final = "hub"
TAIL: Final = "Live: the longest time between two frames, ms"
HOW: Final = (
    "`hub up` with agents and a worker, SQLite, and a month of a shop in it, put onto events.v1 by the edge's code: "
    f"{EVENTS:,} events of six types, {PEOPLE:,} profiles with names, traits, visits and an identifier each, four "
    "segments, a flow that has run some hundred times, a bridge, dead letters. Chromium without a window, 1280 by 800, "
    "logged in; it shares the cores with the hub. Pages are loaded anew by their address: ms from the navigation until "
    "all of the page is there, no part of it still loading. Acts: from the key or the click until what it asked for is "
    "there; of the preview from the last letter, 400 ms of waiting for another one among them. The tail: "
    f"{RATE:,} events/s for {SECONDS} s, {AT_ONCE} in a request; the longest time between two frames of the page."
)

_ROWS: Final = "[...document.querySelectorAll('main tbody tr')]"
_FIRST: Final = "main tbody a"
# how many events there are, not the dash before that is known
_MANY: Final = (
    "[...document.querySelectorAll('main td, main p')].some(one => /^\\d+(,\\d|[\\d.]*[KM])/.test(one.textContent))"
)
_SIZE: Final = "document.querySelector('form [aria-live=polite]').textContent"
_CHART: Final = "document.querySelector('main canvas') !== null"
READY: Final = (
    "document.querySelector('h1') !== null"
    " && !document.querySelector('[aria-label=Loading], .mantine-Skeleton-root, main [aria-busy=true]')"
    " && !/(searching|counting)…/i.test(document.querySelector('main').textContent)"
)
"""No part of a page says that it is on its way."""


def says(words: str) -> str:
    """That the page has a text."""
    return f"document.querySelector('main').textContent.includes('{words}')"


THERE: Final = {
    "overview": f"{_CHART} && {_MANY}",
    "live": says("live"),
    "events": f"{_CHART} && {_ROWS}.length === 50",
    "event": says("Written to Kafka"),
    "profiles": f"{_ROWS}.length === 50",
    "profile": says("sign-up"),
    "segments": f"{_ROWS}.length === 4",
    "segment": f"{_ROWS}.length >= 20",
    "sources": _MANY,
    "bridges": says("Orders"),
    "bridge": says("Orders"),
    "flows": says("Sorry"),
    "flow": f"document.querySelectorAll('.react-flow__node').length === 2 && {_ROWS}.length === 20",
    "heartbeats": says("greeting"),
    "tasks": says("There is no task"),
    "dead-letters": f"{_ROWS}.length > 50",
    "definitions": f"{_ROWS}.length > 0",
    "start": says("curl"),
}
"""By page: the data that it is looked at for."""


class Act(NamedTuple):
    """
    Something that a user does.

    Attributes:
        page: Where, below /console.
        prepare: What is done before the clock starts, on the page.
        go: What is measured.
        done: True in the page once it is done, and not before.
    """

    what: str
    page: str
    prepare: Callable[[Tab], object]
    go: Callable[[Tab], object]
    done: str


def searching(what: str, kind: str, query: str, done: str) -> Act:
    """A query that is typed into the page of events or profiles."""

    def typed(at: Tab) -> None:
        at.page.press("/")
        at.page.type(query)
        at.page.press("Escape")

    asked = "location.search.length > 1"
    return Act(what, f"/{kind}", typed, lambda at: at.page.press("Enter"), f"{asked} && {READY} && {done}")


def opening(what: str, page: str, done: str) -> Act:
    """The first row of a list."""
    return Act(what, page, lambda _: None, lambda at: at.page.tap(_FIRST), f"{READY} && {done}")


def _condition(at: Tab) -> None:
    at.tab_to("Condition")
    at.page.type(shop.SPENT[:-1])
    at.page.until(f"{READY} && {says('would be in it now')}")
    at.page.evaluate(f"(window.before = {_SIZE}, 0)")


_PURCHASES: Final = f"{_ROWS}.length === 50 && {_ROWS}.every(row => row.cells[0].textContent === 'purchase')"
_AT_MOST_ONE: Final = f"{_ROWS}.length < 2"
UNBOUND: Final = "Events: by a field alone that has no index"
"""Each event is looked at for it: how long that takes is said, and nothing is promised."""
ACTS: Final = (
    searching("Events: purchases over 200", "events", "type = purchase AND properties.amount > 200", _PURCHASES),
    searching("Events: a purchase by its order", "events", "type = purchase AND properties.order = 990", _AT_MOST_ONE),
    searching(UNBOUND, "events", "properties.order = 990", _AT_MOST_ONE),
    searching(
        "Profiles: gold customers in GB who spent over 500",
        "profiles",
        f"traits.plan = gold AND traits.country = GB AND {shop.SPENT}",
        f"{_ROWS}.length > 0 && {_ROWS}.every(row => row.textContent.includes('spenders'))",
    ),
    searching(
        "Profiles: one by e-mail",
        "profiles",
        f'data.contact.email.main = "{shop.email(SOMEBODY)}"',
        f"{_ROWS}.length === 1",
    ),
    opening("Events: the first one opened", "/events", THERE["event"]),
    opening("Profiles: the first one opened", "/profiles", says("Search these events")),
    Act(
        "Segments: preview of a condition",
        "/segments?new=1",
        _condition,
        lambda at: at.page.type(shop.SPENT[-1]),
        f"{READY} && {says('would be in it now')} && {_SIZE} !== before",
    ),
)


@pytest.mark.bench
@pytest.mark.timeout(2_400)
def test_console(tmp_path: Path) -> None:
    """Every page and act within a second; the tail does not stand still, and says that it samples."""
    began = conditions.moment()
    clients = installed()
    with whole_hub(tmp_path / "data", agents=True) as hub:
        fill(hub)
        with tab(hub, clients, tmp_path / "browser.log") as at:
            at.log_in()
            rows = looked_at(at)
    write("26. The console, a million events", HOW, rows, began)
    shutil.rmtree(tmp_path)


def fill(hub: WholeHub) -> None:
    """Define all that the shop has, put its month onto the log, and wait until nothing is left to do."""
    filled.fill(hub)
    for (kind, id), spec in shop.DEFINED.items():
        hub.define(kind, id, **spec)
    records = shop.records(EVENTS, PEOPLE, time.time_ns() // 1_000_000)
    while chunk := list(islice(records, CHUNK)):
        write_records(Kafka(bootstrap=hub.kafka), TOPIC.name(NAMESPACE), chunk)

    def is_stored() -> bool:
        time.sleep(1)  # who looks all the time takes a processor from who stores
        # of the rows, one a minute and source, only the newest
        totals = hub.get("/balance", **{"from": f"{datetime.now(UTC):%Y-%m-%dT%H:%MZ}"})["totals"]
        return totals["in_flight"] == 0 and totals["received"] >= EVENTS

    wait_for("all events are stored", is_stored, 1_500)
    wait_for("agents and workers have nothing left to do", lambda: cores(hub) < IDLE_CORES, 600)


def cores(hub: WholeHub) -> float:
    """How many the hub's own processes keep busy, looked at for two seconds."""
    processes = [psutil.Process(one.pid) for one in hub.processes().values() if one.pid is not None]
    before = sum(sum(one.cpu_times()[:2]) for one in processes)
    time.sleep(2)
    return (sum(sum(one.cpu_times()[:2]) for one in processes) - before) / 2


def looked_at(at: Tab) -> list[Row]:
    """Everything, RUNS times."""
    found: dict[str, list[float]] = {}

    def note(what: str, value: float) -> None:
        found.setdefault(what, []).append(value)

    hub = at.hub
    shown = {
        "event": hub.get("/events", q="type = sign-up", size=1)["items"][0]["id"],
        "profile": shop.customer(SOMEBODY % PEOPLE),
        "segment": "spenders",
        "bridge": filled.BRIDGE,
        "flow": "sorry",
    }
    for _ in range(RUNS):
        for page, path in PAGES.items():
            at.page.go(f"{hub.url}{CONSOLE}{path.replace(':id', shown.get(page, ''))}")
            note(f"page {page}, ms", at.page.when(f"{READY} && {THERE[page]}"))
        for act in ACTS:
            note(f"{act.what}, ms", took_ms(at, act))
        still_ms, rate = tail(at)
        note(TAIL, still_ms)
        note("Live: events/s that came", rate)
    return [Row(what, values, (), floor_of(what)) for what, values in found.items()]


def floor_of(what: str) -> Floor | None:
    """What must hold of a row."""
    if what == TAIL:
        return Floor(STILL_MS, at_most=True)
    if what.startswith(UNBOUND):
        return None
    return Floor(MOST_MS, at_most=True) if what.endswith(", ms") else Floor(RATE * 0.95)


def took_ms(at: Tab, act: Act) -> float:
    """How long an act takes."""
    at.go(act.page)
    at.settled()
    act.prepare(at)
    began: float = at.page.evaluate("performance.now()")
    act.go(at)
    return at.page.when(act.done) - began


def tail(at: Tab) -> tuple[float, float]:
    """The longest time between two frames while events come, in ms, and how many came a second."""
    at.go("/live")
    at.page.until(says("live"))
    at.page.evaluate(
        "(window.stood = 0, (function next(last, now) { stood = Math.max(stood, now - last);"
        " requestAnimationFrame(then => next(now, then)) })(performance.now(), performance.now()), 0)"
    )
    with coming(at.hub) as sent:
        at.page.until("document.querySelector('[data-sampled=true]') !== null")
        at.sees("are shown: a sample")
    stood: float = at.page.evaluate("stood")
    return stood, sent[0]


@contextmanager
def coming(hub: WholeHub) -> Iterator[list[float]]:
    """Events by the clock; the block goes on until all are sent. Yields a list for how many were sent a second."""
    rates: list[float] = []

    def send() -> None:
        began, number = time.monotonic(), 0
        while number < RATE * SECONDS:
            time.sleep(max(0.0, began + number / RATE - time.monotonic()))
            events = [{"type": "page-view", "properties": {"n": number + n}} for n in range(AT_ONCE)]
            who = shop.customer(number % PEOPLE)
            body = {"source": filled.SOURCE, "session": {"id": f"now-{who}"}, "profile": {"id": who}, "events": events}
            if not hub.http.post("/track", json=body).is_success:
                return
            number += AT_ONCE
        rates.append(number / (time.monotonic() - began))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield rates
    finally:
        thread.join()
    assert rates, "an event was not taken"
