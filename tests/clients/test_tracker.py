"""The tracker for pages in a real browser, on a site of another origin, pointed at a running hub."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from hub.ids import derived
from tests.clients.asking import begun, stored, unavailable
from tests.clients.browser import Browser, Page, Site, browser, site
from tests.clients.installed import Installed
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

COUNT: Final = 1_000
WAITING: Final = "Object.keys(localStorage).filter(key => key.startsWith('tracardi-event-')).length"
READY: Final = "window.seen !== undefined"
NOTE_READY: Final = (
    "window.onTracardiReady = {q: [page => { window.seen = page.context }], bind(task) { this.q.push(task) }}"
)


@pytest.fixture
def web() -> Iterator[Site]:
    with site() as made:
        yield made


@pytest.fixture
def chromium(clients: Installed, tmp_path: Path) -> Iterator[Browser]:
    with browser(clients, tmp_path / "browser.log") as made:
        yield made


def shop(hub: WholeHub, web: Site, source: str, options: str = "{}", body: str = "") -> str:
    """A page with the tracker and no other script, which its policy would not let run; its URL."""
    hub.define("source", source, channel="web")
    web.policy[:] = [f"default-src 'none'; script-src {hub.url}; connect-src {hub.url}"]
    script = (
        f"<script async src='{hub.url}/tracker/tracker.js' data-source='{source}' data-options='{options}'></script>"
    )
    web.pages[f"/{source}"] = f"<!doctype html><title>Shop</title>{script}{body}"
    return f"{web.url}/{source}"


def track(page: Page, begin: int, end: int) -> None:
    """Orders, in one go; what comes of them is not waited for."""
    page.evaluate(f"for (let n = {begin}; n < {end}; n++) tracker.track('Order Done', {{n}}); 0")


def check(hub: WholeHub, source: str, count: int) -> list[dict[str, Any]]:
    """Each order once, in order, under one profile; the events in the order of the log."""
    eventually(lambda: hub.totals()["in_flight"] == 0, 60)
    events = sorted(stored(hub, source), key=place)
    assert [event["properties"]["n"] for event in events] == [*range(count)]
    assert len({event["profile"]["id"] for event in events}) == 1
    assert len({event["session"]["id"] for event in events}) == 1
    for event in events:
        id = uuid.UUID(event["id"])
        at = datetime.fromisoformat(event["metadata"]["time"]["create"])
        assert (id.version, id.int >> 80) == (7, round(at.timestamp() * 1_000))
        assert (event["type"], event["hit"]["name"]) == ("order-done", "Shop")
    assert all(before["id"][:13] <= after["id"][:13] for before, after in pairwise(events))
    balance = hub.get("/balance")
    assert balance["balanced"], balance["causes"]
    return events


def place(event: dict[str, Any]) -> tuple[int, int, int]:
    position = event["metadata"]["position"]
    return position["partition"], position["offset"], position["place"]


def test_a_thousand_events_of_a_page_are_stored_once_while_kafka_is_killed(
    hub: WholeHub, web: Site, chromium: Browser
) -> None:
    page = chromium.open(shop(hub, web, "killed"), NOTE_READY)
    page.until(READY)
    track(page, 0, COUNT // 2)
    begun(hub, "killed")
    track(page, COUNT // 2, COUNT * 3 // 4)
    hub.kill("kafka")
    track(page, COUNT * 3 // 4, COUNT)
    page.until(f"{WAITING} === 0")
    (event, *_) = check(hub, "killed", COUNT)
    # the hub's answer is who it is from now on
    assert page.evaluate("localStorage['tracardi-profile-id']") == event["profile"]["id"]
    assert f"tracardi-session-id={event['session']['id']}" in page.evaluate("document.cookie")
    assert event["profile"]["id"] == derived("session", event["session"]["id"])
    assert not [line for line in chromium.said() if "uncaught" in line or "Content Security Policy" in line]


def test_what_the_tracker_sends_again_is_stored_once(hub: WholeHub, web: Site, chromium: Browser) -> None:
    """Kafka hangs until there was a 503, and then writes what it had received as well as what comes again."""
    page = chromium.open(shop(hub, web, "again"), NOTE_READY)
    page.until(READY)
    track(page, 0, 100)
    begun(hub, "again")
    kafka = hub.processes()["kafka"].pid
    assert kafka is not None
    before = unavailable(hub)
    os.kill(kafka, signal.SIGSTOP)
    try:
        track(page, 100, 200)
        eventually(lambda: unavailable(hub) > before, 60)
    finally:
        os.kill(kafka, signal.SIGCONT)
    page.until(f"{WAITING} === 0")
    check(hub, "again", 200)


def test_what_happened_offline_comes_when_the_network_does(hub: WholeHub, web: Site, chromium: Browser) -> None:
    page = chromium.open(shop(hub, web, "offline"), NOTE_READY)
    page.until(READY)
    track(page, 0, 10)
    page.until(f"{WAITING} === 0")
    page.offline(True)
    track(page, 10, 130)
    assert page.evaluate(WAITING) == 120
    page.offline(False)
    page.until(f"{WAITING} === 0")
    check(hub, "offline", 130)


def test_the_next_page_sends_what_a_page_could_not(hub: WholeHub, web: Site, chromium: Browser) -> None:
    url = shop(hub, web, "next")
    page = chromium.open(url, NOTE_READY)
    page.until(READY)
    track(page, 0, 10)
    page.until(f"{WAITING} === 0")
    page.offline(True)
    track(page, 10, 30)
    page.close()
    after = chromium.open(url, NOTE_READY)
    after.until(READY)
    track(after, 30, 40)
    after.until(f"{WAITING} === 0")
    check(hub, "next", 40)


def test_a_page_that_is_left_at_once_has_sent_its_events(hub: WholeHub, web: Site, chromium: Browser) -> None:
    """Nobody comes back: what is stored, the page has sent while it was closed."""
    page = chromium.open(shop(hub, web, "left"), NOTE_READY)
    page.until(READY)
    # more than a request takes, and the site is left in the same breath
    page.evaluate("for (let n = 0; n < 60; n++) tracker.track('Order Done', {n}); location.href = 'about:blank'; 0")
    page.until("location.href === 'about:blank'")
    eventually(lambda: hub.get("/events/count", q='source.id = "left"')["count"] == 60, 30)
    check(hub, "left", 60)


def test_two_tabs_of_somebody_send_each_event_once(hub: WholeHub, web: Site, chromium: Browser) -> None:
    url = shop(hub, web, "tabs")
    pages = [chromium.open(url, NOTE_READY) for _ in range(2)]
    for page in pages:
        page.until(READY)
    for n in range(0, 40, 2):
        for page, number in zip(pages, (n, n + 1), strict=True):
            page.evaluate(f"tracker.track('Order Done', {{n: {number}}}, {{fire: true}}).then(() => 0)")
    check(hub, "tabs", 40)


def test_an_event_at_fault_costs_no_other(hub: WholeHub, web: Site, chromium: Browser) -> None:
    page = chromium.open(shop(hub, web, "fault"), NOTE_READY)
    page.until(READY)
    answers = page.evaluate("""Promise.all([
        tracker.track('Order Done', {n: 0}),
        tracker.track('Order Done', {n: 'x', long: 'y'.repeat(300000)}),
        tracker.track('Order Done', {n: 1, cut: '\\ud83d', nul: '\\u0000'}),
    ]).then(all => all.map(answer => [answer.status, answer.data.reason]))""")
    assert answers == [[200, None], [413, "event_too_large"], [200, None]]
    assert check(hub, "fault", 2)[1]["properties"] == {"n": 1, "cut": "\ufffd", "nul": "\ufffd"}
    assert any("event_too_large" in line for line in chromium.said())


def test_what_a_page_tells(hub: WholeHub, web: Site, chromium: Browser) -> None:
    trigger = '{"trigger": "onVisible", "tag": "offer", "data": {"event": "offer-seen"}}'
    options = f'{{"auto": {{"events": [["page-view", {{"place": "home"}}]], "triggers": [{trigger}]}}}}'
    offer = "<img alt='Spring' src='/spring.png' width='9' height='9' data-tracardi-tag='offer'>"
    url = shop(hub, web, "tells", options, offer)
    page = chromium.open(f"{url}?utm_source=mail&utm_campaign=spring", NOTE_READY)
    page.until(READY)
    context = page.evaluate("window.seen")
    assert context["profile"]["id"] == page.evaluate("localStorage['tracardi-profile-id']")
    eventually(lambda: len(stored(hub, "tells")) == 2, 30)
    seen, view = sorted(stored(hub, "tells"), key=lambda event: event["type"])
    assert (seen["type"], seen["properties"]["label"]) == ("offer-seen", "Spring")
    assert seen["properties"]["url"] == "/spring.png"
    assert (view["type"], view["properties"]) == ("page-view", {"place": "home"})
    assert view["utm"] == {"source": "mail", "campaign": "spring"}
    assert view["hit"]["url"].startswith(f"{web.url}/tells?utm_source=mail")
    assert view["metadata"]["time"]["zone"] == page.evaluate("Intl.DateTimeFormat().resolvedOptions().timeZone")
    session = hub.get(f"/sessions/{view['session']['id']}")
    assert session["context"]["screen"]["local"]["width"] == page.evaluate("screen.width")
    assert session["context"]["browser"]["local"]["browser"]["userAgent"] == page.evaluate("navigator.userAgent")
    assert session["context"]["utm"] == {"source": "mail", "campaign": "spring"}


def test_nothing_is_kept_or_sent_without_consent(hub: WholeHub, web: Site, chromium: Browser) -> None:
    url = shop(hub, web, "asked", '{"settings": {"consentRequired": true}}')
    page = chromium.open(url, NOTE_READY)
    page.until(READY)
    track(page, 0, 3)
    assert page.evaluate("[Object.keys(localStorage), document.cookie]") == [[], ""]
    page.evaluate("tracker.consent(true)")
    page.until(f"{WAITING} === 0 && localStorage['tracardi-profile-id']")
    check(hub, "asked", 3)
    page.evaluate("tracker.track('Order Done', {n: 3}); tracker.consent(false)")
    assert page.evaluate("[Object.keys(localStorage), document.cookie]") == [["tracardi-consent"], ""]
    assert page.evaluate("tracker.track('Order Done', {n: 4}, {fire: true}).then(answer => answer === undefined)")
    check(hub, "asked", 3)


def test_a_browser_that_asks_not_to_track_is_not_tracked(hub: WholeHub, web: Site, chromium: Browser) -> None:
    url = shop(hub, web, "dnt", '{"settings": {"respectDoNotTrack": true}, "auto": {"events": [["page-view"]]}}')
    page = chromium.open(url, NOTE_READY + "; Object.defineProperty(navigator, 'doNotTrack', {value: '1'})")
    page.until(READY)
    assert page.evaluate("tracker.track('x', {}, {fire: true}).then(answer => answer === undefined)")
    assert page.evaluate("[Object.keys(localStorage), document.cookie]") == [[], ""]
    assert stored(hub, "dnt") == []


# By the contract of the predecessor's snippet, in words of our own: a stub that notes calls, a script that is added
# when the document is there, and `tracardi.default` in the stub's place when that has been run.
SNIPPET: Final = """<!doctype html><html><head><title>Shop</title><script>
const options = OPTIONS
window.response = {context: {}}
const bound = [], noted = []
window.onTracardiReady = {bind: task => bound.push(task), call: page => bound.forEach(task => task(page))}
window.tracker = {track: (...call) => (noted.push(call), window.tracker)}
document.addEventListener('DOMContentLoaded', () => {
  const script = document.createElement('script')
  script.src = options.tracker.url.script + '/liliput.min.js'
  script.addEventListener('load', () => {
    if (!window.tracardi.default.getState().plugins.tracardi.initialized) throw new Error('not there')
    window.tracker = window.tracardi.default
    for (const call of noted.splice(0)) window.tracker.track(...call)
  })
  document.head.append(script)
})
</script><script>
window.response.context.profile = true
window.tracker.track('page-view', {n: 0})
window.tracker.track('profile-interest', {n: 1}, {async: false})
window.onTracardiReady.bind(({helpers, context, config, tracker}) => {
  window.seen = {context, source: config.tracker.source.id, track: typeof tracker.track}
  helpers.onClick(document.querySelector('button'), async () => {
    window.answer = await helpers.track('clicked', {n: 2})
  })
})
</script></head><body><button>Buy</button><a href='OTHER'>Other shop</a></body></html>"""

OLD_OPTIONS: Final = """{
  tracker: {
    url: {script: 'HUB/tracker', api: 'HUB'},
    source: {id: 'old'},
    context: {cookies: false, storage: false, screen: true, page: true, browser: true},
    settings: {trackExternalLinks: ['localhost']}
  }
}"""


def test_a_page_of_the_predecessor_needs_no_change(hub: WholeHub, web: Site, chromium: Browser) -> None:
    hub.define("source", "old")
    hub.define("source", "other")
    options = OLD_OPTIONS.replace("HUB", hub.url)
    other = web.url.replace("127.0.0.1", "localhost") + "/other"
    web.pages["/old"] = SNIPPET.replace("OPTIONS", options).replace("OTHER", other)
    web.pages["/other"] = f"<script async src='{hub.url}/tracker/tracker.js' data-source='other'></script>"
    page = chromium.open(f"{web.url}/old")
    page.until(READY)
    seen = page.evaluate("window.seen")
    profile = seen["context"]["profile"]["id"]
    assert (seen["source"], seen["track"]) == ("old", "function")
    assert page.evaluate("localStorage['tracardi-profile-id']") == profile
    page.evaluate("document.querySelector('button').click()")
    page.until("window.answer !== undefined")
    assert page.evaluate("[answer.status, answer.data.profile.id]") == [200, profile]
    eventually(lambda: len(stored(hub, "old")) == 3, 30)
    events = sorted(stored(hub, "old"), key=place)
    assert [(event["type"], event["properties"]["n"]) for event in events] == [
        ("page-view", 0),
        ("profile-interest", 1),
        ("clicked", 2),
    ]
    assert {event["profile"]["id"] for event in events} == {profile}
    # whoever goes on to the other site stays the same
    session = events[0]["session"]["id"]
    assert page.click("a") == f"{other}?__tr_pid={profile}&__tr_sid={session}&__tr_src=old"
    page.until("window.tracker && window.tracker.plugins")
    page.evaluate("tracker.track('arrived', {}, {fire: true}).then(() => 0)")
    eventually(lambda: len(stored(hub, "other")) == 1, 30)
    (arrived,) = stored(hub, "other")
    assert arrived["session"]["id"] != session
    passed = hub.get(f"/sessions/{arrived['session']['id']}")["context"]["tracardi"]["pass"]
    assert passed == {"profile": profile, "session": session, "source": "old"}
    eventually(lambda: hub.get(f"/profiles/{arrived['profile']['id']}")["id"] == profile, 30)


POSTHOG: Final = "dist/array.full.no-external.js"


def test_posthogs_client_for_browsers(hub: WholeHub, web: Site, chromium: Browser, clients: Installed) -> None:
    hub.define("source", "posthog-js", write_keys=["key-posthog-js"])
    web.pages["/posthog.js"] = (clients.modules / "posthog-js" / POSTHOG).read_text()
    web.pages["/posthog"] = "<!doctype html><title>Shop</title><script src='/posthog.js'></script>"
    page = chromium.open(f"{web.url}/posthog")
    page.evaluate(
        f"posthog.init('key-posthog-js', {{api_host: '{hub.url}', autocapture: false, capture_pageview: false,"
        " capture_pageleave: false, opt_out_useragent_filter: true, rate_limiting: {events_burst_limit: 5000,"
        " events_per_second: 5000}}); 0"
    )
    for end in range(250, COUNT + 1, 250):  # it sends all that it has in one body, and a body has a limit
        page.evaluate(f"for (let n = {end - 250}; n < {end}; n++) posthog.capture('Order Done', {{n}}); 0")
        eventually(lambda end=end: hub.get("/events/count", q='source.id = "posthog-js"')["count"] >= end, 60)
    eventually(lambda: hub.totals()["in_flight"] == 0, 60)
    events = [event for event in stored(hub, "posthog-js") if event["type"] == "order-done"]
    assert sorted(event["properties"]["n"] for event in events) == [*range(COUNT)]
    assert {event["profile"]["id"] for event in events} == {page.evaluate("posthog.get_distinct_id()")}
