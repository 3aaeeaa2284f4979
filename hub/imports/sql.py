"""A table, or what a query gives, of a database: in the order of a key, from behind the last one that was taken."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple, Self

from hub.imports.plain import bound, exact, plain_row, shown
from hub.imports.rows import PAGE, Column, Page, Position, Row, Shape, unreadable

MOST_KEYS: Final = 8


class Wanted(NamedTuple):
    """
    What to read.

    Attributes:
        table: `name` or `schema.name`; or
        query: A SELECT without a semicolon.
        key: Columns that together are different in each row, none of them null. Empty: the table's primary key.
    """

    table: str = ""
    query: str = ""
    key: Sequence[str] = ()


class Answer(NamedTuple):
    """What a statement gives: names and types of columns, and the rows, some at a time, as the server sends them."""

    columns: Sequence[Column]
    rows: Iterator[Sequence[tuple[Any, ...]]]


class Server(NamedTuple):
    """Where a database is, and who we are there. `options`: as in libpq, such as sslmode."""

    host: str
    port: int
    database: str
    username: str
    password: str
    options: dict[str, Any]


class Database(ABC):
    """One connection. A context manager."""

    kind: str

    @abstractmethod
    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""

    @abstractmethod
    def __exit__(self, *_: object) -> None:
        """Close it."""

    @abstractmethod
    def quoted(self, name: str) -> str:
        """An identifier, for a statement."""

    @abstractmethod
    def primary_key(self, table: Sequence[str]) -> list[str]:
        """Columns of a table's primary key, in their order; none: it has none. Raises Refused, Unavailable."""

    @abstractmethod
    def answer(self, statement: str, values: Sequence[Any], size: int) -> AbstractContextManager[Answer]:
        """Ask with a cursor of the server's. Raises Refused, Unavailable, also while the rows are read."""

    @abstractmethod
    def estimate(self, statement: str, table: Sequence[str]) -> int:
        """About how many rows a statement gives, or a table has if it is one; 0: nobody knows. Does not take long."""


class Sql:
    """See Source. The position is the key's values of the last row, and its number."""

    def __init__(self, database: Database, wanted: Wanted) -> None:
        """Raises Refused: neither a table nor a query, or both."""
        if bool(wanted.table) == bool(wanted.query):
            raise unreadable("say either which table (--table) or which query (--query)")
        if wanted.query and not wanted.key:
            raise unreadable(
                "a query needs --key: a column of it, or several, that tell its rows apart, such as the table's "
                "primary key. Rows are read in its order, so that an import that was interrupted goes on where it was"
            )
        self._database = database
        self._wanted = wanted
        self._table = tuple(wanted.table.split(".")) if wanted.table else ()
        self._total = 0
        self._columns: Sequence[Column] = ()
        self._key: Sequence[str] = ()

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        self._database.__enter__()
        try:
            self._look()
        except BaseException:
            self._database.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._database.__exit__()

    @property
    def shape(self) -> Shape:
        """Key and columns."""
        facts = {"format": self._database.kind, "key": ", ".join(self._key)}
        if self._total:
            facts["rows"] = f"about {self._total:,}"
        return Shape(facts, self._columns)

    @property
    def total(self) -> int:
        """Rows, about."""
        return self._total

    @property
    def mark(self) -> str:
        """Of the table, or of the query's key: rows are told by their keys."""
        return f"table {self._wanted.table}" if self._wanted.table else f"query {', '.join(self._key)}"

    def continues(self, mark: str) -> bool:
        """See Source."""
        return mark == self.mark

    def pages(self, position: Position) -> Iterator[Page]:
        """See Source."""
        last, number = position or (None, 0)
        statement = f"SELECT * FROM {self._from()} ORDER BY {self._order()}"
        if last is not None:
            # with values, a per cent sign of the query's own is written twice
            source, order = self._from().replace("%", "%%"), self._order().replace("%", "%%")
            places = ", ".join(["%s"] * len(self._key))
            statement = f"SELECT * FROM {source} WHERE ({order}) > ({places}) ORDER BY {order}"
        with self._database.answer(statement, [bound(value) for value in last or ()], PAGE) as answer:
            names = [column.name for column in answer.columns]
            at_key = [names.index(name) for name in self._key]
            for block in answer.rows:
                rows = []
                for values in block:
                    number += 1
                    last = [exact(values[at]) for at in at_key]
                    name = ", ".join(map(shown, last))
                    if any(values[at] is None for at in at_key):
                        raise unreadable(
                            f"the row behind row {number - 1:,} has no value in its key ({', '.join(self._key)}), so "
                            "it cannot be found again: take another key, or leave such rows out with a query"
                        )
                    rows.append(Row(f"key {name}", number, plain_row(dict(zip(names, values, strict=True)))))
                if rows:
                    yield Page(rows, (last, number), number)

    def _look(self) -> None:
        key = self._wanted.key or self._database.primary_key(self._table)
        if not key:
            raise unreadable(
                f"the table {self._wanted.table} has no primary key: say which columns tell its rows apart (--key)"
            )
        if len(key) > MOST_KEYS:
            raise unreadable(f"the key has {len(key)} columns; at most {MOST_KEYS}")
        with self._database.answer(f"SELECT * FROM {self._from()} LIMIT 0", (), 1) as answer:
            self._columns = answer.columns
        names = [column.name for column in self._columns]
        missing = [name for name in key if name not in names]
        if missing:
            raise unreadable(f"there is no column {missing[0]!r} for the key; there are {', '.join(names[:50])}")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise unreadable(f"two columns are called {twice[0]!r}: give one another name in the query (AS)")
        self._key = key
        self._total = self._database.estimate(f"SELECT * FROM {self._from()}", self._table)

    def _from(self) -> str:
        if self._table:
            return ".".join(map(self._database.quoted, self._table))
        return f"({self._wanted.query.strip().rstrip(';')}\n) AS rows_to_import"

    def _order(self) -> str:
        return ", ".join(map(self._database.quoted, self._key))
