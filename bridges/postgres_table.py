"""The table that is read: what its columns are, and the statements about its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from bridges.postgres_link import Link
from hub.errors import Refused, Unavailable

if TYPE_CHECKING:
    from bridges.postgres import PostgresSettings

MOST_COUNTED: Final = 100_000
ORDINARY_TABLE: Final = "r"
ROW: Final = Identifier("hub_row")
"""The table's alias: a table may have a column of the name of any shorter one."""
TIMES: Final = ("date", "timestamp")
"""How the names of types begin that are times."""

_RELATION: Final = """
SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text,
       has_table_privilege(c.oid, 'SELECT') OR has_any_column_privilege(c.oid, 'SELECT'),
       has_table_privilege(c.oid, 'DELETE')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)
"""
_COLUMNS: Final = """
SELECT attname::text, format_type(atttypid, atttypmod), attnotnull, has_column_privilege(attrelid, attnum, 'UPDATE')
FROM pg_attribute WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped
"""
_UNIQUE: Final = """
SELECT EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
WHERE i.indrelid = %s AND i.indisunique AND i.indnkeyatts = 1 AND i.indpred IS NULL AND a.attname = %s)
"""


class Column(NamedTuple):
    """Attributes: type: as SQL writes it. filled: never NULL. writable: by us."""

    type: str
    filled: bool
    writable: bool


class Statements(NamedTuple):
    """
    About the rows of one table; `first` and `after` give id, body, time in ms, transaction.

    Attributes:
        name: Schema and name, for people and positions; with the table's oid where rows have no time.
        first: The first rows (queue). Parameters: ids to leave out, count.
        after: Rows after one. Parameters: its transaction (cursor), its id, count.
        beyond: Whether there is any row after one, readable yet or not: (cursor). Parameters: transaction, id.
        waiting: How many wait. Parameters: transaction, id (cursor).
        settle: Acknowledges: (queue). Parameter: ids.
        last: Transaction and id of the newest row that can be read: (cursor).
        before: Of the row before one: (cursor). Parameters: transaction, id.
        of_time: Of the first row of that time or later: (cursor). Parameter: ms since 1970.
        of_id: Of the row with that id: (cursor). Parameter: id.
        foreign: Whether there are rows of transactions that this server has not had: (cursor).
    """

    name: str
    after: bytes
    waiting: bytes
    first: bytes = b""
    settle: bytes = b""
    beyond: bytes = b""
    last: bytes = b""
    before: bytes = b""
    of_time: bytes = b""
    of_id: bytes = b""
    foreign: bytes = b""


def quoted(name: str) -> Composed:
    """`table` or `schema.table`."""
    return Composed([Identifier(*name.split("."))])


async def statements(link: Link, settings: PostgresSettings) -> Statements:
    """
    Those of the table of the settings.

    Raises: Unavailable: there is no such table. Refused: it cannot be read like this.
    """
    found = await link.ask(_RELATION.encode(), [quoted(settings.table).as_string(None)])
    if not found:
        raise Unavailable(
            "source",
            f"there is no table {settings.table}: make it, or correct settings.table; it is tried again until then",
        )
    oid, schema, relation, kind, readable, deletable = found[0]
    columns = {name: Column(*rest) for name, *rest in await link.ask(_COLUMNS.encode(), [oid])}
    id = _column(columns, settings, "id")
    if not id.filled and kind == ORDINARY_TABLE:
        raise Refused(
            "source", f"{settings.table}.{settings.id} may be NULL: ALTER TABLE … SET NOT NULL, or set settings.id"
        )
    if kind == ORDINARY_TABLE and not (await link.ask(_UNIQUE.encode(), [oid, settings.id]))[0][0]:
        raise Refused(
            "source",
            f"{settings.table}.{settings.id} is not unique, and two rows of one id would be one message: make it the "
            "primary key, CREATE UNIQUE INDEX, or set settings.id",
        )
    if not readable:
        raise Refused("source", _grant("SELECT", settings))
    if settings.after == "delete" and not deletable:
        raise Refused("source", _grant("DELETE", settings))
    name = f"{schema}.{relation}"
    # a table that is made again begins its numbers again, and without a time only this tells them apart
    named = name if settings.time else f"{name}@{oid}"
    return _cursor(settings, columns, named) if settings.after == "cursor" else _queue(settings, columns, named)


def _queue(settings: PostgresSettings, columns: Mapping[str, Column], name: str) -> Statements:
    """Of a table whose rows are deleted or marked."""
    table, id, cast = quoted(settings.table), _of_row(settings.id), SQL(columns[settings.id].type)
    waiting: Composable = SQL("TRUE")
    settle: Composable = SQL("DELETE FROM {} AS {}").format(table, ROW)
    if settings.after == "mark":
        mark = _column(columns, settings, "mark")
        if not mark.writable:
            raise Refused("source", _grant(f"UPDATE ({settings.mark})", settings))
        if mark.type == "boolean":
            waiting, value = SQL("{} IS NOT TRUE").format(_of_row(settings.mark)), SQL("TRUE")
        elif mark.type.startswith(TIMES):
            waiting, value = SQL("{} IS NULL").format(_of_row(settings.mark)), SQL("now()")
        else:
            raise Refused(
                "source", f"{settings.table}.{settings.mark} is {mark.type}: a mark is a boolean or a timestamp"
            )
        settle = SQL("UPDATE {} AS {} SET {} = {}").format(table, ROW, Identifier(settings.mark), value)
    select = SQL("SELECT {}::text, {}, {}, NULL::text FROM {} AS {} WHERE {}").format(
        id, _body(settings, columns), _time(settings, columns), table, ROW, waiting
    )
    order = SQL("ORDER BY {} LIMIT %s").format(id)
    return Statements(
        name,
        first=_bytes(SQL("{} AND {} <> ALL(%s::{}[]) {}").format(select, id, cast, order)),
        after=_bytes(SQL("{} AND {} > %s::{} {}").format(select, id, cast, order)),
        waiting=_count(table, waiting),
        settle=_bytes(SQL("{} WHERE {} = ANY(%s::{}[])").format(settle, id, cast)),
    )


