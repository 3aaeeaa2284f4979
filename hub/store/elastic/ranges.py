"""Sets of values, as ranges of what tokens have behind the `=`: joined, cut with each other, turned round."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

Range: TypeAlias = tuple[str, str | None]
"""From a text up to another, which is outside; None: to the end."""


class Values(NamedTuple):
    """
    Some values of one form.

    Attributes:
        ranges: Those in these ranges, which rise and do not touch.
        patterns: And those with these parts in this order, as `hub.conditions.ast.Pattern` has them.
        form: What the ranges are of, where the same value has several: a time its text, or the instant.
        is_vague: Nobody knows: perhaps none, perhaps all.
    """

    ranges: tuple[Range, ...] = ()
    patterns: tuple[tuple[str, ...], ...] = ()
    form: str = ""
    is_vague: bool = False

    @property
    def is_none(self) -> bool:
        """There is no such value."""
        return not (self.ranges or self.patterns or self.is_vague)

    @property
    def is_all(self) -> bool:
        """Every value is one."""
        return self.ranges == (("", None),)


NONE: Final = Values()
ALL: Final = Values((("", None),))
VAGUE: Final = Values(is_vague=True)


def point(value: str, form: str = "") -> Values:
    """This one alone."""
    return Values(((value, after(value)),), form=form)


def points(values: Sequence[str], form: str = "") -> Values:
    """These."""
    return Values(_joined([(value, after(value)) for value in values]), form=form)


def ordered(order: str, value: str, form: str = "") -> Values:
    """Those that stand so to this one."""
    if order == "=":
        return point(value, form)
    if order == "<":
        return Values((("", value),) if value else (), form=form)
    if order == "<=":
        return Values((("", after(value)),), form=form)
    return Values(((value if order == ">=" else after(value), None),), form=form)


def beginning(text: str, form: str = "") -> Values:
    """Those that begin with it."""
    return Values(((text, _behind(text)),), form=form)


def either(one: Values, other: Values) -> Values:
    """Those that are in one of both, or in both."""
    if one.is_none or other.is_all:
        return other
    if other.is_none or one.is_all:
        return one
    if one.is_vague or other.is_vague or one.form != other.form:
        return VAGUE
    return Values(_joined([*one.ranges, *other.ranges]), one.patterns + other.patterns, one.form)


def both(one: Values, other: Values) -> Values:
    """Those that are in both."""
    if one.is_none or other.is_all:
        return one
    if other.is_none or one.is_all:
        return other
    if one.is_vague or other.is_vague or one.form != other.form or one.patterns or other.patterns:
        return VAGUE
    found = [
        (max(low, begin), _sooner(high, end))
        for low, high in one.ranges
        for begin, end in other.ranges
        if _is_range(max(low, begin), _sooner(high, end))
    ]
    return Values(_joined(found), form=one.form)


def others(values: Values) -> Values:
    """All that are not in it."""
    if values.is_vague or values.patterns:
        return VAGUE
    edges: list[str | None] = [""]
    for low, high in values.ranges:
        edges += [low, high]
    edges.append(None)
    free = [(low, high) for low, high in list(pairwise(edges))[::2] if low is not None and _is_range(low, high)]
    return Values(tuple(free), form=values.form)


def after(value: str) -> str:
    """The next one."""
    return value + "\0"


def _joined(ranges: list[Range]) -> tuple[Range, ...]:
    made: list[Range] = []
    for low, high in sorted(ranges, key=lambda one: one[0]):
        if made and ((end := made[-1][1]) is None or low <= end):
            made[-1] = (made[-1][0], None if end is None or high is None else max(end, high))
        else:
            made.append((low, high))
    return tuple(made)


def _sooner(one: str | None, other: str | None) -> str | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


def _is_range(low: str, high: str | None) -> bool:
    return high is None or low < high


def _behind(text: str) -> str | None:
    """The first text after all that begin with this one; None: there is none."""
    while text:
        last = ord(text[-1])
        if last < 0x10FFFF:
            return text[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        text = text[:-1]
    return None
