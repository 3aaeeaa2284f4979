"""What the fields of a search mean for one kind of document: prefixes, short names, ids that are text."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from hub.conditions import QueryError, parse, parse_field, settled
from hub.conditions.ast import Atom, Between, Compare, Condition, Constant, Field, Holds, OneOf, Operand
from hub.conditions.build import bare_field, between
from hub.conditions.documents import replaced
from hub.conditions.walk import field_of, mapped
from hub.store.port import Kind
from hub.store.query.known import near, tops

_OWN: Final[dict[str, str]] = {"profiles": "profile", "events": "event", "sessions": "session"}
_HELD: Final[dict[str, frozenset[str]]] = {
    "events": frozenset({"source", "profile", "session"}),
    "sessions": frozenset({"profile"}),
}
"""Objects of which a document keeps the id: `source` alone means `source.id`, `profile@id` means `profile.id`."""

_TEXT: Final[dict[str, frozenset[tuple[str, ...]]]] = {
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

_UNSEARCHED: Final = frozenset({"body", "body_base64", "body_truncated"})


def prepare(query: str, kind: Kind, now_us: int | None = None) -> Condition:
    """
    The condition of a query on documents of `kind`, as every compiler takes it.

    Args: now_us: Microseconds since 1970, what `now` means in it; None: the time it is.

    Raises: QueryError: it cannot be read, or asks for what documents of this kind do not have.
    """
    parsed = parse(query)
    try:
        return settled(for_kind(parsed, kind), time.time_ns() // 1_000 if now_us is None else now_us)
    except QueryError as exc:
        exc.show(query)
        raise


def field_for(path: str, kind: Kind) -> Field:
    """A field of documents of `kind`, by its path alone. Raises QueryError."""
    field = parse_field(path)
    try:
        return _resolve(field, kind)
    except QueryError as exc:
        exc.show(path)
        raise


def for_kind(condition: Condition, kind: Kind) -> Condition:
    """
    The same condition on the documents of `kind`: no prefixes, full paths, text where the field holds text.

    Raises: QueryError: a field that documents of this kind do not have.
    """
    return mapped(condition, lambda atom: _for_kind(atom, kind))


def _for_kind(atom: Atom, kind: Kind) -> Condition:
    atom = replaced(atom, lambda field: _resolve(field, kind))
    is_text = field_of(atom.field).is_text
    if isinstance(atom, Compare):
        return Compare(atom.field, atom.order, _right(atom.right, is_text, kind))
    if isinstance(atom, Between):
        return between(atom.field, _right(atom.low, is_text, kind), _right(atom.high, is_text, kind))
    if isinstance(atom, OneOf) and is_text:
        return OneOf(
            atom.field, tuple(_as_text(value) if isinstance(value, Constant) else value for value in atom.values)
        )
    if isinstance(atom, Holds) and is_text:
        return Holds(atom.field, atom.how, _as_text(atom.value))
    return atom


def _right(operand: Operand, is_text: bool, kind: Kind) -> Operand:
    if not isinstance(operand, Constant):
        return operand
    if is_text:
        return _as_text(operand)
    head, dot, _ = operand.written.partition(".")
    if operand.is_bare and dot and head in tops(kind) and isinstance(operand.value, str):
        return _resolve(bare_field(operand), kind)
    return operand


def _as_text(constant: Constant) -> Constant:
    return Constant(constant.written, constant.written)


def _resolve(field: Field, kind: Kind) -> Field:
    held = _HELD.get(kind, frozenset())
    path = field.path
    if field.prefix and field.prefix != _OWN.get(kind):
        if field.prefix not in held or path != ("id",):
            raise QueryError(_foreign(field, kind), field.line, field.column)
        path = (field.prefix, "id")
    elif len(path) == 1 and path[0] in held:
        path = (*path, "id")
    if kind == "dead-letters" and path[0] in _UNSEARCHED:
        raise QueryError("the bytes of a dead letter cannot be searched", field.line, field.column)
    if meant := near(path, kind):
        name, kinds = ".".join(path), kind.replace("-", " ")
        raise QueryError(f"{kinds} have no field {name}; did you mean {meant}?", field.line, field.column)
    return msgspec.structs.replace(field, path=path, prefix="", is_text=path in _TEXT[kind])


def _foreign(field: Field, kind: Kind) -> str:
    if field.prefix not in _OWN.values():
        return f"{field.prefix}@ cannot be searched; known are profile@, event@ and session@"
    if field.prefix in _HELD.get(kind, ()):
        return f"{kind} keep only the id of their {field.prefix}; search the {field.prefix}s for the rest"
    return f"{kind.replace('-', ' ')} have no {field.prefix}@"
