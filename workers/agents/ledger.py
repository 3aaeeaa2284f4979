"""The runs of heartbeats and their slices in Redis. What the leader writes is fenced by its term."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from redis import Redis

from hub.errors import Fenced
from hub.redis import translated
from schemas.heartbeats import (
    KEPT_S,
    MOST_RUNS,
    Asked,
    Keys,
    Run,
    Slice,
    counts_of,
    decode_asked,
    decode_run,
    decode_slice,
    encode,
)

_FENCE: Final = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return -1 end\n"
# KEYS: leader, open, run, runs, cursors, asked. ARGV: term, heartbeat, run id, run, cursor or "", most runs, seconds.
_BEGIN: Final = f"""{_FENCE}
if ARGV[5] ~= '' then redis.call('HSET', KEYS[5], ARGV[2], ARGV[5]) end
redis.call('HDEL', KEYS[6], ARGV[3])
if redis.call('EXISTS', KEYS[3]) == 1 or redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return 0 end
redis.call('SET', KEYS[3], ARGV[4], 'EX', ARGV[7])
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
redis.call('LPUSH', KEYS[4], ARGV[3])
redis.call('LTRIM', KEYS[4], 0, ARGV[6] - 1)
redis.call('EXPIRE', KEYS[4], ARGV[7])
return 1
"""
# KEYS: leader, cursors. ARGV: term, heartbeat, cursor.
_MOVE: Final = f"""{_FENCE}
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return 1
"""
# KEYS: leader, cursors. ARGV: term, then those that nobody asks for any more.
_FORGET: Final = f"""{_FENCE}
for at = 2, #ARGV do redis.call('HDEL', KEYS[2], ARGV[at]) end
return 1
"""
# KEYS: leader, run, slices, waiting. ARGV: term, run, seconds, then number and slice by turns.
_CUT: Final = f"""{_FENCE}
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
for at = 4, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[3], ARGV[at], ARGV[at + 1]) == 1 then redis.call('SADD', KEYS[4], ARGV[at]) end
end
redis.call('EXPIRE', KEYS[3], ARGV[3])
redis.call('EXPIRE', KEYS[4], ARGV[3])
return 1
"""
# KEYS: leader, open, run, waiting. ARGV: term, heartbeat, run, seconds.
_END: Final = f"""{_FENCE}
redis.call('SET', KEYS[3], ARGV[3], 'EX', ARGV[4])
redis.call('HDEL', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[4])
return 1
"""
# KEYS: leader, slices, waiting. ARGV: term, then number, slice as it was and as it shall be by turns.
_AGAIN: Final = f"""{_FENCE}
for at = 2, #ARGV, 3 do
  if redis.call('HGET', KEYS[2], ARGV[at]) == ARGV[at + 1] then
    redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 2])
    redis.call('SADD', KEYS[3], ARGV[at])
  end
end
return 1
"""
# What is over stays so, whoever comes late; its numbers are added once.
# KEYS: slices, counts. ARGV: number, slice, state, profiles, events, left out, seconds.
_NOTE: Final = """
local there = redis.call('HGET', KEYS[1], ARGV[1])
if there then
  local state = cjson.decode(there)['state']
  if state == 'done' or state == 'failed' then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[7])
if ARGV[3] == 'done' or ARGV[3] == 'failed' then
  redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
  redis.call('HINCRBY', KEYS[2], 'looked', ARGV[4])
  redis.call('HINCRBY', KEYS[2], 'events', ARGV[5])
  redis.call('HINCRBY', KEYS[2], 'left_out', ARGV[6])
  redis.call('EXPIRE', KEYS[2], ARGV[7])
