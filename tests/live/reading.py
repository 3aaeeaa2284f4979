"""Bridges that read a real broker: what the tests of single kinds of bridge share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from bridges.base import Batch, Bridge, Context, Delivery
from bridges.registry import spec_of
from hub.errors import PortError

WITHIN_S: Final = 60.0


def bridge(kind: str, settings: Mapping[str, Any], environ: Mapping[str, str] | None = None, id: str = "b") -> Bridge:
    """Not connected yet."""
    spec = spec_of(kind)
    return spec.build(spec.settings.model_validate(settings), Context(id, "t", environ or {}))


@asynccontextmanager
async def opened(
    kind: str, settings: Mapping[str, Any], environ: Mapping[str, str] | None = None, id: str = "b"
) -> AsyncIterator[Bridge]:
    """Connected."""
    made = bridge(kind, settings, environ, id)
    try:
        await made.connect()
        yield made
    finally:
        await made.close()


async def take(reading: Bridge, count: int) -> list[Batch]:
    """Batches with `count` messages in all."""
    batches: list[Batch] = []
    async with asyncio.timeout(WITHIN_S):
        while (left := count - sum(len(batch.deliveries) for batch in batches)) > 0:
            batches.append(await reading.take(left))
    return [batch for batch in batches if batch.deliveries]


async def taken(reading: Bridge, count: int, acknowledge: bool = True) -> list[Delivery]:
    """`count` messages, each batch acknowledged as it comes: else a prefetch would hold back the rest."""
    found: list[Delivery] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < count:
            batch = await reading.take(count - len(found))
            found += batch.deliveries
            if acknowledge and batch.deliveries:
                await reading.ack(batch)
    return found


async def nothing_more(reading: Bridge) -> bool:
    """Whether nothing waits."""
    return not (await reading.take(100)).deliveries


async def error_of(reading: Bridge) -> PortError:
    """What ends it."""
    try:
        async with asyncio.timeout(WITHIN_S):
            await reading.connect()
            while True:
                batch = await reading.take(100)
                if batch.deliveries:
                    await reading.ack(batch)
    except PortError as exc:
        return exc
    finally:
        await reading.close()


class Pump:
    """
    Reads as a bridge process does: from the beginning again after every error.

    Attributes:
        sessions: How often it has connected.
        found: Bodies by position.
        order: Bodies as they came.
        errors: What ended its sessions.
    """

    def __init__(self, kind: str, settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> None:
        """Begins."""
        self.sessions = 0
        self.found: dict[str, bytes] = {}
        self.order: list[bytes] = []
        self.errors: list[PortError] = []
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run(kind, settings, environ))

    async def until_connected(self) -> None:
        """Once at least."""
        async with asyncio.timeout(WITHIN_S):
            while not self.sessions:
                self._changed.clear()
                await self._changed.wait()

    async def until(self, bodies: Collection[bytes]) -> None:
        """They have all come."""
        wanted = set(bodies)
        async with asyncio.timeout(WITHIN_S):
            while not wanted <= set(self.found.values()):
                self._changed.clear()
                await self._changed.wait()

    async def found_many(self, count: int) -> None:
        """So many messages have come, whatever is in them."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.found) < count:
                self._changed.clear()
                await self._changed.wait()

    async def until_error(self, words: str) -> PortError:
        """One that says this."""
        try:
            async with asyncio.timeout(WITHIN_S):
                while True:
                    for error in self.errors:
                        if words in str(error):
                            return error
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no error has {words!r}: {self.errors}") from None

    async def end(self) -> None:
        """Stop reading."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, kind: str, settings: Mapping[str, Any], environ: Mapping[str, str] | None) -> None:
        while True:
            reading = bridge(kind, settings, environ)
            try:
                await reading.connect()
                self.sessions += 1
                self._changed.set()
                while True:
                    batch = await reading.take(500)
                    if not batch.deliveries:
                        continue
                    self.found |= {delivery.position: delivery.body for delivery in batch.deliveries}
                    self.order += [delivery.body for delivery in batch.deliveries]
                    await reading.ack(batch)
                    self._changed.set()
            except PortError as exc:
                self.errors.append(exc)
                self._changed.set()
            finally:
                await reading.close()
            await asyncio.sleep(0.1)
