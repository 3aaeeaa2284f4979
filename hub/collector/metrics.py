"""The collector's metrics."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

STORED: Final = Counter("hub_stored_events", "Events that the store has acknowledged.", ["source"])
DUPLICATES: Final = Counter("hub_duplicate_events", "Events that the store had already.", ["source"])
CONFLICTS: Final = Counter("hub_conflicting_events", "Duplicates that say something else than the first.", ["source"])
FILTERED: Final = Counter("hub_filtered_events", "Events that a filter has dropped, by its id.", ["filter"])
VOIDED: Final = Counter(
    "hub_void_events", "Events of people who were erased or are suppressed, or too old: dropped.", ["why"]
)
EXPIRED: Final = Counter("hub_expired_events", "Events that were removed from the store because of their age.")
ERASED: Final = Counter("hub_erased_events", "Events that were removed from the store because somebody was erased.")
DEAD: Final = Counter("hub_dead_letters", "Events that could not be taken, replays that failed among them.", ["reason"])
RESOLVED: Final = Counter("hub_resolved_dead_letters", "Dead letters of which a replay has been stored.")
TRIGGERS: Final = Counter(
    "hub_flow_triggers", "Flows to run, and events that may end their pauses, as told to the agents.", ["kind"]
)
BATCH_S: Final = Histogram("hub_batch_seconds", "From the poll to the commit of a batch, in seconds.")
STORED_S: Final = Histogram(
    "hub_stored_seconds",
    "From the receipt of a record by the edge, or a bridge, until the store has it, in seconds; of some records of "
    "each batch.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0),
)
LAG: Final = Gauge("hub_collector_lag_records", "Records of events.v1 that wait to be processed.", ["partition"])
