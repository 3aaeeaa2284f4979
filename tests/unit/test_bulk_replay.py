"""A bulk replay of dead letters waits for live events; one letter that a person replays does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridges.replay import converter_with
from hub.api.replay import Replayer
from hub.definitions.catalogue import Catalogue
from hub.log.bulk import BulkWindow
from hub.log.pace import MEASURING_EVENTS
from hub.settings import Bulk, Limits
from hub.store.memory import MemoryStore
from schemas.codec import decode_inbound, encode_inbound
from tests.factories import NOW_MS, event, track

EVENTS = 2
LETTERS = 5


class Letters(MemoryStore):
    """Some open letters of the collector, each a record of three events."""

    def get(self, kind: Any, id: str) -> Any:
        return {
            "id": id,
            "attempts": 1,
            "stage": "collector",
            "key": "p",
            "origin": "rest",
            "time_ms": NOW_MS,
            "source": "shop",
        }

    def open_dead_letters(self, query: str, size: int, after: int) -> Any:
        return [self.get("dead-letters", f"l{n}") for n in range(LETTERS)], None

    def dead_letter_body(self, id: str) -> bytes:
        return encode_inbound(track("p", *(event(f"{id}-{n}") for n in range(EVENTS))))


class Log:
    """Takes records, and gives each the next offset of one partition."""

    def __init__(self) -> None:
        self.offset = 0
        self.two_came = asyncio.Event()
        self.values: list[bytes] = []

    async def publish(
        self, topic: str, key: bytes, value: Any, headers: Any = (), landed: Callable[[int, int], None] | None = None
    ) -> int:
        self.offset += 1
        self.values.append(value)
        if self.offset == 2:
            self.two_came.set()
        if landed is not None:
            landed(0, self.offset - 1)
        return self.offset - 1


@pytest.fixture
def window() -> Iterator[BulkWindow]:
    with BulkWindow(lambda: {0: 0}, Bulk()) as window:
        yield window


def replayer(log: Log, window: BulkWindow, catalogue: Catalogue | None = None) -> Replayer:
    return Replayer(
        log,
        Letters(),
        catalogue or Catalogue(),
        namespace="t",
        limits=Limits(),
        converter=converter_with({}),
        now_ms=lambda: NOW_MS,
        bulk=window,
    )


async def test_many_letters_wait_and_are_counted_by_their_events(window):
    log = Log()
    assert window.try_enter(MEASURING_EVENTS - 2 * EVENTS)
    replaying = asyncio.create_task(replayer(log, window).all("", None, None, 0))
    async with asyncio.timeout(10):
        await log.two_came.wait()
        assert window.in_flight == MEASURING_EVENTS, "no more than fits"
        assert not replaying.done()
        window.lost(MEASURING_EVENTS - 2 * EVENTS)
        report = await replaying
    assert report.sent == LETTERS
    assert window.in_flight == LETTERS * EVENTS


async def test_one_letter_does_not_wait(window):
    log = Log()
    assert window.try_enter(MEASURING_EVENTS)
    async with asyncio.timeout(10):
        assert (await replayer(log, window).one("l1", None, None)).sent == 1
    assert window.in_flight == MEASURING_EVENTS


async def test_a_collector_that_gets_it_waits_for_the_definitions_of_now(window):
    """The rule or mapping that has been mended is why it is replayed."""
    log, catalogue = Log(), Catalogue()
    catalogue.apply(b"source/shop", b'{"id":"shop","kind":"source","updated_at_ms":1,"spec":{}}', 7)
    await replayer(log, window, catalogue).one("l1", None, None)
    sent, before = decode_inbound(log.values[0]), decode_inbound(Letters().dead_letter_body("l1"))
    assert sent == {**before, "definitions_offset": 7}
