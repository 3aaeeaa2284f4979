"""What the fields of a search mean for one kind of document: prefixes, short names, ids that are text."""

from __future__ import annotations

import time
from typing import Final

from hub.conditions import QueryError, parse, parse_field, settled
from hub.conditions.ast import Condition, Field
from hub.conditions.meaning import Check, meant, meant_field
from hub.store.port import Kind
from hub.store.query.known import near

_UNSEARCHED: Final = frozenset({"body", "body_base64", "body_truncated"})


def prepare(query: str, kind: Kind, now_us: int | None = None) -> Condition:
    """
    The condition of a query on documents of `kind`, as every compiler takes it.

    Args: now_us: Microseconds since 1970, what `now` means in it; None: the time it is.

    Raises: QueryError: it cannot be read, or asks for what documents of this kind do not have.
    """
    return settled(condition_on(query, kind), time.time_ns() // 1_000 if now_us is None else now_us)


def condition_on(query: str, kind: Kind) -> Condition:
    """The same with `now` still open. Raises QueryError."""
    parsed = parse(query)
    try:
        return for_kind(parsed, kind)
    except QueryError as exc:
        exc.show(query)
        raise


def field_for(path: str, kind: Kind) -> Field:
    """A field of documents of `kind`, by its path alone. Raises QueryError."""
    field = parse_field(path)
    try:
        return meant_field(field, kind, _check(kind))
    except QueryError as exc:
        exc.show(path)
        raise


def for_kind(condition: Condition, kind: Kind) -> Condition:
    """
    The same condition on the documents of `kind`: no prefixes, full paths, text where the field holds text.

    Raises: QueryError: a field that documents of this kind do not have.
    """
    return meant(condition, kind, _check(kind))


def _check(kind: Kind) -> Check:
    def check(field: Field) -> None:
        path = field.path
        if kind == "dead-letters" and path[0] in _UNSEARCHED:
            raise QueryError("the bytes of a dead letter cannot be searched", field.line, field.column)
        if other := near(path, kind):
            name, kinds = ".".join(path), kind.replace("-", " ")
            raise QueryError(f"{kinds} have no field {name}; did you mean {other}?", field.line, field.column)

    return check
