"""Going through a condition: every leaf of it, the same with other leaves, one whose now is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hub.conditions.ast import (
    And,
    Atom,
    Between,
    Compare,
    Condition,
    Constant,
    Dated,
    Field,
    Folded,
    Moment,
    Not,
    Now,
    OneOf,
    Operand,
    Or,
    Pattern,
    Place,
)
from hub.conditions.times import shifted


def mapped(condition: Condition, change: Callable[[Atom], Condition]) -> Condition:
    """The same condition with `change` of each leaf in the leaf's place."""
    if isinstance(condition, And):
        return And(tuple(mapped(part, change) for part in condition.parts))
    if isinstance(condition, Or):
        return Or(tuple(mapped(part, change) for part in condition.parts))
    if isinstance(condition, Not):
        return Not(mapped(condition.part, change))
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


def fields(condition: Condition) -> Iterator[Field]:
    """Every field that is looked at."""
    for atom in atoms(condition):
        yield field_of(atom.field)
        for operand in operands(atom):
            if not isinstance(operand, Constant | Pattern | Moment | Now):
                yield field_of(operand)


def field_of(place: Place) -> Field:
    """The field that is read there."""
    return place if isinstance(place, Field) else place.field


def with_field(place: Place, field: Field) -> Place:
    """The same, read from another field."""
    if isinstance(place, Field):
        return field
    return Dated(field) if isinstance(place, Dated) else Folded(field, place.upper)


def moves(condition: Condition) -> bool:
    """Whether its answer can change by itself, as time goes by."""
    return any(isinstance(operand, Now) for atom in atoms(condition) for operand in operands(atom))


def settled(condition: Condition, now_us: int) -> Condition:
    """The same condition as it is at that moment. Args: now_us: microseconds since 1970."""

    def change(atom: Atom) -> Condition:
        if isinstance(atom, Compare):
            return Compare(atom.field, atom.order, _settled(atom.right, now_us))
        if isinstance(atom, Between):
            return Between(atom.field, _settled(atom.low, now_us), _settled(atom.high, now_us))
        if isinstance(atom, OneOf):
            return OneOf(atom.field, tuple(_fixed(value, now_us) for value in atom.values))
        return atom

    return mapped(condition, change) if moves(condition) else condition


def _settled(operand: Operand, now_us: int) -> Operand:
    return Moment(shifted(now_us, operand.shifts)) if isinstance(operand, Now) else operand


def _fixed(single: Constant | Pattern | Moment | Now, now_us: int) -> Constant | Pattern | Moment:
    return Moment(shifted(now_us, single.shifts)) if isinstance(single, Now) else single
