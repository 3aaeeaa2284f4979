"""Heartbeats and tasks in Chromium: made, run, paused; asked for, looked at, done again."""

from __future__ import annotations

from typing import Final

import psutil
import pytest

from tests.console.tab import DESKTOP, PHONE, Tab
from tests.kafka_tools import eventually
from tests.live.whole_hub import WholeHub

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

HOSTILE: Final = '<img src=x onerror="window.hurt=1">'


def test_a_heartbeat_is_made_run_and_paused_with_the_keyboard(hub: WholeHub, at: Tab) -> None:
    at.go("/heartbeats")
    at.tab_to("New heartbeat")
    at.page.press("Enter")
    at.page.until("document.activeElement.closest('form') !== null")
    at.page.type("greeting")
    at.tab_to("Event type")
    at.page.type("was-greeted")
    at.tab_to("Every")
    at.page.press("Control+a")
    at.page.type("52w")
    at.tab_to("Create heartbeat")
    at.page.press("Enter")
    at.sees("every 52w")
    at.tab_to("greeting")
    at.page.press("Enter")
    at.sees("It has not run yet.")
    at.tab_to("Run now")
    at.page.press("Enter")
    eventually(lambda: hub.get("/events/count", q="type = was-greeted")["count"] >= 12)
    at.sees("person")  # who began it
    at.tab_to("Pause")
    at.page.press("Enter")
    at.sees("Resume")
    assert hub.get("/heartbeats/greeting")["state"] == "paused"
    assert at.findings() == []


def test_what_cannot_work_is_refused_with_the_arithmetic(at: Tab) -> None:
    at.go("/heartbeats?new=1")
    at.page.until("document.activeElement.closest('form') !== null")
    at.page.type("both")
    at.tab_to("Event type")
    at.page.type("never-sent")
    at.tab_to("Or by cron")
    at.page.type("0 9 * * MON")
    at.expect("status of 422")
    at.tab_to("Create heartbeat")
    at.page.press("Enter")
    at.sees("write either")


def test_a_task_is_looked_at_and_done_again(hub: WholeHub, at: Tab) -> None:
    at.go("/tasks")
    made = hub.http.post(
        "/tasks", json={"kind": "copy-properties-to-traits", "arguments": {"dry_run": True}, "id": "try"}
    )
    assert made.is_success, made.text
    eventually(lambda: hub.get("/tasks/try")["state"] == "done")
    at.go("/tasks")
    at.page.tap("::-p-text(copy-properties-to-traits)")
    at.sees("Task try")
    at.page.until("document.querySelector('[aria-label=Arguments]') !== null")
    at.page.tap("::-p-text(Do it again)")
    at.page.until("new URLSearchParams(location.search).get('id') !== 'try'")
    eventually(lambda: len(hub.get("/tasks", state="done")["items"]) == 2)
    at.go("/tasks?state=failed")
    at.sees("No task is failed.")


def test_a_task_is_cancelled_with_the_keyboard(hub: WholeHub, at: Tab) -> None:
    worker = psutil.Process(hub.processes()["worker"].pid)
    workers = [worker, *worker.children(recursive=True)]  # those that it has started for tasks before, too
    for one in workers:
        one.suspend()  # so that the task waits
    try:
        wanted = {"kind": "copy-properties-to-traits", "arguments": {"dry_run": True}, "id": "unwanted"}
        assert hub.http.post("/tasks", json=wanted).is_success
        at.go("/tasks?id=unwanted")
        at.sees("Task unwanted")
        at.tab_to("Cancel", most=90)
        at.page.press("Enter")
        at.sees("Cancel this task?")
        assert at.findings() == []
        at.tab_to("Cancel task")
        at.page.press("Enter")
        at.page.until("!document.querySelector('[role=dialog]')")
    finally:
        for one in workers:
            one.resume()
    eventually(lambda: hub.get("/tasks/unwanted")["state"] == "cancelled")
    at.sees("Do it again")


@pytest.mark.parametrize("dark", [False, True])
def test_everybody_can_read_them_and_names_are_text(hub: WholeHub, at: Tab, dark: bool) -> None:
    hub.define(
        "heartbeat", "hostile", name=HOSTILE, event_type="hostile", every="52w", condition=f"traits.a = '{HOSTILE}'"
    )
    at.page.scheme(dark=dark)
    for path in ("/heartbeats", "/heartbeats?id=hostile", "/heartbeats?new=1", "/tasks", "/tasks?state=failed"):
        at.go(path)
        at.settled()
        assert at.findings() == [], path
        at.page.size(*PHONE)
        assert not at.is_wider_than_window(), path
        at.page.size(*DESKTOP)
    at.go("/heartbeats?id=hostile")
    at.sees(HOSTILE)
    assert at.page.evaluate("window.hurt") is None