end
return 1
"""


class Books(NamedTuple):
    """What is under way: by heartbeat, the open run; what was asked for, by run; by heartbeat, the cursor."""

    open: Mapping[str, str]
    asked: Mapping[str, Asked]
    cursors: Mapping[str, int]


class Ledger:
    """Thread-safe. All raise Unavailable, and what takes a term Fenced: somebody else leads now, nothing is written."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        """Connects when it is first asked."""
        self._redis = redis
        self._keys = keys
        self._begin, self._move, self._forget, self._cut, self._again, self._end, self._note = (
            redis.register_script(text) for text in (_BEGIN, _MOVE, _FORGET, _CUT, _AGAIN, _END, _NOTE)
        )

    def books(self) -> Books:
        """As they are now."""
        keys = self._keys
        with translated(), self._redis.pipeline(transaction=False) as pipe:
            for name in (keys.open, keys.asked, keys.cursors):
                pipe.hgetall(name)
            open, asked, cursors = pipe.execute()
        return Books(
            {id.decode(): run.decode() for id, run in open.items()},
            {run.decode(): decode_asked(text) for run, text in asked.items()},
            {id.decode(): int(at_ms) for id, at_ms in cursors.items()},
        )

    def run(self, id: str) -> Run | None:
        """One run; None: it is forgotten."""
        with translated():
            text: Any = self._redis.get(self._keys.run(id))
        return None if text is None else decode_run(text)

    def counts(self, run: str) -> dict[str, int]:
        """See `counts_of`."""
        with translated():
            found: Any = self._redis.hgetall(self._keys.counts(run))
        return counts_of(found)

    def slice(self, run: str, number: int) -> Slice | None:
        """One slice; None: it is forgotten."""
        with translated():
            text: Any = self._redis.hget(self._keys.slices(run), str(number))
        return None if text is None else decode_slice(text)

    def waiting(self, run: str) -> list[tuple[int, Slice]]:
        """Slices that have to be sent, or sent again."""
        with translated():
            members: Any = self._redis.smembers(self._keys.waiting(run))
            numbers = sorted(map(int, members))
            if not numbers:
                return []
            texts: Any = self._redis.hmget(self._keys.slices(run), list(map(str, numbers)))
        return [(number, decode_slice(text)) for number, text in zip(numbers, texts, strict=True) if text is not None]

    def begin(self, term: str, run: Run, cursor_ms: int | None) -> bool:
        """Open a run. Returns False: it has been before, or another one is under way. The cursor moves all the same."""
        keys, id = self._keys, run.heartbeat
        names = [keys.leader, keys.open, keys.run(run.id), keys.runs(id), keys.cursors, keys.asked]
        cursor = "" if cursor_ms is None else cursor_ms
        return self._fenced(self._begin, names, [term, id, run.id, encode(run), cursor, MOST_RUNS, KEPT_S]) == 1

    def move(self, term: str, heartbeat: str, cursor_ms: int) -> None:
        """What is due up to then is decided."""
        self._fenced(self._move, [self._keys.leader, self._keys.cursors], [term, heartbeat, cursor_ms])

    def flow_cursors(self) -> dict[str, int]:
        """By schedule of a flow, the moment up to which it is decided what becomes of its due times."""
        with translated():
            found: Any = self._redis.hgetall(self._keys.flow_cursors)
        return {name.decode(): int(at_ms) for name, at_ms in found.items()}

    def move_flow(self, term: str, schedule: str, cursor_ms: int) -> None:
        """The same as `move`, of a schedule of a flow."""
        self._fenced(self._move, [self._keys.leader, self._keys.flow_cursors], [term, schedule, cursor_ms])

    def forget_flows(self, term: str, schedules: Sequence[str]) -> None:
        """Cursors of schedules that are not there any more."""
        self._fenced(self._forget, [self._keys.leader, self._keys.flow_cursors], [term, *schedules])

    def cut(self, term: str, run: Run, slices: Sequence[tuple[int, Slice]]) -> None:
        """Keep new slices, by number, as waiting, and the run as it is with them."""
        keys = self._keys
        pairs = [part for number, one in slices for part in (number, encode(one))]
        names = [keys.leader, keys.run(run.id), keys.slices(run.id), keys.waiting(run.id)]
        self._fenced(self._cut, names, [term, encode(run), KEPT_S, *pairs])

    def sent(self, run: str, numbers: Sequence[int]) -> None:
        """Their triggers are on the log."""
        with translated():
            self._redis.srem(self._keys.waiting(run), *map(str, numbers))

    def again(self, term: str, run: str) -> None:
        """Slices that were left because the heartbeat was paused are waiting again, from where they were left."""
        keys = self._keys
        with translated():
            found: Any = self._redis.hgetall(keys.slices(run))
        parts: list[Any] = []
        for number, text in found.items():
            one = decode_slice(text)
            if one.state == "paused":
                one.state = "cut"
                parts += [number, text, encode(one)]
        if parts:
            self._fenced(self._again, [keys.leader, keys.slices(run), keys.waiting(run)], [term, *parts])

    def drop(self, run: str) -> None:
        """Nobody begins what was asked for under this id."""
        with translated():
            self._redis.hdel(self._keys.asked, run)

    def end(self, term: str, run: Run) -> None:
        """Close a run."""
        keys = self._keys
        names = [keys.leader, keys.open, keys.run(run.id), keys.waiting(run.id)]
        self._fenced(self._end, names, [term, run.heartbeat, encode(run), KEPT_S])

    def note(self, run: str, number: int, one: Slice) -> None:
        """How far a slice is. One that is over stays so."""
        keys = self._keys
        arguments: list[Any] = [number, encode(one), one.state, one.profiles, one.events, one.left_out, KEPT_S]
        with translated():
            self._note(keys=[keys.slices(run), keys.counts(run)], args=arguments)

    @staticmethod
    def _fenced(script: Callable[..., Any], keys: Sequence[str], arguments: Sequence[Any]) -> int:
        with translated():
            answer = int(script(keys=keys, args=arguments))
        if answer < 0:
            raise Fenced("agents", f"another process leads; the term {arguments[0]!r} is over")
        return answer
