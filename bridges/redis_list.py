"""A Redis list as a source: messages move to a hash of this bridge's, and leave it when our Kafka has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, cast

from pydantic import Field
from redis.commands.core import AsyncScript
from redis.exceptions import ResponseError

from bridges.base import Batch, BridgeSpec, Context, Delivery
from bridges.redis_base import ENOUGH_BYTES, RedisBridge, command
from bridges.redis_link import RedisSettings
from hub.errors import Refused

LAST: Final = "last"
"""The field of the hash that holds the last number given to a message."""
MOVE: Final = """
local time = redis.call('TIME')
local taken_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
local moved = {}
local bytes = 0
for i = 1, tonumber(ARGV[1]) do
    local body = redis.call(ARGV[2], KEYS[1])
    if not body then break end
    local number = redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
    redis.call('HSET', KEYS[2], number, taken_ms .. ':' .. body)
    moved[#moved + 1] = body
    bytes = bytes + #body
    if bytes > tonumber(ARGV[4]) then break end
end
return {taken_ms, redis.call('HGET', KEYS[2], ARGV[3]) or '0', moved}
"""
"""
Moves up to ARGV[1] messages from the list KEYS[1] to the hash KEYS[2], each under a number: one step for the server.

As LMOVE to a list of ours would, but for many at once, and with a number and a time that stay with the message, so that
it is known when it comes again. A hash, because messages may be acknowledged in any order.
"""


class RedisListSettings(RedisSettings, frozen=True, extra="forbid"):
    """Settings of a bridge of type `redis_list`."""

    key: Annotated[str, Field(min_length=1, description="The list.")]
    end: Annotated[
        Literal["left", "right"],
        Field(description="The end to take from: left when senders use RPUSH, right when they use LPUSH."),
    ] = "left"
    processing: Annotated[
        str,
        Field(description="The hash of messages under way. Empty: <key>:<namespace>.bridge.<bridge id>."),
    ] = ""


class ListDelivery(Delivery):
    """An element of a list, under the number that it got when it was first taken."""

    number: int = 0

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: number."""
        return {**super().meta(), "number": self.number}


class RedisListBridge(RedisBridge):
    """What is left in the hash by a bridge that has died comes first, with the numbers that it had."""

    def __init__(self, settings: RedisListSettings, context: Context) -> None:
        """Does not connect yet."""
        super().__init__(settings, context)
        self._settings = settings
        self._hash = settings.processing or f"{settings.key}:{context.namespace}.bridge.{context.bridge}"
        self._pop = "LPOP" if settings.end == "left" else "RPOP"
        self._move: AsyncScript | None = None
        self._backlog: list[int] = []
        """Numbers that were under way when we were opened and are still to be read; the last comes first."""

    async def _begin(self) -> None:
        connection = self._reader()
        kind = cast("bytes", await connection.type(self._settings.key)).decode()
        if kind not in ("none", "list"):
            mend = "use a bridge of type redis_streams" if kind == "stream" else "name a list in settings.key"
            raise Refused("source", f"{self._settings.key} on {self._settings.url} is a {kind}, no list: {mend}")
        fields = await command(self._reader(), "HKEYS", self._hash)
        self._backlog = sorted((int(field) for field in fields if field != LAST.encode()), reverse=True)
        self._move = connection.register_script(MOVE)

    async def _read(self, count: int, wait_s: float) -> list[Delivery]:
        if self._backlog:
            return await self._read_backlog(count)
        found = await self._take_some(count)
        if not found:
            # waits for a message and leaves it where it is: from one end of the list to the same end
            end = self._settings.end.upper()
            key = self._settings.key
            if await command(self._reader(), "BLMOVE", key, key, end, end, wait_s) is not None:
                found = await self._take_some(count)
        return found

    async def _read_backlog(self, count: int) -> list[Delivery]:
        numbers = self._backlog[: -count - 1 : -1]
        values = await command(self._reader(), "HMGET", self._hash, *numbers)
        del self._backlog[-len(numbers) :]
        found: list[Delivery] = []
        for number, value in zip(numbers, values, strict=True):
            if value is not None:  # else another process had it in hand, and has acknowledged it since
                taken_ms, _, body = value.partition(b":")
                found.append(self._delivery(number, int(taken_ms), body))
        return found

    async def _take_some(self, count: int) -> list[Delivery]:
        assert self._move is not None
        keys = (self._settings.key, self._hash)
        arguments: tuple[str | int, ...] = (count, self._pop, LAST, ENOUGH_BYTES)
        taken_ms, last, bodies = cast("tuple[bytes, bytes, list[bytes]]", await self._move(keys, arguments))
        first, at = int(last) - len(bodies) + 1, int(taken_ms)
        return [self._delivery(number, at, body) for number, body in enumerate(bodies, first)]

    def _delivery(self, number: int, taken_ms: int, body: bytes) -> Delivery:
        return ListDelivery(body, f"{self._settings.key}/{number}", taken_ms, None, number=number)

    def _batch(self, taken: list[Delivery]) -> Batch:
        return Batch(taken, [delivery.number for delivery in cast("list[ListDelivery]", taken)])

    async def _settle(self, batch: Batch) -> None:
        if batch.token:
            await self._acker().hdel(self._hash, *batch.token)

    async def _measure_lag(self) -> int | None:
        try:
            return await self._acker().llen(self._settings.key)
        except ResponseError:
            return None  # no list any more: taking from it says so

    async def _look(self, limit: int) -> Sequence[Delivery]:
        """The next ones, without the numbers that they will get."""
        first, last = (0, limit - 1) if self._settings.end == "left" else (-limit, -1)
        bodies = await command(self._reader(), "LRANGE", self._settings.key, first, last)
        if self._settings.end == "right":
            bodies = bodies[::-1]
        return [Delivery(body, f"{self._settings.key}/next {n}") for n, body in enumerate(bodies, 1)]


SPEC: Final = BridgeSpec(
    "redis_list", "Take messages from a list of a Redis or Valkey server.", RedisListSettings, RedisListBridge
)
