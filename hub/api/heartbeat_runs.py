"""What the API knows of heartbeats' runs, and asks of the agents, through Redis or Valkey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.errors import Unavailable
from schemas.heartbeats import (
    LEASE_MS,
    MOST_RUNS,
    Asked,
    Keys,
    Run,
    counts_of,
    decode_run,
    encode,
)

ANSWER_S: Final = 2.0
_TROUBLE: Final = (RedisError, OSError, TimeoutError)


class Told(NamedTuple):
    """A run and its counts, as `counts_of` gives them."""

    run: Run
    counts: dict[str, int]


class Runs:
    """Asks one Redis. Use it on one event loop. All raise Unavailable."""

    def __init__(self, url: str, namespace: str) -> None:
        """Connects when it is first asked."""
        self._keys = Keys(namespace)
        self._redis = Redis.from_url(
            url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 1), protocol=2
        )

    async def latest(self, heartbeats: Sequence[str]) -> dict[str, Told]:
        """The newest run of each heartbeat that has any."""
        ids = await self._each(lambda pipe: [pipe.lindex(self._keys.runs(id), 0) for id in heartbeats])
        runs = [id.decode() for id in ids if id is not None]
        return {told.run.heartbeat: told for told in await self._told(runs)}

    async def of(self, heartbeat: str, most: int = MOST_RUNS) -> list[Told]:
        """Its last runs, newest first."""
        (ids,) = await self._each(lambda pipe: pipe.lrange(self._keys.runs(heartbeat), 0, most - 1))
        return await self._told([id.decode() for id in ids])

    async def ask(self, run: str, heartbeat: str, due_ms: int) -> None:
        """Let the leader begin a run."""
        asked = encode(Asked(heartbeat, due_ms))
        await self._each(lambda pipe: pipe.hset(self._keys.asked, run, asked))

    async def living(self) -> int:
        """How many agents processes there are."""
        (seconds, micros), processes = await self._each(
            lambda pipe: (pipe.time(), pipe.zrange(self._keys.processes, 0, -1, withscores=True))
        )
        since_ms = seconds * 1000 + micros // 1000 - LEASE_MS
        return sum(at_ms > since_ms for _, at_ms in processes)

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()

    async def _told(self, ids: Sequence[str]) -> list[Told]:
        keys = self._keys
        found = await self._each(lambda pipe: [(pipe.get(keys.run(id)), pipe.hgetall(keys.counts(id))) for id in ids])
        return [
            Told(decode_run(text), counts_of(counts))
            for text, counts in zip(found[::2], found[1::2], strict=True)
            if text is not None
        ]

    async def _each(self, ask: Any) -> list[Any]:
        """Answers, in the order in which `ask` asks the pipeline that it is given."""
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                ask(pipe)
                return list(await pipe.execute())
        except _TROUBLE as exc:
            raise Unavailable("redis", f"Redis does not answer (HUB_REDIS__URL): {exc}") from exc
