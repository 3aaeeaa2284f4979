"""The console's Overview in Chromium: what it says is what the hub says, also when something is wrong."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final, NamedTuple

import pytest

from hub.model import CounterKey, Counts
from hub.store.factory import open_store
from tests import stores
from tests.clients.installed import Installed
from tests.console.filled import SOURCE, fill
from tests.console.tab import DESKTOP, PHONE, Tab, tab
from tests.kafka_tools import eventually
from tests.live.test_api_admin import only
from tests.live.whole_hub import WholeHub, whole_hub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

HOSTILE: Final = "<img src=x onerror=window.hacked=1>"
SHEET: Final = "[aria-label='Events since the beginning']"
PROCESSES: Final = "table[aria-label=Processes]"


class Begun(NamedTuple):
    """A hub with events, and what its Overview said while it had none."""

    hub: WholeHub
    empty: str
    findings: list[str]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, clients: Installed) -> Iterator[Begun]:
    """Without agents and worker; with a bridge that reaches nobody."""
    folder = tmp_path_factory.mktemp("overview")
    with whole_hub(folder / "data") as hub:
        with tab(hub, clients, folder / "browser.log") as at:
            at.log_in()
            at.sees("No event has come yet")
            at.settled()
            empty, findings = at.text(), at.findings()
        fill(hub)
        settings = {"bootstrap": "127.0.0.1:1", "topics": ["orders"]}
        hub.define("bridge", "unreachable", type="kafka", source=SOURCE, name=HOSTILE, settings=settings)
        eventually(lambda: hub.get("/overview")["bridges"]["worst"], 60)
        yield Begun(hub, empty, findings)


@pytest.fixture(scope="module")
def hub(begun: Begun) -> WholeHub:
    return begun.hub


def test_an_empty_hub_says_how_to_begin(begun: Begun) -> None:
    for words in ("Send the first event", "connect a queue", "None is open.", "No queue is connected.", "collector"):
        assert words in begun.empty
    assert begun.findings == []


def test_it_says_what_the_hub_says_and_goes_on_by_itself(hub: WholeHub, at: Tab) -> None:
    at.sees("Last hour")
    assert at.page.evaluate("document.title") == "Overview · ThamesThrive Hub"
    before = hub.totals()
    assert f"received {before['received']} = stored {before['stored']}" in _words(at, SHEET)
    assert f"dead {before['dead']}" in _words(at, SHEET)
    _send(hub, 40)
    at.page.until(f"{_text(SHEET)}.split(/\\s+/).includes('{before['received'] + 40}')")
    # of the last minute, in the order in which they are on the page
    for name, unit in (("Received", "events/s"), ("Stored", "events/s"), ("Edge to store", "p50"), ("/track", "p50")):
        figure = f"[role=group][aria-label='{name}']"
        at.page.until(f"/[1-9]/.test({_text(figure)})")
        assert unit in _words(at, figure), _words(at, figure)
    assert "record" in _words(at, "[role=group][aria-label=Lag]")
    asked = "performance.getEntriesByType('resource').filter(({name}) => name.endsWith('/overview')).length"
    assert at.page.evaluate(asked) > 1


def test_each_process_is_there_and_so_is_who_is_missing(hub: WholeHub, at: Tab) -> None:
    told = {one["kind"]: one for one in hub.get("/overview")["processes"]}
    at.page.until(f"document.querySelector('{PROCESSES}') !== null")
    rows = _words(at, PROCESSES)
    for kind, one in told.items():
        assert f"{kind} {one['state']}" in rows
        assert f"{one['host']} {one['pid']} {one['version']}" in rows
    said = _words(at, "main")
    assert (
        "agents: none is alive Heartbeats, and segments that change with time alone, stand still. Start one: hub agents"
        in said
    )
    assert "worker segmentation:live: none is alive" in said
    assert "not all is running" in said


def test_a_killed_process_is_gone_and_its_successor_there(hub: WholeHub, at: Tab) -> None:
    at.sees("Last hour")
    old = hub.processes()["collector"].pid
    assert f" {old} " in _words(at, PROCESSES)
    hub.kill("collector")
    new = hub.processes()["collector"].pid
    rows = _text(PROCESSES)
    at.page.until(f"{rows}.includes(' {new}') && !{rows}.includes(' {old}')")


def test_what_waits_is_reached_by_mouse_and_by_keyboard(at: Tab) -> None:
    at.sees("1 open letter")
    (reason,) = at.hub.get("/overview")["dead_letters"]["reasons"]
    words = reason.replace("_", " ")
    at.page.tap(f"main ::-p-text({words})")
    at.page.until(f"location.pathname + location.search === '/console/dead-letters?reason={reason}'")
    at.go("/")
    at.sees("1 open letter")
    at.tab_to(words)
    at.page.press("Enter")
    at.page.until(f"location.pathname + location.search === '/console/dead-letters?reason={reason}'")
    at.go("/")
    at.sees("unreachable")
    at.tab_to("unreachable")
    at.page.press("Enter")
    at.page.until("location.pathname === '/console/bridges/unreachable'")


def test_what_does_not_add_up_is_red_with_its_cause_and_as_text(hub: WholeHub, at: Tab) -> None:
    with _lost(hub, HOSTILE, 3):
        at.sees("1 difference")
        said = _words(at, "main")
        (cause,) = hub.get("/balance")["causes"]
        assert cause.startswith(f"row: {HOSTILE} at ")
        assert " ".join(cause.split()) in said
        assert "does not add up" in said
        assert "missing 3" in _words(at, SHEET)
        at.go("/")
        at.sees("3 missing")  # of the source
        assert f"{HOSTILE} 5 2 0 0 0 3 missing" in _words(at, "main")
        for dark in (False, True):
            at.page.scheme(dark=dark)
            assert at.findings() == []
        assert at.page.evaluate("[window.hacked, document.querySelectorAll('main img').length]") == [None, 0]
    at.page.until("!document.body.innerText.includes('1 difference')")


def test_what_is_not_known_now_is_said_with_why(hub: WholeHub, at: Tab) -> None:
    """While Valkey stands still, which says who is alive; the rest is told as ever."""
    at.sees("Last hour")
    with _standing_still(hub, "valkey"):
        at.sees("Not known now")
        at.sees("Processes and latencies: ")
        said = _words(at, "main [role=alert]")
        assert re.search("Processes and latencies: (no answer within 2 s|redis: Redis does not answer)", said), said
        assert f"stored {hub.totals()['stored']}" in _words(at, SHEET)
        assert at.findings() == []
    at.page.until("!document.body.innerText.includes('Not known now')")


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_read_it_and_the_numbers_are_one_screen(at: Tab, dark: bool) -> None:
    at.page.scheme(dark=dark)
    at.go("/")
    at.sees("Balance by source")
    at.settled()
    assert at.findings() == []
    headings = (
        "[...document.querySelectorAll('main h2')].map(h => [h.innerText, h.parentElement.getBoundingClientRect()])"
    )
    shown = at.page.evaluate(f"{headings}.filter(([, at]) => at.bottom < innerHeight).map(([name]) => name)")
    assert shown[:6] == ["Balance sheet", "Processes", "Dead letters", "Bridges", "Destinations", "Tasks"]
    at.page.size(*PHONE)
    assert not at.is_wider_than_window()
    assert at.findings() == []
    at.page.size(*DESKTOP)


def _text(selector: str) -> str:
    """An expression in the page."""
    return f'document.querySelector("{selector}").innerText'


def _words(at: Tab, selector: str) -> str:
    return " ".join(at.text(selector).split())


def _send(hub: WholeHub, many: int) -> None:
    events: list[dict[str, Any]] = [{"type": "page-view"}] * many
    answer = hub.http.post("/track", json={"source": SOURCE, "profile": {"id": "person-1"}, "events": events})
    assert answer.is_success, answer.text


@contextmanager
def _standing_still(hub: WholeHub, name: str) -> Iterator[None]:
    """While the block runs."""
    pid = hub.processes()[name].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _lost(hub: WholeHub, source: str, many: int) -> Iterator[None]:
    """While the block runs, so many more events have been counted as received than as anything else."""
    key = CounterKey(1, 0, source, int(time.time()) // 60)
    with closing(open_store(stores.store_url(hub.data, stores.namespace_of(hub.data)))) as store:
        store.write(only({key: Counts(received=2 + many, stored=2)}))
        try:
            yield
        finally:
            store.write(only({key: Counts(stored=many)}))
