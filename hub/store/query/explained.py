"""A condition explained: how it was read, what was made of it, and what is true of one document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hub.conditions import moves, settled
from hub.conditions.explain import Part, explained, parts_of
from hub.conditions.history import series_of
from hub.conditions.keys import key_of
from hub.conditions.moments import next_change
from hub.conditions.walk import atoms, histories
from hub.conditions.written import time_text, written, written_series
from hub.store.elastic.dsl import compile_dsl
from hub.store.port import Kind
from hub.store.query.fields import condition_on
from hub.store.query.paths import Bound
from hub.store.query.sql import compile_sql


class Kept(msgspec.Struct, frozen=True):
    """A history that is needed. `events`: those that it is of. `keep_ms`: longest span that is asked for, if any is."""

    key: str
    events: str
    keep_ms: int | None


class Statement(msgspec.Struct, frozen=True):
    """The condition in SQL, for SQLite: what stands behind WHERE, and what it binds."""

    where: str
    parameters: dict[str, Bound]


class Search(msgspec.Struct, frozen=True):
    """
    The condition as a query of Elasticsearch and OpenSearch, on the tokens of `hub.store.elastic.facts`.

    `exact`: it finds what the condition holds for; else more, and Python is asked of what it has found.
    """

    query: dict[str, Any]
    exact: bool


class Explained(msgspec.Struct, frozen=True):
    """
    What `explain` tells.

    Attributes:
        condition: As one would write it; empty: it holds for everything.
        tree: Its parts, with the verdict on each if a document was given.
        sql: For the store's tables.
        search: For a search engine's indices.
        python: Its leaves in the order in which the function for one document asks for them, until one decides.
        histories: What profiles have to keep for it.
        moves: Its verdict can change as time goes by.
        changes_at: When it may do so next for the document, RFC 3339; None: never, or there is no document.
    """

    condition: str
    tree: Part
    sql: Statement
    search: Search
    python: list[str]
    histories: list[Kept]
    moves: bool
    changes_at: str | None = None


def explain(text: str, kind: Kind, now_us: int, document: Mapping[str, Any] | None = None) -> Explained:
    """
    Explain a condition on documents of a kind.

    Args:
        now_us: What `now` means in it, microseconds since 1970.
        document: Of this kind, or None.

    Raises: QueryError: it cannot be read, or asks for what documents of this kind do not have.
    """
    condition = condition_on(text, kind)
    still = settled(condition, now_us)
    clause, search = compile_sql(still, kind), compile_dsl(still, kind)
    change = None if document is None else next_change(condition)(document, now_us)
    names = {key_of(history): written_series(history) for history in histories(condition)}
    return Explained(
        condition=written(condition),
        tree=parts_of(condition) if document is None else explained(condition, document, now_us),
        sql=Statement(clause.sql, clause.parameters),
        search=Search(search.maybe, search.is_exact),
        python=[written(atom) for atom in atoms(condition)],
        histories=[Kept(one.key, names[one.key], one.keep_ms) for one in series_of([condition]).values()],
        moves=moves(condition),
        changes_at=None if change is None else time_text(change),
    )
