"""Times in a flow: read from what documents hold, written as RFC 3339."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hub.conditions import times
from hub.edge.functions import EPOCH
from hub.edge.times import time_ms
from hub.errors import InvalidPayload
from hub.flows.notation import ValueFault
from hub.pipeline.documents import iso


def moment_ms(value: Any, what: str) -> int:
    """
    Milliseconds since 1970 of an RFC 3339 time, or of a number of seconds or milliseconds.

    Args: what: it is, for the error. Raises ValueFault.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueFault(f"{what}: a time is expected, not {value!r:.80}")
    try:
        return time_ms(value, what)
    except InvalidPayload as exc:
        raise ValueFault(f"{what}: {exc.detail}, not {value!r:.80}") from exc


def written(ms: int) -> str:
    """RFC 3339 with milliseconds and Z. Raises ValueFault: outside the years 1 to 9998."""
    try:
        return iso(ms)
    except (OverflowError, ValueError) as exc:
        raise ValueFault("the time is outside the years 1 to 9998") from exc


def local(ms: int, zone: ZoneInfo) -> datetime:
    """The wall clock of a zone. Raises ValueFault."""
    try:
        return (EPOCH + timedelta(milliseconds=ms)).astimezone(zone)
    except (OverflowError, ValueError) as exc:
        raise ValueFault("the time is outside the years 1 to 9998") from exc


def zone_of(name: str) -> ZoneInfo:
    """Raises ValueFault: there is no such time zone."""
    try:
        return times.zone_of(name)
    except ValueError as exc:
        raise ValueFault(str(exc)) from exc
