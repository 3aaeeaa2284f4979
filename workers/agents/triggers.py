"""What the agents do with a trigger: by its kind; again while the world is at fault, buried when the trigger is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog
from prometheus_client import Counter

from hub.errors import PortError, Unavailable
from hub.ids import derived
from hub.store.query import QueryError
from schemas.codec import CodecError, decode_trigger, encode_inbound
from schemas.heartbeats import KIND, Order, decode_order
from schemas.records import REFUSED, Inbound, Refused
from schemas.topics import EVENTS
from workers.agents.app import Place
from workers.agents.outbox import Outbox
from workers.agents.slices import Slices, Stopped

log: Final = structlog.get_logger()

SOURCE: Final = "@agents"
"""Event source of dead letters of triggers that cannot be read."""
WAIT_S: Final = 0.5
"""Before what could not be done is tried again."""

TRIGGERS: Final = Counter("hub_agents_triggers_total", "Triggers that were taken, by what became of them.", ["did"])


class Triggers:
    """Handles one at a time. For one event loop; the work is done on other threads."""

    def __init__(
        self, slices: Slices, outbox: Outbox, namespace: str, now_ms: Callable[[], int], beat: Callable[[], None]
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970. beat: called when something is tried again."""
        self._slices = slices
        self._outbox = outbox
        self._events = EVENTS.name(namespace)
        self._now_ms = now_ms
        self._beat = beat
        self.trouble = ""
        """Why nothing goes on at the moment, in words; empty if all is well."""

    async def take(self, value: bytes, place: Place) -> bool:
        """See `app.Handle`."""
        try:
            trigger = decode_trigger(value)
            order = decode_order(trigger["data"]) if trigger["kind"] == KIND else None
        except (CodecError, msgspec.DecodeError) as exc:
            why = str(exc)
            return await self._until_done(lambda: self._bury(value, place, why), "buried")
        if order is None:
            TRIGGERS.labels("left").inc()  # of a kind that no agent of this version knows
            return True
        return await self._until_done(lambda: self._slice(trigger["target"], order), "done")

    async def _until_done(self, work: Callable[[], None], did: str) -> bool:
        while not self._slices.stopping.is_set():
            try:
                await asyncio.to_thread(work)
            except Stopped:
                return False
            except Unavailable as exc:
                if not self.trouble:
                    log.warning("agents.waiting", why=str(exc))
                self.trouble = str(exc)
                self._beat()
                await asyncio.sleep(WAIT_S)
            else:
                self.trouble = ""
                TRIGGERS.labels(did).inc()
                return True
        return False

    def _slice(self, heartbeat: str, order: Order) -> None:
        try:
            self._slices.work(heartbeat, order)
        except Unavailable:
            raise
        except (PortError, QueryError) as exc:
            log.error("heartbeat.slice_failed", heartbeat=heartbeat, run=order.run, slice=order.number, why=str(exc))
            self._slices.fail(order, exc)

    def _bury(self, value: bytes, place: Place, why: str) -> None:
        """By way of events.v1: the collector alone writes dead letters, and counts them."""
        partition, offset = place
        origin = f"triggers:{partition}:{offset}"
        body: Refused = {
            "reason": "undecodable_record",
            "detail": f"a record of triggers.v1 cannot be read: {why}",
            "body": value,
            "body_sha256": None,
            "body_size": len(value),
            "headers": b"{}",
            "key": None,
            "time_ms": None,
            "meta": None,
        }
        id = derived("refused-trigger", self._events, origin)
        record: Inbound = {
            "id": id,
            "source": SOURCE,
            "profile_id": "",
            "received_at_ms": self._now_ms(),
            "definitions_offset": -1,
            "origin": origin,
            "body": (REFUSED, body),
        }
        log.error("agents.trigger_buried", origin=origin, why=why)
        self._outbox.put_events(self._events, [(id, encode_inbound(record))])
