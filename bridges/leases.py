"""Which bridges this process runs: leases in Redis or Valkey, shared fairly with the other processes."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas.bridges import LEASE_MS, Keys

log: Final = structlog.get_logger()

BEAT_S: Final = 1.0
"""Between two renewals: four may fail before a lease is lost."""
TROUBLE: Final = (RedisError, OSError, TimeoutError)
"""What a client raises whose server is away."""

# One word from a process that it lives, and its leases renewed. A lease that has run out is taken again; one that
# somebody else has got meanwhile is lost. Answers how many processes live, then the numbers of the lost.
_BEAT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, lasts = ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], now, me)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - lasts)
redis.call('PEXPIRE', KEYS[1], lasts)
local answer = {redis.call('ZCARD', KEYS[1])}
for number = 2, #KEYS do
  local owner = redis.call('GET', KEYS[number])
  if owner and owner ~= me then
    answer[#answer + 1] = number - 2
  else
    redis.call('SET', KEYS[number], me, 'PX', lasts)
  end
end
return answer
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class Leases(Protocol):
    """Who says what may run here."""

    trouble: str
    """Why nothing can be had at the moment, in words; empty if all is well."""

    def mine(self, id: str) -> bool:
        """Whether this process is to run the bridge."""
        ...

    def held(self) -> frozenset[str]:
        """Bridges that nobody else may run until `release`."""
        ...

    def want(self, ids: frozenset[str]) -> None:
        """All bridges that should run somewhere."""
        ...

    async def claim(self, id: str) -> bool:
        """Get one at once, whoever's turn it is; False when another process has it. Raises what TROUBLE names."""
        ...

    async def release(self, id: str) -> None:
        """It does not run here any more."""
        ...

    async def run(self, changed: Callable[[], None]) -> None:
        """Until it is cancelled. Args: changed: called when `mine` has changed."""
        ...

    async def close(self) -> None:
        """Give all back."""
        ...


class AllMine:
    """Leases of a process that is alone: every bridge is its own."""

    trouble = ""

    def __init__(self) -> None:
        """Nothing is wanted yet."""
        self._ids: frozenset[str] = frozenset()

    def mine(self, id: str) -> bool:  # noqa: ARG002 - all are
        """See Leases."""
        return True

    def held(self) -> frozenset[str]:
        """See Leases."""
        return self._ids

    def want(self, ids: frozenset[str]) -> None:
        """See Leases."""
        self._ids = ids

    async def claim(self, id: str) -> bool:  # noqa: ARG002 - all are its own
        """See Leases."""
        return True

    async def release(self, id: str) -> None:
        """See Leases."""

    async def run(self, changed: Callable[[], None]) -> None:  # noqa: ARG002 - nothing ever changes
        """See Leases."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """See Leases."""


class RedisLeases:
    """
    Shared leases. A process takes free bridges up to its share, bridges / processes, and hands one over at a time while
    it has more.

    While Redis is away it keeps what it has: nobody else can take it either. When Redis is back, what another process
    has got is lost.
    """

    def __init__(self, redis: Redis, keys: Keys, process: str) -> None:
        """Args: process: this one's id, which no other ever has."""
        self.trouble = ""
        self._redis = redis
        self._keys = keys
        self._process = process
        self._beat_script = redis.register_script(_BEAT)
        self._release_script = redis.register_script(_RELEASE)
        self._held: set[str] = set()
        self._giving: str | None = None
        self._wanted: frozenset[str] = frozenset()
        self._due = asyncio.Event()
        self._turn = asyncio.Lock()
        """One command after the other: a renewal must not take again what is being released."""

    def mine(self, id: str) -> bool:
        """See Leases."""
        return id in self._held and id != self._giving

    def held(self) -> frozenset[str]:
        """See Leases."""
        return frozenset(self._held)

    def want(self, ids: frozenset[str]) -> None:
        """See Leases."""
        if ids != self._wanted:
            self._wanted = ids
            self._due.set()

    async def claim(self, id: str) -> bool:
        """See Leases."""
        async with self._turn:
            return id in self._held or await self._take(id)

    async def release(self, id: str) -> None:
        """See Leases. If Redis is away, the lease runs out by itself."""
        async with self._turn:
            self._held.discard(id)
            if self._giving == id:
                self._giving = None
            with suppress(*TROUBLE):
                await self._release_script(keys=[self._keys.lease(id)], args=[self._process])

    async def run(self, changed: Callable[[], None]) -> None:
        """See Leases."""
        while True:
            self._due.clear()
            try:
                async with self._turn:
                    moved = await self._beat()
            except TROUBLE as exc:
                self._note_trouble(exc)
            else:
                self._note_well()
                if moved:
                    changed()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._due.wait()

    async def close(self) -> None:
        """See Leases."""
        for id in sorted(self._held):
            await self.release(id)
        with suppress(*TROUBLE):
            await self._redis.zrem(self._keys.processes, self._process)

    async def _beat(self) -> bool:
        """Renew, then take or give. Returns: whether `mine` has changed."""
        held = sorted(self._held)
        keys = [self._keys.processes, *map(self._keys.lease, held)]
        living, *numbers = await self._beat_script(keys=keys, args=[self._process, LEASE_MS])
        lost = {held[number] for number in numbers}
        if lost:
            log.warning("bridges.leases_lost", bridges=sorted(lost), why="another process has taken them over")
            self._held -= lost
        share = math.ceil(len(self._wanted) / max(living, 1))
        if len(self._held) < share:
            return await self._take_free(share - len(self._held)) or bool(lost)
        if len(self._held) > share and self._giving is None:
            self._giving = max(self._held & self._wanted, default=None)
            if self._giving is not None:
                log.info("bridges.handing_over", bridge=self._giving, held=len(self._held), share=share)
                return True
        return bool(lost)

    async def _take_free(self, room: int) -> bool:
        missing = list(self._wanted - self._held)
        if not missing:
            return False
        owners = await self._redis.mget([self._keys.lease(id) for id in missing])
        free = [id for id, owner in zip(missing, owners, strict=True) if owner is None]
        random.shuffle(free)  # two that look at the same moment shall not want the same one
        taken = [id for id in free[:room] if await self._take(id)]
        if taken:
            log.info("bridges.leases_taken", bridges=sorted(taken), held=len(self._held))
        return bool(taken)

    async def _take(self, id: str) -> bool:
        if await self._redis.set(self._keys.lease(id), self._process, nx=True, px=LEASE_MS):
            self._held.add(id)
            return True
        return False

    def _note_trouble(self, exc: BaseException) -> None:
        if not self.trouble:
            log.warning("bridges.redis_away", error=str(exc), keeps=_words(self._held))
        self.trouble = f"Redis does not answer (HUB_REDIS__URL): {exc}. Bridges stay where they are until it does"

    def _note_well(self) -> None:
        if self.trouble:
            log.info("bridges.redis_back")
        self.trouble = ""


def _words(ids: Collection[str]) -> str:
    return ", ".join(sorted(ids)) or "nothing"
