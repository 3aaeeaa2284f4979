"""What the API knows of the bridge processes and asks of them, through Redis or Valkey."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from hub.errors import Unavailable
from schemas.bridges import LEASE_MS, REPLY_S, Call, Keys, Reply, Status, decode_reply, decode_status, encode

log: Final = structlog.get_logger()

ANSWER_S: Final = 2.0
LOOK_S: Final = 3.0
"""How often somebody who waits for a reply looks whether there is anybody who could give it."""
_TROUBLE: Final = (RedisError, OSError, TimeoutError)


class Seen(NamedTuple):
    """
    How things stand.

    Attributes:
        owners: By bridge, the process that has its lease.
        statuses: By bridge, the last that was told of it.
        processes: How many bridge processes live.
    """

    owners: Mapping[str, str]
    statuses: Mapping[str, Status]
    processes: int


class Control:
    """Asks one Redis. Use it on one event loop."""

    def __init__(self, url: str, namespace: str, what: str = "bridges") -> None:
        """Connects when it is first asked. Args: what: see Keys."""
        self._keys = Keys(namespace, what)
        self._redis = self._client(url, ANSWER_S)
        self._waiting = self._client(url, REPLY_S + ANSWER_S)

    @staticmethod
    def _client(url: str, answer_s: float) -> Redis:
        return Redis.from_url(
            url, socket_timeout=answer_s, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 1), protocol=2
        )

    async def seen(self, ids: Sequence[str]) -> Seen:
        """Of these bridges. Raises Unavailable."""
        living = await self._living()
        if not ids:
            return Seen({}, {}, len(living))
        try:
            owners: Any = await self._redis.mget(list(map(self._keys.lease, ids)))
            statuses: Any = await self._redis.mget(list(map(self._keys.status, ids)))
        except _TROUBLE as exc:
            raise _away(exc) from exc
        return Seen(
            {id: owner.decode() for id, owner in zip(ids, owners, strict=True) if owner is not None},
            dict(_decoded(ids, statuses)),
            len(living),
        )

    async def call(self, call: Call, process: str | None, timeout_s: float) -> Reply:
        """
        Ask a bridge process, or any of them (None), and wait for its reply.

        Raises: Unavailable: nobody has answered, or Redis is away.
        """
        to = self._keys.calls if process is None else self._keys.calls_of(process)
        until = time.monotonic() + timeout_s
        await self._require(process)
        try:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.rpush(to, encode(call))
                pipe.expire(to, REPLY_S)
                await pipe.execute()
            while (left_s := until - time.monotonic()) > 0:
                found = await self._waiting.blpop([self._keys.reply(call.id)], timeout=min(left_s, LOOK_S))
                if found is not None:
                    return decode_reply(found[1])
                await self._require(process)
        except _TROUBLE as exc:
            raise _away(exc) from exc
        raise Unavailable("bridges", f"no bridge process has answered within {timeout_s:g} s: try again")

    async def _require(self, process: str | None) -> None:
        """Raises Unavailable: it does not live; or none does."""
        living = await self._living()
        if not living:
            raise Unavailable("bridges", "no bridge process is running: start `hub bridges`")
        if process is not None and process not in living:
            raise Unavailable("bridges", "the process that ran it has ended: another one takes it over; try again")

    async def _living(self) -> set[str]:
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.zrange(self._keys.processes, 0, -1, withscores=True)
                (seconds, micros), processes = await pipe.execute()
        except _TROUBLE as exc:
            raise _away(exc) from exc
        since_ms = seconds * 1000 + micros // 1000 - LEASE_MS
        return {name.decode() for name, at_ms in processes if at_ms > since_ms}

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()
        await self._waiting.aclose()


def _decoded(ids: Sequence[str], texts: Sequence[bytes | None]) -> list[tuple[str, Status]]:
    found = []
    for id, text in zip(ids, texts, strict=True):
        if text is not None:
            try:
                found.append((id, decode_status(text)))
            except msgspec.DecodeError as exc:
                log.warning("bridges.status_unreadable", bridge=id, error=str(exc))
    return found


def _away(exc: BaseException) -> Unavailable:
    return Unavailable("redis", f"Redis does not answer (HUB_REDIS__URL): {exc}")
