"""A PostgreSQL table as a source, such as an outbox: rows are deleted, marked, or passed by a cursor."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

from psycopg.sql import SQL, Composed, Identifier
from pydantic import Field, model_validator

from bridges.base import WAIT_S, Batch, Bridge, BridgeSpec, Context, Delivery, Rewind
from bridges.postgres_link import Link, PostgresServer, Row
from bridges.postgres_table import MOST_COUNTED, Statements, quoted, statements
from hub.errors import Refused

GATHER_S: Final = 0.002
"""How long after a notification rows are read: so that those of its neighbours come with them."""
HELD_BACK_S: Final = 0.002
"""How soon rows are looked for again that wait for an older transaction to end, as our own that moves the cursor."""
MOST_HELD_BACK_S: Final = 0.1
"""Each look that finds them still waiting doubles it up to here: nobody notifies of the end of a transaction."""
FIRST_COUNT: Final = 50
MOST_COUNT: Final = 1000
ENOUGH_BYTES: Final = 16_777_216
"""Rows are asked for by number: so fewer when those before were large."""
LAG_EVERY_S: Final = 1.0
LONG_LAG_EVERY_S: Final = 10.0
"""When there is much to count, or nothing comes and nothing waits."""
POLL_S: Final = 1.0
HEARING_POLL_S: Final = 5.0
"""How often rows are looked for: without a channel, and with one."""

Name = Annotated[str, Field(pattern=r"^[^%\x00]*$")]


class Place(NamedTuple):
    """Where a row is in the order of reading. Attributes: transaction: of a cursor; "" in a queue. id: as text."""

    transaction: str
    id: str | None


BEGINNING: Final = Place("0", None)
"""Of a cursor. No transaction has this number, so whatever the id, every row comes after it."""


class PostgresSettings(PostgresServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `postgres`."""

    table: Annotated[Name, Field(min_length=1, description="The table: its name, or schema.name.")]
    id: Annotated[
        Name, Field(min_length=1, description="Column that names a row, unique. Rows are read in its order.")
    ] = "id"
    body: Annotated[Name, Field(description="Column with the message. Empty: the whole row, as a JSON object.")] = ""
    time: Annotated[Name, Field(description="Column with the time of the message, a timestamp. Empty: none.")] = ""
    after: Annotated[
        Literal["delete", "mark", "cursor"],
        Field(description="What becomes of a row that our Kafka has: it is deleted, marked, or passed by a cursor."),
    ]
    mark: Annotated[
        Name, Field(description="Of `mark`: the column; a timestamp that is set to the time, or a boolean to true.")
    ] = ""
    transaction: Annotated[
        Name, Field(description="Of `cursor`: the column xid8 NOT NULL DEFAULT pg_current_xact_id().")
    ] = ""
    start: Annotated[
        Literal["earliest", "latest"], Field(description="Of `cursor`: where a bridge begins that has no cursor yet.")
    ] = "earliest"
    cursor_table: Annotated[
        Name, Field(min_length=1, description="Of `cursor`: where cursors are kept; made if it is not there.")
    ] = "thamesthrive_hub_cursors"
    channel: Annotated[
        Name, Field(description="LISTEN to it, and look for rows whenever it is notified. Empty: only every poll_s.")
    ] = ""
    poll_s: Annotated[
        float | None,
        Field(
            ge=0.05,
            le=10,
            description="How often rows are looked for when nothing is heard. Empty: 1, with a channel 5.",
        ),
    ] = None

    @property
    def look_every_s(self) -> float:
        """`poll_s`, or what it is when nobody has set it."""
        return self.poll_s or (HEARING_POLL_S if self.channel else POLL_S)

    @model_validator(mode="after")
    def _fits_after(self) -> PostgresSettings:
        for after, setting in (("mark", "mark"), ("cursor", "transaction")):
            if (self.after == after) != bool(getattr(self, setting)):
                raise ValueError(f"{setting} goes with after: {after!r}: set both, or neither")
        return self


class PostgresDelivery(Delivery):
    """A row."""

    def meta(self) -> dict[str, Any]:
        """Besides what every delivery has: table, id (as text)."""
        name, _, id = self.position.partition("/")
        return {**super().meta(), "table": name.partition("@")[0], "id": id}


