"""The balance sheet from the store's numbers and the log's ends: does it add up, and if not, why? Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from hub.api.minutes import minute_text
from hub.model import Counts
from hub.store.port import MAX_ROWS, MAX_WRONG, Books, CountedMinute

DAY_MINUTES: Final = 24 * 60

Offsets = Callable[[], Mapping[int, tuple[int, int]]]
"""By partition of events.v1: the oldest offset that Kafka still has, and the one that the next record will get."""


class Verdict(NamedTuple):
    """
    Whether all is accounted for.

    Attributes:
        in_flight: Records on the log behind what is counted, each of one event or more.
        gaps: By partition, first and last offset of records that are gone from the log and were never counted.
        unaccounted: Events of rows that do not add up, those too many and those too few.
        causes: Every difference, in words; nothing when it adds up.
    """

    in_flight: int
    gaps: list[tuple[int, int, int]]
    unaccounted: int
    causes: list[str]

    @property
    def gap_records(self) -> int:
        """How many records are gone."""
        return sum(last - first + 1 for _, first, last in self.gaps)


def judge(books: Books, offsets: Mapping[int, tuple[int, int]]) -> Verdict:
    """
    Args: offsets: by partition, where the log begins and ends. What lies between the progress and the end is in
    flight; what lies between the progress and the beginning is gone.
    """
    in_flight = 0
    gaps = []
    for number, (begin, end) in sorted(offsets.items()):
        counted = books.progress.get(number, 0)
        in_flight += max(0, end - max(begin, counted))
        if begin > counted:
            gaps.append((number, counted, begin - 1))
    causes = [_gap(*gap) for gap in gaps]
    causes += [_row(row) for row in books.wrong[:MAX_WRONG]]
    if len(books.wrong) > MAX_WRONG:
        causes.append(f"and more rows, older than these {MAX_WRONG}, that do not add up")
    stored = sum(counts.stored for counts in books.totals.values())
    if books.stored_events is not None and books.stored_events != stored:
        causes.append(_documents(books.stored_events, stored))
    return Verdict(in_flight, gaps, sum(abs(row.counts.difference) for row in books.wrong), causes)


def balance_sheet(books: Books, offsets: Mapping[int, tuple[int, int]], first_minute: int) -> dict[str, Any]:
    """The answer as JSON. Args: first_minute: of the rows that were asked for, minutes since 1970."""
    verdict = judge(books, offsets)
    totals = Counts()
    for counts in books.totals.values():
        totals.received += counts.received
        totals.stored += counts.stored
        totals.duplicate += counts.duplicate
        totals.dropped += counts.dropped
        totals.dead += counts.dead
    rows = books.rows
    if len(rows) > MAX_ROWS:
        # the oldest minute may have more rows than are here: only whole minutes are shown
        first_minute = rows[-1].minute + 1
        rows = [row for row in rows if row.minute >= first_minute]
    sheet = {
        "totals": {
            **_outcomes(totals),
            "received": totals.received + verdict.in_flight,
            "in_flight": verdict.in_flight,
        },
        "balanced": not verdict.causes,
        "causes": verdict.causes,
        "gaps": [{"partition": number, "first": first, "last": last} for number, first, last in verdict.gaps],
        "sources": [{"source": source, **_outcomes(counts)} for source, counts in sorted(books.totals.items())],
        "rows_from": minute_text(first_minute),
        "rows": [
            {"source": row.source, "minute": minute_text(row.minute), **_outcomes(row.counts)}
            for row in sorted(rows, key=lambda row: row[:2])
        ],
    }
    if books.stored_events is not None:
        agrees = books.stored_events == totals.stored
        sheet["verified"] = {"stored_events": books.stored_events, "agrees": agrees}
    return sheet


def _outcomes(counts: Counts) -> dict[str, int]:
    return msgspec.structs.asdict(counts)


def _gap(number: int, first: int, last: int) -> str:
    return (
        f"gap: Kafka has deleted {_number(last - first + 1, 'record')}, partition {number} offset {first} to {last}, "
        "before they were stored; the collector stops there (docs/operations.md)"
    )


def _row(row: CountedMinute) -> str:
    counts, off = row.counts, row.counts.difference
    what = f"{_number(off, 'event')} unaccounted for" if off > 0 else f"{_number(-off, 'event')} too many"
    return (
        f"row: {row.source} at {minute_text(row.minute)}: {counts.received} received, but {counts.stored} stored + "
        f"{counts.duplicate} duplicate + {counts.dropped} dropped + {counts.dead} dead: {what}"
    )


def _documents(there: int, stored: int) -> str:
    off = f"{stored - there} missing" if there < stored else f"{there - stored} too many"
    return f"documents: {_number(stored, 'event')} counted as stored, but the store has {there}: {off}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
