"""Histograms and the values of a field: counted by the engine where it has a column, else document by document."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Final

from hub.conditions.ast import Field
from hub.store.elastic.asked import TIMES, Asked
from hub.store.port import CountedValue, Histogram, Kind
from hub.store.query.facets import NOTHING, group_of, key_of, keys_of, make_histogram, most_frequent, value_of

_COLUMNS: Final[dict[Kind, dict[tuple[str, ...], str]]] = {
    "events": {
        ("type",): "type",
        ("source", "id"): "source",
        ("profile", "id"): "profile_id",
        ("session", "id"): "session_id",
    },
    "sessions": {("profile", "id"): "profile_id"},
    "dead-letters": {("source",): "source", ("reason",): "reason", ("status",): "status"},
    "profiles": {},
}
"""Fields that hold nothing but text and have a column, '' where there is nothing."""
_MOST: Final = 10_000
_OTHER: Final = "\0"


def histogram(asked: Asked, edges: Sequence[int], field: Field | None, groups: int) -> Histogram:
    """See the port. Args: asked: of the time between the edges. Raises Unavailable."""
    rows: Counter[tuple[int, str]] = Counter()
    told_apart: list[str] = []
    column = None if field is None else _COLUMNS[asked.kind].get(field.path)
    totals = None if field is None or column is None else _counted(asked, field, column)
    if field is None or totals is not None:
        told_apart = most_frequent(totals, groups) if totals is not None else []
        _add_sure(asked, edges, column, told_apart, rows)
    matches = asked.every if field is not None and totals is None else asked.unsure
    for one in matches((TIMES[asked.kind],)):
        place = bisect_right(edges, one.fields[TIMES[asked.kind]]) - 1
        rows[place, NOTHING if field is None else group_of(one.document, field)] += 1
    if field is not None and totals is None:
        found: Counter[str] = Counter()
        for (_, key), count in rows.items():
            found[key] += count
        told_apart = most_frequent(found, groups)
    return make_histogram(((*key, count) for key, count in rows.items()), len(edges) - 1, told_apart)


def values(asked: Asked, field: Field, prefix: str, most: int) -> list[CountedValue]:
    """See the port. Raises Unavailable."""
    column = _COLUMNS[asked.kind].get(field.path)
    found = None if column is None else _counted(asked, field, column)
    if found is None:
        found = Counter(key for one in asked.every() for key in keys_of(one.document, field))
    found.pop(NOTHING, None)
    fitting = Counter({key: count for key, count in found.items() if key[1:].startswith(prefix)})
    return [CountedValue(value_of(key), fitting[key]) for key in most_frequent(fitting, most)]


def _counted(asked: Asked, field: Field, column: str) -> Counter[str] | None:
    """How many of those that match have each text; None: there are more texts than an engine counts at once."""
    found: Counter[str] = Counter()
    about = {"by": {"terms": {"field": column, "size": _MOST}}}
    for index in asked.indices():
        by = asked.aggregated(index, about).get("by", {})
        if by.get("sum_other_doc_count", 0):
            return None
        for bucket in by.get("buckets", ()):
            found[_key(bucket["key"])] += bucket["doc_count"]
    for one in asked.unsure():
        found[group_of(one.document, field)] += 1
    return found


def _add_sure(
    asked: Asked, edges: Sequence[int], column: str | None, told_apart: Sequence[str], rows: Counter[tuple[int, str]]
) -> None:
    """Those of which the engine is certain, by interval, and those of each group that is told apart."""
    ranges = [{"from": begin, "to": end} for begin, end in pairwise(edges)]
    by: dict[str, Any] = {"range": {"field": TIMES[asked.kind], "ranges": ranges}}
    if column is not None and told_apart:
        texts = [value_of(key) or "" for key in told_apart]
        by["aggs"] = {"group": {"terms": {"field": column, "size": len(texts), "include": texts}}}
    for index in asked.indices():
        for place, bucket in enumerate(asked.aggregated(index, {"by": by}).get("by", {}).get("buckets", ())):
            left = bucket["doc_count"]
            for group in bucket.get("group", {}).get("buckets", ()):
                rows[place, _key(group["key"])] += group["doc_count"]
                left -= group["doc_count"]
            rows[place, NOTHING if column is None else _OTHER] += left


def _key(text: str) -> str:
    return key_of(text) if text else NOTHING
