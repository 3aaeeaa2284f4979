"""What the fields of a search mean for one kind of document: prefixes, short names, ids that are text."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from hub.store.port import Kind
from hub.store.query.ast import And, Condition, Equals, Field, HasText
from hub.store.query.errors import QueryError

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


def for_kind(condition: Condition, kind: Kind) -> Condition:
    """
    The same condition on the documents of `kind`: no prefixes, full paths, text where the field holds text.

    Raises: QueryError: a field that documents of this kind do not have.
    """
    if isinstance(condition, And):
        return And(tuple(for_kind(part, kind) for part in condition.parts))
    field = _resolve(condition.field, kind)
    if isinstance(condition, Equals) and field.path in _TEXT[kind]:
        return HasText(field, None if condition.value is None else condition.written)
    return replace(condition, field=field)


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
    return replace(field, path=path, prefix="")


def _foreign(field: Field, kind: Kind) -> str:
    if field.prefix not in _OWN.values():
        return f"{field.prefix}@ cannot be searched; known are profile@, event@ and session@"
    if field.prefix in _HELD.get(kind, ()):
        return f"{kind} keep only the id of their {field.prefix}; search the {field.prefix}s for the rest"
    return f"{kind.replace('-', ' ')} have no {field.prefix}@"
