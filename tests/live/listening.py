"""Listens to /tail as any client does, and keeps what is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import httpx

WITHIN_S = 40.0
Told: TypeAlias = tuple[str, dict[str, Any]]
NO_HEADERS: Mapping[str, str] = {}


class Ear:
    """`told`: name and JSON of each message, in order. `ended`: whether the hub has ended it."""

    def __init__(self) -> None:
        """Hears nothing yet."""
        self.told: list[Told] = []
        self.ended = False
        self._more = asyncio.Condition()

    def of(self, name: str) -> list[dict[str, Any]]:
        """What was told under this name: `message`, `summary` or `state`."""
        return [told for event, told in self.told if event == name]

    async def until(self, met: Callable[[Ear], bool]) -> None:
        """Wait for it."""
        async with asyncio.timeout(WITHIN_S), self._more:
            await self._more.wait_for(lambda: met(self))

    async def is_live(self) -> None:
        """From here on it hears all that is stored."""
        await self.until(lambda ear: ear.of("state")[-1:] == [{"state": "live", "detail": ""}])

    async def listen(self, answer: httpx.Response) -> None:
        """Until it ends."""
        event = "message"
        async for line in answer.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                async with self._more:
                    self.told.append((event, json.loads(value)))
                    self._more.notify_all()
            elif not line:
                event = "message"
        async with self._more:
            self.ended = True
            self._more.notify_all()


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, headers: Mapping[str, str] = NO_HEADERS, **query: Any
) -> AsyncIterator[Ear]:
    """Somebody who listens while the block runs, and hears all of it."""
    ear = Ear()
    timeout = httpx.Timeout(WITHIN_S, read=None)
    async with client.stream("GET", "/tail", params=query, headers=headers, timeout=timeout) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        listens = asyncio.create_task(ear.listen(answer))
        try:
            await ear.is_live()
            yield ear
        finally:
            listens.cancel()
            await asyncio.gather(listens, return_exceptions=True)
