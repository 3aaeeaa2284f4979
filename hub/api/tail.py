"""GET /tail: what is stored, live, as server-sent events; a sample of it if it is much."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final, NamedTuple, Protocol, TypeAlias

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from hub.api import metrics
from hub.api.asgi import Receive, Scope, Send
from hub.api.queries import Q
from hub.api.tail_rows import Sampler, Seen, Summary, state_message, summary_message
from hub.conditions.python import Matcher, compile_python
from hub.edge.token_bucket import TokenBucket
from hub.errors import Unavailable
from hub.log.tail import Heard, Told
from hub.pipeline.privacy import PROFILE, SESSION, mark
from hub.store.port import Reading
from hub.store.query import condition_on

log: Final = structlog.get_logger()

MOST_RATE: Final = 200
USUAL_RATE: Final = 50
SUMMARY_S: Final = 1.0
HEARTBEAT_S: Final = 15.0
LOOKED_AT_PER_S: Final = 2_000
"""Events that are tried on filters: an import shall not cost the edge its processor."""
CHUNK: Final = 10
"""So many are looked at before others of this process have their turn."""
STALE_S: Final = 2.0
"""Whoever has not taken a row for so long does not get it: it would pass as new, and its person may be erased."""
RECONNECT: Final = b"retry: 2000\n\n"
HEARTBEAT: Final = b": still here\n\n"
STARTING: Final = ("waiting", "the end of the log is looked for")
FAILED: Final = "a fault of the hub's: its log has more under tail.failed; connect again"
ENDS: Final = "this process ends: connect again"
NO_KEY: Final = "the key that this was opened with does not hold any more"

_STREAM: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "Server-sent events (docs/api.md).", "content": {"text/event-stream": {}}}
}


class Reader(Protocol):
    """See hub.log.tail.TailReader."""

    def start(self) -> None:
        """Begin at the end."""
        ...

    def stop(self) -> None:
        """Does not wait for it."""
        ...

    def join(self) -> None:
        """Blocks."""
        ...

    @property
    def is_alive(self) -> bool:
        """Whether it still has something open."""
        ...


ReaderOf: TypeAlias = Callable[[Heard, Told], Reader]
May: TypeAlias = Callable[[], bool]
"""Whether somebody may still listen."""


class Parcel(NamedTuple):
    """For one listener, of one step. `about`: None: the second is not over."""

    rows: list[bytes]
    about: Summary | None


class Listener:
    """One request. `consider` and `parcel` are for the reader's thread, all else is for the event loop."""

    def __init__(self, matches: Matcher | None, rate: int, may: May, now_s: float) -> None:
        """Args: matches: None: everything does. rate: most rows a second. now_s: of time.monotonic."""
        self._matches = matches
        self._rate = rate
        self._may = may
        self._sampler = Sampler(rate, now_s)
        self._counted = Summary(rate=rate)
        self._began_s = now_s
        self._rows: deque[tuple[float, bytes]] = deque()
        self._said: list[bytes] = []
        self._about: Summary | None = None
        self._shown = self._lost = 0
        self._ended = False
        self._wake = asyncio.Event()

    def consider(self, seen: Sequence[Seen], stored: int, now_s: float) -> list[Seen]:
        """Those to be shown. Args: seen: what there is to look at, of `stored` events."""
        room = self._sampler.room(now_s)
        chosen: list[Seen] = []
        counted = self._counted
        counted.stored += stored
        if self._matches is None:
            # what is not shown need not be read
            counted.looked_at += stored
            counted.matched += stored
            chosen = [one for one in seen[:room] if one.is_readable]
        else:
            counted.looked_at += len(seen)
            for number, one in enumerate(seen, 1):
                if one.is_readable and self._matches(one.document):
                    counted.matched += 1
                    if len(chosen) < room:
                        chosen.append(one)
                if number % CHUNK == 0:
                    time.sleep(0)  # gives the interpreter to the event loop, if that wants it
        self._sampler.spend(len(chosen))
        return chosen

    def parcel(self, rows: list[bytes], withheld: int, now_s: float) -> Parcel:
        """What this step has for it."""
        self._counted.withheld += withheld
        about = None
        if now_s - self._began_s >= SUMMARY_S:
            about, self._counted = self._counted, Summary(rate=self._rate)
            about.seconds = round(now_s - self._began_s, 3)
            self._began_s = now_s
            self._sampler.begin()
        return Parcel(rows, about)

    def put(self, parcel: Parcel, now_s: float) -> None:
        """Keep it until it is taken; who takes nothing has no more than some seconds' worth here."""
        rows = parcel.rows
        room = 2 * self._rate - len(self._rows)
        self._rows += ((now_s, row) for row in rows[:room])
        self._lost += max(0, len(rows) - room)
        if parcel.about is not None:
            if self._about is None:
                self._about = parcel.about
            else:
                self._about.add(parcel.about)
            if not self._may():
                self.end(NO_KEY)
        if rows or parcel.about is not None:
            self._wake.set()

    def say(self, state: str, detail: str) -> None:
        """Tell it how things stand. Only the newest is kept."""
        if not self._ended:
            self._said = [state_message(state, detail)]
            self._wake.set()

    def end(self, why: str) -> None:
        """After what it has by now, it gets no more."""
        self.say("ended", why)
        self._ended = True

    def _taken(self) -> bytes:
        since_s = time.monotonic() - STALE_S
        parts, self._said = self._said, []
        for at_s, row in self._rows:
            if at_s < since_s:
                self._lost += 1
            else:
                parts.append(row)
                self._shown += 1
        self._rows.clear()
        about, self._about = self._about, None
        if about is not None:
            about.shown, about.lost = self._shown, self._lost
            metrics.TAIL_ROWS.labels("shown").inc(self._shown)
            metrics.TAIL_ROWS.labels("lost").inc(self._lost)
            self._shown = self._lost = 0
            parts.append(summary_message(about))
        return b"".join(parts)

    async def messages(self) -> AsyncIterator[bytes]:
        """Until it is ended, or nobody wants more."""
        yield RECONNECT
        while not self._ended or self._said:
            self._wake.clear()
            taken = self._taken()
            if taken:
                yield taken
                continue
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                yield HEARTBEAT


