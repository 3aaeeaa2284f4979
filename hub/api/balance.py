"""GET /balance: was anything lost? Every event that was received, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.refusals import Refusals
from hub.api.responses import json_response
from hub.api.sheet import DAY_MINUTES, Offsets, balance_sheet
from hub.edge.times import time_ms
from hub.store.port import Reading

MINUTE_MS: Final = 60_000
END_MINUTE: Final = 1 << 53
"""After every minute that there is."""

Time = Annotated[str | None, Query(description="RFC 3339, such as 2026-11-24T15:00Z.")]


class Outcomes(BaseModel):
    """Events. received = stored + duplicate + dropped + dead."""

    received: int
    stored: int
    duplicate: int
    dropped: int
    dead: int


class Totals(Outcomes):
    """Events since the beginning. received = stored + duplicate + dropped + dead + in_flight."""

    in_flight: int


class SourceTotals(Outcomes):
    """What one source has sent since the beginning."""

    source: str


class Row(SourceTotals):
    """What one source sent in one minute, and what became of it."""

    minute: str


class Gap(BaseModel):
    """Records, by offset, that Kafka has deleted before they were stored. The collector stops at them."""

    partition: int
    first: int
    last: int


class Balance(BaseModel):
    """
    The balance sheet. `balanced`: every row of all time adds up, and there is no gap; else `causes` say why, in words.

    `rows_from`: the first minute that has rows here, if it was received in.
    """

    totals: Totals
    balanced: bool
    causes: list[str]
    gaps: list[Gap]
    sources: list[SourceTotals]
    rows_from: str
    rows: list[Row]
    refused: dict[str, Any]
    verified: dict[str, Any] | None = None


def router(store: Reading, offsets: Offsets, refusals: Refusals, now_ms: Callable[[], int]) -> APIRouter:
    """The route. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter()

    @routes.get("/balance", tags=["operation"], name="Balance sheet", response_model=Balance)
    def balance(
        since: Annotated[Time, Query(alias="from", description="First minute of the rows. None: a day ago.")] = None,
        until: Annotated[Time, Query(alias="to", description="The rows end before it. None: now.")] = None,
        verify: Annotated[bool, Query(description="Also count the stored events, which takes longer.")] = False,
    ) -> Response:
        first = now_ms() // MINUTE_MS - DAY_MINUTES if since is None else time_ms(since, "query.from") // MINUTE_MS
        # a minute that has begun belongs to it: `to` now shows what has just come
        end = END_MINUTE if until is None else -(-time_ms(until, "query.to") // MINUTE_MS)
        sheet = balance_sheet(store.books(first, end, count_events=verify), offsets(), first)
        return json_response({**sheet, "refused": refusals.report()})

    return routes
