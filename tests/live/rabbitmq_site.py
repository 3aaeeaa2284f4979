"""A RabbitMQ of a test module, and bridges that read it: what the tests of the RabbitMQ bridge share."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bridges.base import Bridge, Context, Delivery
from bridges.registry import spec_of
from hub.errors import PortError
from tests.servers.rabbitmq import control
from tests.servers.running import Own
from tests.sources.rabbitmq import RabbitmqSource

WITHIN_S = 60.0


class Site:
    """A server that a test may kill, with its users."""

    def __init__(self, server: Own) -> None:
        self.server = server
        self.ports: dict[str, int] = json.loads((server.home / "ports.json").read_text())
        self.url = f"amqp://127.0.0.1:{self.ports['amqp']}"
        self.tls_url = f"amqps://localhost:{self.ports['amqps']}"
        self.certificates: Path = server.home / "tls"

    def source(self, queue: str, way: str = "classic", **arguments: Any) -> RabbitmqSource:
        return RabbitmqSource(self.server.url, queue, way, **arguments)

    def control(self, *command: str) -> str:
        return control(self.server.home, self.ports, *command)


def bridge(settings: Mapping[str, Any], id: str = "b", environ: Mapping[str, str] | None = None) -> Bridge:
    spec = spec_of("rabbitmq")
    return spec.build(spec.settings.model_validate(settings), Context(id, "t", environ or {}))


@asynccontextmanager
async def opened(
    settings: Mapping[str, Any], id: str = "b", environ: Mapping[str, str] | None = None
) -> AsyncIterator[Bridge]:
    made = bridge(settings, id, environ)
    try:
        await made.connect()
        yield made
    finally:
        await made.close()


async def taken(reading: Bridge, count: int) -> list[Delivery]:
    """`count` messages, acknowledged."""
    found: list[Delivery] = []
    async with asyncio.timeout(WITHIN_S):
        while len(found) < count:
            batch = await reading.take(count - len(found))
            found += batch.deliveries
            await reading.ack(batch)
    return found


async def nothing_more(reading: Bridge) -> bool:
    return not (await reading.take(100)).deliveries


async def error_of(reading: Bridge) -> PortError:
    """What ends it."""
    try:
        async with asyncio.timeout(WITHIN_S):
            await reading.connect()
            while True:
                await reading.ack(await reading.take(100))
    except PortError as exc:
        return exc
    finally:
        await reading.close()


class Pump:
    """
    Reads as a bridge process does: from the beginning again after every error.

    Attributes:
        found: Bodies by position.
        errors: What ended its sessions.
    """

    def __init__(self, settings: Mapping[str, Any], id: str = "b") -> None:
        self.found: dict[str, bytes] = {}
        self.errors: list[PortError] = []
        self._settings, self._id = settings, id
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    async def until(self, bodies: set[bytes]) -> None:
        """They have all come."""
        async with asyncio.timeout(WITHIN_S):
            while not bodies <= set(self.found.values()):
                self._changed.clear()
                await self._changed.wait()

    async def until_error(self, words: str) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                while not any(words in str(error) for error in self.errors):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no error has {words!r}: {self.errors}") from None

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            reading = bridge(self._settings, self._id)
            try:
                await reading.connect()
                while True:
                    batch = await reading.take(500)
                    self.found |= {delivery.position: delivery.body for delivery in batch.deliveries}
                    await reading.ack(batch)
                    self._changed.set()
            except PortError as exc:
                self.errors.append(exc)
                self._changed.set()
            finally:
                await reading.close()
            await asyncio.sleep(0.1)
