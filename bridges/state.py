"""How a bridge is doing: kept for people, exported as metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import Counter, Gauge

from bridges.base import Part
from schemas.bridges import NAMES, Name, PartStatus, Status

__all__ = ["NAMES", "Name", "Status", "Watch"]

log: Final = structlog.get_logger()

RATE_MS: Final = 10_000
"""What the rate is the mean of."""

RECEIVED: Final = Counter("hub_bridge_received_messages_total", "Messages taken from a source.", ["bridge"])
FORWARDED: Final = Counter("hub_bridge_forwarded_messages_total", "Messages that our Kafka has.", ["bridge"])
REFUSED: Final = Counter("hub_bridge_refused_messages_total", "Messages sent to dead letters.", ["bridge", "reason"])
IN_FLIGHT: Final = Gauge("hub_bridge_in_flight_messages", "Messages taken and not acknowledged.", ["bridge"])
LAG: Final = Gauge("hub_bridge_lag_messages", "Messages that wait at the source, as far as it is known.", ["bridge"])
LAST: Final = Gauge("hub_bridge_last_message_seconds", "When the last message came, seconds since 1970.", ["bridge"])
STATE: Final = Gauge("hub_bridge_state", "1 for the state that the bridge is in.", ["bridge", "state"])


class Meters(NamedTuple):
    """The metrics of one kind of thing that is watched, by what they count. `noun`: what it is called in the log."""

    noun: str
    received: Counter
    forwarded: Counter
    refused: Counter
    in_flight: Gauge
    lag: Gauge
    last: Gauge
    state: Gauge


OF_BRIDGES: Final = Meters("bridge", RECEIVED, FORWARDED, REFUSED, IN_FLIGHT, LAG, LAST, STATE)


class Watch:
    """The forwarder's Observer: keeps one bridge's Status and its metrics."""

    def __init__(self, status: Status, now_ms: Callable[[], int], meters: Meters = OF_BRIDGES) -> None:
        """Args: now_ms: milliseconds since 1970."""
        self.status = status
        self._now_ms = now_ms
        self._meters = meters
        id = status.bridge
        self._received, self._forwarded = meters.received.labels(id), meters.forwarded.labels(id)
        self._in_flight, self._lag, self._last = (
            meters.in_flight.labels(id),
            meters.lag.labels(id),
            meters.last.labels(id),
        )
        self._looks: deque[tuple[int, int]] = deque([(now_ms(), 0)])
        """When somebody looked, and what was forwarded then; of the last RATE_MS."""
        self._parts: Sequence[Part] = ()

    def look(self, lag: int | None, parts: Sequence[Part]) -> None:
        """Once a second or so: what the bridge itself says, and the rate. Costs next to nothing while nothing moves."""
        status, looks = self.status, self._looks
        now_ms, forwarded = self._now_ms(), status.forwarded
        if len(looks) == 1 and looks[0][1] == forwarded:
            looks[0] = (now_ms, forwarded)
        else:
            looks.append((now_ms, forwarded))
            while len(looks) > 1 and (now_ms - looks[0][0] > RATE_MS or looks[0][1] == forwarded):
                looks.popleft()
            since_ms, before = looks[0]
            status.rate = round((forwarded - before) * 1000 / max(now_ms - since_ms, 1), 1)
        if self._parts != parts:
            self._parts = parts
            status.parts = [PartStatus(*part) for part in parts]
        if status.lag != lag:
            status.lag = lag
            if lag is not None:
                self._lag.set(lag)

    def enter(self, state: Name, **details: Any) -> None:
        """The bridge is in another state now: logged once, with `details`."""
        if state != self.status.state or not self.status.since_ms:
            self.status.since_ms = self._now_ms()
        self.status.state = state
        for name in NAMES:
            self._meters.state.labels(self.status.bridge, name).set(name == state)
        level = log.warning if state in ("failed", "waiting_for_kafka") else log.info
        noun = self._meters.noun
        level(f"{noun}.{state}", **{noun: self.status.bridge}, kind=self.status.kind, **details)

    def begin(self) -> None:
        """The bridge connects. What has failed before stays failed until that has come about: a try may take long."""
        if self.status.state != "failed":
            self.enter("starting")

    def failed(self, error: str, retry_in_s: float | None) -> None:
        """The bridge broke and will be tried again; None: not until its definition is changed."""
        self.status.last_error, self.status.last_error_ms = error, self._now_ms()
        self.status.in_flight = 0
        self._in_flight.set(0)
        self.enter("failed", error=error, retry_in_s=None if retry_in_s is None else round(retry_in_s, 1))

    def forget(self) -> None:
        """The bridge is gone: its gauges and counters with it."""
        id, meters = self.status.bridge, self._meters
        for metric in (meters.received, meters.forwarded, meters.in_flight, meters.lag, meters.last):
            metric.remove(id)
        for name in NAMES:
            meters.state.remove(id, name)

    def taken(self, messages: int, in_flight: int, lag: int | None) -> None:
        """See Observer."""
        status = self.status
        status.received += messages
        status.in_flight = in_flight
        if lag is not None:
            status.lag = lag
        status.last_message_ms = self._now_ms()
        self._received.inc(messages)
        self._in_flight.set(in_flight)
        self._last.set(status.last_message_ms / 1000)
        if lag is not None:
            self._lag.set(lag)

    def refused(self, reason: str) -> None:
        """See Observer."""
        self.status.refused += 1
        self._meters.refused.labels(self.status.bridge, reason).inc()

    def acknowledged(self, messages: int, in_flight: int) -> None:
        """See Observer."""
        self.status.forwarded += messages
        self.status.in_flight = in_flight
        self._forwarded.inc(messages)
        self._in_flight.set(in_flight)

    def stalled(self, waiting_s: float) -> None:
        """See Observer."""
        self.status.last_error = "the hub's Kafka does not acknowledge"
        self.status.last_error_ms = self._now_ms()
        self.enter("waiting_for_kafka", waiting_s=round(waiting_s, 1), in_flight=self.status.in_flight)

    def resumed(self) -> None:
        """See Observer."""
        self.enter("running")
