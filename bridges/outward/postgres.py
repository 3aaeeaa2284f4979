"""A PostgreSQL table as a target: one row an event, never two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

import msgspec
import psycopg
from psycopg.sql import SQL, Composed, Identifier
from pydantic import Field

from bridges.base import Context
from bridges.outward.base import Message, Rejected, Target, TargetSpec
from bridges.postgres_link import Link, PostgresServer
from bridges.postgres_table import quoted
from hub.errors import PortError, Refused
from hub.pipeline.documents import iso

OURS: Final = ("profile_id", "type", "source", "time", "document")
"""Columns beside the event id of a table that gets whole messages."""
DURABLE: Final = b"SET synchronous_commit TO on"
OF_A_ROW: Final = ("22", "23")
"""Beginnings of SQLSTATE codes that are one row's fault: its values, or the table's constraints."""
NO_UNIQUE: Final = "42P10"
_encode: Final = msgspec.json.encode

Name = Annotated[str, Field(pattern=r"^[^%\x00]+$")]


class PostgresSettings(PostgresServer, frozen=True, extra="forbid"):
    """Settings of a destination of type `postgres`."""

    table: Annotated[Name, Field(description="The table: its name, or schema.name.")]
    id: Annotated[
        Name, Field(description="Column for the event id, of type text or uuid, with a unique index of its own.")
    ] = "event_id"
    columns: Annotated[
        list[Name],
        Field(
            default_factory=list,
            description="Columns that get the mapping's fields of the same names. Empty: profile_id, type, source, "
            "time (timestamptz) and document (jsonb), the whole message.",
        ),
    ]
    create: Annotated[bool, Field(description="Make the table if it is not there; only without `columns`.")] = False


class PostgresTarget(Target):
    """One statement a batch, a transaction of its own. An event that is there already is left as it is."""

    def __init__(self, settings: PostgresSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._link = Link(settings, context)
        self._insert = _insert(settings)

    async def connect(self) -> None:
        """See Target."""
        settings = self._settings
        await self._link.open()
        await self._link.ask(DURABLE)
        if settings.create:
            await self._link.ask(_create(settings))
        wanted = SQL(", ").join(map(Identifier, (settings.id, *(settings.columns or OURS))))
        await self._link.ask(SQL("SELECT {} FROM {} LIMIT 0").format(wanted, quoted(settings.table)))

    async def send(self, batch: Sequence[Message]) -> Sequence[Rejected]:
        """See Target."""
        columns = self._settings.columns
        rejected = [
            Rejected(place, f"the mapping has to make an object with the fields {', '.join(columns)}")
            for place, message in enumerate(batch)
            if columns and not isinstance(message.content, dict)
        ]
        never = {place for place, _ in rejected}
        rejected += await self._put(batch, [place for place in range(len(batch)) if place not in never])
        return rejected

    async def close(self) -> None:
        """See Target."""
        await self._link.close()

    async def _put(self, batch: Sequence[Message], places: Sequence[int]) -> list[Rejected]:
        """A row at fault is found by halves. Raises Unavailable, Refused."""
        if not places:
            return []
        rows = b"[" + b",".join(self._row(batch[place]) for place in places) + b"]"
        try:
            await self._link.ask(self._insert, [rows.decode()])
        except PortError as exc:
            state = exc.__cause__.sqlstate if isinstance(exc.__cause__, psycopg.Error) else None
            if state == NO_UNIQUE:
                raise Refused(
                    "target", f"settings.id: {self._settings.id} needs a unique index: CREATE UNIQUE INDEX ON the table"
                ) from exc
            if state is None or not state.startswith(OF_A_ROW):
                raise
            if len(places) == 1:
                return [Rejected(places[0], exc.detail)]
        else:
            return []
        half = len(places) // 2
        return [*await self._put(batch, places[:half]), *await self._put(batch, places[half:])]

    def _row(self, message: Message) -> bytes:
        settings = self._settings
        if settings.columns:
            fields = {name: message.content.get(name) for name in settings.columns}
            return _encode({**fields, settings.id: message.id})
        return _encode(
            {
                settings.id: message.id,
                "profile_id": message.profile_id or None,
                "type": message.type,
                "source": message.source,
                "time": iso(message.time_ms),
                "document": msgspec.Raw(message.body),
            }
        )


def _insert(settings: PostgresSettings) -> Composed:
    """Gets one parameter, a JSON array of rows."""
    table, id = quoted(settings.table), Identifier(settings.id)
    names = SQL(", ").join(map(Identifier, (settings.id, *(settings.columns or OURS))))
    # the table's own type: so each value is read as its column wants it
    return SQL(
        "INSERT INTO {table} ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %s::jsonb) "
        "ON CONFLICT ({id}) DO NOTHING"
    ).format(table=table, names=names, id=id)


def _create(settings: PostgresSettings) -> Composed:
    return SQL(
        "CREATE TABLE IF NOT EXISTS {table} ({id} text PRIMARY KEY, profile_id text, type text NOT NULL, "
        "source text NOT NULL, time timestamptz NOT NULL, document jsonb NOT NULL)"
    ).format(table=quoted(settings.table), id=Identifier(settings.id))


def _check(settings: PostgresSettings, definition: Mapping[str, Any]) -> None:
    if settings.columns and settings.create:
        raise ValueError("settings.create: a table with `columns` of your own is yours to make")
    if settings.columns and definition["mapping"] is None and definition["sends"] == "events":
        raise ValueError("settings.columns: they are the mapping's fields, and there is no mapping")
    if settings.id in (settings.columns or OURS):
        raise ValueError("settings.id: this column has another purpose")


SPEC: Final = TargetSpec("postgres", "Insert into a PostgreSQL table.", PostgresSettings, PostgresTarget, _check)
