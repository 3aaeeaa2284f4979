"""Histories that a condition asks for, and profiles do not keep."""

from __future__ import annotations

from collections.abc import Iterable

from hub.conditions.ast import History
from hub.conditions.errors import QueryError
from hub.conditions.grammar import parse
from hub.conditions.history import Series, longest_ms, series_of
from hub.conditions.keys import key_of
from hub.conditions.walk import histories
from hub.conditions.written import written_place


def unkept(text: str, segments: Iterable[str]) -> list[str]:
    """
    A warning for each history that no segment asks for: it is unknown, so that a condition on it is hardly ever true.

    Args:
        text: A condition that is no segment's. One that cannot be read has none.
        segments: The conditions of all segments.
    """
    asked = _histories(text)
    if not asked:
        return []
    kept = series_of([parse(one) for one in segments if _histories(one)])
    return [
        f"profiles do not keep {written_place(history)}, as no segment asks for it: it is unknown until one does"
        for history in asked
        if not _is_kept(history, kept.get(key_of(history)))
    ]


def _histories(text: str) -> list[History]:
    try:
        return list(histories(parse(text)))
    except QueryError:
        return []


def _is_kept(history: History, series: Series | None) -> bool:
    if series is None or history.window is None:
        return series is not None
    return series.keep_ms is not None and series.keep_ms >= longest_ms(history.window)
