"""Runs over all profiles, as Redis remembers them. Redis may forget everything: then they begin anew, without harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from redis import Redis
from redis.exceptions import LockError

from hub.redis import translated
from schemas.segments import (
    KEPT_S,
    MOST_RUNS,
    Filled,
    Keys,
    Run,
    Slice,
    decode_filled,
    decode_run,
    decode_slice,
    encode,
)

PLANNING_S: Final = 30.0
"""How long planning may take before somebody else may begin: a repeat would do no harm."""


class Progress(NamedTuple):
    """Of all slices of a run together; as in `Slice`."""

    looked: int = 0
    asked: int = 0
    differed: int = 0
    done: int = 0
    failed: int = 0
    error: str = ""


class Runs:
    """Runs and slices of one namespace. Thread-safe; a call blocks some seconds at most, then raises Unavailable."""

    def __init__(self, redis: Redis, namespace: str) -> None:
        """Args: redis: gives bytes, not text."""
        # its commands are typed as if they might be awaited
        self._redis: Any = redis
        self._keys = Keys(namespace)

    @contextmanager
    def planning(self) -> Iterator[bool]:
        """Whether nobody else plans just now, nor will while the block runs."""
        lock = self._redis.lock(self._keys.planning, timeout=PLANNING_S, blocking=False)
        with translated():
            taken = bool(lock.acquire())
        try:
            yield taken
        finally:
            if taken:
                try:
                    with translated():
                        lock.release()
                except LockError:
                    pass  # it took longer, and the lock has run out

    def filled(self) -> dict[str, Filled]:
        """By segment, its newest back-fill."""
        with translated():
            found = self._redis.hgetall(self._keys.filled)
        return {id.decode(): decode_filled(value) for id, value in found.items()}

    def wanted(self) -> set[str]:
        """Segments that somebody wants back-filled again."""
        with translated():
            return {id.decode() for id in self._redis.smembers(self._keys.asked)}

    def want(self, segment: str) -> None:
        """Have a segment back-filled again."""
        with translated():
            self._redis.sadd(self._keys.asked, segment)

    def checked_ms(self) -> int:
        """When the last second opinion began, milliseconds since 1970; 0: never."""
        with translated():
            return int(self._redis.get(self._keys.checked) or 0)

    def begin(self, run: Run) -> None:
        """Remember a new run; what it is about is not wanted any more."""
        with translated():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(self._keys.run(run.id), encode(run), ex=KEPT_S)
            pipe.sadd(self._keys.open, run.id)
            pipe.lpush(self._keys.recent, run.id)
            pipe.ltrim(self._keys.recent, 0, MOST_RUNS - 1)
            if run.kind == "check":
                pipe.set(self._keys.checked, run.asked_ms)
            else:
                for rule in run.rules:
                    pipe.srem(self._keys.asked, rule.id)
                    if rule.condition is None:
                        pipe.hdel(self._keys.filled, rule.id)
                    else:
                        pipe.hset(self._keys.filled, rule.id, encode(Filled(rule.version, run.id)))
            pipe.execute()

    def save(self, run: Run) -> None:
        """A step of a run."""
        with translated():
            pipe = self._redis.pipeline(transaction=True)
            pipe.set(self._keys.run(run.id), encode(run), ex=KEPT_S)
            if run.ended_ms is not None:
                pipe.srem(self._keys.open, run.id)
                pipe.expire(self._keys.slices(run.id), KEPT_S)
            pipe.execute()

    def open(self) -> list[Run]:
        """Those that have not ended, oldest first."""
        with translated():
            ids = [id.decode() for id in self._redis.smembers(self._keys.open)]
        runs = [run for id in ids if (run := self.run(id)) is not None]
        return sorted(runs, key=lambda run: (run.asked_ms, run.id))

    def recent(self) -> list[Run]:
        """The last MOST_RUNS, newest first."""
        with translated():
            ids = [id.decode() for id in self._redis.lrange(self._keys.recent, 0, -1)]
        return [run for id in ids if (run := self.run(id)) is not None]

    def run(self, id: str) -> Run | None:
        """One of them; None: it is forgotten."""
        with translated():
            found = self._redis.get(self._keys.run(id))
        return None if found is None else decode_run(found)

    def cut(self, run: str, slices: Mapping[int, Slice]) -> None:
        """Remember the slices of a run; those that are there already stay as they are."""
        with translated():
            pipe = self._redis.pipeline(transaction=False)
            for number, one in slices.items():
                pipe.hsetnx(self._keys.slices(run), str(number), encode(one))
            pipe.execute()

    def slice(self, run: str, number: int) -> Slice | None:
        """How far a slice is; None: it is forgotten."""
        with translated():
            found = self._redis.hget(self._keys.slices(run), str(number))
        return None if found is None else decode_slice(found)

    def slices(self, run: str) -> dict[int, Slice]:
        """By number."""
        with translated():
            found = self._redis.hgetall(self._keys.slices(run))
        return {int(number): decode_slice(value) for number, value in found.items()}

    def step(self, run: str, number: int, one: Slice) -> None:
        """How far a slice is."""
        with translated():
            self._redis.hset(self._keys.slices(run), str(number), encode(one))

    def progress(self, run: str) -> Progress:
        """Of all slices together."""
        every = self.slices(run).values()
        return Progress(
            sum(one.looked for one in every),
            sum(one.asked for one in every),
            sum(one.differed for one in every),
            sum(one.is_done for one in every),
            sum(bool(one.error) for one in every),
            next((one.error for one in every if one.error), ""),
        )
