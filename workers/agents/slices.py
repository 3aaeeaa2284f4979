"""One slice of a heartbeat: who is in it, one event each, in pages; where it was left after a kill or a pause."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

import structlog
from prometheus_client import Counter

from hub.definitions.catalogue import Catalogue
from hub.definitions.heartbeats import heartbeats, telling
from hub.errors import HubError
from hub.log.window import Window
from hub.pipeline.made_sessions import GAP_MS
from hub.store.port import Scanning
from schemas.heartbeats import Order, Slice
from workers.agents.events import event_id, record
from workers.agents.ledger import Ledger
from workers.agents.outbox import Outbox

log: Final = structlog.get_logger()

PAGE: Final = 500
"""Profiles that are looked at, and sent, at once."""
LATEST_MS: Final = 86_400_000
"""A session that has been idle for longer than this is not looked at any more: it was told long ago, or never will."""

Point: TypeAlias = Literal["read", "sent", "noted"]
"""Between any two steps of a page there is one: tests end the process there, or let it hang."""
At: TypeAlias = Callable[[Point], None]

EVENTS: Final = Counter("hub_heartbeat_events_total", "Events of heartbeats that were sent.", ["heartbeat"])
LEFT_OUT: Final = Counter(
    "hub_heartbeat_left_out_total", "Profiles that a heartbeat left out, as `unless` says.", ["heartbeat"]
)


class Stopped(Exception):
    """The process ends: the slice is another's, from where it was left."""


class Due(NamedTuple):
    """An event that has to be sent. `whose`: what its id is made of."""

    profile_id: str
    whose: str
    time_ms: int
    session_id: str | None = None


class Page(NamedTuple):
    """Some of a slice. `last`: the id it ends with; "": nothing is behind it."""

    due: list[Due]
    left_out: int
    last: str


class Slices:
    """Does slices. Blocks. Thread-safe: Faust may take one away while it is being done, and give another."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Scanning,
        ledger: Ledger,
        *,
        outbox: Outbox,
        window: Window,
        topic: str,
        now_ms: Callable[[], int],
        beat: Callable[[], None] = lambda: None,
        at: At = lambda _: None,
    ) -> None:
        """
        Args:
            window: Where bulk waits for live events.
            topic: events.v1, by its full name.
            now_ms: The clock, milliseconds since 1970.
            beat: Called with each step forward.
            at: Called at each point, with its name.
        """
        self._catalogue = catalogue
        self._store = store
        self._ledger = ledger
        self._outbox = outbox
        self._window = window
        self._topic = topic
        self._now_ms = now_ms
        self._beat = beat
        self._at = at
        self.stopping = threading.Event()

    def work(self, heartbeat: str, order: Order) -> None:
        """
        Do what is left of a slice.

        Raises:
            Stopped: The process ends; it is not done.
            Unavailable: Redis, Kafka, the collector or the store is away; the same call goes on where it was left.
        """
        one = self._ledger.slice(order.run, order.number) or Slice(after=order.after, until=order.until, profiles=0)
        if one.state in ("done", "failed"):
            return
        one.state = "running"
        while one.state == "running":
            if self.stopping.is_set():
                raise Stopped
            entry = heartbeats(self._catalogue).get(heartbeat)
            if entry is None or not entry.spec.enabled:
                one.state = "paused"
                break
            now_ms = self._now_ms()  # before it is read who is there; see `events.record`
            page = self._page(order, one.at or order.after)
            self._at("read")
            self._send(heartbeat, order, page.due, now_ms)
            self._at("sent")
            one.events += len(page.due)
            one.left_out += page.left_out
            one.at = page.last
            if not page.last:
                one.state = "done"
            self._ledger.note(order.run, order.number, one)
            self._at("noted")
            EVENTS.labels(heartbeat).inc(len(page.due))
            LEFT_OUT.labels(heartbeat).inc(page.left_out)
            self._beat()
            if order.work.rate_limit and one.state == "running":
                self.stopping.wait(len(page.due) / order.work.rate_limit)
        if one.state == "paused":
            self._ledger.note(order.run, order.number, one)

    def fail(self, order: Order, error: HubError) -> None:
        """It cannot be done, now or later: its profiles go without. Raises Unavailable."""
        one = self._ledger.slice(order.run, order.number) or Slice(after=order.after, until=order.until, profiles=0)
        one.state, one.error = "failed", str(error)
        self._ledger.note(order.run, order.number, one)

    def _page(self, order: Order, after: str) -> Page:
        most = PAGE
        if order.work.rate_limit:
            most = max(1, min(PAGE, int(order.work.rate_limit / 4)))
        if order.work.scope == "sessions":
            return self._sessions(order, after, most)
        work, store = order.work, self._store
        ids = store.profile_ids(work.condition, after, order.until, most)
        last = ids[-1] if len(ids) == most and ids[-1] != order.until else ""
        out = set() if not work.unless_type else store.active(ids, work.unless_type, order.due_ms - work.unless_ms)
        return Page([Due(id, id, order.due_ms) for id in ids if id not in out], len(out), last)

    def _sessions(self, order: Order, after: str, most: int) -> Page:
        before_ms = order.due_ms - GAP_MS
        told = telling(self._catalogue)
        found = self._store.idle_sessions(after, order.until, before_ms - LATEST_MS, before_ms, most)
        due = [
            # at the time of its last event, so that a visit is not half an hour longer for having ended
            Due(one.profile_id, f"{one.id}\x1f{one.ended_ms}", one.ended_ms, one.id)
            for one in found
            if one.source in told
        ]
        last = found[-1].id if len(found) == most and found[-1].id != order.until else ""
        return Page(due, 0, last)

    def _send(self, heartbeat: str, order: Order, due: list[Due], now_ms: int) -> None:
        if not due:
            return
        self._window.wait(len(due))
        self._outbox.put_events(self._topic, self._records(heartbeat, order, due, now_ms), self._window)

    def _records(self, heartbeat: str, order: Order, due: list[Due], now_ms: int) -> Iterable[tuple[str, bytes]]:
        work, offset = order.work, self._catalogue.offset
        properties = work.properties.encode()
        is_session = work.scope == "sessions"
        for one in due:
            # a session ends once, whichever run sees it
            id = event_id(heartbeat, 0 if is_session else order.due_ms, one.whose)
            yield (
                one.profile_id,
                record(
                    id,
                    one.profile_id,
                    heartbeat=heartbeat,
                    event_type=work.event_type,
                    properties=properties,
                    time_ms=one.time_ms,
                    now_ms=now_ms,
                    definitions_offset=offset,
                    session_id=one.session_id,
                ),
            )
