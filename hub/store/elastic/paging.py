"""All that a search finds, page by page, whatever is written meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from hub.store.elastic.client import Engine

PAGE: Final = 1_000
Query = dict[str, Any]


def term(field: str, value: Any) -> Query:
    """This value; of a list one of these."""
    return {"terms": {field: value}} if isinstance(value, list) else {"term": {field: value}}


def every(
    engine: Engine,
    index: str,
    query: Sequence[Query],
    sort: Sequence[Any] = ("seq",),
    source: Sequence[str] | None = None,
    *,
    size: int = PAGE,
    after: Sequence[Any] | None = None,
) -> Iterator[dict[str, Any]]:
    """
    The hits, in this order, in which no two are alike.

    Args: query: all of these hold. source: fields of each; None: all of them. after: `sort` of a hit; behind it.

    Raises: Unavailable.
    """
    body: dict[str, Any] = {
        "query": {"bool": {"filter": list(query)}},
        "sort": list(sort),
        "size": size,
        "seq_no_primary_term": True,
    }
    if source is not None:
        body["_source"] = list(source)
    if after is not None:
        body["search_after"] = list(after)
    while True:
        hits = engine.hits(index, body)
        yield from hits
        if len(hits) < size:
            return
        body["search_after"] = hits[-1]["sort"]


def first(hits: Iterator[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    """The first of these. Args: most: also the `size` of their pages."""
    return [hit for hit, _ in zip(hits, range(most), strict=False)]


def sources(hits: Iterator[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """What is in them."""
    return (hit["_source"] for hit in hits)
