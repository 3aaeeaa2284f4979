"""What SQLite has to ask Python: the SQL functions that compiled searches call."""

from __future__ import annotations

import sqlite3
from bisect import bisect_right
from functools import lru_cache

import msgspec

from hub.conditions.times import read_time
from hub.store.query.facets import hub_group, hub_keys
from hub.store.query.history import hub_history
from hub.store.query.sql import hub_holds, hub_matches


def add_functions(connection: sqlite3.Connection) -> None:
    """Make them known to a connection."""
    for function, arguments in ((hub_holds, 2), (hub_matches, 2), (hub_keys, 2), (hub_group, 2), (hub_bucket, 2)):
        connection.create_function(function.__name__, arguments, function, deterministic=True)
    connection.create_function("hub_history", 3, hub_history, deterministic=True)


def hub_bucket(text: str | None, edges: str) -> int | None:
    """
    SQL function: which interval a time is in, from 0; None for none.

    Args: text: of the document. edges: JSON list of milliseconds since 1970, rising; an interval ends where the next
        begins.
    """
    us = read_time(text) if isinstance(text, str) else None
    return None if us is None else bucket_of(us // 1_000, _edges(edges))


def bucket_of(time_ms: int, edges: list[int]) -> int | None:
    """The same of a time that is known."""
    place = bisect_right(edges, time_ms) - 1
    return place if 0 <= place < len(edges) - 1 else None


@lru_cache(maxsize=16)
def _edges(edges: str) -> list[int]:
    return msgspec.json.decode(edges, type=list[int])
