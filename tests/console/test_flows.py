"""Flows in Chromium: begun, drawn up, tried with ports lit up, deployed, and its runs looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from hub.flows import packages
from tests.console.filled import SOURCE, fill
from tests.console.tab import DESKTOP, PHONE, Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub, whole_hub
from tests.packages import on_path, write

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

HOSTILE: Final = '<img src=x onerror="window.hurt=1">'

THINK: Final = """
from hub.flows.node import Call, Config, Outcome, node


class Think(Config):
    "Nothing to choose."


@node("think", group="Other systems", long_s=300)
def think(config: Think, call: Call) -> Outcome:
    "Think for a while."
    return Outcome("out", None)
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeHub]:
    """With a package that brings a node which takes long."""
    folder = tmp_path_factory.mktemp("flows")
    write(folder, "think", {"think": "thinking:think"}, group=packages.GROUP)
    (folder / "thinking.py").write_text(THINK)
    with on_path(folder), whole_hub(folder / "data", agents=True) as hub:
        fill(hub)
        yield hub


def order(hub: WholeHub, profile: str) -> None:
    events = [{"type": "tea-bought", "properties": {"amount": 12}}]
    assert hub.http.post("/track", json={"source": SOURCE, "profile": {"id": profile}, "events": events}).is_success


def button(name: str) -> str:
    return f'::-p-aria([name="{name}"][role="button"])'


def test_a_flow_is_drawn_up_tried_and_deployed(hub: WholeHub, at: Tab) -> None:
    at.go("/flows")
    at.page.tap(button("New flow"))
    at.page.until("document.activeElement.closest('form') !== null")
    at.page.type("tea")
    at.page.press("Enter")
    at.page.until("location.pathname === '/console/flows/tea'")
    at.page.tap('::-p-aria([name="Node start, start"])')
    at.sees("Behind start, at out")
    at.page.tap("[placeholder='Search what it should do']")
    at.page.type("increment")
    at.page.press("ArrowDown", "Enter")
    at.page.tap(button("Add"))
    at.sees("increment: increment")
    at.sees("config.field")  # what is missing, as the hub says it
    at.page.tap("input[name=field]")
    at.page.type("traits.teas")
    at.sees("Nothing is wrong with it.")
    at.page.tap(button("Add trigger"))
    at.page.tap('::-p-aria([name="Type of the event"][role="textbox"])')
    at.page.type("tea-bought")
    at.page.tap(button("Try it"))
    at.sees("From the beginning")
    at.page.until("document.querySelectorAll('.react-flow__edge.animated').length === 1")
    assert at.findings() == []
    at.page.tap(button("Save draft"))
    eventually(lambda: len(hub.get("/definitions/flow-draft/tea")["spec"]["nodes"]) == 2)
    at.page.until("document.body.innerText.includes('not saved') === false")
    at.page.tap(button("Deploy"))
    eventually(lambda: hub.get("/flows/tea")["state"] == "enabled")
    order(hub, "person-1")
    at.sees("Because of")
    at.page.until("document.querySelector('table[aria-label=Runs] tbody a') !== null")
    at.page.tap("table[aria-label=Runs] tbody a")
    at.sees("the event that triggered it")
    eventually(lambda: hub.get("/profiles/person-1")["traits"].get("teas") == 1)


