"""Segments as set queries look at them: conditions, and what has to be read of a profile beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, cast

from hub.conditions.ast import Condition, Or
from hub.conditions.crossing import next_crossing
from hub.conditions.errors import QueryError
from hub.conditions.history import Series, series_of
from hub.conditions.moments import Moments
from hub.conditions.walk import moves
from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Segment
from hub.store.port import Rule
from hub.store.query.segment import segment_condition
from schemas.segments import SegmentRule

NOBODY = Or(())


class Rules(NamedTuple):
    """
    Compiled once a run.

    Attributes:
        rules: For the store.
        by_id: The conditions.
        moving: When time alone may change one of them.
        series: The histories that they need, by key.
        keys: By segment, which.
    """

    rules: tuple[Rule, ...]
    by_id: Mapping[str, Condition]
    moving: tuple[Moments, ...]
    series: Mapping[str, Series]
    keys: Mapping[str, frozenset[str]]

    @property
    def needs_documents(self) -> bool:
        """Whether a set query alone does not do."""
        return bool(self.moving or self.series)


def rules_of(segments: Iterable[SegmentRule]) -> Rules:
    """Raises QueryError: a condition that this version of the hub cannot read."""
    by_id = {one.id: NOBODY if one.condition is None else segment_condition(one.condition) for one in segments}
    return Rules(
        tuple(Rule(id, condition) for id, condition in by_id.items()),
        by_id,
        tuple(next_crossing(condition) for condition in by_id.values() if moves(condition)),
        series_of(by_id.values()),
        {id: frozenset(series_of([condition])) for id, condition in by_id.items()},
    )


class Defined(NamedTuple):
    """Segments with a condition that are in force, by id. `timed`: of these, those that time alone may change."""

    rules: Mapping[str, SegmentRule]
    timed: list[str]


def defined(entries: Mapping[str, Entry]) -> Defined:
    """One whose condition cannot be read by this version is left out: its collectors say so. Args: of the catalogue."""
    rules, timed = {}, []
    for id, entry in entries.items():
        spec = cast("Segment", entry.spec)
        if not spec.enabled or not spec.condition:
            continue
        try:
            condition = segment_condition(spec.condition)
        except QueryError:
            continue
        rules[id] = SegmentRule(id, entry.version, spec.condition)
        if moves(condition):
            timed.append(id)
    return Defined(rules, timed)


def filled_in(document: dict[str, Any], states: Mapping[str, Any]) -> dict[str, Any]:
    """A profile's document with other histories, by key; the one that was given stays as it is."""
    metadata = document["metadata"]
    return {**document, "metadata": {**metadata, "history": {**metadata.get("history", {}), **states}}}
