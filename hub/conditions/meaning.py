"""What the fields of a condition mean for one kind of document: prefixes, short names, ids that are text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

import msgspec

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
    History,
    Holds,
    OneOf,
    Operand,
    Place,
)
from hub.conditions.documents import replaced
from hub.conditions.errors import QueryError
from hub.conditions.walk import field_of, mapped, places

Kind: TypeAlias = Literal["profiles", "events", "sessions", "dead-letters"]

OWN: Final[dict[str, str]] = {"profiles": "profile", "events": "event", "sessions": "session"}
"""The prefix that means the document itself."""
HELD: Final[dict[str, frozenset[str]]] = {
    "events": frozenset({"source", "profile", "session"}),
    "sessions": frozenset({"profile"}),
}
"""Objects of which a document keeps the id: `source` alone means `source.id`, `profile@id` means `profile.id`."""

TEXT: Final[dict[str, frozenset[tuple[str, ...]]]] = {
    "profiles": frozenset({("id",), ("primary_id",)}),
    "events": frozenset({("id",), ("type",), ("source", "id"), ("profile", "id"), ("session", "id")}),
    "sessions": frozenset({("id",), ("profile", "id")}),
    "dead-letters": frozenset(
        {
            ("id",),
            ("status",),
            ("source",),
            ("reason",),
            ("detail",),
            ("stage",),
            ("origin",),
            ("payload_id",),
            ("key",),
            ("body_sha256",),
        }
    ),
}
"""Fields that always hold text: `id = 1001` there means the text."""

_ALL: Final = ("aux", "data", "id", "metadata", "traits")
_SEEN: Final = ("app", "context", "device", "hit", "options", "os", "profile", "properties", "raw", "tags", "utm")
TOPS: Final[dict[Kind, frozenset[str]]] = {
    "profiles": frozenset((*_ALL, "active", "consents", "devices", "geo", "ids", "interests", "segments", "stats")),
    "events": frozenset(
        (
            *(*_ALL, *_SEEN, "flows", "geo", "journey", "name", "outcome", "request", "segments", "session", "source"),
            "type",
        )
    ),
    "sessions": frozenset((*_ALL, *_SEEN, "stats")),
    "dead-letters": frozenset(
        (
            *("at", "attempts", "body_sha256", "body_size", "detail", "first_at", "headers", "id", "key", "meta"),
            *("origin", "payload_id", "position", "reason", "resolved_at", "source", "stage", "status", "time_ms"),
        )
    ),
}
"""The keys that documents have at their top: a bare word that begins with one and a dot is a field."""

Check: TypeAlias = Callable[[Field], None]


def meant(condition: Condition, kind: Kind, check: Check | None = None) -> Condition:
    """
    The same condition on the documents of `kind`: no prefixes, full paths, text where the field holds text.

    Args: check: Raises QueryError for a field, with its full path, that cannot be meant.

    Raises: QueryError: a field that documents of this kind do not have.
    """
    for place in places(condition):
        if isinstance(place, History) and kind != "profiles":
            words = f"only profiles have a history, not {kind.replace('-', ' ')}"
            raise QueryError(words, place.line, place.column)
    return mapped(condition, lambda atom: _meant(atom, kind, check))


def meant_field(field: Field, kind: Kind, check: Check | None = None) -> Field:
    """The same of a field. Raises QueryError."""
    held = HELD.get(kind, frozenset())
    path = field.path
    if field.prefix and field.prefix != OWN.get(kind):
        if field.prefix not in held or path != ("id",):
            raise QueryError(_foreign(field, kind), field.line, field.column)
        path = (field.prefix, "id")
    elif len(path) == 1 and path[0] in held:
        path = (*path, "id")
    found = msgspec.structs.replace(field, path=path, prefix="", is_text=path in TEXT[kind])
    if check is not None:
        check(found)
    return found


def between(place: Place, low: Operand, high: Operand) -> Condition:
    """That a field lies between two values or fields."""
    if isinstance(low, Field | Folded | Dated | History) or isinstance(high, Field | Folded | Dated | History):
        return And((Compare(place, ">=", low), Compare(place, "<=", high)))
    return Between(place, low, high)


def bare_field(word: Constant) -> Field:
    """The field that a word without quotes names."""
    return Field(tuple(word.written.split(".")), "", word.line, word.column)


def _meant(atom: Atom, kind: Kind, check: Check | None) -> Condition:
    atom = replaced(atom, lambda field: meant_field(field, kind, check))
    is_text = field_of(atom.field).is_text
    if isinstance(atom, Compare):
        return Compare(atom.field, atom.order, _right(atom.right, is_text, kind, check))
    if isinstance(atom, Between):
        low, high = (_right(side, is_text, kind, check) for side in (atom.low, atom.high))
        return between(atom.field, low, high)
    if isinstance(atom, OneOf) and is_text:
        return OneOf(
            atom.field, tuple(_as_text(value) if isinstance(value, Constant) else value for value in atom.values)
        )
    if isinstance(atom, Holds) and is_text:
        return Holds(atom.field, atom.how, _as_text(atom.value))
    return atom


def _right(operand: Operand, is_text: bool, kind: Kind, check: Check | None) -> Operand:
    if not isinstance(operand, Constant):
        return operand
    if is_text:
        return _as_text(operand)
    head, dot, _ = operand.written.partition(".")
    if operand.is_bare and dot and head in TOPS[kind] and isinstance(operand.value, str):
        return meant_field(bare_field(operand), kind, check)
    return operand


def _as_text(constant: Constant) -> Constant:
    return Constant(constant.written, constant.written)


def _foreign(field: Field, kind: Kind) -> str:
    if field.prefix not in OWN.values():
        return f"{field.prefix}@ cannot be searched; known are profile@, event@ and session@"
    if field.prefix in HELD.get(kind, ()):
        return f"{kind} keep only the id of their {field.prefix}; search the {field.prefix}s for the rest"
    return f"{kind.replace('-', ' ')} have no {field.prefix}@"
