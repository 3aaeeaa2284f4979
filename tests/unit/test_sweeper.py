"""The sweeper while its store is away."""

from __future__ import annotations

import threading
from typing import Any

import structlog

from hub.collector.sweeper import Sweeper
from hub.definitions.catalogue import Catalogue
from hub.errors import Unavailable
from hub.store.memory import MemoryStore
from tests.factories import NOW_MS
from tests.waiting import wait_for


class AwayStore(MemoryStore):
    """Is away for the first five looks."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def removals(self) -> Any:
        self.asked += 1
        if self.asked <= 5:
            raise Unavailable("store", f"is away, {self.asked}")
        return super().removals()


def test_it_says_once_that_it_waits_and_once_that_it_goes_on() -> None:
    store = AwayStore()
    sweeper = Sweeper(store, Catalogue(), lambda: NOW_MS, look_s=0.001)
    with structlog.testing.capture_logs() as logs:
        sweeper.start()
        try:
            wait_for("it looks again and again", lambda: store.asked > 7)
        finally:
            sweeper.close()
    assert [(line["event"], line.get("why")) for line in logs] == [
        ("sweeper.waits", "store: is away, 1"),
        ("sweeper.goes_on", None),
    ]
    assert "sweeper" not in {thread.name for thread in threading.enumerate()}
