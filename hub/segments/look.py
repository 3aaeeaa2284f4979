"""One page of profiles: who has to be looked at again by its owner, and when time alone will change something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from hub.conditions.code import write_out
from hub.conditions.history import Series
from hub.conditions.moments import due_ms
from hub.pipeline.histories import lacking, types_of
from hub.segments.rules import Rules, filled_in
from hub.store.port import Segments

_NO_EVENTS: Final[Mapping[str, Any]] = {"count": 0}


class Look(NamedTuple):
    """
    What came of it.

    Attributes:
        asked: Who has to be looked at again, by id, and which segments.
        dues: Who else changes by time alone: id, and when (milliseconds since 1970).
        last: The last profile of the page; None: there was none.
        looked: How many there were.
        differed: How many were in other segments than the conditions say, with nothing under way that would mend it.
    """

    asked: dict[str, list[str]]
    dues: list[tuple[str, int]]
    last: str | None
    looked: int
    differed: int


def look(store: Segments, rules: Rules, after: str, until: str, *, most: int, now_us: int) -> Look:
    """
    Of the next `most` profiles behind `after` up to `until` ("": the last).

    A profile may lack a history that a new segment needs. If it has events that would be in it, its owner has to fill
    it; else it is empty, and that is known without asking.

    Raises: Unavailable.
    """
    found = store.differing(rules.rules, after, until, most, now_us)
    if found.last is None:
        return Look({}, [], None, 0, 0)
    asked = {id: list(segments) for id, segments in found.rows}
    differed = asked.keys() - found.overdue
    dues: list[tuple[str, int]] = []
    if rules.needs_documents:
        gaps: dict[str, tuple[dict[str, Any], list[Series]]] = {}
        for id, raw in _documents(store, after, found.last, most):
            document = msgspec.json.decode(raw)
            if missing := lacking(document, rules.series, now_us // 1_000):
                gaps[id] = document, missing
            elif id not in asked:
                dues += _due(rules, id, document, now_us)
        differed -= gaps.keys()
        dues += _fill(store, rules, gaps, asked, now_us)
    return Look(asked, dues, found.last, found.looked, len(differed))


def _documents(store: Segments, after: str, last: str, most: int) -> Iterator[tuple[str, bytes]]:
    """Those of the page, by id; also if others have come between them since."""
    while after < last:
        page = store.profiles_after(after, most)
        yield from (row for row in page if row[0] <= last)
        after = page[-1][0] if page else last


def _fill(
    store: Segments,
    rules: Rules,
    gaps: Mapping[str, tuple[dict[str, Any], Sequence[Series]]],
    asked: dict[str, list[str]],
    now_us: int,
) -> Iterable[tuple[str, int]]:
    """Those with gaps in their history. Args: asked: gets whoever else has to be looked at."""
    if not gaps:
        return
    eventful = store.with_events(list(gaps), types_of(rules.series.values()))
    met = {id: write_out(condition) for id, condition in rules.by_id.items()}
    for id, (document, missing) in gaps.items():
        keys = {one.key for one in missing}
        concerned = [segment for segment, needed in rules.keys.items() if needed & keys]
        if id in eventful:
            asked[id] = sorted({*asked.get(id, ()), *concerned})
            continue
        whole = filled_in(document, dict.fromkeys(keys, _NO_EVENTS))
        within = document["segments"]
        differs = [segment for segment in concerned if met[segment](whole, now_us) != (segment in within)]
        if differs or id in asked:
            asked[id] = sorted({*asked.get(id, ()), *differs})
        else:
            yield from _due(rules, id, whole, now_us)


def _due(rules: Rules, id: str, document: Mapping[str, Any], now_us: int) -> Iterable[tuple[str, int]]:
    moments = [moment for one in rules.moving if (moment := one(document, now_us)) is not None]
    if moments:
        yield id, due_ms(min(moments))