def _cursor(settings: PostgresSettings, columns: Mapping[str, Column], name: str) -> Statements:
    """Of a table that is only read, in the order of its transactions."""
    table, id, cast = quoted(settings.table), _of_row(settings.id), SQL(columns[settings.id].type)
    column = _column(columns, settings, "transaction")
    if column.type != "xid8" or not column.filled:
        raise Refused(
            "source",
            f"{settings.table}.{settings.transaction} is {column.type}, and has to be xid8 NOT NULL: "
            f"ALTER TABLE {settings.table} ADD COLUMN tx xid8 NOT NULL DEFAULT pg_current_xact_id(), then set "
            'settings.transaction to "tx"',
        )
    tx = _of_row(settings.transaction)
    place = SQL("{}, {}").format(tx, id)
    after = SQL("({}) > (%s::xid8, %s::{})").format(place, cast)
    # a transaction that is still open may commit rows with smaller ids: its rows and those of later ones wait for it
    settled = SQL("{} < pg_snapshot_xmin(pg_current_snapshot())").format(tx)
    select = SQL("SELECT {}::text, {}, {}, {}::text FROM {} AS {} WHERE {}").format(
        id, _body(settings, columns), _time(settings, columns), tx, table, ROW, settled
    )
    ascending = SQL("ORDER BY {} LIMIT %s").format(place)
    one = SQL("SELECT {}::text, {}::text FROM {} AS {}").format(tx, id, table, ROW)
    descending = SQL("ORDER BY {} DESC, {} DESC LIMIT 1").format(tx, id)
    time = _of_row(settings.time) if settings.time else SQL("NULL::timestamptz")
    return Statements(
        name,
        after=_bytes(SQL("{} AND {} {}").format(select, after, ascending)),
        beyond=_bytes(SQL("SELECT EXISTS (SELECT FROM {} AS {} WHERE {})").format(table, ROW, after)),
        waiting=_count(table, after),
        last=_bytes(SQL("{} WHERE {} {}").format(one, settled, descending)),
        before=_bytes(SQL("{} WHERE ({}) < (%s::xid8, %s::{}) {}").format(one, place, cast, descending)),
        of_time=_bytes(
            SQL("{} WHERE {} >= to_timestamp(%s::float8 / 1000) AND {} ORDER BY {} LIMIT 1").format(
                one, time, settled, place
            )
        ),
        of_id=_bytes(SQL("{} WHERE {} = %s::{}").format(one, id, cast)),
        foreign=_bytes(
            SQL("SELECT EXISTS (SELECT FROM {} AS {} WHERE {} >= pg_snapshot_xmax(pg_current_snapshot()))").format(
                table, ROW, tx
            )
        ),
    )


def _count(table: Composable, waiting: Composable) -> bytes:
    some = SQL("SELECT FROM {} AS {} WHERE {} LIMIT {}").format(table, ROW, waiting, Literal(MOST_COUNTED))
    return _bytes(SQL("SELECT count(*) FROM ({}) AS counted").format(some))


def _bytes(statement: Composable) -> bytes:
    return statement.as_bytes(None)


def _of_row(column: str) -> Composed:
    return SQL("{}.{}").format(ROW, Identifier(column))


def _body(settings: PostgresSettings, columns: Mapping[str, Column]) -> Composable:
    if not settings.body:
        return SQL("row_to_json({}.*)::text").format(ROW)
    column = _column(columns, settings, "body")
    return _of_row(settings.body) if column.type == "bytea" else SQL("{}::text").format(_of_row(settings.body))


def _time(settings: PostgresSettings, columns: Mapping[str, Column]) -> Composable:
    if not settings.time:
        return SQL("NULL::bigint")
    column = _column(columns, settings, "time")
    if not column.type.startswith(TIMES):
        raise Refused("source", f"{settings.table}.{settings.time} is {column.type}: settings.time takes a timestamp")
    time = _of_row(settings.time)
    return SQL("CASE WHEN isfinite({0}) THEN floor(extract(epoch FROM {0}) * 1000)::bigint END").format(time)


def _column(columns: Mapping[str, Column], settings: PostgresSettings, setting: str) -> Column:
    name = getattr(settings, setting)
    if name not in columns:
        raise Refused(
            "source",
            f"the table {settings.table} has no column {name}: correct settings.{setting}; there are: "
            f"{', '.join(columns)}",
        )
    return columns[name]


def _grant(right: str, settings: PostgresSettings) -> str:
    return (
        f"the role {settings.username} lacks a right that it needs: GRANT {right} ON {settings.table} "
        f"TO {settings.username}"
    )
