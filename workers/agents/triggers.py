"""What the agents do with triggers: by their kind; again while the world is at fault, buried when a trigger is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
import structlog
from prometheus_client import Counter

from hub.errors import PortError, Unavailable
from hub.ids import derived
from hub.store.query import QueryError
from schemas.codec import CodecError, decode_trigger, encode_inbound
from schemas.flows import KIND as FLOW
from schemas.flows import NONE_KIND as FLOW_NONE
from schemas.flows import WAIT_KIND as FLOW_WAIT
from schemas.flows import decode_order as decode_flow_order
from schemas.heartbeats import KIND, Order, decode_order
from schemas.records import REFUSED, Inbound, Refused, Trigger
from schemas.topics import EVENTS
from workers.agents.app import Place
from workers.agents.flows import Asked, Flows
from workers.agents.lanes import Item
from workers.agents.outbox import Outbox
from workers.agents.slices import Slices, Stopped
from workers.agents.watchdog import Beat

log: Final = structlog.get_logger()
T = TypeVar("T")

SOURCE: Final = "@agents"
"""Event source of dead letters of triggers that cannot be read."""
WAIT_S: Final = 0.5
"""Before what could not be done is tried again."""

TRIGGERS: Final = Counter("hub_agents_triggers_total", "Triggers that were taken, by what became of them.", ["did"])


def of_flows(value: bytes) -> Trigger | None:
    """What a trigger says, if it is one of flows: see `lanes.Read`."""
    try:
        trigger = decode_trigger(value)
    except CodecError:
        return None
    return trigger if trigger["kind"] in (FLOW, FLOW_WAIT, FLOW_NONE) else None


class Triggers:
    """For one event loop, in two lanes (`workers.agents.lanes`); the work is done on other threads."""

    def __init__(
        self,
        slices: Slices,
        flows: Flows,
        outbox: Outbox,
        *,
        namespace: str,
        now_ms: Callable[[], int],
        beats: Mapping[str, Beat],
    ) -> None:
        """Args: now_ms: the clock, milliseconds since 1970. beats: of the lanes `slices` and `flows`."""
        self._slices = slices
        self._flows = flows
        self._outbox = outbox
        self._events = EVENTS.name(namespace)
        self._now_ms = now_ms
        self._beats = beats
        self._troubles = dict.fromkeys(beats, "")

    @property
    def trouble(self) -> str:
        """Why nothing goes on at the moment, in words; empty if all is well."""
        return "; ".join(sorted({why for why in self._troubles.values() if why}))

    async def take(self, value: bytes, place: Place) -> bool:
        """A trigger that is of no flow; see `lanes.One`."""
        try:
            trigger = decode_trigger(value)
            order = decode_order(trigger["data"]) if trigger["kind"] == KIND else None
        except (CodecError, msgspec.DecodeError) as exc:
            why = f"a record of triggers.v1 cannot be read: {exc}"
            return await self._until_done("slices", lambda: self._bury(value, place, why)) is not None
        if order is None:
            TRIGGERS.labels("left").inc()  # of a kind that no agent of this version knows
            return True
        return await self._until_done("slices", lambda: self._slice(trigger["target"], order)) is not None

    async def take_flows(self, items: Sequence[Item]) -> Sequence[Item]:
        """Triggers of flows; see `lanes.Many`."""
        later = await self._until_done("flows", lambda: self._run(items))
        return items if later is None else later

    async def _until_done(self, lane: str, work: Callable[[], T]) -> T | None:
        """What it gives; None: the process ends."""
        beat = self._beats[lane]
        beat()
        beat.is_busy = True
        try:
            while not self._slices.stopping.is_set():
                try:
                    done = await asyncio.to_thread(work)
                except Stopped:
                    return None
                except Unavailable as exc:
                    if not self._troubles[lane]:
                        log.warning("agents.waiting", why=str(exc))
                    self._troubles[lane] = str(exc)
                    beat()
                    await asyncio.sleep(WAIT_S)
                else:
                    self._troubles[lane] = ""
                    return done
            return None
        finally:
            beat.is_busy = False

    def _run(self, items: Sequence[Item]) -> list[Item]:
        """Returns those that have to be given again; what cannot be read, or is at fault, is buried."""
        asked: dict[int, Asked] = {}
        for number, item in enumerate(items):
            try:
                asked[number] = Asked(item.trigger, decode_flow_order(item.trigger["data"]))
            except msgspec.DecodeError as exc:
                self._bury(item.value, item.place, f"a record of triggers.v1 cannot be read: {exc}")
        numbers = {id(one): number for number, one in asked.items()}
        try:
            later = self._flows.take(list(asked.values()))
        except PortError:
            raise
        except Exception as exc:
            if len(items) > 1:  # one of them is at fault: none of the others shall wait for it
                log.warning("flows.batch_failed", error=f"{type(exc).__name__}: {exc}", what="each goes by itself")
                return [one for item in items for one in self._run([item])]
            log.exception("flows.trigger_failed")
            self._bury(items[0].value, items[0].place, f"it cannot be done: {type(exc).__name__}: {exc}")
            return []
        TRIGGERS.labels("done").inc(len(asked) - len(later))
        return [items[numbers[id(one)]] for one in later]

    def _slice(self, heartbeat: str, order: Order) -> bool:
        try:
            self._slices.work(heartbeat, order)
        except Unavailable:
            raise
        except (PortError, QueryError) as exc:
            log.error("heartbeat.slice_failed", heartbeat=heartbeat, run=order.run, slice=order.number, why=str(exc))
            self._slices.fail(order, exc)
        TRIGGERS.labels("done").inc()
        return True

    def _bury(self, value: bytes, place: Place, why: str) -> bool:
        """By way of events.v1: the collector alone writes dead letters, and counts them."""
        partition, offset = place
        origin = f"triggers:{partition}:{offset}"
        body: Refused = {
            "reason": "undecodable_record",
            "detail": why,
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
        TRIGGERS.labels("buried").inc()
        return True
