"""The segments in force, compiled: which of them to look at when something about a profile has changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from hub.conditions.ast import And, Condition, History
from hub.conditions.code import Met, write_out, write_out_all
from hub.conditions.crossing import next_crossing
from hub.conditions.history import Series, series_of
from hub.conditions.walk import field_of, moves, places
from hub.pipeline.documents import new_profile
from hub.pipeline.draft import Draft
from hub.pipeline.histories import Noted, begin, noted_of

NextChange: TypeAlias = Callable[[Mapping[str, Any], int], "int | None"]

MAPPED: Final = frozenset({"traits", "data", "interests", "consents", "aux"})
"""Parts of a profile that only mappings change, each change by its path; the rest may change with any event."""
SETTLED: Final = frozenset({("id",), ("active",), ("ids",), ("metadata", "time", "insert")})
"""What no event changes: they begin with the profile, or change as it becomes one with another."""


MOST_KEPT: Final = 1_000
"""Answers that are kept, as the same events change the same fields."""
OFTEN: Final = 100
"""So often the same are looked at before they become one function: that takes as long as some hundred looks."""
MOST_TOGETHER: Final = 200


class Spec(NamedTuple):
    """
    A segment as it is defined. `version`: the offset of its definition. `condition`: on profiles, without prefixes;
    None: its members come and go by lists and flows.
    """

    id: str
    name: str
    version: int
    condition: Condition | None
    enabled: bool = True


class Segment(msgspec.Struct, frozen=True):
    """
    One segment.

    Attributes:
        condition: None: there is none, or it is not in force.
        met: Whether a profile meets it.
        next_change: When time alone may change that; None: time never does.
        keys: Of the histories that it needs (`hub.conditions.history`).
        is_frozen: Whether nobody enters or leaves, as it is switched off.
    """

    id: str
    name: str
    version: int
    condition: Condition | None = None
    met: Met | None = None
    next_change: NextChange | None = None
    keys: frozenset[str] = frozenset()
    is_frozen: bool = False


class Some:
    """
    Segments that are looked at together, by id.

    Attributes:
        keys: Of all histories that they need.
        timed: Those of them that time alone may change.
        looked: JSON: by id, the version of the definition.
    """

    def __init__(self, segments: Iterable[Segment]) -> None:
        """Args: segments: with a condition."""
        self.segments = tuple(segments)
        self.keys = frozenset(key for one in self.segments for key in one.keys)
        self.timed = tuple(one for one in self.segments if one.next_change is not None)
        self.looked = msgspec.json.encode({one.id: one.version for one in self.segments})
        self._asked = 0
        self._together: Callable[[Mapping[str, Any], int], Sequence[bool]] | None = None

    def met(self, document: Mapping[str, Any], now_us: int) -> Sequence[bool]:
        """Whether a profile meets each of the conditions."""
        if self._together is None:
            self._asked += 1
            if self._asked < OFTEN or len(self.segments) > MOST_TOGETHER:
                return [one.met is not None and one.met(document, now_us) for one in self.segments]
            self._together = write_out_all(one.condition for one in self.segments if one.condition is not None)
        return self._together(document, now_us)

    def due_us(self, document: Mapping[str, Any], now_us: int) -> int | None:
        """The earliest moment at which time alone may change one of these for a profile; None: never."""
        due = None
        for one in self.timed:
            moment = None if one.next_change is None else one.next_change(document, now_us)
            if moment is not None and (due is None or moment < due):
                due = moment
        return due


class Segments:
    """
    Compiled once per change.

    Attributes:
        every: By id.
        judged: Those with a condition that are in force, by id.
        newest: The highest version; -1 for none.
        series: The histories that they need, by key.
        noted: By event type, the histories that its events go into.
        timed: Ids of those that time alone may change.
    """

    def __init__(self, specs: Iterable[Spec] = ()) -> None:
        specs = sorted(specs, key=lambda spec: spec.id)
        conditions = {spec.id: spec.condition for spec in specs if spec.condition is not None and spec.enabled}
        self.series: Mapping[str, Series] = series_of(conditions.values())
        self.noted: Mapping[str, Collection[Noted]] = noted_of(self.series.values())
        self.every: Mapping[str, Segment] = {spec.id: self._compiled(spec) for spec in specs}
        self.judged: Mapping[str, Segment] = {id: one for id, one in self.every.items() if one.met is not None}
        self.newest = max((spec.version for spec in specs), default=-1)
        self.timed = frozenset(id for id, one in self.judged.items() if one.next_change is not None)
        self._concerned: dict[tuple[frozenset[str], frozenset[str], bool], frozenset[str]] = {}
        self._some: dict[frozenset[str], Some] = {}
        self._by_key: defaultdict[str, list[Segment]] = defaultdict(list)
        self._by_path: defaultdict[str, list[Segment]] = defaultdict(list)
        self._below: defaultdict[str, list[Segment]] = defaultdict(list)
        self._always: list[Segment] = []
        self._settled: list[Segment] = []
        for id, one in self.judged.items():
            self._index(one, conditions[id])
        self._born = tuple(self._of_newcomers())

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.every)

    def concerned(self, changed: Iterable[str], keys: Iterable[str], *, is_new: bool) -> frozenset[str]:
        """
        Ids of those that may have another verdict now.

        Args:
            changed: Dotted paths of fields that have changed, as `Change.field`.
            keys: Of histories that have changed.
            is_new: Whether the profile begins: then also those that are met by one of which nothing is known.
        """
        asked = frozenset(changed), frozenset(keys), is_new
        found = self._concerned.get(asked)
        if found is None:
            if len(self._concerned) >= MOST_KEPT:
                self._concerned.clear()
            found = self._concerned[asked] = frozenset(one.id for one in self._find(*asked))
        return found

    def _find(self, changed: Iterable[str], keys: Iterable[str], is_new: bool) -> Iterator[Segment]:
        yield from self._always
        if is_new:
            yield from self._born
        for key in keys:
            yield from self._by_key.get(key, ())
        for path in changed:
            yield from self._reading(path)

    def since(self, version: int) -> frozenset[str]:
        """Ids of those with a condition whose definition is newer. Args: version: -1 for all."""
        return frozenset(one.id for one in self.judged.values() if one.version > version)

    def some(self, ids: frozenset[str]) -> Some:
        """Of these, which have a condition."""
        found = self._some.get(ids)
        if found is None:
            if len(self._some) >= MOST_KEPT:
                self._some.clear()
            found = self._some[ids] = Some(self.judged[id] for id in sorted(ids))
        return found

    def _compiled(self, spec: Spec) -> Segment:
        if not spec.enabled or spec.condition is None:
            return Segment(spec.id, spec.name, spec.version, is_frozen=not spec.enabled)
        condition = _single(spec.condition)
        return Segment(
            spec.id,
            spec.name,
            spec.version,
            condition,
            write_out(condition),
            next_crossing(condition) if moves(condition) else None,
            frozenset(series_of([condition])),
        )

    def _index(self, one: Segment, condition: Condition) -> None:
        for key in one.keys:
            self._by_key[key].append(one)
        for place in places(condition):
            if isinstance(place, History):
                continue  # known by its key
            path = field_of(place).path
            if path[0] not in MAPPED:
                some = self._settled if path in SETTLED else self._always
                if one not in some:
                    some.append(one)
                continue
            self._by_path[".".join(path)].append(one)
            for end in range(1, len(path)):
                self._below[".".join(path[:end])].append(one)

    def _reading(self, path: str) -> Iterator[Segment]:
        """Those that read this place of a profile, one above it or one below it."""
        yield from self._below.get(path, ())
        while path:
            yield from self._by_path.get(path, ())
            path = path.rpartition(".")[0]

    def _of_newcomers(self) -> Iterator[Segment]:
        """
        Those that a profile of which nothing else is known is in, or may be in at some time.

        The others need not be looked at for a new profile, unless something that they read has come with it.
        """
        yield from self._settled
        nobody = Draft(new_profile("", "1970-01-01T00:00:00.000Z"))
        begin(nobody, self.series)
        for one in self.judged.values():
            if one.met is None or one in self._settled:
                continue
            if one.met(nobody.doc, 0) or (one.next_change is not None and one.next_change(nobody.doc, 0) is not None):
                yield one


def _single(condition: Condition) -> Condition:
    """Without what is around a single part."""
    while isinstance(condition, And) and len(condition.parts) == 1:
        (condition,) = condition.parts
    return condition


NO_SEGMENTS: Final = Segments()
