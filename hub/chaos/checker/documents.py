"""Where an event's document says what: documents as the hub's REST interface gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def holder(event: Mapping[str, Any]) -> str:
    """The profile that the event was applied to."""
    return (event["profile"] or {}).get("id") or ""


def sender(event: Mapping[str, Any]) -> str:
    """The profile id that it was sent for."""
    return event["metadata"].get("sent_as") or holder(event)


def place(event: Mapping[str, Any]) -> tuple[int, ...]:
    """On the log."""
    position = event["metadata"]["position"]
    # the epoch first, then the partition: of one profile it is always the same
    return position["epoch"], position["partition"], position["offset"], position["place"]


def received_ms(event: Mapping[str, Any]) -> int:
    """When the hub received it, by the clock of whichever process that was: milliseconds since 1970."""
    return milliseconds(event["metadata"]["time"]["insert"])


def milliseconds(at: str) -> int:
    """Since 1970. Args: at: RFC 3339."""
    return round(datetime.fromisoformat(at).timestamp() * 1_000)
