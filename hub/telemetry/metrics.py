"""What becomes of spans, in numbers."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter

EXPORTED: Final = Counter("hub_telemetry_exported_spans_total", "Spans that the OTLP endpoint has taken.")
DROPPED: Final = Counter(
    "hub_telemetry_dropped_spans_total",
    "Spans that were thrown away, by why: full (the queue was), failed (the endpoint did not take them), ended (the "
    "process did).",
    ["why"],
)
