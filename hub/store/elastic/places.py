"""What a condition looks at in a place: the value itself, its text in other letters, the time that it is."""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from hub.conditions.ast import Dated, Field, Folded, Shift
from hub.conditions.times import FIXED_US
from hub.store.elastic import bounds, ranges, tokens
from hub.store.elastic.bounds import Bounds, among, any_met, exactly, of_kind, unmet
from hub.store.elastic.ranges import NONE, VAGUE, Values
from hub.store.elastic.tokens import (
    AS_FLAG,
    AS_NUMBER,
    AS_SMALL,
    AS_TEXT,
    AS_TIME,
    FLAG,
    LIST,
    LISTS,
    NO_LIST,
    NO_OBJECT,
    NULL,
    NUMBER,
    OBJECT,
    SINGLE,
    TEXT,
    TEXTS,
    THERE,
    TIME,
)
from hub.store.elastic.verdicts import FALSE, Says, Verdicts

Paths: TypeAlias = tuple[str, ...]
"""Where a field may be, as tokens write it: a key of digits is a place as well, where there is a list."""

_ODD: Final = (NUMBER, FLAG, OBJECT, NO_OBJECT)
_FIRST_US: Final = -62_135_596_800_000_000
_LAST_US: Final = 253_402_300_799_999_999
_MONTH_US: Final = 31 * 86_400_000_000
_MONTHS: Final = {"month": 1, "year": 12}


class _Part(NamedTuple):
    """Values of one kind, and what is said of them."""

    kind: str
    form: str
    says: Says


