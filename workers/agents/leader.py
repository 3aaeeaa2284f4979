"""Who does what only one process may do? A lease in Redis; each term has a number, which fences those before it."""

from __future__ import annotations

from typing import Any, Final

import structlog
from redis import Redis

from hub.redis import translated
from schemas.heartbeats import LEASE_MS, Keys

log: Final = structlog.get_logger()

# One word from a process that it lives, and the lease: renewed, taken if it is free, else left. Answers the holder.
_CLAIM: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local me, lasts = ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', KEYS[3], now, me)
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - lasts)
redis.call('PEXPIRE', KEYS[3], lasts)
local holder = redis.call('GET', KEYS[1])
if not holder then
  holder = redis.call('INCR', KEYS[2]) .. ' ' .. me
  redis.call('SET', KEYS[1], holder, 'PX', lasts)
elseif string.match(holder, ' (.*)$') == me then
  redis.call('PEXPIRE', KEYS[1], lasts)
end
return holder
"""
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
redis.call('ZREM', KEYS[2], ARGV[2])
return 0
"""


class Leader:
    """
    One process' side of the lease. For one thread.

    Faust's own leader is whoever reads a certain partition: it learns late that it is not any more, and nothing stops
    what it does till then. This one's term is checked by each write, inside Redis: who is late gets
    `hub.errors.Fenced`.

    Attributes:
        term: `number process` while this process leads; "": it does not.
    """

    def __init__(self, redis: Redis, keys: Keys, process: str) -> None:
        """Args: process: this one's id, which no other ever has, without a space."""
        self.term = ""
        self._keys = keys
        self._process = process
        self._claim: Any = redis.register_script(_CLAIM)
        self._release: Any = redis.register_script(_RELEASE)

    def claim(self) -> bool:
        """Say that this process lives; lead, or go on leading, if nobody else does. Raises Unavailable."""
        keys = self._keys
        with translated():
            holder: bytes = self._claim(keys=[keys.leader, keys.term, keys.processes], args=[self._process, LEASE_MS])
        term = holder.decode()
        led, self.term = self.term, term if term.partition(" ")[2] == self._process else ""
        if self.term != led:
            log.info("agents.leads" if self.term else "agents.leads_no_more", term=term)
        return bool(self.term)

    def release(self) -> None:
        """Let another one lead at once. Raises Unavailable: the lease runs out by itself."""
        with translated():
            self._release(keys=[self._keys.leader, self._keys.processes], args=[self.term, self._process])
        self.term = ""
