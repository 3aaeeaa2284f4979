"""GET /balance: was anything lost? Every event that was received, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.minutes import minute_text
from hub.api.refusals import Refusals
from hub.api.responses import json_response
from hub.errors import Unavailable
from hub.model import CounterKey, Counts
from hub.store.port import Reading

READS: Final = 20
"""How often to read again when the collector wrote in between; a batch takes longer to write than this to read."""

Offsets = Callable[[], Mapping[int, tuple[int, int]]]
"""By partition of events.v1: the oldest offset that Kafka still has, and the one that the next record will get."""


class Totals(BaseModel):
    """Events. received = stored + duplicate + dropped + dead + in_flight."""

    received: int
    stored: int
    duplicate: int
    dropped: int
    dead: int
    in_flight: int


class Row(BaseModel):
    """What one source sent in one minute, and what became of it."""

    source: str
    minute: str
    received: int
    stored: int
    duplicate: int
    dropped: int
    dead: int


class Gap(BaseModel):
    """Records, by offset, that Kafka has deleted before they were stored. The collector stops at them."""

    partition: int
    first: int
    last: int


class Balance(BaseModel):
    """The balance sheet. `balanced`: every row adds up, and there is no gap."""

    totals: Totals
    balanced: bool
    gaps: list[Gap]
    rows: list[Row]
    refused: dict[str, Any]
    verified: dict[str, Any] | None = None


def router(store: Reading, offsets: Offsets, refusals: Refusals) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.get("/balance", tags=["operation"], name="Balance sheet", response_model=Balance)
    def balance(
        verify: Annotated[bool, Query(description="Also count the stored events, which takes longer.")] = False,
    ) -> Response:
        counters, progress, stored_events = _snapshot(store, verify)
        sheet = balance_sheet(counters, progress, offsets())
        sheet["refused"] = refusals.report()
        if stored_events is not None:
            agrees = stored_events == sheet["totals"]["stored"]
            sheet["verified"] = {"stored_events": stored_events, "agrees": agrees}
            sheet["balanced"] = sheet["balanced"] and agrees
        return json_response(sheet)

    return routes


def balance_sheet(
    counters: list[tuple[CounterKey, Counts]], progress: Mapping[int, int], offsets: Mapping[int, tuple[int, int]]
) -> dict[str, Any]:
    """
    Totals, rows per source and minute, and whether every row adds up.

    Args:
        progress: By partition, the next offset to count.
        offsets: By partition, where the log begins and ends. What lies between the progress and the end is in
            flight: records, each with one event or more. What lies between the progress and the beginning is gone.
    """
    rows: dict[tuple[str, int], Counts] = {}
    for key, counts in counters:
        row = rows.setdefault((key.source, key.minute), Counts())
        row.received += counts.received
        row.stored += counts.stored
        row.duplicate += counts.duplicate
        row.dropped += counts.dropped
        row.dead += counts.dead
    in_flight = sum(max(0, end - max(begin, progress.get(number, 0))) for number, (begin, end) in offsets.items())
    gaps = [
        {"partition": number, "first": progress.get(number, 0), "last": begin - 1}
        for number, (begin, _) in sorted(offsets.items())
        if begin > progress.get(number, 0)
    ]
    return {
        "totals": {
            "received": sum(row.received for row in rows.values()) + in_flight,
            "stored": sum(row.stored for row in rows.values()),
            "duplicate": sum(row.duplicate for row in rows.values()),
            "dropped": sum(row.dropped for row in rows.values()),
            "dead": sum(row.dead for row in rows.values()),
            "in_flight": in_flight,
        },
        "balanced": not gaps
        and all(row.received == row.stored + row.duplicate + row.dropped + row.dead for row in rows.values()),
        "gaps": gaps,
        "rows": [
            {
                "source": source,
                "minute": minute_text(minute),
                "received": row.received,
                "stored": row.stored,
                "duplicate": row.duplicate,
                "dropped": row.dropped,
                "dead": row.dead,
            }
            for (source, minute), row in sorted(rows.items(), key=lambda item: (item[0][1], item[0][0]))
        ],
    }


def _snapshot(store: Reading, verify: bool) -> tuple[list[tuple[CounterKey, Counts]], dict[int, int], int | None]:
    # counters and progress come from one batch; if a batch was written between the reads, read again
    for _ in range(READS):
        before = store.latest_progress()
        counters = list(store.counters())
        stored_events = store.count("events", "") if verify else None
        if store.latest_progress() == before:
            return counters, before[1], stored_events
    raise Unavailable("store", "the collector writes faster than the balance can be read; ask again")
