"""Tables and queries of MySQL and MariaDB."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Self

from hub.errors import PortError, Refused, Unavailable
from hub.imports.rows import Column, unreadable
from hub.imports.sql import Answer, Database, Server

CONNECT_S: Final = 10
READ_S: Final = 300
PORT: Final = 3306
INSTALL: Final = "MySQL needs PyMySQL: pip install 'thamesthrive-hub[mysql]'"
_LOST: Final = frozenset({2002, 2003, 2006, 2013, 1040, 1053, 1205, 1213, 1317, 3024, 1969})
"""Codes of errors that may be none the next time."""
_NOT_IN: Final = frozenset({1044, 1045, 1698, 1251})


class MySql(Database):
    """See Database. Rows are taken from the server as they are asked for: it keeps them, not we."""

    kind = "mysql"

    def __init__(self, server: Server) -> None:
        """Does not connect yet."""
        self._server = server
        self._connection: Any = None

    def __enter__(self) -> Self:
        """Raises Refused, Unavailable."""
        try:
            import pymysql  # noqa: PLC0415 - an extra
            from pymysql.constants import FIELD_TYPE  # noqa: PLC0415
            from pymysql.cursors import SSCursor  # noqa: PLC0415
        except ImportError as exc:
            raise unreadable(INSTALL) from exc
        self._error = pymysql.MySQLError
        self._cursor = SSCursor
        self._types = {code: name.lower() for name, code in vars(FIELD_TYPE).items() if isinstance(code, int)}
        server = self._server
        try:
            self._connection = pymysql.connect(
                host=server.host,
                port=server.port or PORT,
                user=server.username,
                password=server.password,
                database=server.database,
                charset="utf8mb4",
                connect_timeout=CONNECT_S,
                read_timeout=READ_S,
                # times without a zone are UTC, and all that is read is of one moment
                init_command="SET time_zone = '+00:00'",
                **server.options,
            )
            self._connection.query("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
        except self._error as exc:
            raise _translated(exc, f"{server.host}:{server.port or PORT}") from exc
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._connection._force_close()
            self._connection = None

    def quoted(self, name: str) -> str:
        """See Database."""
        return "`" + name.replace("`", "``") + "`"

    def primary_key(self, table: Sequence[str]) -> list[str]:
        """See Database."""
        name = ".".join(map(self.quoted, table))
        rows = self._ask(f"SHOW KEYS FROM {name} WHERE Key_name = 'PRIMARY'")
        return [str(row[4]) for row in sorted(rows, key=lambda row: int(row[3]))]

    def estimate(self, statement: str, table: Sequence[str]) -> int:  # noqa: ARG002 - the port's
        """See Database."""
        if not table:
            return 0
        schema, name = table if len(table) == 2 else (self._server.database, table[0])
        rows = self._ask(
            "SELECT TABLE_ROWS FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s",
            (schema, name),
        )
        return int(rows[0][0] or 0) if rows else 0

    @contextmanager
    def answer(self, statement: str, values: Sequence[Any], size: int) -> Iterator[Answer]:
        """See Database."""
        cursor = self._connection.cursor(self._cursor)
        try:
            cursor.execute(statement, list(values) or None)
            described = [Column(each[0], self._types.get(each[1], "unknown")) for each in cursor.description or ()]
            yield Answer(described, self._blocks(cursor, size))
            cursor.close()
        except self._error as exc:
            raise _translated(exc, "") from exc
        except BaseException:
            self._break_off(cursor)
            raise

    def _break_off(self, cursor: Any) -> None:
        """End the connection with rows that are still to come, which a polite end would read all."""
        if cursor._result is not None:
            cursor._result.unbuffered_active = False
        cursor.connection = None
        self.__exit__()

    def _blocks(self, cursor: Any, size: int) -> Iterator[Sequence[tuple[Any, ...]]]:
        try:
            while block := cursor.fetchmany(size):
                yield block
        except self._error as exc:
            raise _translated(exc, "") from exc

    def _ask(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(statement, list(values) or None)
                return list(cursor.fetchall())
        except self._error as exc:
            raise _translated(exc, "") from exc


def _translated(exc: Exception, address: str) -> PortError:
    code = exc.args[0] if exc.args and isinstance(exc.args[0], int) else 0
    text = str(exc.args[1]) if len(exc.args) > 1 else str(exc)
    if code in _NOT_IN:
        return Refused("import", f"MySQL does not let us in: {text}. Correct user and password")
    if code in _LOST or code == 0:
        return Unavailable("import", f"MySQL{f' at {address}' if address else ''} does not answer: {text}")
    return Refused("import", f"MySQL says no: {text}")
