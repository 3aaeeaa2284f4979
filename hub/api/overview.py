"""GET /overview: how the hub is doing, on one page; what is away is named, all else is there."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from math import inf
from typing import Any, Final, Protocol, cast

import msgspec
import structlog
from fastapi import APIRouter
from pydantic import BaseModel
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from starlette.responses import Response

from hub.api.responses import json_response
from hub.api.sheet import Offsets, judge
from hub.api.steering import when
from hub.errors import Unavailable
from hub.model import Counts
from hub.store.port import Books, Reading, Tasks
from schemas.processes import ALIVE_MS, Alive, Keys, decode

log: Final = structlog.get_logger()

FRESH_S: Final = 1.0
"""So long an answer is given again: a hundred tabs cost what one does."""
SLOW_S: Final = 10.0
"""So long what takes a search, or a question for each of many, stays as it was."""
ANSWER_S: Final = 2.0
MINUTES: Final = 15
"""With rates; the last of them is still going on."""
MOST_TASKS: Final = 20
MOST_REASONS: Final = 20
STORED: Final = "hub_stored_seconds"
TRACK: Final = "hub_track_seconds"
RECEIVED: Final = "hub_received_events_total"
NO_REDIS: Final = "HUB_REDIS__URL is not set for the API, so it does not know which processes there are"


class Rates(BaseModel):
    """Events a second, by what became of them."""

    received: float
    stored: float
    duplicate: float
    dropped: float
    dead: float


class Minute(Rates):
    """Of events that were received in this minute. `minute`: RFC 3339."""

    minute: str


class Lag(BaseModel):
    """Of the collectors. `seconds`: `records` by the rate of the last minute; null: nothing has been stored in it."""

    records: int
    seconds: float | None


class Latency(BaseModel):
    """Seconds, of the last minute; null: nothing was measured. They are read off a histogram, so about."""

    p50: float | None
    p99: float | None
    count: int


class Process(BaseModel):
    """See schemas.processes.Alive."""

    id: str
    kind: str
    host: str
    pid: int
    version: str
    since: str
    state: str
    detail: str
    memory_bytes: int
    last_error: str | None
    last_error_at: str | None


class Kind(BaseModel):
    """Processes of one kind. `waiting`: how many of the living ones wait for something."""

    kind: str
    alive: int
    waiting: int
    versions: list[str]
    since: str


class Steered(BaseModel):
    """Bridges, or destinations, by state. `worst`: those that say what is wrong, those that have failed first."""

    states: dict[str, int]
    worst: list[dict[str, str]]


class Overview(BaseModel):
    """All of it; a part that is not known is null, and `missing` says why, by its name."""

    at: str
    totals: dict[str, int] | None
    balanced: bool | None
    difference: int | None
    causes: list[str]
    rates: Rates | None
    minutes: list[Minute]
    lag: Lag | None
    latency: Latency | None
    edge_latency: Latency | None
    edge_rate: float | None
    kinds: list[Kind] | None
    processes: list[Process] | None
    bridges: Steered | None
    destinations: Steered | None
    tasks: dict[str, Any] | None
    dead_letters: dict[str, Any] | None
    missing: dict[str, str]


class Store(Reading, Tasks, Protocol):
    """What is asked of the store."""


class Listing(Protocol):
    """See hub.api.steered.Steered."""

    async def all(self) -> list[dict[str, Any]]:
        """Every one."""
        ...


class Processes:
    """Who lives. Asks one Redis, on one event loop."""

    def __init__(self, url: str, namespace: str) -> None:
        """Connects when it is first asked."""
        self._keys = Keys(namespace)
        self._redis = Redis.from_url(
            url, socket_timeout=ANSWER_S, socket_connect_timeout=ANSWER_S, retry=Retry(NoBackoff(), 1), protocol=2
        )

    async def living(self) -> list[Alive]:
        """By kind, the oldest first. Raises Unavailable."""
        try:
            seconds, _ = await self._redis.time()
            since_ms = int(seconds) * 1000 - ALIVE_MS
            ids: Any = await self._redis.zrangebyscore(self._keys.all, since_ms, "+inf")
            texts: Any = await self._redis.mget([self._keys.of(id.decode()) for id in ids]) if ids else []
        except (RedisError, OSError) as exc:
            raise Unavailable("redis", f"Redis does not answer (HUB_REDIS__URL): {exc}") from exc
        found = []
        for text in texts:
            if text is not None:
                try:
                    found.append(decode(text))
                except msgspec.DecodeError as exc:  # of another release
                    log.warning("overview.unreadable", error=str(exc))
        return sorted(found, key=lambda one: (one.kind, one.since_ms, one.id))

    async def close(self) -> None:
        """Give the connections back."""
        await self._redis.aclose()


class Overviews:
    """Puts it together. For one event loop."""

    def __init__(
        self,
        store: Store,
        offsets: Offsets,
        processes: Processes | None,
        *,
        bridges: Listing,
        destinations: Listing,
        now_ms: Callable[[], int],
    ) -> None:
        """Args: processes: None: there is no Redis. now_ms: the clock, milliseconds since 1970."""
        self._store = store
        self._offsets = offsets
        self._processes = processes
        self._bridges = bridges
        self._destinations = destinations
        self._now_ms = now_ms
        self._looks: dict[str, tuple[float, asyncio.Task[Any]]] = {}
        """By part, the newest look at it, and when it began: one that takes long is waited for, not begun again."""

    async def now(self) -> dict[str, Any]:
        """As of this second, for however many ask."""
        return cast("dict[str, Any]", await asyncio.shield(self._look("", FRESH_S, self._made)))

    def _look(self, name: str, for_s: float, make: Callable[[], Coroutine[Any, Any, Any]]) -> asyncio.Task[Any]:
        began_s, task = self._looks.get(name, (-inf, None))
        if task is None or (task.done() and time.monotonic() - began_s >= for_s):
            task = asyncio.create_task(make(), name=f"overview {name}")
            self._looks[name] = (time.monotonic(), task)
        return task

    async def _made(self) -> dict[str, Any]:
        missing: dict[str, str] = {}

        async def part(name: str, make: Callable[[], Coroutine[Any, Any, Any]], for_s: float = 0.0) -> Any:
            task = self._look(name, for_s, make)
            await asyncio.wait([task], timeout=ANSWER_S)
            if not task.done():
                missing[name] = f"no answer within {ANSWER_S:g} s"
                return None
            try:
                return task.result()
            except Unavailable as exc:
                missing[name] = f"{exc.port}: {exc.detail}"
                return None

        now_ms = self._now_ms()
        minute = now_ms // 60_000
        books, offsets, living, bridges, destinations, tasks, letters = await asyncio.gather(
            part("totals", lambda: asyncio.to_thread(self._store.books, minute - MINUTES, minute + 1)),
            part("lag", lambda: asyncio.to_thread(self._offsets)),
            part("processes", self._living),
            part("bridges", self._bridges.all),
            part("destinations", self._destinations.all, SLOW_S),
            part("tasks", lambda: asyncio.to_thread(self._running)),
            part("dead_letters", lambda: asyncio.to_thread(self._open_letters), SLOW_S),
        )
        return {
            "at": when(now_ms),
            **_sheet(books, offsets, now_ms),
            **_alive(living),
            "bridges": None if bridges is None else by_state(bridges),
            "destinations": None if destinations is None else by_state(destinations),
            "tasks": tasks,
            "dead_letters": letters,
            "missing": missing,
        }

    async def _living(self) -> list[Alive]:
        if self._processes is None:
            raise Unavailable("redis", NO_REDIS)
        return await self._processes.living()

    def _running(self) -> dict[str, Any]:
        """Some of those that run, and of those that wait. Blocks."""
        found = {state: self._store.tasks(MOST_TASKS, state=state) for state in ("running", "waiting")}
        items = [
            {"id": task.id, "kind": task.kind, "state": task.state, "asked_at": when(task.asked_ms)}
            for tasks in found.values()
            for _, task in tasks
        ]
        return {**{state: len(tasks) for state, tasks in found.items()}, "items": items[:MOST_TASKS]}

    def _open_letters(self) -> dict[str, Any]:
        """Blocks: a search."""
        is_open = "status = open"
        reasons = self._store.values("dead-letters", is_open, "reason", most=MOST_REASONS)
        return {
            "open": self._store.count_open_dead_letters(""),
            "reasons": {str(one.value): one.documents for one in reasons},
        }


def router(overviews: Overviews) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.get("/overview", tags=["operation"], name="How the hub is doing, on one page", response_model=Overview)
    async def overview() -> Response:
        return json_response(await overviews.now())

    return routes


def _sheet(books: Books | None, offsets: Mapping[int, tuple[int, int]] | None, now_ms: int) -> dict[str, Any]:
    """Of the balance. Without Kafka nobody knows what is in flight, and so not whether it adds up."""
    sheet: dict[str, Any] = dict.fromkeys(("totals", "balanced", "difference", "rates", "lag"))
    sheet |= {"causes": [], "minutes": []}
    if books is None:
        return sheet
    by_minute: defaultdict[int, Counts] = defaultdict(Counts)
    for row in books.rows:
        _add(by_minute[row.minute], row.counts)
    totals = Counts()
    for counts in books.totals.values():
        _add(totals, counts)
    sheet["totals"] = msgspec.structs.asdict(totals)
    now_minute, into_s = divmod(now_ms // 1000, 60)
    sheet["minutes"] = [
        {"minute": when(minute * 60_000), **rates(by_minute[minute], 60.0)}
        for minute in range(now_minute - MINUTES, now_minute)
    ]
    # the minute before counts for as much as is left of it
    last = {
        name: now + before * (60 - into_s) / 60
        for (name, now), before in zip(
            msgspec.structs.asdict(by_minute[now_minute]).items(),
            msgspec.structs.astuple(by_minute[now_minute - 1]),
            strict=True,
        )
    }
    sheet["rates"] = {name: round(value / 60, 2) for name, value in last.items()}
    if offsets is not None:
        verdict = judge(books, offsets)
        stored_s = sum(last[name] for name in ("stored", "duplicate", "dropped", "dead")) / 60
        sheet |= {
            "balanced": not verdict.causes,
            "difference": verdict.unaccounted,
            "causes": verdict.causes,
            "lag": {
                "records": verdict.in_flight,
                "seconds": _lag_s(verdict.in_flight, stored_s),
            },
        }
        sheet["totals"] |= {"received": totals.received + verdict.in_flight, "in_flight": verdict.in_flight}
    return sheet


def _lag_s(records: int, per_s: float) -> float | None:
    if not records:
        return 0.0
    return round(records / per_s, 2) if per_s else None


def _add(to: Counts, counts: Counts) -> None:
    to.received += counts.received
    to.stored += counts.stored
    to.duplicate += counts.duplicate
    to.dropped += counts.dropped
    to.dead += counts.dead


def rates(counts: Counts, of_s: float) -> dict[str, float]:
    """Events a second. Args: of_s: seconds that they are of."""
    return {name: round(count / of_s, 2) for name, count in msgspec.structs.asdict(counts).items()}


def _alive(living: Sequence[Alive] | None) -> dict[str, Any]:
    names = ("latency", "edge_latency", "edge_rate", "kinds", "processes")
    if living is None:
        return dict.fromkeys(names)
    return {
        "latency": latency(living, STORED),
        "edge_latency": latency(living, TRACK),
        "edge_rate": round(sum(one.counts.get(RECEIVED, 0.0) / one.window_s for one in living if one.window_s), 2),
        "kinds": [_kind(kind, living) for kind in dict.fromkeys(one.kind for one in living)],
        "processes": [_process(one) for one in living],
    }


def _kind(kind: str, living: Iterable[Alive]) -> dict[str, Any]:
    own = [one for one in living if one.kind == kind]
    return {
        "kind": kind,
        "alive": len(own),
        "waiting": sum(one.state == "waiting" for one in own),
        "versions": sorted({one.version for one in own}),
        "since": when(min(one.since_ms for one in own)),
    }


def _process(one: Alive) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "host": one.host,
        "pid": one.pid,
        "version": one.version,
        "since": when(one.since_ms),
        "state": one.state,
        "detail": one.detail,
        "memory_bytes": one.memory_bytes,
        "last_error": one.last_error or None,
        "last_error_at": when(one.last_error_ms),
    }


def latency(living: Iterable[Alive], histogram: str) -> dict[str, Any]:
    """Of all processes together."""
    buckets: defaultdict[float, float] = defaultdict(float)
    for one in living:
        for bound, count in one.seconds.get(histogram, ()):
            buckets[bound] += count
    return {
        "p50": quantile(buckets, 0.5),
        "p99": quantile(buckets, 0.99),
        "count": int(sum(buckets.values())),
    }


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """
    The upper bound of the bucket in which it lies.

    Args: buckets: by upper bound, how many are in this one alone.
    """
    wanted = share * sum(buckets.values())
    if not wanted:
        return None
    up_to = 0.0
    for bound, count in sorted(buckets.items()):
        up_to += count
        if up_to >= wanted:
            return bound
    return max(buckets)


def by_state(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many are in which state, and what is wrong with the worst."""
    states: defaultdict[str, int] = defaultdict(int)
    for one in items:
        states[one["state"]] += 1
    said = [one for one in items if one["last_error"] and one["state"] not in ("running", "paused")]
    said.sort(key=lambda one: (one["state"] != "failed", one["last_error_at"] or ""))
    return {
        "states": dict(states),
        "worst": [
            {"id": one["id"], "state": one["state"], "error": one["last_error"], "at": one["last_error_at"] or ""}
            for one in said[:5]
        ],
    }
