"""The metrics of destinations, and of what flows ask of other systems."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

from bridges.state import Meters

READ: Final = Counter("hub_destination_read_events_total", "Stored events that were looked at.", ["destination"])
SENT: Final = Counter("hub_destination_sent_messages_total", "Messages that the target has.", ["destination"])
REFUSED: Final = Counter(
    "hub_destination_refused_messages_total", "Messages sent to dead letters.", ["destination", "reason"]
)
IN_FLIGHT: Final = Gauge("hub_destination_in_flight_events", "Events read and not settled.", ["destination"])
LAG: Final = Gauge("hub_destination_lag_events", "Stored events that wait to be looked at.", ["destination"])
LAST: Final = Gauge(
    "hub_destination_last_event_seconds", "When the last event was read, seconds since 1970.", ["destination"]
)
STATE: Final = Gauge("hub_destination_state", "1 for the state that the destination is in.", ["destination", "state"])

CALLS: Final = Counter(
    "hub_flow_calls_total",
    "Calls of other systems by flows, by what came of them: answered, failed (no answer), again (503 and the like).",
    ["outcome"],
)
MESSAGES: Final = Counter(
    "hub_flow_messages_total",
    "Messages of flows, by what came of them: sent, later (they come again), dead (a dead letter).",
    ["destination", "outcome"],
)

OF_DESTINATIONS: Final = Meters("destination", READ, SENT, REFUSED, IN_FLIGHT, LAG, LAST, STATE)
