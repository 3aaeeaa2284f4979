"""PostgreSQL: a table that the destination makes, and one with columns of somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import psycopg

from tests.servers import running
from tests.sources import World
from tests.sources.postgres import SECRET
from tests.targets import Arrived, Open, Sink


class PostgresSink:
    """See Sink."""

    kind = "postgres"
    exactly_once = True

    def __init__(self, url: str, table: str) -> None:
        parts = urlsplit(url)
        os.environ[SECRET] = unquote(parts.password or "")  # destinations run in this process, and in its children
        self.url, self.table = url, table
        self.settings: dict[str, Any] = {
            "url": f"postgresql://{parts.hostname}:{parts.port}{parts.path}",
            "username": parts.username,
            "password": f"env:{SECRET}",
            "table": table,
        }
        self.definition: dict[str, Any] = {"settings": {**self.settings, "create": True}}
        self.away = {**self.settings, "url": f"postgresql://127.0.0.1:1{parts.path}"}

    def execute(self, statement: str) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def arrived(self) -> Sequence[Arrived]:
        if not self.execute(f"SELECT 1 FROM pg_tables WHERE tablename = '{self.table}'"):
            return []
        rows = self.execute(f'SELECT event_id, document FROM "{self.table}" ORDER BY ctid')
        return [Arrived(id, document) for id, document in rows]


class ColumnsSink(PostgresSink):
    """The mapping's fields go into columns of the same names, each of its own type."""

    def __init__(self, url: str, table: str) -> None:
        super().__init__(url, table)
        self.execute(f'CREATE TABLE "{table}" (event_id uuid UNIQUE, number integer, at timestamptz, properties jsonb)')
        self.definition = {
            "settings": {**self.settings, "columns": ["number", "at", "properties"]},
            "mapping": {"number": "properties.number", "at": "metadata.time.insert", "properties": "properties"},
        }

    def arrived(self) -> Sequence[Arrived]:
        rows = self.execute(f'SELECT event_id, number, properties FROM "{self.table}" ORDER BY ctid')
        assert all(number == properties["number"] for _, number, properties in rows)
        return [Arrived(str(id), {"id": str(id), "properties": properties}) for id, _, properties in rows]


def _way(kind: type[PostgresSink]) -> Open:
    @contextmanager
    def way(world: World) -> Iterator[Sink]:
        with running.shared("postgres", world.folder / "postgres") as url:
            yield kind(url, f"{world.namespace}_sink")

    return way


WAYS: Final[dict[str, Open]] = {"": _way(PostgresSink), "columns": _way(ColumnsSink)}