class _Read(NamedTuple):
    """A row that is not acknowledged."""

    delivery: PostgresDelivery
    place: Place


class _Chunk:
    """Rows of one batch of a cursor. Attributes: end: its last row."""

    __slots__ = ("acked", "end")

    def __init__(self, end: Place) -> None:
        self.end = end
        self.acked = False


class PostgresBridge(Bridge):
    """
    Two connections: one looks for rows and listens, the other acknowledges.

    A queue (`delete`, `mark`) is read in sweeps, each from the first row that is not under way: rows that are committed
    late, with smaller ids, come with the next sweep. A cursor passes rows in the order of their transactions, and none
    as long as an older transaction is open: ids are given before the commit, so their order has gaps that fill later.
    """

    def __init__(self, settings: PostgresSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        # of the table as well: the place in another one would skip what is in this one
        self._name = f"{context.namespace}.{context.bridge}.{settings.table}"
        self._reader = Link(settings, context)
        self._settler = Link(settings, context)
        self._table: Statements
        self._held: deque[_Read] = deque()
        self._most = FIRST_COUNT
        self._after: Place | None = None
        """The row that was read last; None: none yet, or the next sweep begins."""
        self._open: set[str] = set()
        """Of a queue: ids of rows that were read and are not acknowledged."""
        self._chunks: deque[_Chunk] = deque()
        """Of a cursor: what was given out and not passed yet, in its order."""
        self._passed = BEGINNING
        self._reading: asyncio.Task[list[_Read]] | None = None
        """The next rows, while there is a backlog: the server works while we do."""
        self._full = False
        """The last read found all that it asked for: there is a backlog."""
        self._look_at = 0.0
        self._held_back_s = 0.0
        """Of a cursor: how soon to look again for rows that are held back; 0: there are none."""
        self._quiet = False
        """The last look found nothing, and nothing is held back."""
        self._lag: int | None = None
        self._lag_at = 0.0
        self._busy = True
        """Something was taken since the lag was asked for."""

    async def connect(self) -> None:
        """See Bridge.connect."""
        await self._reader.open()
        await self._settler.open()
        self._table = await statements(self._reader, self._settings)
        if self._settings.after == "cursor":
            await self._refuse_foreign()
            await self._make_cursor_table()
            self._passed = self._after = await self._begin()
            await self._store(self._passed)  # so that `latest` is what is the latest now
        if self._settings.channel:
            await self._reader.ask(SQL("LISTEN {}").format(Identifier(self._settings.channel)))
        await self._measure_lag()

    async def take(self, limit: int) -> Batch:
        """See Bridge.take."""
        if not self._held:
            self._held.extend(await self._next())
        if _now() >= self._lag_at:
            await self._measure_lag()
        taken = [self._held.popleft() for _ in range(min(limit, len(self._held)))]
        if self._full and self._reading is None and len(self._held) < MOST_COUNT // 2:
            self._reading = asyncio.create_task(self._read(), name=f"read-{self._context.bridge}")
        self._busy = self._busy or bool(taken)
        token: Any = None
        if taken and self._settings.after == "cursor":
            token = _Chunk(taken[-1].place)
            self._chunks.append(token)
        elif taken:
            token = [read.place.id for read in taken]
        return Batch([read.delivery for read in taken], token)

    async def ack(self, batch: Batch) -> None:
        """See Bridge.ack. One statement for all rows."""
        if isinstance(batch.token, _Chunk):
            await self._pass(batch.token)
        elif batch.token:
            await self._settler.ask(self._table.settle, [batch.token])
            self._open.difference_update(batch.token)

    async def close(self) -> None:
        """See Bridge.close. Nothing was taken away, so nothing has to be given back."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await self._reader.close()
        await self._settler.close()

    def lag(self) -> int | None:
        """See Bridge.lag: rows that are not acknowledged, counted about once a second, up to 100,000."""
        return self._lag

    async def sample(self, limit: int) -> Sequence[Delivery]:
        """See Bridge.sample. The rows that come next."""
        try:
            await self._reader.open()
            self._table = await statements(self._reader, self._settings)
            if self._settings.after == "cursor":
                await self._refuse_foreign()
                self._after = await self._begin()
            self._most = limit
            return [read.delivery for read in await self._read()]
        finally:
            await self.close()

    async def rewind(self, to: Rewind) -> None:
        """See Bridge.rewind. Args: to: an offset is a row's id."""
        settings = self._settings
        if settings.after != "cursor":
            again = "they are gone" if settings.after == "delete" else f"take the marks off {settings.mark}"
            raise Refused(
                "source", f'only a bridge with "after": "cursor" can be rewound; of {settings.table}: {again}'
            )
        try:
            await self._reader.open()
            await self._settler.open()
            self._table = await statements(self._reader, settings)
            await self._make_cursor_table()
            await self._store(await self._place_of(to))
        finally:
            await self.close()

    # reading

    async def _next(self) -> list[_Read]:
        reading, self._reading = self._reading, None
        if reading is not None:
            ahead = await reading
            if ahead:
                return ahead
        if _now() < self._look_at:
            if not await self._wait(self._patience()):
                return []
        elif self._settings.channel:
            await self._reader.notified(0)  # what was notified of until now is found by this look
        found = await self._find()
        if not found and await self._wait(self._patience()):
            found = await self._find()
        return found

    def _patience(self) -> float:
        """Seconds until there is something to do anyhow."""
        return min(WAIT_S, min(self._look_at, self._lag_at) - _now())

    async def _find(self) -> list[_Read]:
        """The next rows; if there are none, it says when to look again."""
        found: list[_Read] = []
        held_back = False
        # while nothing comes one question is enough of a cursor: whether there is any row, to be read yet or not
        skips = self._quiet and self._settings.after == "cursor" and not await self._is_held_back()
        if not skips:
            found = await self._read()
            held_back = not found and await self._is_held_back()
        self._quiet = not (found or held_back)
        self._held_back_s = min(self._held_back_s * 2 or HELD_BACK_S, MOST_HELD_BACK_S) if held_back else 0.0
        self._look_at = 0.0 if found else _now() + (self._held_back_s or self._settings.look_every_s)
        return found

    async def _wait(self, seconds: float) -> bool:
        """Whether it is time to look for rows."""
        if self._held_back_s:
            await asyncio.sleep(seconds)
            return True
        if not self._settings.channel:
            await asyncio.sleep(max(seconds, 0.0))
        elif await self._reader.notified(seconds):
            self._quiet = False
            await asyncio.sleep(GATHER_S)
            return True
        return _now() >= self._look_at

    async def _read(self) -> list[_Read]:
        rows = await (self._read_on() if self._settings.after == "cursor" else self._sweep())
        found = [self._row(row) for row in rows]
        size = sum(len(read.delivery.body) for read in found)
        self._full = len(found) == self._most
        if size > ENOUGH_BYTES:
            self._most = max(1, len(found) * ENOUGH_BYTES // size)
        elif self._full:
            self._most = min(MOST_COUNT, self._most * 2)
        return found

    async def _read_on(self) -> list[Row]:
        rows = await self._reader.ask(self._table.after, [*(self._after or BEGINNING), self._most])
        if rows:
            self._after = Place(rows[-1][3], rows[-1][0])
        return rows

    async def _sweep(self) -> list[Row]:
        rows: list[Row] = []
        if self._after is not None:
            rows = await self._reader.ask(self._table.after, [self._after.id, self._most])
        if not rows:
            rows = await self._reader.ask(self._table.first, [list(self._open), self._most])
        self._after = Place("", rows[-1][0]) if len(rows) == self._most else None
        rows = [row for row in rows if row[0] not in self._open]
        self._open.update(row[0] for row in rows)
        return rows

    def _row(self, row: Row) -> _Read:
        id, value, time_ms, transaction = row
        body = b"" if value is None else value.encode() if isinstance(value, str) else bytes(value)
        return _Read(PostgresDelivery(body, f"{self._table.name}/{id}", time_ms), Place(transaction or "", id))

    async def _is_held_back(self) -> bool:
        """Whether there are rows that wait for an older transaction to end."""
        if self._settings.after != "cursor":
            return False
        [[found]] = await self._reader.ask(self._table.beyond, self._after or BEGINNING)
        return bool(found)

    async def _measure_lag(self) -> None:
        if self._quiet and not (self._open or self._chunks):
            self._lag = 0
        else:
            parameters = self._passed if self._settings.after == "cursor" else ()
            [[self._lag]] = await self._settler.ask(self._table.waiting, parameters)
        much = (self._lag or 0) > MOST_COUNTED // 10
        quiet = not (self._busy or self._lag)
        self._lag_at = _now() + (LONG_LAG_EVERY_S if much or quiet else LAG_EVERY_S)
        self._busy = False

    # the cursor

    async def _pass(self, chunk: _Chunk) -> None:
        """Move the cursor to where everything before it is acknowledged."""
        chunk.acked = True
        end: Place | None = None
        while self._chunks and self._chunks[0].acked:
            end = self._chunks.popleft().end
        if end is not None:
            await self._store(end)
            self._passed = end

    async def _begin(self) -> Place:
        found = await self._reader.ask(b"SELECT to_regclass(%s) IS NOT NULL", [self._cursors().as_string(None)])
        if found[0][0]:
            rows = await self._reader.ask(
                SQL("SELECT tx::text, id FROM {} WHERE bridge = %s").format(self._cursors()), [self._name]
            )
            if rows:
                return Place(*rows[0])
        return BEGINNING if self._settings.start == "earliest" else await self._end()

    async def _end(self) -> Place:
        rows = await self._reader.ask(self._table.last)
        return Place(*rows[0]) if rows else BEGINNING

    async def _place_of(self, to: Rewind) -> Place:
        """Of the row before the first that shall come again. Raises Refused."""
        if to.to == "beginning":
            return BEGINNING
        if to.to == "time":
            if not self._settings.time:
                raise Refused(
                    "source", "the bridge knows no time of its rows: set settings.time to a column that has it"
                )
            rows = await self._reader.ask(self._table.of_time, [to.at_ms])
            if not rows:
                return await self._end()
        else:
            rows = await self._reader.ask(self._table.of_id, [to.offset])
            if not rows:
                raise Refused(
                    "source",
                    f"{self._settings.table} has no row whose {self._settings.id} is {to.offset}: rewind to one that "
                    "is there, or to a time",
                )
        before = await self._reader.ask(self._table.before, rows[0])
        return Place(*before[0]) if before else BEGINNING

    async def _store(self, place: Place) -> None:
        statement = SQL(
            "INSERT INTO {} AS c (bridge, tx, id, updated_at) VALUES (%s, %s::xid8, %s, now()) "
            "ON CONFLICT (bridge) DO UPDATE SET tx = EXCLUDED.tx, id = EXCLUDED.id, updated_at = EXCLUDED.updated_at"
        ).format(self._cursors())
        await self._settler.ask(statement, [self._name, *place])

    async def _make_cursor_table(self) -> None:
        found = await self._settler.ask(b"SELECT to_regclass(%s) IS NOT NULL", [self._cursors().as_string(None)])
        if found[0][0]:
            return  # it may have been made by somebody who may make tables
        make = SQL(
            "CREATE TABLE IF NOT EXISTS {} (bridge text PRIMARY KEY, tx xid8 NOT NULL, id text, "
            "updated_at timestamptz NOT NULL)"
        ).format(self._cursors())
        try:
            await self._settler.ask(make)
        except Refused as exc:
            raise Refused("source", f"{exc.detail}; or make it yourself: {make.as_string(None)}") from exc

    async def _refuse_foreign(self) -> None:
        """Of a restored dump: its transactions' numbers are another server's, and say nothing of the order here."""
        [[found]] = await self._reader.ask(self._table.foreign)
        if found:
            table, tx = self._settings.table, self._settings.transaction
            raise Refused(
                "source",
                f"{table}.{tx} has numbers of transactions that this server has not reached: is it a restored dump? "
                f"Stop the bridge, set {tx} to '1' in all rows, and rewind the bridge to the beginning: rows that came "
                "before are known by their ids",
            )

    def _cursors(self) -> Composed:
        return quoted(self._settings.cursor_table)


def _now() -> float:
    return asyncio.get_running_loop().time()


SPEC: Final = BridgeSpec(
    "postgres",
    "Read a table of a PostgreSQL database, such as an outbox.",
    PostgresSettings,
    PostgresBridge,
    rewinds_to=frozenset({"beginning", "time", "offset"}),
)
