"""Somebody who has read nothing: from the demo's purchases to a customer, a segment and a queue, by the console."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from hub.demo import figures
from hub.demo.run import FILE
from tests.console.acting import button, read_by_everybody
from tests.console.tab import Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, whole_hub
from tests.live.whole_hub import hub as command
from tests.servers.running import shared
from tests.sources.rabbitmq import RabbitmqSource

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

BEST: Final = "cdnow-07592"
"""Of the five best customers that the demo names, the first."""
OPTIONS: Final = "[...document.querySelectorAll('[aria-label=Completions] [role=option]')]"
FOUND: Final = "[...document.querySelectorAll('table[aria-label=Events] tbody tr')].map(row => row.innerText)"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    """As after `make demo`, on a free data folder, and `hub up`."""
    data = tmp_path_factory.mktemp("new-user") / "data"
    with whole_hub(data, agents=True) as hub:
        shown = command("demo", "--data", data, timeout_s=600)
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert BEST in shown.stdout
        yield hub


@pytest.fixture
def queue(shared_folder: Path) -> Iterator[RabbitmqSource]:
    """With one order."""
    with shared("rabbitmq", shared_folder / "rabbitmq") as url:
        made = RabbitmqSource(url, "new-orders")
        made.put([order(1)])
        yield made
        made.delete()


def order(number: int) -> bytes:
    return json.dumps({"customer_id": BEST, "type": "order-placed", "order": number, "total": "12.5"}).encode()


def complete(at: Tab, typed: str, wanted: str) -> None:
    """Type the beginning, and take what is offered first."""
    at.page.type(typed)
    at.page.until(f"{OPTIONS}[0]?.innerText.startsWith({json.dumps(wanted)})")
    at.page.press("ArrowDown", "Enter")


def to(at: Tab, page: str) -> None:
    """By the navigation."""
    at.page.tap(f"nav ::-p-text({page})")
    at.page.until(f"document.querySelector('h1')?.innerText === '{page}'")


def test_from_the_demo_to_a_customer_a_segment_and_a_queue(hub: WholeHub, at: Tab, queue: RabbitmqSource) -> None:
    at.expect("status of 422")  # of what is half typed
    customers = figures.read(FILE)

    # somebody's purchases: the id alone is no query, so it is said what it may stand for
    to(at, "Events")
    at.page.press("/")
    at.page.type(BEST)
    at.page.press("Escape", "Enter")
    at.sees("the query ends too early")
    read_by_everybody(at)
    at.page.tap(f"main ::-p-text(profile.id = {BEST})")
    at.page.until(f"{FOUND}.length === 50 && {FOUND}.every(row => row.includes('{BEST}'))")
    at.sees("events in the 30 days up to 29 Jun 1998")
    read_by_everybody(at)
    # and with completion, the two of more than 400 dollars
    at.page.tap("input[aria-label='Search events']")
    at.page.press("End")
    at.page.type(" and ")
    complete(at, "doll", "properties.dollars")
    at.page.type("> 400")
    at.page.press("Enter")
    at.page.until(f"{FOUND}.length > 0 && {FOUND}.length < 50")
    dollars: list[float] = at.page.evaluate(f'{FOUND}.map(row => Number(/"dollars":([0-9.]+)/.exec(row)[1]))')
    assert min(dollars) > 400

    # a segment, whose condition is written with what profiles have
    to(at, "Segments")
    at.page.tap("main ::-p-text(New segment)")
    at.page.until("document.activeElement.closest('form') !== null")
    at.page.type("Spent over 500 dollars")
    at.tab_to("Condition")
    complete(at, "doll", "traits.dollars")
    at.page.type("> 500")
    many = sum(customer.dollars > 500 for customer in customers.values())
    at.sees(f"{many} profiles of {len(customers):,} would be in it now.")
    read_by_everybody(at)
    at.tab_to("Create segment")
    at.page.press("Enter")
    at.page.until("location.pathname === '/console/segments/spent-over-500-dollars'")
    eventually(lambda: hub.get("/segments/spent-over-500-dollars")["size"] == many, 180)
    at.sees(f"{many} profiles")

    # a queue, up to its event
    to(at, "Bridges")
    button(at, "Connect a queue")
    at.page.tap("main ::-p-text(RabbitMQ)")
    at.sees("Test the connection")
    for label, text in (("Name", "Orders"), ("URL", queue.settings["url"]), ("Queues", queue.queue)):
        at.page.tap(f"main ::-p-aria({label})")
        at.page.type(text)
    at.page.tap("input[placeholder='Choose one']")
    at.page.press("ArrowDown", "Enter")
    button(at, "Test the connection")
    at.sees("becomes an event")
    button(at, "Next")
    button(at, "Activate")
    at.sees("Partitions and queues")
    at.page.tap("main ::-p-text(Its events)")
    at.page.until(f"{FOUND}.length === 1 && {FOUND}[0].startsWith('order-placed')")

    # and as it comes
    to(at, "Live")
    at.sees("all are shown")
    queue.put([order(2)])
    at.page.until("document.querySelector('main table')?.innerText.includes('order-placed')")
    read_by_everybody(at)
