"""Why a condition holds for a document or does not: the verdict of each of its parts, and what it was reached from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from hub.conditions.ast import And, Atom, Condition, Items, Moment, Not, Now, Or, Place
from hub.conditions.documents import of_item
from hub.conditions.python import Document, judge, value_at
from hub.conditions.times import moment_of
from hub.conditions.truth import MISSING, UNKNOWN, At, Verdict, is_unknown, items
from hub.conditions.walk import operands
from hub.conditions.written import alone, time_text, written, written_item, written_operand, written_place

Is: TypeAlias = Literal["true", "false", "unknown"]

MAX_ITEMS: int = 20
"""Most items of a list that are told one by one."""


class Seen(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    What the document has in a place. `value`: JSON, times as RFC 3339.

    `state`: `there`; `missing`: null or not there; `not kept yet`: a history that the document does not tell.
    """

    field: str
    state: Literal["there", "missing", "not kept yet"]
    value: Any = None


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """
    One part of a condition.

    Attributes:
        condition: The part, as one would write it.
        kind: and, or, not, unless (NOT that is true of what is unknown, as `!=` is), any, all, none, or leaf.
        verdict: None: no document was given.
        seen: What was looked at.
        parts: Its own parts; of a list, one for each of its first items.
    """

    condition: str
    kind: str
    verdict: Is | None = None
    seen: list[Seen] = []
    parts: list[Part] = []


def parts_of(condition: Condition) -> Part:
    """The condition as a tree of its parts."""
    return _part(condition, lambda _: None, None, 0)


def explained(condition: Condition, document: Document, now_us: int) -> Part:
    """
    The same, with the verdict of each part.

    Args: condition: on this document, as `judge` takes it. now_us: microseconds since 1970.
    """
    return _part(condition, lambda part: judge(part, lambda: now_us)(document), document, now_us)


def is_text(verdict: Verdict) -> Is:
    """The word for a verdict."""
    return "unknown" if verdict is None else "true" if verdict else "false"


def _part(
    condition: Condition, verdict_of: Callable[[Condition], Verdict], document: Document | None, now_us: int
) -> Part:
    condition = alone(condition)
    parts: tuple[Condition, ...] = ()
    if isinstance(condition, And | Or):
        kind, parts = type(condition).__name__.lower(), condition.parts
    elif isinstance(condition, Not):
        kind, parts = "unless" if condition.or_unknown else "not", (condition.part,)
    else:
        kind = condition.how if isinstance(condition, Items) else "leaf"
    made = [_part(part, verdict_of, document, now_us) for part in parts]
    verdict = None if document is None else is_text(verdict_of(condition))
    if document is None or isinstance(condition, And | Or | Not):
        return Part(written(condition), kind, verdict, [], made)
    if isinstance(condition, Items):
        made = _items(condition, document, now_us)
    return Part(written(condition), kind, verdict, _seen(condition, document, now_us), made)


def _items(atom: Items, document: Document, now_us: int) -> list[Part]:
    found = value_at(atom.field)(document)
    if is_unknown(found):
        return []
    verdict = judge(of_item(atom.where), lambda: now_us)
    text = written_item(atom.where)
    return [
        Part(text, "item", is_text(verdict({"": item})), [Seen(str(place), "there", item)])
        for place, item in zip(range(MAX_ITEMS), items(found), strict=False)
    ]


def _seen(atom: Atom, document: Document, now_us: int) -> list[Seen]:
    seen = [] if isinstance(atom, Items) else [_at(atom.field, document, now_us)]
    for operand in operands(atom):
        if isinstance(operand, Now):
            seen.append(Seen(written_operand(operand), "there", time_text(moment_of(operand, now_us))))
        elif isinstance(operand, Place) and not isinstance(operand, Moment):
            seen.append(_at(operand, document, now_us))
    return seen


def _at(place: Place, document: Document, now_us: int) -> Seen:
    found = value_at(place, lambda: now_us)(document)
    name = written_place(place)
    if found is UNKNOWN:
        return Seen(name, "not kept yet")
    if found is None or found is MISSING:
        return Seen(name, "missing")
    return Seen(name, "there", _shown(found))


def _shown(found: object) -> object:
    if isinstance(found, At):
        return time_text(found)
    if isinstance(found, list):
        return [_shown(item) for item in found]
    return None if found is MISSING else found
