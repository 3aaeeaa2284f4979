"""Values that tests build on."""

from __future__ import annotations

from typing import Any

import msgspec

from hub.pipeline.records import LogRecord
from hub.store import Store
from schemas.codec import encode_inbound
from schemas.records import TRACK, Event, Inbound

NOW_MS = 1_780_000_000_000


def event(id: str, type: str = "purchase", *, time_ms: int | None = NOW_MS - 1000, **properties: Any) -> Event:
    return {
        "id": id,
        "client_id": None,
        "type": type,
        "time_ms": time_ms,
        "properties": msgspec.json.encode(properties),
        "context": b"{}",
        "options": b"{}",
        "tags": [],
    }


def track(
    profile_id: str,
    *events: Event,
    session_id: str | None = None,
    context: bytes = b"{}",
    source: str = "shop",
    received_at_ms: int = NOW_MS,
    definitions_offset: int = -1,
) -> Inbound:
    return {
        "id": f"payload-{profile_id}-{events[0]['id'] if events else ''}",
        "source": source,
        "profile_id": profile_id,
        "received_at_ms": received_at_ms,
        "definitions_offset": definitions_offset,
        "origin": "rest",
        "body": (
            TRACK,
            {
                "session_id": session_id,
                "profile_less": not profile_id,
                "context": context,
                "properties": b"{}",
                "options": b"{}",
                "request": b"{}",
                "events": list(events),
            },
        ),
    }


def log(*inbounds: Inbound | bytes, partition: int = 0, start: int = 0) -> list[LogRecord]:
    """The inbounds as records of one partition; bytes stand for a record that is not ours."""
    return [
        LogRecord(partition, start + n, NOW_MS, b"key", one if isinstance(one, bytes) else encode_inbound(one))
        for n, one in enumerate(inbounds)
    ]


def totals(store: Store) -> dict[str, int]:
    """The balance sheet's counters, of all sources and minutes together."""
    found = dict.fromkeys(("received", "stored", "duplicate", "dropped", "dead"), 0)
    for _, counts in store.counters():
        for name in found:
            found[name] += getattr(counts, name)
    return found
