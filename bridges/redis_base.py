"""A bridge that reads a Redis server one batch ahead: what streams and lists have in common."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Final, cast

from redis.asyncio import Redis

from bridges.base import WAIT_S, Batch, Bridge, Context, Delivery
from bridges.redis_link import FAILURES, RedisSettings, client, port_error
from hub.ending import cancelled
from hub.errors import Unavailable

GATHER_S: Final = 0.002
"""How long after a handful of messages the next are asked for: two milliseconds for batches, not single messages."""
FIRST_COUNT: Final = 16
MOST_COUNT: Final = 500
ENOUGH_BYTES: Final = 16_777_216
"""Redis counts messages, not bytes: so fewer are asked for when those before were large."""
LAG_EVERY_S: Final = 1.0
IDLE_LAG_EVERY_S: Final = 10.0
"""While nothing comes and nothing waits."""


class RedisBridge(Bridge):
    """
    Two connections: one waits for messages, the other acknowledges.

    While a batch is on its way to our Kafka the next is read, if the last one was full. What was read and not asked for
    is the server's still, and comes again.
    """

    def __init__(self, settings: RedisSettings, context: Context) -> None:
        """Does not connect yet."""
        self._server = settings
        self._context = context
        self._readers: Redis | None = None
        self._ackers: Redis | None = None
        self._reading: asyncio.Task[list[Delivery]] | None = None
        self._held: list[Delivery] = []
        self._most = FIRST_COUNT
        self._few = False
        """The last read found some, but not all that it asked for: there is no backlog."""
        self._lag: int | None = None
        self._lag_at = 0.0
        self._busy = True
        """Something was taken since the lag was asked for."""

    @abstractmethod
    async def _begin(self) -> None:
        """What has to be there before anything is read. Raises FAILURES and PortErrors."""

    @abstractmethod
    async def _read(self, count: int, wait_s: float) -> list[Delivery]:
        """
        Messages that are the bridge's from now on, up to `count`, waiting `wait_s` seconds for the first.

        May be cancelled at any time. Raises FAILURES and PortErrors.
        """

    @abstractmethod
    def _batch(self, taken: list[Delivery]) -> Batch:
        """With what `_settle` needs as its token."""

    @abstractmethod
    async def _settle(self, batch: Batch) -> None:
        """Acknowledge it at the server. Raises FAILURES."""

    @abstractmethod
    async def _measure_lag(self) -> int | None:
        """Ask the server. Raises FAILURES."""

    @abstractmethod
    async def _look(self, limit: int) -> Sequence[Delivery]:
        """Messages that stay what they were. Raises FAILURES."""

    async def connect(self) -> None:
        """See Bridge.connect."""
        self._readers, self._ackers = client(self._server, self._context), client(self._server, self._context)
        try:
            await self._begin()
            self._lag = await self._measure_lag()
        except FAILURES as exc:
            raise port_error(exc, self._server) from exc
        self._lag_at = asyncio.get_running_loop().time() + LAG_EVERY_S

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        try:
            if not self._held:
                self._held = await self._next(limit)
            await self._refresh_lag()
        except FAILURES as exc:
            raise port_error(exc, self._server) from exc
        taken, self._held = self._held[:limit], self._held[limit:]
        self._busy = self._busy or bool(taken)
        return self._batch(taken)

    async def ack(self, batch: Batch) -> None:
        """See Bridge.ack. One command for all of them."""
        try:
            await self._settle(batch)
        except FAILURES as exc:
            raise port_error(exc, self._server) from exc

    async def close(self) -> None:
        """See Bridge.close. What is not acknowledged comes first when the bridge is opened again."""
        reading, self._reading = self._reading, None
        if reading is not None:
            await cancelled([reading])
        connections, self._readers, self._ackers = (self._readers, self._ackers), None, None
        self._held = []
        for connection in connections:
            if connection is not None:
                with contextlib.suppress(*FAILURES):
                    await connection.aclose()

    def lag(self) -> int | None:
        """See Bridge.lag: asked for about once a second, less often while nothing comes."""
        return self._lag

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """See Bridge.sample. Nothing is moved or marked."""
        self._readers = client(self._server, self._context)
        try:
            return await self._look(limit)
        except FAILURES as exc:
            raise port_error(exc, self._server) from exc
        finally:
            await self.close()

    def _reader(self) -> Redis:
        return _open(self._readers)

    def _acker(self) -> Redis:
        return _open(self._ackers)

    async def _next(self, limit: int) -> list[Delivery]:
        reading = self._reading
        if reading is None:
            reading = self._reading = self._start(limit)
        lag_in_s = self._lag_at - asyncio.get_running_loop().time()
        await asyncio.wait({reading}, timeout=max(0.0, min(WAIT_S, lag_in_s)))
        if not reading.done():
            return []
        self._reading = None
        found = reading.result()
        if len(found) >= MOST_COUNT // 2:
            self._reading = self._start(limit)  # there is a backlog: the server works while we do
        return found

    def _start(self, limit: int) -> asyncio.Task[list[Delivery]]:
        return asyncio.create_task(self._read_some(limit), name=f"read-{self._context.bridge}")

    async def _read_some(self, limit: int) -> list[Delivery]:
        if self._few:
            await asyncio.sleep(GATHER_S)
        count = min(limit, self._most)
        found = await self._read(count, self._server.timeout_s / 2)
        self._few = 0 < len(found) < count
        size = sum(len(delivery.body) for delivery in found)
        if size > ENOUGH_BYTES:
            self._most = max(1, len(found) * ENOUGH_BYTES // size)
        else:
            self._most = min(MOST_COUNT, self._most * 2)
        return found

    async def _refresh_lag(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._lag_at:
            return
        self._lag = await self._measure_lag()
        self._lag_at = now + (LAG_EVERY_S if self._busy or self._lag else IDLE_LAG_EVERY_S)
        self._busy = False


def _open(connection: Redis | None) -> Redis:
    if connection is None:
        raise Unavailable("source", "the bridge is closed")
    return connection


async def command(connection: Redis, *words: Any) -> Any:
    """One command, as `redis-cli` would send it. Raises FAILURES."""
    return await cast("Any", connection).execute_command(*words)