class Tail:
    """Who listens, and the one reader that they share: it is there while somebody does. For one event loop."""

    def __init__(self, reader_of: ReaderOf, store: Reading, identity_key: bytes, *, most: int) -> None:
        """Args: identity_key: of what is kept of who was erased. most: listeners at a time."""
        self._reader_of = reader_of
        self._store = store
        self._key = identity_key
        self._most = most
        self._listeners: tuple[Listener, ...] = ()
        """Replaced, never changed: the reader's thread goes through it."""
        self._looks = TokenBucket(LOOKED_AT_PER_S, time.monotonic())
        self._reader: Reader | None = None
        self._left: list[Reader] = []
        self._state = STARTING
        self._ended = False

    def listen(self, q: str, rate: int, may: May = lambda: True) -> Listener:
        """
        One more, until it leaves.

        Args: q: docs/query.md; empty: everything. rate: most rows a second. may: asked each second.

        Raises: QueryError. Unavailable: there are as many as there may be, or the process ends.
        """
        matches = compile_python(condition_on(q, "events"), _now_us) if q.strip() else None
        if self._ended:
            raise Unavailable("tail", ENDS)
        if len(self._listeners) >= self._most:
            detail = f"{self._most} listen to this process already, which is as many as may (HUB_API__TAIL_LISTENERS)"
            raise Unavailable("tail", detail)
        listener = Listener(matches, rate, may, time.monotonic())
        self._listeners += (listener,)
        metrics.TAIL_LISTENERS.set(len(self._listeners))
        if self._reader is None:
            self._begin()
        listener.say(*self._state)
        return listener

    def leave(self, listener: Listener) -> None:
        """With the last one the reader goes, too."""
        self._listeners = tuple(one for one in self._listeners if one is not listener)
        metrics.TAIL_LISTENERS.set(len(self._listeners))
        if not self._listeners:
            self._stop_reader()

    def end(self) -> None:
        """The process is to end: so do all listeners, at once."""
        self._ended = True
        for listener in self._listeners:
            listener.end(ENDS)

    async def close(self) -> None:
        """Wait for the threads."""
        self.end()
        self._stop_reader()
        for reader in self._left:
            await asyncio.to_thread(reader.join)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()

        def heard(values: Sequence[bytes]) -> None:
            try:
                parcels = self._parcels(values)
            except Exception:  # else the thread would end without a word to whoever listens
                log.exception("tail.failed")
                reader.stop()
                on_loop(self._fail, reader)
            else:
                on_loop(self._deliver, reader, parcels)

        def told(detail: str) -> None:
            on_loop(self._tell, reader, "waiting" if detail else "live", detail)

        def on_loop(act: Callable[..., None], *arguments: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(act, *arguments)

        reader = self._reader = self._reader_of(heard, told)
        reader.start()

    def _stop_reader(self) -> None:
        if self._reader is not None:
            self._reader.stop()
            self._left = [*(one for one in self._left if one.is_alive), self._reader]
            self._reader = None
            self._state = STARTING

    def _deliver(self, reader: Reader, parcels: Sequence[tuple[Listener, Parcel]]) -> None:
        if reader is self._reader:
            now_s = time.monotonic()
            for listener, parcel in parcels:
                listener.put(parcel, now_s)

    def _tell(self, reader: Reader, state: str, detail: str) -> None:
        if reader is self._reader and self._state != (state, detail):
            self._state = (state, detail)
            for listener in self._listeners:
                listener.say(state, detail)

    def _fail(self, reader: Reader) -> None:
        if reader is self._reader:
            for listener in self._listeners:
                listener.end(FAILED)
            self._stop_reader()

    def _parcels(self, values: Sequence[bytes]) -> list[tuple[Listener, Parcel]]:
        """On the reader's thread."""
        now_s = time.monotonic()
        seen = [*map(Seen, values[: self._looks.room(now_s)])]
        self._looks.spend(len(seen))
        chosen = [(each, each.consider(seen, len(values), now_s)) for each in self._listeners]
        shown = self._allowed({id(one): one for _, some in chosen for one in some}.values())
        parcels = []
        for listener, some in chosen:
            rows = [one.message for one in some if id(one) in shown]
            parcels.append((listener, listener.parcel(rows, len(some) - len(rows), now_s)))
        return parcels

    def _allowed(self, chosen: Any) -> set[int]:
        """Those of nobody who was erased since. When the store does not say, none are."""
        if not chosen:
            return set()
        marks = {id(one): [mark(*name, self._key) for name in _names(one)] for one in chosen}
        try:
            voids = self._store.voids([each for some in marks.values() for each in some])
        except Unavailable as exc:
            log.warning("tail.withheld", events=len(marks), error=str(exc))
            return set()
        return {
            id(one)
            for one in chosen
            if not any(
                void.since_ms <= (one.received_ms or 0) <= void.until_ms
                for each in marks[id(one)]
                for void in voids.get(each, ())
            )
        }


def _names(one: Seen) -> list[tuple[Any, str]]:
    """By what an event is somebody's."""
    names: list[tuple[Any, str]] = []
    if one.stored["profile_id"]:
        names.append((PROFILE, one.stored["profile_id"]))
    if one.session_id:
        names.append((SESSION, one.session_id))
    return names


def _now_us() -> int:
    return time.time_ns() // 1_000


def router(tail: Tail | None, may: Callable[[Request], bool]) -> APIRouter:
    """The route. Args: tail: None: this process has none. may: whether the key of a request still holds."""
    routes = APIRouter()

    @routes.get(
        "/tail", tags=["operation"], name="What is stored, live", response_class=StreamingResponse, responses=_STREAM
    )
    async def listen(
        request: Request,
        q: Q = "",
        rate: Annotated[int, Query(ge=1, le=MOST_RATE, description="Most events a second.")] = USUAL_RATE,
    ) -> Response:
        if tail is None:
            raise Unavailable("tail", "this process has no live tail")
        return _Stream(tail, tail.listen(q, rate, lambda: may(request)))

    return routes


class _Stream(StreamingResponse):
    """The listener leaves when it is over, however that comes."""

    def __init__(self, tail: Tail, listener: Listener) -> None:
        # a proxy that gathers what it passes on would hold it back
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Content-Type-Options": "nosniff"}
        super().__init__(listener.messages(), headers=headers, media_type="text/event-stream")
        self._tail = tail
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._tail.leave(self._listener)
