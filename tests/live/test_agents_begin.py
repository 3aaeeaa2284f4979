"""Agents as they begin to read."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

from hub.log.admin import ensure_topics
from hub.settings import Kafka
from workers.agents.app import Ack, Place, Reader, make


class _Nothing:
    """There are no triggers."""

    async def take(self, value: bytes, place: Place, ack: Ack) -> None:
        raise AssertionError(value, place, ack)

    async def revoked(self, partitions: Collection[int]) -> None:
        del partitions


@pytest.fixture
def switching() -> Iterator[None]:
    """Threads take turns all the time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
def test_they_do_even_if_they_are_asked_what_they_read_all_the_while(
    kafka: str, namespace: str, tmp_path: Path
) -> None:
    """As who polls `/ready` does, and the watchdog."""
    server = Kafka(bootstrap=kafka, partitions=2)
    ensure_topics(server, namespace)
    reader = Reader(make(server, namespace, instance="", folder=tmp_path, takes=_Nothing()))
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            reader.partitions()

    async def read() -> None:
        ended = asyncio.create_task(reader.run())
        while reader.partitions() != {0, 1}:
            await asyncio.wait({ended}, timeout=0.05)
            assert not ended.done(), reader.app.crash_reason
        await reader.app.stop()
        await ended

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        asyncio.run(asyncio.wait_for(read(), 60))
    finally:
        over.set()
        asking.join()
