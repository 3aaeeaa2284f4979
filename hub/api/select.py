"""The predecessor's searches, for its clients: POST /{event|profile|session}/select, …/range, …/histogram."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from hub.api.responses import json_response
from hub.conditions import QueryError
from hub.conditions.ast import Shift, Unit
from hub.conditions.times import microseconds, shifted
from hub.store.intervals import Interval, at, intervals
from hub.store.port import MAX_PAGE, Kind, Reading, Series, Span

PAGE: Final = 25
"""Documents of a page that has a number."""
MAX_START: Final = 100_000
"""Where a page by its place may begin: all before it is read through. Cursors know no such end."""

_KINDS: Final[dict[str, Kind]] = {"event": "events", "profile": "profiles", "session": "sessions"}
_LETTERS: Final[dict[Interval, str]] = {
    "minute": "m",
    "hour": "h",
    "day": "d",
    "week": "w",
    "month": "M",
    "year": "y",
}


class Delta(BaseModel):
    """So much before or after; months and years go by the calendar."""

    value: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    entity: Unit


class Absolute(BaseModel):
    """A time in UTC; it counts only when year, month and date are there. `meridiem`: PM makes 3 o'clock 15."""

    year: Annotated[int | None, Field(ge=1, le=9998)] = None
    month: Annotated[int | None, Field(ge=1, le=12)] = None
    date: Annotated[int | None, Field(ge=1, le=31)] = None
    hour: Annotated[int | None, Field(ge=0, le=23)] = None
    minute: Annotated[int | None, Field(ge=0, le=59)] = None
    second: Annotated[int | None, Field(ge=0, le=59)] = None
    meridiem: str | None = None

    def us(self) -> int | None:
        """Microseconds since 1970; None: it is not set. Raises QueryError: there is no such day."""
        if self.year is None or self.month is None or self.date is None:
            return None
        hour, half = self.hour or 0, (self.meridiem or "").lower()
        if half == "pm" and hour < 12:
            hour += 12
        elif half == "am" and hour == 12:
            hour = 0
        try:
            day = datetime(self.year, self.month, self.date, hour, self.minute or 0, self.second or 0, tzinfo=UTC)
        except ValueError as exc:
            raise QueryError(f"there is no such day: {exc}") from exc
        return microseconds(day)


class Date(BaseModel):
    """An absolute time, a distance from one, or neither: now."""

    delta: Delta | None = None
    absolute: Absolute | None = None


class Where(BaseModel):
    """A search. `where`: docs/query.md."""

    where: str | None = ""
    limit: Annotated[int, Field(ge=0, le=MAX_PAGE)] = 20


class Range(Where):
    """A search in a span of time. `minDate` and `maxDate` belong to it."""

    minDate: Date = Date()  # noqa: N815 - a name of the predecessor's
    maxDate: Date = Date()  # noqa: N815
    start: Annotated[int, Field(ge=0, le=MAX_START)] = 0
    timeZone: str | None = None  # noqa: N815

    def span(self, now_us: int) -> Span:
        """Raises QueryError: it ends before it begins, or leaves the calendar."""
        least = None if self.minDate.absolute is None else self.minDate.absolute.us()
        most = None if self.maxDate.absolute is None else self.maxDate.absolute.us()
        # a distance is from the other end, if that is a time, else from now
        since_us = _moved(least, self.minDate.delta, now_us if most is None else most, now_us)
        until_us = _moved(most, self.maxDate.delta, now_us if least is None else least, now_us)
        if since_us >= until_us:
            raise QueryError("minDate has to be before maxDate")
        return Span(since_us // 1_000, until_us // 1_000 + 1)


def _moved(base_us: int | None, delta: Delta | None, other_us: int, now_us: int) -> int:
    if delta is None:
        return now_us if base_us is None else base_us
    try:
        return shifted(other_us if base_us is None else base_us, (Shift(delta.value, delta.entity),))
    except ValueError as exc:
        raise QueryError(str(exc)) from exc


class Selected(BaseModel):
    """How many match, and some of them, newest first."""

    total: int
    result: list[dict[str, Any]]


class Bars(Selected):
    """Intervals with `date`, `interval` and a count under each name in `buckets`."""

    buckets: list[str]


def router(store: Reading, now_ms: Callable[[], int]) -> APIRouter:
    """The routes. Args: now_ms: the clock, milliseconds since 1970."""
    routes = APIRouter()
    for name, kind in _KINDS.items():
        _add(routes, store, name, kind, now_ms)
    return routes


def _add(routes: APIRouter, store: Reading, name: str, kind: Kind, now_ms: Callable[[], int]) -> None:
    @routes.post(f"/{name}/select", tags=[kind], name=f"Select {kind}", response_model=Selected)
    def select(body: Where) -> Response:
        return _selected(store, kind, body.where or "", None, start=0, limit=body.limit)

    @routes.post(f"/{name}/select/range", tags=[kind], name=f"Select {kind} of a time", response_model=Selected)
    def select_range(body: Range) -> Response:
        return _selected(store, kind, body.where or "", body.span(now_ms() * 1_000), start=body.start, limit=body.limit)

    @routes.post(
        f"/{name}/select/range/page/{{page}}",
        tags=[kind],
        name=f"Select a page of {kind} of a time",
        response_model=Selected,
    )
    def select_page(page: int, body: Range) -> Response:
        if not 0 <= page * PAGE <= MAX_START:
            raise QueryError(f"pages go from 0 to {MAX_START // PAGE}; GET /{kind} with a cursor has no end")
        return _selected(store, kind, body.where or "", body.span(now_ms() * 1_000), start=page * PAGE, limit=PAGE)

    @routes.post(f"/{name}/select/histogram", tags=[kind], name=f"Select bars of {kind}", response_model=Bars)
    def select_histogram(body: Range, group_by: Annotated[str | None, Query()] = None) -> Response:
        return json_response(_bars(store, kind, body, group_by or "", body.span(now_ms() * 1_000)))


def _selected(store: Reading, kind: Kind, where: str, span: Span | None, *, start: int, limit: int) -> Response:
    found = list(islice(_all(store, kind, where, start + limit, span), start, start + limit)) if limit else []
    return json_response({"total": store.count(kind, where, span), "result": found})


def _all(store: Reading, kind: Kind, where: str, most: int, span: Span | None) -> Iterator[dict[str, Any]]:
    cursor = None
    while most > 0:
        page = store.search(kind, where, min(most, MAX_PAGE), cursor, span)
        yield from page.items
        cursor, most = page.next, most - len(page.items)
        if cursor is None:
            return


def _bars(store: Reading, kind: Kind, body: Range, group_by: str, span: Span) -> dict[str, Any]:
    zone = body.timeZone or "UTC"
    made = intervals(span.since_ms, span.until_ms, "auto", zone)
    found = store.histogram(kind, body.where or "", made.edges, group_by)
    series = _groups(found.groups) if group_by else {"count": found.counts}
    step = f"+1{_LETTERS[made.interval]}"
    return {
        "total": sum(found.counts),
        "result": [
            {**{key: counts[place] for key, counts in series.items()}, "date": at(time, zone), "interval": step}
            for place, time in enumerate(made.begins)
        ],
        "buckets": list(series),
    }


def _groups(found: Sequence[Series]) -> dict[str, list[int]]:
    """Counts by name, which is in small letters: those of `Rome` and `rome` are one."""
    groups: dict[str, list[int]] = {}
    for one in found:
        if one.value is not None:
            name = str(one.value).lower()
            groups[name] = [sum(both) for both in zip(groups.get(name, [0] * len(one.counts)), one.counts, strict=True)]
    return groups
