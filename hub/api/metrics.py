"""The API's metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

PAYLOADS: Final = Counter("hub_received_payloads", "Payloads that Kafka has acknowledged.", ["door"])
EVENTS: Final = Counter("hub_received_events", "Events in payloads that Kafka has acknowledged.", ["door"])
REFUSED: Final = Counter("hub_refused_payloads", "Payloads that the edge would not take.", ["reason"])
UNAVAILABLE: Final = Counter("hub_unavailable_answers", "Payloads answered with 503: Kafka did not acknowledge.")
BULK_UNAVAILABLE: Final = Counter(
    "hub_bulk_unavailable_answers", "Bulk payloads answered with 503: live events left no room in time."
)
DENIED: Final = Counter(
    "hub_denied_requests",
    "Requests without a key that is good (401), or with one that may not do this (403).",
    ["status"],
)
CUT: Final = Counter(
    "hub_cut_connections",
    "Connections that the API closed before there was an answer: malformed, large_head, large_body, slow_head, "
    "slow_body, stalled (nothing is taken of an answer), evicted (idle, for another), full.",
    ["why"],
)
REDIRECTED: Final = Counter(
    "hub_redirects",
    "Links that were followed, by what became of the event: event (Kafka has it), late (nobody waited), refused, "
    "lost, no_person (none is made).",
    ["outcome"],
)
REPLAYED: Final = Counter(
    "hub_replayed_dead_letters", "Dead letters that were to be replayed: sent, refused again or skipped.", ["outcome"]
)
DIFFERENCE: Final = Gauge(
    "hub_balance_difference_events",
    "Events of balance rows that do not add up; NaN when Kafka or the store do not say. 0 is right.",
)
GAP: Final = Gauge(
    "hub_balance_gap_records",
    "Records that Kafka deleted before they were stored; NaN when it, or the store, does not say.",
)
FLOW_ANSWERS: Final = Counter(
    "hub_flow_answers",
    "Payloads whose sender waits for flows, by what came of it: answered, nothing (no flow runs), late (the deadline), "
    "full (too many wait), away (no Redis).",
    ["outcome"],
)
IN_FLIGHT: Final = Gauge(
    "hub_in_flight_records", "Records of events.v1 that are not stored yet; NaN when Kafka, or the store, does not say."
)
TRACK_S: Final = Histogram(
    "hub_track_seconds",
    "From a request of /track to Kafka's acknowledgement of its events, in seconds.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
TAIL_LISTENERS: Final = Gauge("hub_tail_listeners", "Who listens to the live tail of this process.")
TAIL_ROWS: Final = Counter(
    "hub_tail_events",
    "Events that the live tail had for its listeners: shown, lost (the listener was too slow).",
    ["outcome"],
)
