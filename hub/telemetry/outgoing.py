"""What a request to another system says of the trace that it belongs to. Imports nothing of OpenTelemetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Final

from hub.telemetry.context import HEADER

BATCH: Final = ""
"""Of a request with several events."""
going: Final[ContextVar[Mapping[str, str] | None]] = ContextVar("going", default=None)
"""By event id, and by BATCH, the `traceparent` of what is being sent; None: no trace of it is kept."""


def headers_of(ids: Sequence[str]) -> dict[str, str]:
    """Of a request with these events: that of its event, or of the batch if any of them has one."""
    traces = going.get()
    if traces is None:
        return {}
    if len(ids) == 1:
        return {HEADER: traces[ids[0]]} if ids[0] in traces else {}
    return {HEADER: traces[BATCH]} if any(id in traces for id in ids) else {}
