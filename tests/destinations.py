"""
Destinations on a real stored.v1, without the rest of a hub.

`python -m tests.destinations KAFKA NAMESPACE DEFINITION` runs the destination `d` and dies without a word when the
target has the first events, before they are committed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bridges.base import Batch
from bridges.kept import Hub
from bridges.outward.keeper import DestinationKeeper
from bridges.outward.reader import StoredReader
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Destination
from hub.ids import derived
from hub.pipeline.documents import iso
from hub.settings import Kafka, Limits
from hub.store.memory import MemoryStore
from schemas.bridges import Status
from schemas.codec import encode_stored
from schemas.topics import STORED
from tests.factories import NOW_MS
from tests.kafka_tools import write

WITHIN_S = 40.0


def event_id(number: int) -> str:
    return derived("event", "test", str(number))


def document(number: int, /, **properties: Any) -> dict[str, Any]:
    """As the store has it, as far as destinations care."""
    return {
        "id": event_id(number),
        "type": "purchase",
        "source": {"id": "shop"},
        "profile": {"id": f"p{number % 3}"},
        "metadata": {"time": {"insert": iso(NOW_MS + number), "create": None}},
        "properties": {"number": number, **properties},
        "outcome": {"profile_version": number},
    }


def record(number: int, /, **properties: Any) -> tuple[bytes, bytes]:
    """Key and value on stored.v1."""
    profile = f"p{number % 3}"
    value = encode_stored(
        {
            "id": event_id(number),
            "profile_id": profile,
            "profile_version": number,
            "source": "shop",
            "type": "purchase",
            "time_ms": NOW_MS + number,
            "event": msgspec.json.encode(document(number, **properties)),
            "segments_entered": [],
            "segments_left": [],
        }
    )
    return profile.encode(), value


def store(kafka: Kafka, namespace: str, numbers: Iterable[int]) -> None:
    """Put events onto stored.v1."""
    write(kafka, STORED.name(namespace), [record(number) for number in numbers])


def entry(kind: str, definition: dict[str, Any]) -> Entry:
    """Of a catalogue."""
    # from the beginning: what a test has stored before it runs the destination counts, too
    return Entry(Destination.model_validate({"type": kind, "start": "earliest", **definition}), 1, 0)


def hub_of(kafka: Kafka, namespace: str, stop_window: int = 10_000) -> Hub:
    return Hub(kafka, namespace, Limits(), 500, Catalogue(), MemoryStore(), os.environ, stop_window=stop_window)


class Running:
    """A destination that is kept running. Attributes: keeper."""

    def __init__(self, keeper: DestinationKeeper) -> None:
        self.keeper = keeper

    @property
    def status(self) -> Status:
        self.keeper.look()
        return self.keeper.watch.status

    async def until(self, **least: Any) -> Status:
        """Its status has at least these numbers, or these texts."""
        status = self.status
        async with asyncio.timeout(WITHIN_S):
            while not all(_reached(getattr(status, name), wanted) for name, wanted in least.items()):
                await asyncio.sleep(0.02)
                status = self.status
        return status

    async def until_error(self, words: str) -> None:
        """Its last error has these words."""
        async with asyncio.timeout(WITHIN_S):
            while words not in self.status.last_error:  # noqa: ASYNC110 - it is told when it is looked at
                await asyncio.sleep(0.02)


def _reached(found: Any, wanted: Any) -> bool:
    return bool(found == wanted) if isinstance(wanted, str) else found is not None and found >= wanted


@asynccontextmanager
async def running(
    kafka: Kafka, namespace: str, kind: str, definition: dict[str, Any], stop_window: int = 10_000
) -> AsyncIterator[Running]:
    keeper = DestinationKeeper("d", entry(kind, definition), hub_of(kafka, namespace, stop_window))
    try:
        yield Running(keeper)
    finally:
        await keeper.stop()


async def _die(_: StoredReader, __: Batch) -> None:
    print("sent", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


async def main(bootstrap: str, namespace: str, definition: str) -> None:
    StoredReader.ack = _die  # type: ignore[method-assign, assignment]
    wanted = msgspec.json.decode(definition)
    async with running(Kafka(bootstrap=bootstrap), namespace, wanted.pop("type"), wanted):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
