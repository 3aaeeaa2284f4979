"""
The balance sheet: counters, totals, progress and the number of events, all of one moment.

That moment is the head. Totals and progress are in it; what documents say is looked at as far as they belong to it: a
counter's row is what one batch has added, and has its number; an event has its running number. Of batches that are
pending, and of which something may be missing yet, nothing counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

from hub.model import CounterKey, Counts, Position
from hub.store.elastic import documents as made
from hub.store.elastic.client import Engine
from hub.store.elastic.head import Head, HeadDocument
from hub.store.elastic.indices import EVENTS, LETTERS, PROFILES, ROWS, SESSIONS
from hub.store.port import MAX_ROWS, MAX_WRONG, Books, CountedMinute

_FIGURES: Final = ("received", "stored", "duplicate", "dropped", "dead")
_SUMS: Final[dict[str, Any]] = {name: {"sum": {"field": name}} for name in _FIGURES}
_PAGE: Final = 5_000
_AT_ONCE: Final = 500


class BooksSide:
    """The balance sheet's part of `Reading` of the port."""

    _engine: Engine
    _head: HeadDocument
    _told = (0, 0)

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """See the port. Raises Unavailable."""
        head = self._head.read()
        self._see(head)
        return head.epoch, _applied(head)

    def counters(self) -> Iterable[tuple[CounterKey, Counts]]:
        """See the port. Raises Unavailable."""
        self._engine.refresh(ROWS)
        for key, counts in self._sums([], ["minute", "source", "epoch", "partition"], "asc"):
            minute, source, epoch, partition = key
            yield CounterKey(epoch, partition, source, minute), counts

    def books(self, since: int, until: int, *, count_events: bool = False) -> Books:
        """See the port. Raises Unavailable."""
        head = self._head.read()
        self._engine.refresh(f"{ROWS},{EVENTS}" if count_events else ROWS)
        of_head = _of_batches(head)
        within = {"range": {"minute": {"gte": since, "lt": until}}}
        rows = _minutes(self._sums([*of_head, within], ["minute", "source"], "desc"), MAX_ROWS + 1)
        totals = {source: list(counts) for source, counts in head.totals.items()}
        for entry in head.pending:
            for source, counts in entry.counts.items():
                totals[source] = [all - own for all, own in zip(totals[source], counts, strict=True)]
        self._see(head)
        return Books(
            head.epoch,
            _applied(head),
            {source: Counts(*counts) for source, counts in totals.items() if any(counts)},
            rows,
            self._wrong(of_head),
            self._events(head) if count_events else None,
        )

    def written_at(self, position: Position) -> int | None:
        """See the port. Raises Unavailable."""
        query = [
            {"term": {"table": made.WRITES}},
            {"term": {"epoch": position.epoch}},
            {"term": {"partition": position.partition}},
            {"range": {"next": {"gt": position.offset}}},
        ]
        hits = self._engine.hits(ROWS, {"query": {"bool": {"filter": query}}, "sort": ["next"], "size": 1})
        row = hits[0]["_source"] if hits else None
        return row["at_ms"] if row is not None and row["first"] <= position.offset else None

    def _see(self, head: Head) -> None:
        """Whoever is told how far all is stored finds it from now on, also in searches."""
        told = head.number, len(head.pending)
        if told != self._told:
            self._told = told
            self._engine.note_written((PROFILES, SESSIONS, EVENTS, LETTERS, ROWS))

    def _wrong(self, of_head: list[dict[str, Any]]) -> list[CountedMinute]:
        """Only what some batch has left open can be off."""
        found: list[CountedMinute] = []
        left = self._sums([*of_head, {"term": {"off": True}}], ["minute", "source"], "desc")
        while some := {key for key, _ in islice(left, _AT_ONCE)}:
            minutes, sources = ({"terms": {name: sorted(values)}} for name, values in _columns(some))
            for (minute, source), counts in self._sums([*of_head, minutes, sources], ["minute", "source"], "desc"):
                if (minute, source) in some and counts.difference:
                    found.append(CountedMinute(minute, source, counts))
                    if len(found) > MAX_WRONG:
                        return found
        return found

    def _events(self, head: Head) -> int:
        """Those that are there, and those that were removed on purpose, which keep their running number."""
        pending = [{"range": {"seq": {"gte": one.seq, "lt": one.seq + one.size}}} for one in head.pending]
        query = {"bool": {"filter": [{"range": {"seq": {"lt": head.seq}}}], "must_not": pending}}
        return self._engine.count(EVENTS, query) + head.removed

    def _sums(
        self, query: list[dict[str, Any]], fields: list[str], order: str
    ) -> Iterator[tuple[tuple[Any, ...], Counts]]:
        """Counters that match, added up by these fields, in their order."""
        about: dict[str, Any] = {
            "size": _PAGE,
            "sources": [{name: {"terms": {"field": name, "order": order}}} for name in fields],
        }
        body = {
            "query": {"bool": {"filter": [{"term": {"table": made.COUNTERS}}, *query]}},
            "size": 0,
            "track_total_hits": False,
            "aggs": {"by": {"composite": about, "aggs": _SUMS}},
        }
        while True:
            found = self._engine.search(ROWS, body)["aggregations"]["by"]
            for bucket in found["buckets"]:
                sums = (round(bucket[name]["value"]) for name in _FIGURES)
                yield tuple(bucket["key"][name] for name in fields), Counts(*sums)
            if len(found["buckets"]) < _PAGE:
                return
            about["after"] = found["after_key"]


def _columns(keys: set[tuple[Any, ...]]) -> Iterator[tuple[str, set[Any]]]:
    yield "minute", {minute for minute, _ in keys}
    yield "source", {source for _, source in keys}


def _applied(head: Head) -> dict[int, int]:
    """How far each partition is stored, with all documents: not what is pending."""
    progress = head.offsets(head.epoch)
    for entry in head.pending:
        if entry.epoch == head.epoch:
            progress |= {partition: step.before for partition, step in entry.progress.items()}
    return progress


def _of_batches(head: Head) -> list[dict[str, Any]]:
    """A query for what batches of this head have added that are not pending."""
    numbers = [entry.number for entry in head.pending]
    query: list[dict[str, Any]] = [{"range": {"number": {"lte": head.number}}}]
    return [*query, {"bool": {"must_not": {"terms": {"number": numbers}}}}] if numbers else query


def _minutes(sums: Iterable[tuple[tuple[Any, ...], Counts]], most: int) -> list[CountedMinute]:
    found = []
    for (minute, source), counts in sums:
        found.append(CountedMinute(minute, source, counts))
        if len(found) == most:
            break
    return found
