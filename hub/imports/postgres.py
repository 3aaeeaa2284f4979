"""Tables and queries of PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

import psycopg
from psycopg.rows import tuple_row

from hub.errors import PortError, Refused, Unavailable
from hub.imports.rows import Column
from hub.imports.sql import Answer, Database, Server

CONNECT_S: Final = 10
PORT: Final = 5432


class Postgres(Database):
    """See Database."""

    kind = "postgresql"

    def __init__(self, server: Server) -> None:
        """Does not connect yet."""
        self._server = server
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        server = self._server
        try:
            self._connection = psycopg.connect(
                host=server.host,
                port=server.port or PORT,
                dbname=server.database,
                user=server.username or None,
                password=server.password or None,
                application_name="thamesthrive-hub import",
                client_encoding="UTF8",
                connect_timeout=CONNECT_S,
                row_factory=tuple_row,
                **server.options,
            )
            # nothing is written, and all that is read is of one moment
            self._connection.read_only = True
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        except psycopg.Error as exc:
            raise _translated(exc, f"{server.host}:{server.port or PORT}") from exc
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def quoted(self, name: str) -> str:
        """See Database."""
        return '"' + name.replace('"', '""') + '"'

    def primary_key(self, table: Sequence[str]) -> list[str]:
        """See Database."""
        statement = (
            "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) "
            "WHERE indrelid = %s::regclass AND indisprimary ORDER BY array_position(indkey::int2[], attnum)"
        )
        name = ".".join(map(self.quoted, table))
        return [str(row[0]) for row in self._ask(statement, (name,))]

    def estimate(self, statement: str, table: Sequence[str]) -> int:  # noqa: ARG002 - the port's
        """See Database."""
        (plan,) = self._ask(f"EXPLAIN (FORMAT JSON) {statement}", ())
        return int(plan[0][0]["Plan"]["Plan Rows"])

    @contextmanager
    def answer(self, statement: str, values: Sequence[Any], size: int) -> Iterator[Answer]:
        """See Database."""
        assert self._connection is not None
        cursor = self._connection.cursor("rows")
        cursor.itersize = size
        try:
            cursor.execute(statement, values or None)
            types = self._connection.adapters.types
            described = [
                Column(each.name, info.name if (info := types.get(each.type_code)) else "unknown")
                for each in cursor.description or ()
            ]
            yield Answer(described, self._blocks(cursor, size))
        except psycopg.Error as exc:
            raise _translated(exc, "") from exc
        finally:
            if not self._connection.closed:
                cursor.close()
                self._connection.rollback()

    def _blocks(self, cursor: Any, size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        try:
            while block := cursor.fetchmany(size):
                yield block
        except psycopg.Error as exc:
            raise _translated(exc, "") from exc

    def _ask(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        assert self._connection is not None
        try:
            rows = self._connection.execute(statement, values or None).fetchall()
            self._connection.rollback()
        except psycopg.Error as exc:
            raise _translated(exc, "") from exc
        return rows


def _translated(exc: psycopg.Error, address: str) -> PortError:
    text = (str(exc).strip().splitlines() or [type(exc).__name__])[0]
    code = exc.sqlstate or ""
    if code[:2] == "28" or "password authentication" in text or "no password" in text:
        return Refused("import", f"PostgreSQL does not let us in: {text}. Correct user and password")
    if isinstance(exc, (psycopg.OperationalError, psycopg.InterfaceError)) and code[:2] not in ("42", "3D"):
        if "does not exist" in text:
            return Refused("import", f"PostgreSQL: {text}")
        return Unavailable("import", f"PostgreSQL{f' at {address}' if address else ''} does not answer: {text}")
    return Refused("import", f"PostgreSQL says no: {text}")
