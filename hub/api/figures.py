"""Numbers about profiles, events, sessions and dead letters: histograms, values of a field, fields that there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.responses import Response

from hub.api.queries import Q, time_ms
from hub.api.responses import json_response
from hub.pipeline.documents import iso
from hub.store.intervals import Interval, at, intervals
from hub.store.port import Kind, Reading
from hub.store.query.known import fields_of

DAYS: Final = 30
"""Length of a histogram that does not say where it begins."""
SAMPLE: Final = 200
"""The newest documents, in which fields are looked for that are not known beforehand."""

_DAY_MS: Final = 86_400_000

Value = str | int | float | bool | None


class Group(BaseModel):
    """One of the most frequent values of the field; null: the field has none."""

    value: Value
    count: int


class Bar(BaseModel):
    """One interval. `time`: where it begins, in the zone. `groups`: in the order of the groups."""

    time: str
    count: int
    groups: list[int]
    other: int


class Histogram(BaseModel):
    """How many documents match, by interval."""

    interval: Interval
    zone: str
    begin: str
    end: str
    total: int
    groups: list[Group]
    items: list[Bar]


class CountedValue(BaseModel):
    """A value and how many documents have it."""

    value: Value
    count: int


class Values(BaseModel):
    """The most frequent first."""

    items: list[CountedValue]


class FoundField(BaseModel):
    """
    A field as a query names it. `type`: text, number, boolean, time, list, object, or empty for anything. `indexed`:
    a search for it is quick however much there is.
    """

    name: str
    type: str
    indexed: bool


class Fields(BaseModel):
    """By name."""

    items: list[FoundField]


def router(store: Reading, now_ms: Callable[[], int]) -> APIRouter:
    """The routes of every kind of document. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter()
    for kind in get_args(Kind):
        _add_histogram(routes, store, kind, now_ms)
        _add_values(routes, store, kind)
    return routes


def _add_histogram(routes: APIRouter, store: Reading, kind: Kind, now_ms: Callable[[], int]) -> None:
    @routes.get(f"/{kind}/histogram", tags=[kind], name=f"Histogram of {kind}", response_model=Histogram)
    def histogram(
        *,
        q: Q = "",
        begin: Annotated[
            str, Query(alias="from", description=f"RFC 3339, or such as `now-7d`. Default: {DAYS} days before `to`.")
        ] = "",
        end: Annotated[str, Query(alias="to", description="Where it ends, itself outside. Default: now.")] = "now",
        interval: Annotated[Literal["auto", Interval], Query(description="By the calendar of the zone.")] = "auto",
        zone: Annotated[str, Query(description="IANA name of the time zone, such as Europe/Rome.")] = "UTC",
        group_by: Annotated[str, Query(description="A field: its five most frequent values are told apart.")] = "",
    ) -> Response:
        clock_ms = now_ms()
        until_ms = time_ms("to", end, clock_ms, zone)
        since_ms = time_ms("from", begin, clock_ms, zone) if begin else until_ms - DAYS * _DAY_MS
        spans = intervals(since_ms, until_ms, interval, zone)
        found = store.histogram(kind, q, spans.edges, group_by)
        items = [
            {
                "time": at(time, zone),
                "count": found.counts[place],
                "groups": [one.counts[place] for one in found.groups],
                "other": found.other[place],
            }
            for place, time in enumerate(spans.begins)
        ]
        return json_response(
            {
                "interval": spans.interval,
                "zone": zone,
                "begin": iso(since_ms),
                "end": iso(until_ms),
                "total": sum(found.counts),
                "groups": [{"value": one.value, "count": sum(one.counts)} for one in found.groups],
                "items": items,
            }
        )


def _add_values(routes: APIRouter, store: Reading, kind: Kind) -> None:
    @routes.get(f"/{kind}/values", tags=[kind], name=f"Values of a field of {kind}", response_model=Values)
    def values(
        field: Annotated[str, Query(description="Such as `type` or `traits.city`.")],
        q: Q = "",
        prefix: Annotated[str, Query(description="Only values that begin so.")] = "",
        limit: Annotated[int, Query(ge=1, le=1_000, description="Most values in the answer.")] = 20,
    ) -> Response:
        found = store.values(kind, q, field, prefix, limit)
        return json_response({"items": [{"value": one.value, "count": one.documents} for one in found]})

    @routes.get(f"/{kind}/fields", tags=[kind], name=f"Fields of {kind}", response_model=Fields)
    def fields(
        prefix: Annotated[str, Query(description="Only fields that begin so.")] = "",
    ) -> Response:
        found = fields_of(kind, store.search(kind, "", SAMPLE, None).items)
        items: list[dict[str, Any]] = [one._asdict() for one in found if one.name.startswith(prefix)]
        return json_response({"items": items})