def test_a_flow_is_drawn_up_with_the_keyboard_alone(hub: WholeHub, at: Tab) -> None:
    at.go("/flows")
    at.tab_to("New flow")
    at.page.press("Enter")
    at.page.until("document.activeElement.closest('form') !== null")
    at.page.type("cocoa")
    at.page.press("Enter")
    at.page.until("location.pathname === '/console/flows/cocoa'")
    at.page.until("document.querySelector('.react-flow__node') !== null")
    at.tab_to("Node start, start")
    at.page.press("Enter")
    at.sees("Behind start, at out")
    at.tab_to("Add a node")
    at.page.type("increment")
    at.page.press("ArrowDown", "Enter")
    at.tab_to("Add")
    at.page.press("Enter")
    at.sees("increment: increment")
    at.tab_to("Field")
    at.page.type("traits.cocoas")
    at.sees("Nothing is wrong with it.")
    at.tab_to("Save draft", most=120)
    at.page.press("Enter")
    eventually(lambda: len(hub.get("/definitions/flow-draft/cocoa")["spec"]["nodes"]) == 2)
    at.page.until("document.body.innerText.includes('not saved') === false")
    at.tab_to("Deploy", most=120)
    at.page.press("Enter")
    eventually(lambda: hub.get("/flows/cocoa")["state"] == "enabled")
    spec = hub.get("/definitions/flow/cocoa")["spec"]
    assert spec["nodes"]["start"]["to"] == {"out": ["increment"]}
    assert spec["nodes"]["increment"]["config"]["field"] == "traits.cocoas"


def test_a_node_that_takes_long_says_so(hub: WholeHub, at: Tab) -> None:
    """Where it is set up, and of no other."""
    nodes = {"start": {"type": "start", "to": {"out": "think"}}, "think": {"type": "think"}}
    hub.define("flow", "thinker", triggers=[{"type": "manual"}], nodes=nodes)
    at.go("/flows/thinker")
    at.page.tap('::-p-aria([name="Node think, think"])')
    at.sees("May take up to 5 min: a worker runs it")
    assert at.findings() == []
    at.page.tap('::-p-aria([name="Node start, start"])')
    at.sees("start: start")
    assert "May take up to" not in at.text()


def test_a_run_that_waits_is_ended(hub: WholeHub, at: Tab) -> None:
    nodes = {"start": {"type": "start", "to": {"out": "wait"}}, "wait": {"type": "pause", "config": {"wait": "3d"}}}
    hub.define("flow", "patient", triggers=[{"type": "event", "event_type": "tea-bought"}], nodes=nodes)
    order(hub, "person-2")
    eventually(lambda: hub.get("/flows/patient/runs", state="paused")["items"] != [])
    at.go("/flows/patient?state=paused")
    at.page.until("document.querySelector('table[aria-label=Runs] tbody a') !== null")
    at.page.tap("table[aria-label=Runs] tbody a")
    at.sees("Waits at wait")
    at.page.tap(button("End it here"))
    eventually(lambda: hub.get("/flows/patient/runs", state="cancelled")["items"] != [])
    at.sees("No run is paused.")


def test_a_graph_begins_where_it_can_be_read_on_a_phone(at: Tab) -> None:
    """With the start in view, not as small as all of it would have to be; that is one button away."""
    at.page.size(*PHONE)
    at.go("/flows/welcome")
    shown = "document.querySelector('.react-flow').getBoundingClientRect()"
    start = "document.querySelector('.react-flow__node[data-id=start]').getBoundingClientRect()"
    last = "document.querySelector('.react-flow__node[data-id=ask]').getBoundingClientRect()"
    at.page.until(f"document.querySelector('.react-flow__node') !== null && {start}.width > 140")
    within = "{0}.left >= {1}.left && {0}.right <= {1}.right && {0}.top >= {1}.top && {0}.bottom <= {1}.bottom"
    at.page.until(within.format(start, shown))
    assert not at.page.evaluate(within.format(last, shown))
    at.page.tap(button("Fit View"))
    at.page.until(within.format(last, shown))


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_read_them_and_names_are_text(hub: WholeHub, at: Tab, dark: bool) -> None:
    nodes = {"start": {"type": "start", "note": HOSTILE}}
    hub.define("flow", "hostile", name=HOSTILE, description=HOSTILE, nodes=nodes)
    at.page.scheme(dark=dark)
    for path in ("/flows", "/flows?new=1", "/flows/hostile"):
        at.go(path)
        at.settled()
        assert at.findings() == [], path
        at.page.size(*PHONE)
        assert not at.is_wider_than_window(), path
        at.page.size(*DESKTOP)
    at.go("/flows")
    at.sees(HOSTILE)
    assert at.page.evaluate("window.hurt") is None
