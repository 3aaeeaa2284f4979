"""Tells Redis how the bridges of this process are doing, when something has changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from redis.asyncio import Redis

from bridges.leases import TROUBLE
from schemas.bridges import STATUS_S, Keys, Status, encode

AGAIN_S: Final = 10.0
"""What has not changed is told again so often: a Redis that was restarted may have forgotten it."""


class Reports:
    """The last status of each bridge, whoever runs it."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        """Nothing is told yet."""
        self._redis = redis
        self._keys = keys
        self._told: dict[str, tuple[bytes, float]] = {}

    async def publish(self, statuses: Sequence[Status]) -> None:
        """In one round; if Redis is away, the next one tells all of it."""
        now_s = time.monotonic()
        news = {status.bridge: encode(status) for status in statuses}
        due = {id: value for id, value in news.items() if self._is_due(id, value, now_s)}
        if not due:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for id, value in due.items():
                    pipe.set(self._keys.status(id), value, ex=STATUS_S)
                await pipe.execute()
        except TROUBLE:
            self._told.clear()
            return
        self._told.update({id: (value, now_s) for id, value in due.items()})

    def _is_due(self, id: str, value: bytes, now_s: float) -> bool:
        told = self._told.get(id)
        return told is None or told[0] != value or now_s - told[1] >= AGAIN_S
