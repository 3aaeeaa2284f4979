"""
Destinations on a real stored.v1, without the rest of a hub.

`python -m tests.destinations KAFKA NAMESPACE DEFINITION [WHEN]` runs the destination `d` and dies without a word: when
the target has the first events, before they are committed; or, of one that writes spans, when the first is `planned`,
or when a part of it is `written`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bridges.base import Batch
from bridges.kept import Hub
from bridges.offsets import Tracker
from bridges.outward.base import Span
from bridges.outward.keeper import DestinationKeeper
from bridges.outward.reader import StoredReader
from bridges.outward.spans import SpanReader
from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Destination
from hub.ids import derived
from hub.pipeline.documents import iso
from hub.settings import Kafka, Limits
from hub.store.memory import MemoryStore
from schemas.bridges import Status
from schemas.codec import decode_inbound, encode_stored
from schemas.records import REFUSED, Refused
from schemas.topics import EVENTS, STORED
from tests.factories import NOW_MS
from tests.kafka_tools import read, write
from tests.targets import Arrived

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


def letters(kafka: Kafka, namespace: str) -> list[Refused]:
    """What is on its way to the dead letters."""
    bodies = [decode_inbound(message.value() or b"")["body"] for message in read(kafka, namespace, EVENTS)]
    return [body[1] for body in bodies if body[0] == REFUSED]


def numbers(arrived: Sequence[Arrived]) -> list[int]:
    """Of events, in the order in which they came; each under its id."""
    found = []
    for id, content in arrived:
        number = content["properties"]["number"]
        assert id == content["id"] == event_id(number)
        found.append(number)
    return found


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


def _die(word: str) -> None:
    print(word, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


async def _acknowledged(_: StoredReader, __: Batch) -> None:
    _die("sent")


def _planned(reader: SpanReader, tracker: Tracker, span: Span, plan: Any = SpanReader._plan) -> bool:
    plan(reader, tracker, span)
    _die("planned")
    return False


async def main(bootstrap: str, namespace: str, definition: str, when: str = "sent") -> None:
    match when:
        case "planned":
            SpanReader._plan = _planned  # type: ignore[method-assign, assignment]
        case "written":
            from bridges.outward.s3 import S3Target  # noqa: PLC0415 - boto3 and pyarrow, which few need

            put = S3Target._put

            def written(*args: Any) -> None:
                put(*args)
                _die("written")

            S3Target._put = written  # type: ignore[method-assign, assignment]
        case _:
            StoredReader.ack = _acknowledged  # type: ignore[method-assign, assignment]
    wanted = msgspec.json.decode(definition)
    async with running(Kafka(bootstrap=bootstrap), namespace, wanted.pop("type"), wanted):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
