"""How a bridge is doing: kept for people, exported as metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

import msgspec
import structlog
from prometheus_client import Counter, Gauge

log: Final = structlog.get_logger()

Name: TypeAlias = Literal["starting", "running", "waiting_for_kafka", "failed", "stopped"]
NAMES: Final[tuple[Name, ...]] = ("starting", "running", "waiting_for_kafka", "failed", "stopped")

RECEIVED: Final = Counter("hub_bridge_received_messages_total", "Messages taken from a source.", ["bridge"])
FORWARDED: Final = Counter("hub_bridge_forwarded_messages_total", "Messages that our Kafka has.", ["bridge"])
REFUSED: Final = Counter("hub_bridge_refused_messages_total", "Messages sent to dead letters.", ["bridge", "reason"])
IN_FLIGHT: Final = Gauge("hub_bridge_in_flight_messages", "Messages taken and not acknowledged.", ["bridge"])
LAG: Final = Gauge("hub_bridge_lag_messages", "Messages that wait at the source, as far as it is known.", ["bridge"])
LAST: Final = Gauge("hub_bridge_last_message_seconds", "When the last message came, seconds since 1970.", ["bridge"])
STATE: Final = Gauge("hub_bridge_state", "1 for the state that the bridge is in.", ["bridge", "state"])
_OF_ONE_BRIDGE: Final = (RECEIVED, FORWARDED, IN_FLIGHT, LAG, LAST)


class Status(msgspec.Struct, kw_only=True):
    """What a person wants to know of one bridge. Times in milliseconds since 1970."""

    bridge: str
    kind: str
    version: int
    state: Name = "starting"
    since_ms: int = 0
    received: int = 0
    forwarded: int = 0
    refused: int = 0
    in_flight: int = 0
    lag: int | None = None
    last_message_ms: int | None = None
    last_error: str = ""
    last_error_ms: int | None = None


class Watch:
    """The forwarder's Observer: keeps one bridge's Status and its metrics."""

    def __init__(self, status: Status, now_ms: Callable[[], int]) -> None:
        """Args: now_ms: milliseconds since 1970."""
        self.status = status
        self._now_ms = now_ms
        id = status.bridge
        self._received, self._forwarded = RECEIVED.labels(id), FORWARDED.labels(id)
        self._in_flight, self._lag, self._last = IN_FLIGHT.labels(id), LAG.labels(id), LAST.labels(id)

    def enter(self, state: Name, **details: Any) -> None:
        """The bridge is in another state now: logged once, with `details`."""
        self.status.state = state
        self.status.since_ms = self._now_ms()
        for name in NAMES:
            STATE.labels(self.status.bridge, name).set(name == state)
        level = log.warning if state in ("failed", "waiting_for_kafka") else log.info
        level(f"bridge.{state}", bridge=self.status.bridge, kind=self.status.kind, **details)

    def failed(self, error: str, retry_in_s: float | None) -> None:
        """The bridge broke and will be tried again; None: not until its definition is changed."""
        self.status.last_error, self.status.last_error_ms = error, self._now_ms()
        self.status.in_flight = 0
        self._in_flight.set(0)
        self.enter("failed", error=error, retry_in_s=None if retry_in_s is None else round(retry_in_s, 1))

    def forget(self) -> None:
        """The bridge is gone: its gauges and counters with it."""
        id = self.status.bridge
        for metric in _OF_ONE_BRIDGE:
            metric.remove(id)
        for name in NAMES:
            STATE.remove(id, name)

    def taken(self, messages: int, in_flight: int, lag: int | None) -> None:
        """See Observer."""
        status = self.status
        status.received += messages
        status.in_flight = in_flight
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
        REFUSED.labels(self.status.bridge, reason).inc()

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
