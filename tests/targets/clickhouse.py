"""ClickHouse: a table that the destination makes, and one with columns of somebody else's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import clickhouse_connect
import msgspec
from clickhouse_connect.driver.client import Client

from tests.servers import running
from tests.sources import World
from tests.targets import Arrived, Open, Sink

SECRET: Final = "TEST_CLICKHOUSE_SECRET"
"""The variable that the destination's setting refers to."""


class ClickhouseSink:
    """See Sink. It is read without FINAL: what was inserted twice would be there twice."""

    kind = "clickhouse"
    exactly_once = True

    def __init__(self, url: str, table: str) -> None:
        parts = urlsplit(url)
        os.environ[SECRET] = parts.password or ""  # destinations run in this process, and in its children
        self.url, self.table = url, table
        self.settings: dict[str, Any] = {
            "url": f"http://{parts.hostname}:{parts.port}",
            "username": parts.username,
            "password": f"env:{SECRET}",
            "table": table,
            "age_s": 0.2,
        }
        self.definition: dict[str, Any] = {"settings": {**self.settings, "create": True}}
        self.away = {**self.settings, "url": "http://127.0.0.1:1"}

    def execute(self, statement: str) -> list[Any]:
        with client(self.url) as made:
            if statement.startswith("SELECT"):
                return list(made.query(statement).result_rows)
            made.command(statement)
            return []

    def arrived(self) -> Sequence[Arrived]:
        if not self.execute(f"SELECT name FROM system.tables WHERE name = '{self.table}'"):
            return []
        rows = self.execute(f"SELECT event_id, document, profile_id FROM `{self.table}` ORDER BY time")
        assert all(msgspec.json.decode(document)["profile"]["id"] == profile for _, document, profile in rows)
        return [Arrived(id, msgspec.json.decode(document)) for id, document, _ in rows]


class ColumnsSink(ClickhouseSink):
    """The mapping's fields go into columns of the same names, each of its own type."""

    def __init__(self, url: str, table: str) -> None:
        super().__init__(url, table)
        self.execute(
            f"CREATE TABLE `{table}` (event_id UUID, number Int32, at DateTime64(3, 'UTC'), properties String) "
            "ENGINE = MergeTree ORDER BY number SETTINGS non_replicated_deduplication_window = 100"
        )
        self.definition = {
            "settings": {**self.settings, "columns": ["number", "at", "properties"]},
            "mapping": {"number": "properties.number", "at": "metadata.time.insert", "properties": "properties"},
        }

    def arrived(self) -> Sequence[Arrived]:
        rows = self.execute(f"SELECT event_id, number, properties FROM `{self.table}` ORDER BY at")
        found = [(str(id), number, msgspec.json.decode(properties)) for id, number, properties in rows]
        assert all(number == properties["number"] for _, number, properties in found)
        return [Arrived(id, {"id": id, "properties": properties}) for id, _, properties in found]


def client(url: str) -> Client:
    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        host=parts.hostname, port=parts.port or 0, username=parts.username, password=parts.password or ""
    )


def _way(kind: type[ClickhouseSink]) -> Open:
    @contextmanager
    def way(world: World) -> Iterator[Sink]:
        with running.shared("clickhouse", world.folder / "clickhouse") as url:
            yield kind(url, f"{world.namespace}_sink")

    return way


WAYS: Final[dict[str, Open]] = {"": _way(ClickhouseSink), "columns": _way(ColumnsSink)}
