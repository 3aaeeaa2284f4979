"""How many runs of one flow may ask other systems at once: `limits.concurrency` of its definition."""

from __future__ import annotations

from typing import Any, Final

from redis import Redis

from hub.jobs.queue import JOB_S
from hub.redis import translated

_TAKE: Final = """
local taken, waiting = KEYS[1], KEYS[2]
redis.call('ZREMRANGEBYSCORE', taken, '-inf', '(' .. ARGV[2])
if not redis.call('ZSCORE', taken, ARGV[1]) and redis.call('ZCARD', taken) >= tonumber(ARGV[4]) then
    redis.call('ZADD', waiting, 'NX', ARGV[2], ARGV[1])
    redis.call('EXPIRE', waiting, ARGV[5])
    return 0
end
redis.call('ZADD', taken, ARGV[3], ARGV[1])
redis.call('EXPIRE', taken, ARGV[5])
redis.call('ZREM', waiting, ARGV[1])
return 1
"""
_GIVE_BACK: Final = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
local next = redis.call('ZPOPMIN', KEYS[2])
return next[1] or ''
"""


class Turns:
    """
    Of one namespace, in Redis. A turn ends when it is given back, or an hour after it was taken: as long as a job may
    take. Whoever dies with one is followed by somebody with the same run, which has it still.
    """

    def __init__(self, redis: Redis, namespace: str) -> None:
        """Does not connect yet. Args: redis: gives bytes, not text."""
        self._take: Any = redis.register_script(_TAKE)
        self._back: Any = redis.register_script(_GIVE_BACK)
        self._namespace = namespace

    def take(self, flow: str, run: str, most: int, now_ms: int) -> bool:
        """
        Whether it is the run's turn now; else it waits. Twice is once.

        Args: most: at once. now_ms: milliseconds since 1970. Raises Unavailable.
        """
        arguments = [run, now_ms, now_ms + JOB_S * 1_000, most, 2 * JOB_S]
        with translated():
            return bool(self._take(keys=self._keys(flow), args=arguments))

    def give_back(self, flow: str, run: str) -> str:
        """It needs none, or none any more. Returns: whose turn it is then; empty: nobody waits. Raises Unavailable."""
        with translated():
            next: bytes = self._back(keys=self._keys(flow), args=[run])
        return next.decode()

    def _keys(self, flow: str) -> list[str]:
        # in braces: what Redis keeps together
        return [f"{self._namespace}:flow-turns:{{{flow}}}", f"{self._namespace}:flow-turns:{{{flow}}}:waiting"]
