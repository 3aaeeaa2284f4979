"""What Prometheus is told of runs."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Histogram

RUNS: Final = Counter(
    "hub_flow_runs_total", "Times that runs of flows have ended or paused, by state.", ["flow", "state"]
)
LEFT: Final = Counter("hub_flow_runs_left_total", "Runs of flows that were not made, by why.", ["flow", "why"])
SECONDS: Final = Histogram(
    "hub_flow_run_seconds",
    "How long a run of a flow goes through its nodes, from its beginning or a pause on, without its calls.",
    ["flow"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 10),
)
