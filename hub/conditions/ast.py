"""A condition as a tree of values: what the grammar gives and every compiler takes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Value: TypeAlias = str | int | float | bool | None
"""What stands in a document, lists and objects apart. Integers fit 64 bits; larger numbers are floats."""
Unit: TypeAlias = Literal["second", "minute", "hour", "day", "week", "month", "year"]
Order: TypeAlias = Literal["=", "<", "<=", ">", ">="]
Function: TypeAlias = Literal["count", "sum", "avg", "min", "max", "first", "last"]


class _Node(msgspec.Struct, frozen=True, tag=True):
    """Tagged, so that a condition can be JSON and become a condition again."""


class Field(_Node, frozen=True):
    """A place in a document. Line and column are those of its first character in the query, from 1."""

    path: tuple[str, ...]  # keys, outermost first; digits are a position where the document has a list
    prefix: str = ""  # `profile`, `event`, `session`, or "" for the document itself
    line: int = 1
    column: int = 1
    is_text: bool = False  # it holds nothing but text, and an empty one is null: ids, types


class Folded(_Node, frozen=True):
    """The text of a field in small letters, or in capitals; what is no text is not there."""

    field: Field
    upper: bool = False


class Shift(_Node, frozen=True):
    """So many units later; earlier where it is below 0."""

    amount: int
    unit: Unit


class Dated(_Node, frozen=True):
    """The field's text read as a time, moved by these one after the other; what cannot be read as one is not there."""

    field: Field
    shifts: tuple[Shift, ...] = ()


class Window(_Node, frozen=True):
    """So long before now."""

    amount: int
    unit: Unit


class History(_Node, frozen=True):
    """
    What a profile's events of one type come to: a number, or of `first` and `last` a time. It is read from the
    profile's document, where its owner keeps it (`hub.conditions.history`).
    """

    function: Function
    event_type: str
    where: Condition | None = None  # on the event's document, without prefixes; only events for which it holds count
    field: Field | None = None  # of the event's document: what is summed up; None: events are counted
    window: Window | None = None  # None: all that there ever were
    since_us: int | None = None  # where the window begins, once now is known (`settled`): events later than this count
    root: tuple[str, ...] = ()  # keys in front of the profile's document, where it is one of several
    line: int = 1
    column: int = 1


Place: TypeAlias = Field | Folded | Dated | History


class Constant(_Node, frozen=True):
    """A value of the query."""

    value: Value
    written: str  # as it stood there, without quotes: ids are text even when they look like numbers
    is_bare: bool = False  # it stood there without quotes
    time_us: int | None = None  # its text is a time: microseconds since 1970
    line: int = 1
    column: int = 1


class Pattern(_Node, frozen=True):
    """Any text with these parts in this order: the first at its beginning, the last at its end, anything between."""

    parts: tuple[str, ...]  # two or more
    written: str


class Moment(_Node, frozen=True):
    """A point in time, microseconds since 1970."""

    us: int


class Start(_Node, frozen=True):
    """The beginning of a day, week (Monday), month or year, by the calendar of a time zone."""

    unit: Unit
    zone: str = "UTC"  # IANA name


class Now(_Node, frozen=True):
    """The time of asking, or the beginning of the day or the like that it is in; moved by these one after the other."""

    shifts: tuple[Shift, ...] = ()
    start: Start | None = None


Single: TypeAlias = Constant | Pattern | Moment | Now
Operand: TypeAlias = Single | Place


class Compare(_Node, frozen=True):
    """The field, or one of its items where it is a list, stands so to the other side."""

    field: Place
    order: Order
    right: Operand


class Between(_Node, frozen=True):
    """The field, or one of its items, lies between both; they belong to it."""

    field: Place
    low: Operand
    high: Operand


class OneOf(_Node, frozen=True):
    """The field, or one of its items, is one of these."""

    field: Place
    values: tuple[Single, ...]


class Holds(_Node, frozen=True):
    """
    `contains`: the text has this part, or the list this item. `starts`, `ends`: the text, or that of an item, does so
    with this.
    """

    field: Place
    how: Literal["contains", "starts", "ends"]
    value: Constant


class Matches(_Node, frozen=True):
    """The regular expression (RE2) is found in the text, or in that of an item."""

    field: Place
    pattern: str


class IsNull(_Node, frozen=True):
    """The field is null or not there."""

    field: Place


class IsEmpty(_Node, frozen=True):
    """The field is null, not there, or a text, list or object with nothing in it."""

    field: Place


class Items(_Node, frozen=True):
    """
    The condition holds for one of the field's items, for all of them, for none. What is no list is one item.

    `where`: Its fields are those of an item; one without a path is the item itself.
    """

    field: Field
    how: Literal["any", "all", "none"]
    where: Condition


class And(_Node, frozen=True):
    """All parts hold. No parts: everything matches."""

    parts: tuple[Condition, ...]


class Or(_Node, frozen=True):
    """One of the parts holds, or more."""

    parts: tuple[Condition, ...]


class Not(_Node, frozen=True):
    """The part is false; with `or_unknown`, which is what `!=` means: it is not true."""

    part: Condition
    or_unknown: bool = False


Atom: TypeAlias = Compare | Between | OneOf | Holds | Matches | IsNull | IsEmpty | Items
Condition: TypeAlias = Atom | And | Or | Not
