"""Going through a condition: every leaf of it, the same with other leaves, one whose now is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Constant,
    Field,
    History,
    Items,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Pattern,
    Place,
    Shift,
)
from hub.conditions.keys import HISTORY, key_of
from hub.conditions.times import moment_of, shifted


def mapped(condition: Condition, change: Callable[[Atom], Condition]) -> Condition:
    """The same condition with `change` of each leaf in the leaf's place."""
    if isinstance(condition, And):
        return And(tuple(mapped(part, change) for part in condition.parts))
    if isinstance(condition, Or):
        return Or(tuple(mapped(part, change) for part in condition.parts))
    if isinstance(condition, Not):
        return Not(mapped(condition.part, change), condition.or_unknown)
    return change(condition)


def atoms(condition: Condition) -> Iterator[Atom]:
    """Every leaf, in the order of the query."""
    if isinstance(condition, And | Or):
        for part in condition.parts:
            yield from atoms(part)
    elif isinstance(condition, Not):
        yield from atoms(condition.part)
    else:
        yield condition


def operands(atom: Atom) -> tuple[Operand, ...]:
    """What a leaf compares its field with."""
    if isinstance(atom, Compare):
        return (atom.right,)
    if isinstance(atom, Between):
        return (atom.low, atom.high)
    return atom.values if isinstance(atom, OneOf) else ()


def places(condition: Condition) -> Iterator[Place]:
    """Every place that is looked at; of the items of a list, the list."""
    for atom in atoms(condition):
        yield atom.field
        for operand in operands(atom):
            if not isinstance(operand, Constant | Pattern | Moment | Now):
                yield operand


def fields(condition: Condition) -> Iterator[Field]:
    """Every field that is looked at."""
    return map(field_of, places(condition))


def histories(condition: Condition) -> Iterator[History]:
    """Every history that is asked for."""
    return (place for place in places(condition) if isinstance(place, History))


def field_of(place: Place) -> Field:
    """The field that is read there."""
    if isinstance(place, History):
        path = (*place.root, *HISTORY, key_of(place))
        return Field(path, "" if place.root else "profile", place.line, place.column)
    return place if isinstance(place, Field) else place.field


def with_field(place: Place, field: Field) -> Place:
    """The same, read from another field."""
    if isinstance(place, History):
        return replace(place, root=field.path[: -len(HISTORY) - 1])
    return field if isinstance(place, Field) else replace(place, field=field)


def moves(condition: Condition) -> bool:
    """Whether its answer can change by itself, as time goes by."""
    return (
        any(isinstance(operand, Now) for atom in atoms(condition) for operand in operands(atom))
        or any(history.window is not None and history.since_us is None for history in histories(condition))
        or any(isinstance(atom, Items) and moves(atom.where) for atom in atoms(condition))
    )


def settled(condition: Condition, now_us: int) -> Condition:
    """
    The same condition as it is at that moment. Args: now_us: microseconds since 1970.

    Raises ValueError: it asks for what is outside the years 1 to 9999.
    """

    def change(atom: Atom) -> Condition:
        if isinstance(atom, Items):
            return replace(atom, where=settled(atom.where, now_us))
        atom = replace(atom, field=_since(atom.field, now_us))
        if isinstance(atom, Compare):
            return replace(atom, right=_settled(atom.right, now_us))
        if isinstance(atom, Between):
            return replace(atom, low=_settled(atom.low, now_us), high=_settled(atom.high, now_us))
        if isinstance(atom, OneOf):
            return replace(atom, values=tuple(_settled(value, now_us) for value in atom.values))
        return atom

    return mapped(condition, change) if moves(condition) else condition


def _settled(operand: Operand, now_us: int) -> Operand:
    if isinstance(operand, Now):
        return Moment(moment_of(operand, now_us))
    return _since(operand, now_us) if isinstance(operand, History) else operand


def _since(place: Place, now_us: int) -> Place:
    if not isinstance(place, History) or place.window is None:
        return place
    shift = Shift(-place.window.amount, place.window.unit)
    return replace(place, since_us=shifted(now_us, (shift,)))
