"""Sources, the first event, bridges and destinations in Chromium, with a real RabbitMQ and a real Kafka."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pytest

from tests.clients.browser import browser, site
from tests.clients.installed import Installed
from tests.console.acting import HOSTILE, button, read_by_everybody, write
from tests.console.tab import Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub
from tests.servers.running import shared
from tests.sources.kafka import KafkaSource
from tests.sources.rabbitmq import RabbitmqSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]

MAPPING: Final = {"profile": "customer_id"}
ORDER: Final = {"customer_id": "ann", "type": "order-placed", "total": "12.5", "created_at": "2026-11-20T10:00:00Z"}


@pytest.fixture
def queue(shared_folder: Path) -> Iterator[RabbitmqSource]:
    """With three orders, the note of which is hostile."""
    with shared("rabbitmq", shared_folder / "rabbitmq") as url:
        made = RabbitmqSource(url, f"orders-{secrets.token_hex(4)}")
        made.put([json.dumps({**ORDER, "order": n, "note": HOSTILE}).encode() for n in range(3)])
        yield made
        made.delete()


def fresh() -> str:
    return f"s{secrets.token_hex(4)}"


def snippet(at: Tab, label: str) -> str:
    at.page.tap(f"main [role=tab]::-p-text({label})")
    at.page.until(f"document.querySelector('[aria-label=\"Snippet for {label}\"]') !== null")
    return at.text(f'[aria-label="Snippet for {label}"]')


def field(at: Tab, label: str, text: str, *, was: str = "") -> None:
    """Write into a field. Args: was: what is in it already."""
    at.page.tap(f"main ::-p-aria({label})")
    at.page.press(*["Backspace"] * len(was))
    at.page.type(text)


def test_the_first_event_comes_by_a_snippet_that_was_pasted(hub: WholeHub, at: Tab) -> None:
    source = fresh()
    hub.define("source", source, name="Fresh")
    at.go(f"/start?source={source}")
    at.sees("Waiting for the first event")
    read_by_everybody(at)
    ran = subprocess.run([sys.executable, "-c", snippet(at, "Python")], capture_output=True, text=True, check=False)
    assert ran.stdout.startswith("200 "), ran.stderr
    at.sees("See its story")
    assert hub.get("/events/count", q=f'source.id = "{source}"')["count"] == 1
    at.tab_to("See its story")
    at.page.press("Enter")
    at.page.until("location.pathname.startsWith('/console/events/')")


def test_whoever_sends_nonsense_is_told(hub: WholeHub, at: Tab) -> None:
    source = fresh()
    hub.define("source", source)
    at.go(f"/start?source={source}")
    answer = hub.http.post("/track", json={"source": source, "events": [{"properties": {}}]})
    assert answer.status_code == 422
    at.sees("the hub refused 1 payload")


def test_every_snippet_works_when_it_is_pasted(hub: WholeHub, at: Tab, clients: Installed, tmp_path: Path) -> None:
    """Of a source whose id is hostile; the Segment client is the official one."""
    source = f"{fresh()}'\"<b>$x"
    key = f"wk_{secrets.token_hex(6)}"
    hub.http.put("/definitions/source/" + _escaped(source), json={"write_keys": [key]}).raise_for_status()
    at.go(f"/sources?id={_escaped(source)}")
    at.sees("Send events")
    ways = {
        "curl": ["bash", "-c"],
        "Python": [sys.executable, "-c"],
        "Segment HTTP": ["bash", "-c"],
        "Segment SDK": [str(clients.bin / "python"), "-c"],
    }
    for number, (label, command) in enumerate(ways.items(), 1):
        ran = subprocess.run([*command, snippet(at, label)], capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        eventually(lambda number=number: _stored(hub, source) == number)
    with site() as shop, browser(clients, tmp_path / "shop.log") as chromium:
        shop.pages["/"] = snippet(at, "Web page")
        chromium.open(f"{shop.url}/")
        eventually(lambda: _stored(hub, source) == len(ways) + 1)


def test_a_kafka_topic_is_connected_from_its_snippet(hub: WholeHub, at: Tab) -> None:
    source, topic = fresh(), fresh()
    hub.define("source", source, name="Shop floor")
    KafkaSource(hub.kafka, topic)
    at.go(f"/sources?id={source}")
    at.page.tap("main [role=tab]::-p-text(Kafka)")
    field(at, "Your brokers", hub.kafka, was="localhost:9092")
    field(at, "Topic", topic, was="events")
    ran = subprocess.run(
        [sys.executable, "-c", at.text('[aria-label="Snippet for Kafka"]')], capture_output=True, text=True, check=False
    )
    assert ran.stdout.strip() == "Kafka has it", ran.stderr
    at.page.tap("main ::-p-text(connect it)")
    at.sees("Test the connection")
    field(at, "Name", "Till")
    button(at, "Test the connection")
    at.sees("becomes an event")
    button(at, "Next")
    button(at, "Activate")
    at.sees("Partitions and queues")
    eventually(lambda: _stored(hub, source) == 1, 60)


def test_a_bridge_reads_again_from_the_beginning(hub: WholeHub, at: Tab) -> None:
    bridge, source = fresh(), fresh()
    queue = KafkaSource(hub.kafka, bridge)
    queue.put([json.dumps({**ORDER, "order": n}).encode() for n in range(3)])
    hub.define("source", source)
    mapping = {**MAPPING, "event": {"type": "type", "properties": "@"}}
    hub.define("bridge", bridge, type="kafka", source=source, settings=queue.settings, mapping=mapping)
    eventually(lambda: _stored(hub, source) == 3, 60)
    duplicates = hub.totals()["duplicate"]
    at.go(f"/bridges/{bridge}")
    button(at, "Rewind")
    at.sees("It reads again from there")
    assert at.findings() == []
    at.page.tap("[role=dialog] label::-p-text(A time)")
    at.page.tap("[role=dialog] button::-p-text(Rewind)")
    at.sees("Say where to.")
    at.page.tap("[role=dialog] label::-p-text(The beginning)")
    at.page.tap("[role=dialog] button::-p-text(Rewind)")
    at.page.until("document.querySelector('[role=dialog]') === null")
    eventually(lambda: hub.totals()["duplicate"] == duplicates + 3, 60)
    assert _stored(hub, source) == 3


def test_sources_are_made_and_changed(hub: WholeHub, at: Tab) -> None:
    """With the keyboard alone."""
    name = f"Shop {secrets.token_hex(3)}"
    at.go("/sources")
    read_by_everybody(at)
    at.tab_to("New source")
    at.page.press("Enter")
    at.sees("What senders call it")
    at.page.until("document.activeElement.tagName === 'INPUT'")
    at.page.type(name)
    at.page.press("Enter")
    at.sees("Send events")
    id = name.lower().replace(" ", "-")
    made = hub.get(f"/definitions/source/{id}")["spec"]
    assert (made["name"], len(made["write_keys"])) == (name, 1)
    read_by_everybody(at)
    at.tab_to("Make a write key")
    at.page.press("Enter")
    at.page.press("Tab", "Tab")
    at.page.type("https://shop.example")
    at.page.press("Enter")
    at.tab_to("Save")
    at.page.press("Enter")
    at.sees("Every process knows")
    changed = hub.get(f"/definitions/source/{id}")["spec"]
    assert (len(changed["write_keys"]), changed["allowed_origins"]) == (2, ["https://shop.example"])


def test_a_queue_is_connected_by_somebody_who_has_read_nothing(hub: WholeHub, at: Tab, queue: RabbitmqSource) -> None:
    """From an empty list to stored events: a wrong address is explained, a mapping is suggested, its result is seen."""
    source = fresh()
    hub.define("source", source, name=f"Queue {source}")
    at.go("/bridges")
    read_by_everybody(at)
    button(at, "Connect a queue")
    at.sees("RabbitMQ")
    read_by_everybody(at)
    at.page.tap("main ::-p-text(RabbitMQ)")
    at.sees("Test the connection")
    field(at, "Name", f"Orders {source}")
    at.page.tap("input[placeholder='Choose one']")
    at.page.type(source)
    at.page.press("ArrowDown", "Enter")
    field(at, "URL", "http://127.0.0.1")
    at.page.press("Enter")
    field(at, "Queues", queue.queue)
    at.expect("status of 422")
    button(at, "Test the connection")
    at.sees("write amqp://host:port/vhost")  # at the field
    read_by_everybody(at)
    at.page.tap("main ::-p-aria(URL)")
    at.page.press("Backspace")
    at.page.type(queue.settings["url"])
    at.page.press("Enter")
    button(at, "Test the connection")
    at.sees("becomes an event")
    at.page.until("document.querySelector('.cm-content') !== null")
    assert '"profile": "customer_id"' in at.text(".cm-content")
    assert HOSTILE[:19] in at.text()
    read_by_everybody(at)
    assert queue.waiting() == 3  # nothing was taken

    # the result follows what is typed
    mapped = {"paid": "number(total", "note": "note"}
    write(at, {**MAPPING, "event": {"type": "type", "properties": mapped}})
    at.sees("error: event.properties.paid")
    at.page.until("document.querySelector('.cm-lintRange-error')?.innerText === '\"number(total\"'")
    write(at, {**MAPPING, "event": {"type": "type", "properties": {**mapped, "paid": "number(total)"}}})
    at.page.until(
        "document.querySelectorAll('pre[aria-label^=\"What becomes of\"]')[0]?.innerText.includes('\"paid\": 12.5')"
    )
    button(at, "Next")
    at.sees("From now on the hub takes messages")
    read_by_everybody(at)
    button(at, "Activate")
    at.sees("Partitions and queues")
    eventually(lambda: _stored(hub, source) == 3, 60)
    eventually(lambda: hub.get(f"/bridges/orders-{source}")["forwarded"] == 3)
    read_by_everybody(at)

    # by keyboard: pause, look at what waits, start
    at.tab_to("Pause")
    at.page.press("Enter")
    at.sees("paused")
    assert hub.get(f"/bridges/orders-{source}")["enabled"] is False
    queue.put([json.dumps({**ORDER, "order": 4}).encode()])
    button(at, "Look")
    at.sees("becomes an event")
    button(at, "Start")
    eventually(lambda: _stored(hub, source) == 4, 60)
    button(at, "Roll back")
    at.sees("It becomes the newest version")
    assert at.findings() == []


def test_a_webhook_is_connected_with_the_keyboard_alone(hub: WholeHub, at: Tab) -> None:
    name = f"Hooks {secrets.token_hex(3)}"
    hub.define("source", "hooked", type=["bridge"], name="Hooked")
    at.go("/bridges/new")
    at.tab_to("Webhook")
    at.page.press("Enter")
    at.sees("What people call it")
    at.page.until("document.activeElement.id === 'hub-step'")
    at.page.press("Tab")
    at.page.type(name)
    at.page.press("Tab", "Tab")
    at.page.type("Hooked")
    at.page.press("ArrowDown", "Enter")
    at.tab_to("New source")
    at.page.press("Tab", "Enter", "ArrowUp", "Enter")  # how they are signed: the last one, not at all
    at.tab_to("Next")
    at.page.press("Enter")
    at.sees("none wait")
    at.tab_to("Paste a message")
    at.page.press("Enter")
    at.page.until("document.activeElement.tagName === 'TEXTAREA'")
    at.page.type('{"email": "ann@example.org", "event": "signed-up"}')
    at.tab_to("Try it")
    at.page.press("Enter")
    at.sees("becomes an event")
    at.tab_to("Next")
    at.page.press("Enter")
    at.sees("From now on")
    at.tab_to("Activate")
    at.page.press("Enter")
    id = name.lower().replace(" ", "-")
    at.page.until(f"location.pathname === '/console/bridges/{id}'")
    at.sees("Edit as JSON")
    made = hub.get(f"/definitions/bridge/{id}")["spec"]
    assert (made["source"], made["settings"]) == ("hooked", {"signature": "none"})
    assert made["mapping"] == {"profile": "email", "event": {"type": "event", "properties": "@"}}


def test_destinations_are_beside_bridges(hub: WholeHub, at: Tab) -> None:
    at.go("/bridges?tab=destinations")
    at.sees("Nothing is sent outwards")
    read_by_everybody(at)
    button(at, "New destination")
    at.page.tap("main ::-p-text(HTTP)")
    at.sees("See what it would send")
    field(at, "Name", "Mirror")
    field(at, "Which events", "type = page-view")
    field(at, "URL", "http://127.0.0.1:9/")
    button(at, "See what it would send")
    at.sees("On stored events")
    at.sees("/boats")
    read_by_everybody(at)
    button(at, "Next")
    button(at, "Save, switched off")
    at.sees("What it would send")
    read_by_everybody(at)
    assert hub.get("/destinations/mirror")["enabled"] is False


def test_hostile_names_are_text(hub: WholeHub, at: Tab) -> None:
    source, bridge = f"x{HOSTILE}", f"b{HOSTILE}"
    hub.http.put(
        f"/definitions/source/{_escaped(source)}", json={"name": HOSTILE, "allowed_origins": []}
    ).raise_for_status()
    spec = {"type": "webhook", "source": source, "name": HOSTILE, "settings": {"signature": "none"}}
    hub.http.put(f"/definitions/bridge/{_escaped(bridge)}", json=spec).raise_for_status()
    for path in (
        "/sources",
        f"/sources?id={_escaped(source)}",
        f"/start?source={_escaped(source)}",
        "/bridges",
        f"/bridges/{_escaped(bridge)}",
    ):
        at.go(path)
        at.sees(HOSTILE)
        at.settled()
        assert at.page.evaluate("document.querySelector('main img')") is None


def _escaped(text: str) -> str:
    return quote(text, safe="")


def _stored(hub: WholeHub, source: str) -> int:
    found: int = hub.get("/events/count", q=f"source.id = {json.dumps(source)}")["count"]
    return found
