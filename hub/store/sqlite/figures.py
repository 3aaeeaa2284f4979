"""Numbers about documents instead of documents: histograms, and the values of a field."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import msgspec

from hub.conditions.ast import Field
from hub.store.port import MOST_GROUPS, CountedValue, Histogram, Kind, Span
from hub.store.query import field_for, prepare
from hub.store.query.facets import BEGAN, NOTHING, group_sql, keys_sql, make_histogram, value_of
from hub.store.query.paths import Bound, json_path
from hub.store.query.sql import COLUMNS, EVERYTHING, Clause, Compiler
from hub.store.sqlite.database import Database
from hub.store.sqlite.read import Table, clause_of, tables

_INDEXED: Final = frozenset({"type", "profile_id", "session_id"})
"""Columns of events that have an index together with the time."""
_SPANS: Final = """(SELECT key AS n, json_extract(value, '$[0]') AS lo, json_extract(value, '$[1]') AS hi
    FROM json_each(:spans))"""
_OTHER: Final = "?"
"""Key of all groups that are not told apart: no value has it."""


class FigureSide:
    """`histogram` and `values` of the port."""

    _db: Database

    def histogram(
        self, kind: Kind, query: str, edges: Sequence[int], group_by: str = "", groups: int = MOST_GROUPS
    ) -> Histogram:
        """Documents by interval. Raises QueryError, Unavailable."""
        condition = prepare(query, kind)
        field = field_for(group_by, kind) if group_by else None
        with self._db.reading() as connection:
            places = tables(connection, kind, Span(edges[0], edges[-1]))
            asked = _Asked(connection, kind, places, clause_of(connection, condition, kind), edges)
            top = [] if field is None else asked.top(field, groups)
            return make_histogram(asked.rows(field, top), len(edges) - 1, top)

    def values(self, kind: Kind, query: str, field: str, prefix: str = "", most: int = 20) -> list[CountedValue]:
        """The most frequent values. Raises QueryError, Unavailable."""
        condition, place = prepare(query, kind), field_for(field, kind)
        with self._db.reading() as connection:
            clause = clause_of(connection, condition, kind)
            compiler = Compiler(kind, "f")
            keys = keys_sql(place, compiler)
            union = " UNION ALL ".join(
                f"""SELECT one.value AS k FROM (SELECT {keys} AS ks FROM {table.name} WHERE {clause.sql}),
                json_each(ks) AS one"""
                for table in tables(connection, kind)
            )
            rows = connection.execute(
                f"""SELECT k, count(*) AS n FROM ({union or "SELECT '' AS k WHERE 0"})
                WHERE substr(k, 2, length(:prefix)) = :prefix GROUP BY k ORDER BY n DESC, k LIMIT :most""",
                {**clause.parameters, **compiler.parameters, "prefix": prefix, "most": most},
            ).fetchall()
        return [CountedValue(value_of(key), count) for key, count in rows]


class _Asked(NamedTuple):
    """What a histogram counts. `places`: tables; `edges`: as the port has them."""

    connection: sqlite3.Connection
    kind: Kind
    places: list[Table]
    clause: Clause
    edges: Sequence[int]

    def top(self, field: Field, most: int) -> list[str]:
        """The keys of the most frequent groups."""
        if not self.places:
            return []
        compiler = Compiler(self.kind, "f")
        key = group_sql(field, compiler)
        is_lean = self.kind == "events" and field.path == ("type",) and self.clause.sql == EVERYTHING
        # by the column where there is one: its index has the rows in that order
        column = COLUMNS[self.kind].get(field.path, "k")
        union = " UNION ALL ".join(
            f"SELECT {key} AS k, count(*) AS c {self.whole(table, lean=is_lean)} GROUP BY {column}"
            for table in self.places
        )
        rows = self.connection.execute(
            f"SELECT k FROM ({union}) GROUP BY k ORDER BY sum(c) DESC, k LIMIT :most",
            {**self.bound(compiler), "most": most},
        )
        return [found for (found,) in rows]

    def rows(self, field: Field | None, top: Sequence[str]) -> list[tuple[int, str, int]]:
        """As `make_histogram` takes them. Args: top: keys of groups that are told apart."""
        if field is None:
            return self._ungrouped("", {})
        column = COLUMNS[self.kind].get(field.path) if self.kind == "events" else None
        return self._grouped(field, top) if column is None or column not in _INDEXED else self._by_column(column, top)

    def _ungrouped(self, more: str, bound: dict[str, Bound]) -> list[tuple[int, str, int]]:
        rows: list[tuple[int, str, int]] = []
        for table in self.places:
            if table.time == "0":
                statement = f"SELECT n, '{NOTHING}', count(*) {self.source(table)} {more} GROUP BY n"
            else:
                # each interval a count of its own: GROUP BY would sort all rows first
                statement = f"""SELECT n, '{NOTHING}', (SELECT count(*) FROM {table.name}
                    WHERE {self.within(table)} {more}) FROM {_SPANS}"""
            rows += self.connection.execute(statement, {**self.bound(Compiler(self.kind)), **bound})
        return rows

    def _by_column(self, column: str, top: Sequence[str]) -> list[tuple[int, str, int]]:
        """Group by group: the index of the column and the time has each of them in one piece."""
        rows: list[tuple[int, str, int]] = []
        for key in top:
            text = key[1:]
            more = f"AND {column} = :g_text AND {column} <> ''" if text else f"AND {column} = :g_text"
            rows += [(bucket, key, count) for bucket, _, count in self._ungrouped(more, {"g_text": text})]
        told = Counter[int]()
        for bucket, _, count in rows:
            told[bucket] += count
        every = Counter[int]()
        for bucket, _, count in self._ungrouped("", {}):
            every[bucket] += count
        return [*rows, *((bucket, _OTHER, count - told[bucket]) for bucket, count in every.items())]

    def _grouped(self, field: Field, top: Sequence[str]) -> list[tuple[int, str, int]]:
        compiler = Compiler(self.kind, "f")
        key, among = group_sql(field, compiler), compiler.bind(msgspec.json.encode(top).decode())
        # other groups may be millions: they are one row, whose key is none
        told = f"CASE WHEN k IN (SELECT value FROM json_each({among})) THEN k ELSE '{_OTHER}' END"
        rows: list[tuple[int, str, int]] = []
        for table in self.places:
            statement = f"""SELECT n, {told} AS g, sum(c)
                FROM (SELECT n, {key} AS k, count(*) AS c {self.source(table)} GROUP BY 1, 2) GROUP BY 1, 2"""
            rows += self.connection.execute(statement, self.bound(compiler))
        return rows

    def whole(self, table: Table, *, lean: bool) -> str:
        """FROM and WHERE of all intervals together. Args: lean: types and times are all that is looked at."""
        if table.time == "0":
            return self.source(table)
        # the plus keeps SQLite from the index of the times, which would lead to every row for its type
        plus = "+" if lean else ""
        return f"FROM {table.name} WHERE {plus}{table.time} >= :begin AND {table.time} < :end AND {self.clause.sql}"

    def source(self, table: Table) -> str:
        """
        FROM and WHERE; `n` is a row's interval.

        A column of times is walked through interval by interval, which its index does; else each document is asked.
        """
        if table.time == "0":
            return f"""FROM (SELECT *, hub_bucket(json_extract(doc, :began), :edges) AS n FROM {table.name})
                WHERE n IS NOT NULL AND {self.clause.sql}"""
        return f"FROM {_SPANS} CROSS JOIN {table.name} WHERE {self.within(table)}"

    def within(self, table: Table) -> str:
        """What is in the interval from `lo` to `hi`."""
        return f"{table.time} >= lo AND {table.time} < hi AND {self.clause.sql}"

    def bound(self, compiler: Compiler) -> dict[str, Bound]:
        """Every parameter."""
        return {
            **self.clause.parameters,
            **compiler.parameters,
            "spans": msgspec.json.encode(list(pairwise(self.edges))).decode(),
            "edges": msgspec.json.encode(list(self.edges)).decode(),
            "began": json_path(BEGAN),
            "begin": self.edges[0],
            "end": self.edges[-1],
        }