class View:
    """A field, and what it has, by kind. `shift_us`: its times are so much later."""

    shift_us = 0

    def alone(self, paths: Paths) -> Bounds:
        """There is a value that is no list."""
        return exactly(of_kind(paths, SINGLE))

    def null(self, paths: Paths) -> Bounds:
        """There is nothing."""
        return exactly(bounds.none_of(of_kind(paths, THERE)))

    def empty(self, paths: Paths) -> Bounds:
        """There is nothing, or there is nothing in it."""
        return any_met([self.null(paths), self._hollow(paths)])

    def holding(self, paths: Paths, said: Verdicts) -> Bounds:
        """There is a value of which it is true."""
        return any_met(self._among(paths, part, part.says.holds) for part in self._parts(said))

    def not_failing(self, paths: Paths, said: Verdicts) -> Bounds:
        """One of which it is true or unknown."""
        found = [self._among(paths, part, part.says.may) for part in self._parts(said)]
        unknown = self._rest(said)[1]
        return any_met([*found, exactly(of_kind(paths, (*unknown, *(LISTS if OBJECT in unknown else ()), NULL)))])

    def failing(self, paths: Paths, said: Verdicts) -> Bounds:
        """One that is no list, of which it is false."""
        found = [self._among(paths, part, ranges.others(part.says.may)) for part in self._parts(said)]
        return any_met([*found, exactly(of_kind(paths, self._rest(said)[0]))])

    def not_holding(self, paths: Paths, said: Verdicts) -> Bounds:
        """One that is no list, of which it is false or unknown; null is one."""
        found = [self._among(paths, part, ranges.others(part.says.holds)) for part in self._parts(said)]
        false, unknown = self._rest(said)
        return any_met([*found, exactly(of_kind(paths, (*false, *unknown, NULL)))])

    def null_item(self, items: Paths) -> Bounds:
        """There is an item that is null."""
        return exactly(of_kind(items, (NULL,)))

    def empty_item(self, items: Paths) -> Bounds:
        """One that is null, or has nothing in it."""
        return any_met([self.null_item(items), self._hollow(items)])

    def item(self, items: Paths) -> Bounds:
        """One that is not null."""
        return exactly(of_kind(items, THERE))

    def full_item(self, items: Paths) -> Bounds:
        """One that is not null, and has something in it."""
        return any_met([exactly(of_kind(items, (TIME, NUMBER, FLAG, OBJECT, LIST))), self._words(items)])

    def _parts(self, said: Verdicts) -> list[_Part]:
        return [
            _Part(TEXT, AS_TEXT, said.text),
            _Part(TIME, AS_TIME, said.time),
            _Part(NUMBER, AS_NUMBER, said.number),
            _Part(FLAG, AS_FLAG, said.flag),
        ]

    def _rest(self, said: Verdicts) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Kinds of which it is always false, those of which it is always unknown; lists left out."""
        objects = (OBJECT, NO_OBJECT)
        return (objects, ()) if said.other == FALSE else ((), objects)

    def _among(self, paths: Paths, part: _Part, values: Values) -> Bounds:
        return among(paths, part.kind, values.form or part.form, values)

    def _hollow(self, paths: Paths) -> Bounds:
        return any_met([self._no_text(paths), exactly(of_kind(paths, (NO_OBJECT, NO_LIST)))])

    def _no_text(self, paths: Paths) -> Bounds:
        return among(paths, TEXT, AS_TEXT, ranges.point(""))

    def _words(self, paths: Paths) -> Bounds:
        return among(paths, TEXT, AS_TEXT, ranges.ordered(">", ""))


class IdView(View):
    """One that holds nothing but text: an empty one is null, and so is what is no text."""

    def alone(self, paths: Paths) -> Bounds:
        return any_met([exactly(of_kind(paths, (TIME,))), self._words(paths)])

    def null(self, paths: Paths) -> Bounds:
        return unmet(self.alone(paths))

    def empty(self, paths: Paths) -> Bounds:
        return self.null(paths)

    def holding(self, paths: Paths, said: Verdicts) -> Bounds:
        found = [self._among(paths, part, part.says.holds) for part in self._parts(said)[:2]]
        return bounds.all_met([any_met(found), unmet(self._no_text(paths))])


class FoldedView(View):
    """Its text in small letters, or in capitals; what is no text is null."""

    def __init__(self, *, upper: bool) -> None:
        self._upper = upper

    def alone(self, paths: Paths) -> Bounds:
        return exactly(of_kind(paths, TEXTS))

    def null(self, paths: Paths) -> Bounds:
        return exactly(bounds.none_of(of_kind(paths, (*TEXTS, *LISTS))))

    def null_item(self, items: Paths) -> Bounds:
        return exactly(of_kind(items, (NULL, *_ODD)))

    def item(self, items: Paths) -> Bounds:
        return exactly(of_kind(items, (*TEXTS, *LISTS)))

    def full_item(self, items: Paths) -> Bounds:
        return any_met([exactly(of_kind(items, (TIME, LIST))), self._words(items)])

    def _parts(self, said: Verdicts) -> list[_Part]:
        return [_Part(TEXT, AS_TEXT, said.text), _Part(TIME, AS_TIME, said.time)]

    def _rest(self, _: Verdicts) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (), _ODD

    def _hollow(self, paths: Paths) -> Bounds:
        return any_met([self._no_text(paths), exactly(of_kind(paths, (NO_LIST,)))])

    def _among(self, paths: Paths, part: _Part, values: Values) -> Bounds:
        if values.is_none or values.is_all or (part.kind == TIME and values.form == AS_TIME):
            return super()._among(paths, part, values)
        if part.kind == TIME and _is_small(values) and not _has_letters(values):
            return super()._among(paths, part, values)
        if self._upper or part.kind == TIME or values.is_vague:
            return among(paths, part.kind, part.form, VAGUE)
        changed = among(paths, TEXT, AS_SMALL, values)
        # tokens have small letters only where they are another text
        found = any_met([changed, among(paths, TEXT, AS_TEXT, values)])
        return found if _is_small(values) else Bounds(changed.sure, found.maybe, is_exact=False)


class DatedView(View):
    """The time that its text is, moved by these; what is no time is null, and so is one moved out of the calendar."""

    def __init__(self, shifts: tuple[Shift, ...]) -> None:
        self._is_fixed = all(shift.unit in FIXED_US for shift in shifts)
        self.shift_us = sum(shift.amount * FIXED_US[shift.unit] for shift in shifts) if self._is_fixed else 0
        moved, least, most = 0, 0, 0
        for shift in shifts:
            unit = FIXED_US.get(shift.unit) or _MONTHS[shift.unit] * _MONTH_US
            moved += shift.amount * unit if self._is_fixed else -abs(shift.amount) * unit
            least, most = min(least, moved), max(most, moved, 0 if self._is_fixed else -moved)
        low, high = (tokens.instant(us) for us in (_FIRST_US - least, _LAST_US - most))
        self._within = ranges.both(ranges.ordered(">=", low, AS_TIME), ranges.ordered("<=", high, AS_TIME))

    def alone(self, paths: Paths) -> Bounds:
        return exactly(of_kind(paths, (TIME,)))

    def null(self, paths: Paths) -> Bounds:
        return unmet(any_met([self._moved(paths), exactly(of_kind(paths, LISTS))]))

    def null_item(self, items: Paths) -> Bounds:
        outside = among(items, TIME, AS_TIME, ranges.others(self._within))
        if not self._is_fixed:
            outside = Bounds(bounds.NOTHING, outside.maybe)
        return any_met([exactly(of_kind(items, (NULL, TEXT, *_ODD))), outside])

    def item(self, items: Paths) -> Bounds:
        return any_met([self._moved(items), exactly(of_kind(items, LISTS))])

    def full_item(self, items: Paths) -> Bounds:
        return any_met([self._moved(items), exactly(of_kind(items, (LIST,)))])

    def _moved(self, paths: Paths) -> Bounds:
        """There is a time that can be moved so."""
        found = among(paths, TIME, AS_TIME, self._within)
        return found if self._is_fixed else Bounds(found.sure, of_kind(paths, (TIME,)))

    def _parts(self, said: Verdicts) -> list[_Part]:
        if not self._is_fixed:
            return [_Part(TIME, AS_TIME, Says(NONE if said.at.holds.is_none else VAGUE, VAGUE))]
        holds = ranges.both(said.at.holds, self._within)
        return [_Part(TIME, AS_TIME, Says(holds, ranges.either(said.at.may, ranges.others(self._within))))]

    def _rest(self, _: Verdicts) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return (), (TEXT, *_ODD)

    def _hollow(self, paths: Paths) -> Bounds:
        return exactly(of_kind(paths, (NO_LIST,)))


def view_of(place: Field | Folded | Dated) -> View:
    """How a place is looked at."""
    if isinstance(place, Folded):
        return FoldedView(upper=place.upper)
    if isinstance(place, Dated):
        return DatedView(place.shifts)
    return IdView() if place.is_text else View()


def _is_small(values: Values) -> bool:
    """Whether a text that is one of these, still is when its letters are small."""
    starts = [low for low, high in values.ranges if high == ranges.after(low) or _is_beginning(low, high)]
    parts = [part for pattern in values.patterns for part in pattern]
    return len(starts) == len(values.ranges) and all(text == text.lower() for text in (*starts, *parts))


def _has_letters(values: Values) -> bool:
    """Whether a text that is a time may be one of these or not by its letters, large or small."""
    texts = [*(low for low, _ in values.ranges), *(part for parts in values.patterns for part in parts)]
    return any(character.isalpha() for text in texts for character in text)


def _is_beginning(low: str, high: str | None) -> bool:
    """Whether a range is all texts that begin with one."""
    return ranges.beginning(low).ranges == ((low, high),)
