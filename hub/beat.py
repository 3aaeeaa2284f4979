"""A process tells through Redis that it lives, and how it is doing: every two seconds, on a thread of its own."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Final, NamedTuple

import psutil
import structlog
from prometheus_client import REGISTRY

from hub import health, logs
from hub.errors import Unavailable
from hub.redis import client, translated
from schemas.processes import ALIVE_MS, BEAT_S, WINDOW_S, Alive, Keys, encode

log: Final = structlog.get_logger()

COUNTERS: Final = ("hub_received_events_total", "hub_stored_events_total", "hub_dead_letters_total")
HISTOGRAMS: Final = ("hub_track_seconds", "hub_stored_seconds")
_NAMES: Final = [*COUNTERS, *(f"{name}_bucket" for name in HISTOGRAMS)]


class Figures(NamedTuple):
    """What was counted up to a moment. `buckets`: by histogram and upper bound, how many up to that bound."""

    at_s: float
    counts: Mapping[str, float]
    buckets: Mapping[str, Mapping[float, float]]


def figures(now_s: float) -> Figures:
    """Of this process. Args: now_s: of time.monotonic."""
    counts: defaultdict[str, float] = defaultdict(float)
    buckets: defaultdict[str, defaultdict[float, float]] = defaultdict(lambda: defaultdict(float))
    for metric in REGISTRY.restricted_registry(_NAMES).collect():
        for sample in metric.samples:
            if sample.name in COUNTERS:
                counts[sample.name] += sample.value
            elif sample.name == f"{metric.name}_bucket":
                buckets[metric.name][float(sample.labels["le"])] += sample.value
    return Figures(now_s, counts, buckets)


def grown(old: Figures, new: Figures) -> tuple[dict[str, float], dict[str, list[tuple[float, float]]]]:
    """What has come since, by counter; and by histogram how many in each bucket, without those that are empty."""
    counts = {name: value - old.counts.get(name, 0.0) for name, value in new.counts.items()}
    seconds = {}
    for name, buckets in new.buckets.items():
        before = old.buckets.get(name, {})
        below, found = 0.0, []
        for bound, value in sorted(buckets.items()):
            up_to = value - before.get(bound, 0.0)
            if up_to > below:
                found.append((min(bound, 1e9), up_to - below))  # JSON knows no infinity
            below = up_to
        seconds[name] = found
    return counts, seconds


class Pulse:
    """What this process says of itself."""

    def __init__(self, kind: str) -> None:
        """Args: kind: see Alive."""
        self._kind = kind
        self._host, self._pid = socket.gethostname(), os.getpid()
        self.id = f"{self._host}:{self._pid}:{secrets.token_hex(4)}"
        self._since_ms = time.time_ns() // 1_000_000
        self._process = psutil.Process()
        self._past: deque[Figures] = deque([figures(time.monotonic())])

    def now(self) -> Alive:
        """As of this moment."""
        new = figures(time.monotonic())
        while len(self._past) > 1 and new.at_s - self._past[1].at_s >= WINDOW_S:
            self._past.popleft()
        old = self._past[0]
        self._past.append(new)
        counts, seconds = grown(old, new)
        error, error_ms = logs.last_error()
        state, detail = _state()
        return Alive(
            id=self.id,
            kind=self._kind,
            host=self._host,
            pid=self._pid,
            version=version("thamesthrive-hub"),
            since_ms=self._since_ms,
            state=state,
            detail=detail,
            memory_bytes=self._process.memory_info().rss,
            last_error=error,
            last_error_ms=error_ms,
            window_s=round(new.at_s - old.at_s, 1),
            counts=counts,
            seconds=seconds,
        )


def _state() -> tuple[str, str]:
    told = health.state()
    if told is None:
        return "running", ""
    if told["ready"]:
        return "ready", ""
    why = told.get("waiting_for") or told.get("trouble") or ""
    return "waiting", why if isinstance(why, str) else "; ".join(map(str, why))


@contextmanager
def beating(redis_url: str, namespace: str, kind: str) -> Iterator[None]:
    """Tell it while the block runs; with an empty URL do nothing. That Redis is away stops nobody."""
    if not redis_url:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(over, redis_url, namespace, kind), name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(BEAT_S)


def _beat(over: threading.Event, redis_url: str, namespace: str, kind: str) -> None:
    keys, pulse = Keys(namespace), Pulse(kind)
    is_away = False
    with client(redis_url) as redis:
        while True:
            try:
                with translated(), redis.pipeline(transaction=False) as pipe:
                    if over.is_set():
                        pipe.zrem(keys.all, pulse.id)
                        pipe.delete(keys.of(pulse.id))
                    else:
                        _put(pipe, keys, pulse)
                    pipe.execute()
                is_away = False
            except Unavailable as exc:
                if not is_away:
                    log.warning("beat.not_told", error=str(exc))
                is_away = True
            if over.is_set():
                return
            over.wait(BEAT_S)


def _put(pipe: Any, keys: Keys, pulse: Pulse) -> None:
    now_ms = time.time_ns() // 1_000_000
    pipe.set(keys.of(pulse.id), encode(pulse.now()), px=ALIVE_MS)
    pipe.zadd(keys.all, {pulse.id: now_ms})
    # of those that were killed only the name is left
    pipe.zremrangebyscore(keys.all, 0, now_ms - 10 * ALIVE_MS)
