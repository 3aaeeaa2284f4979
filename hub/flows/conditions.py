"""Conditions in a flow: the language of hub.conditions, on all documents that a node sees."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from msgspec.structs import replace

from hub.conditions import QueryError, moves, parse, settled
from hub.conditions.ast import Atom, Condition, Dated, Field, Folded, History
from hub.conditions.code import write_out
from hub.conditions.documents import of_documents, replaced
from hub.conditions.meaning import meant, meant_field
from hub.conditions.python import compile_python
from hub.conditions.walk import field_of, mapped, operands
from hub.flows.notation import KINDS, SOURCES, Scope

Met: TypeAlias = Callable[[Scope, int], bool]
"""Whether a condition is true of a scope, at a time (milliseconds since 1970)."""

USUAL = "payload"
"""What a field without a prefix is of."""


def compiled(text: str) -> Met:
    """
    A function that tells whether the condition is true; see docs/conditions.md for what is unknown.

    Raises: QueryError: says line, column, and what was expected.
    """
    condition = _on_scope(text)
    if not moves(condition):
        matches = compile_python(condition)
        return lambda scope, _: matches(scope)

    # one answer for one moment, so that a run that is made again is the same
    @lru_cache(maxsize=4)
    def at(now_ms: int) -> Callable[[Scope], bool]:
        return compile_python(settled(condition, now_ms * 1_000))

    return lambda scope, now_ms: at(now_ms)(scope)


def written_out(text: str) -> Met:
    """The same in half the time, for one thread at a time. Raises: QueryError."""
    met = write_out(_on_scope(text))
    return lambda scope, now_ms: met(scope, now_ms * 1_000)


def _on_scope(text: str) -> Condition:
    try:
        return of_documents(mapped(parse(text), _meant), SOURCES, USUAL)
    except QueryError as exc:
        exc.show(text)
        raise


def _meant(atom: Atom) -> Condition:
    """With full paths, and text where a document's field holds text; the prefixes stay."""
    prefix = field_of(atom.field).prefix
    compared = [one for one in operands(atom) if isinstance(one, Field | Folded | Dated | History)]
    if prefix in KINDS and not compared:
        bare = replaced(atom, lambda field: replace(field, prefix=""))
        plain = meant(bare, KINDS[prefix])
        return mapped(plain, lambda one: replaced(one, lambda field: replace(field, prefix=prefix)))
    return replaced(atom, _meant_field)


def _meant_field(field: Field) -> Field:
    if field.prefix not in KINDS:
        return field
    return replace(meant_field(replace(field, prefix=""), KINDS[field.prefix]), prefix=field.prefix)
