"""A search of documents of one kind: what the engine is asked for, and Python of what that is not certain of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hub.conditions.ast import Condition
from hub.conditions.python import Matcher, compile_python
from hub.model import OLDEST_MS, OUTLIERS, month_of
from hub.store.elastic.client import Engine
from hub.store.elastic.dsl import compile_dsl
from hub.store.elastic.indices import ALIVE, LETTERS, PROFILES, SESSIONS, events_index, partition_of_index
from hub.store.elastic.paging import Query
from hub.store.port import Kind, Span
from hub.store.query import of_people

TIMES: Final[dict[Kind, str]] = {
    "events": "time_ms",
    "dead-letters": "at_ms",
    "profiles": "began_ms",
    "sessions": "began_ms",
}
"""The column with the time of a histogram."""
INDICES: Final[dict[Kind, str]] = {"profiles": PROFILES, "sessions": SESSIONS, "dead-letters": LETTERS}
_ORDERS: Final[dict[Kind, list[str]]] = {
    "events": ["time_ms", "seq"],
    "dead-letters": ["at_ms", "seq"],
    "profiles": ["seq"],
    "sessions": ["seq"],
}
_OUTLIERS: Final = events_index(OUTLIERS)
_SURE: Final = "sure"
_MONTHS: Final = 50
"""Of one search: their names are in its URL."""
_PAGE: Final = 1_000
_FIRST: Final = 100
_MOST_IDS: Final = 5_000


class Match(NamedTuple):
    """A document that was found: decoded, its fields in the index, and where it is in the order of a search."""

    document: dict[str, Any]
    fields: Mapping[str, Any]
    partition: str  # of events; else ""
    place: list[int]


class Asked:
    """What is searched for. All that reads raises Unavailable."""

    def __init__(
        self,
        engine: Engine,
        kind: Kind,
        condition: Condition,
        ids: Callable[[str], Sequence[str]],
        *,
        months: Sequence[str] = (),
        span: Span | None = None,
        more: Sequence[Query] = (),
        order: Sequence[str] = (),
    ) -> None:
        """
        Args:
            condition: as `prepare` gives it. ids: of a person, as `of_people` takes them.
            months: time partitions that there are. span: only what is of this time. more: what else holds.
            order: fields, highest first; empty: that of a search.
        """
        condition = of_people(condition, ids)
        self._engine = engine
        self.kind = kind
        self._search = compile_dsl(condition, kind)
        self._matches: Matcher = compile_python(condition)
        self._months = sorted((one for one in months if one != OUTLIERS and _touches(one, span)), reverse=True)
        self._outliers = OUTLIERS in months
        within = {"range": {TIMES[kind]: {"gte": span.since_ms, "lt": span.until_ms}}} if span is not None else None
        self._order = list(order) or _ORDERS[kind]
        self._filters: list[Query] = [ALIVE, *more, *([within] if within is not None else [])]

    def indices(self) -> list[str]:
        """In the order of a search, each of those to be asked at once."""
        if self.kind != "events":
            return [INDICES[self.kind]]
        some = [self._months[begin : begin + _MONTHS] for begin in range(0, len(self._months), _MONTHS)]
        names = [",".join(map(events_index, months)) for months in some]
        return [*names, *([_OUTLIERS] if self._outliers else [])]

    def count(self) -> int:
        """How many match."""
        found = 0
        for index in self.indices():
            found += self._engine.count(index, self._all_of(self._search.sure))
            found += sum(1 for _ in self._unsure(index))
        return found

    def every(self, fields: Sequence[str] = ("doc",)) -> Iterator[Match]:
        """All that match, in no order."""
        for index in self.indices():
            yield from self._pages(index, self._body([self._maybe()], fields))

    def newest(
        self, most: int, after: tuple[str, list[int]] | None = None, fields: Sequence[str] = ("doc",)
    ) -> list[Match]:
        """The first `most` in the order of a search. Args: after: partition and place of one; behind it."""
        return self._first(most, self.indices(), after, fields, "desc")

    def oldest(
        self, most: int, after: tuple[str, list[int]] | None = None, fields: Sequence[str] = ("doc",)
    ) -> list[Match]:
        """The same in the reverse order."""
        return self._first(most, self.indices()[::-1], after, fields, "asc")

    def ids(self, most: int) -> list[str]:
        """The first `most` ids, in their order; of one kind that lies in one index."""
        (index,), after, found = self.indices(), None, list[str]()
        while len(found) < most:
            size = min(most - len(found), _MOST_IDS) if self._search.is_exact else _PAGE
            body = self._body([self._maybe()], ["id"]) | {"size": size, "_source": ["id"], "sort": [{"id": "asc"}]}
            hits = self._engine.hits(index, body if after is None else body | {"search_after": after})
            sure = [_SURE in hit.get("matched_queries", ()) for hit in hits]
            ids = [hit["_source"]["id"] for hit in hits]
            unsure = [id for id, is_sure in zip(ids, sure, strict=True) if not is_sure]
            rows = self._engine.many(index, unsure, ["doc"]) if unsure else {}
            more = {
                id
                for id, row in rows.items()
                if "doc" in row.source and self._matches(msgspec.json.decode(row.source["doc"]))
            }
            found += [id for id, is_sure in zip(ids, sure, strict=True) if is_sure or id in more]
            if len(hits) < size:
                break
            after = hits[-1]["sort"]
        return found[:most]

    def aggregated(self, index: str, aggregations: Mapping[str, Any]) -> dict[str, Any]:
        """What is said of those that surely match. Others: `unsure`."""
        body = {"query": self._all_of(self._search.sure), "size": 0, "track_total_hits": False, "aggs": aggregations}
        found: dict[str, Any] = self._engine.search(index, body).get("aggregations", {})  # no index: none
        return found

    def unsure(self, fields: Sequence[str] = ("doc",)) -> Iterator[Match]:
        """Those that match, of which the engine is not certain."""
        for index in self.indices():
            yield from self._unsure(index, fields)

    def _first(
        self, most: int, names: list[str], after: tuple[str, list[int]] | None, fields: Sequence[str], way: str
    ) -> list[Match]:
        found: list[Match] = []
        partition, place = after or (None, None)
        for name in names:
            # events whose time is out of range are before all others
            is_other = partition is not None and (name == _OUTLIERS) is not (partition == OUTLIERS)
            if is_other and (name == _OUTLIERS) is (way == "asc"):
                continue
            behind = None if is_other else place
            # more than are wanted, where it is not certain that they match
            size = min(most - len(found), _PAGE) if self._search.is_exact else max(_FIRST, min(most, _PAGE))
            body = self._body([self._maybe()], fields, way) | {"size": size}
            if behind is not None:
                body["search_after"] = behind
            for match in self._pages(name, body):
                found.append(match)
                if len(found) == most:
                    return found
        return found

    def _unsure(self, index: str, fields: Sequence[str] = ("doc",)) -> Iterator[Match]:
        if self._search.sure == self._search.maybe:
            return
        query = [self._search.maybe, {"bool": {"must_not": [self._search.sure]}}]
        yield from self._pages(index, self._body(query, fields))

    def _pages(self, index: str, body: dict[str, Any]) -> Iterator[Match]:
        while True:
            hits = self._engine.hits(index, body)
            for hit in hits:
                document = msgspec.json.decode(hit["_source"]["doc"])
                if _SURE in hit.get("matched_queries", ()) or self._matches(document):
                    partition = partition_of_index(hit["_index"]) if self.kind == "events" else ""
                    yield Match(document, hit["_source"], partition, hit["sort"])
            if len(hits) < body["size"]:
                return
            body |= {"search_after": hits[-1]["sort"], "size": _PAGE}

    def _body(self, query: list[Query], fields: Sequence[str], way: str = "asc") -> dict[str, Any]:
        return {
            "query": self._all_of(*query),
            "sort": [{name: way} for name in self._order],
            "size": _PAGE,
            "_source": ["doc", *(name for name in fields if name != "doc")],
        }

    def _maybe(self) -> Query:
        sure = {"bool": {"filter": [self._search.sure], "_name": _SURE}}
        return {"bool": {"must": [{"bool": {"filter": [self._search.maybe]}}], "should": [sure]}}

    def _all_of(self, *queries: Query) -> Query:
        return {"bool": {"filter": [*self._filters, *queries]}}


def _touches(month: str, span: Span | None) -> bool:
    """Whether a month may have something of this time."""
    if span is None:
        return True
    first, last = (month_of(max(time_ms, OLDEST_MS)) for time_ms in span)
    return first <= month <= last
