"""A ClickHouse table as a target: one row an event, many rows an insert, an insert that comes again is dropped."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

import aiohttp
import clickhouse_connect
import msgspec
from clickhouse_connect.driver.asyncclient import AsyncClient
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.network import TlsSettings, connect_error, tls_context
from bridges.outward.base import Denied, Later, Message, Rejected, Sized, Span, SpanTarget, TargetSpec
from hub.definitions.secrets import SecretRef, resolve
from hub.errors import PortError
from hub.pipeline.documents import iso

CONNECT_S: Final = 5.0
PORTS: Final = {"http": 8123, "https": 8443}
OURS: Final = ("profile_id", "type", "source", "time", "document")
"""Columns beside the event id of a table that gets whole messages."""
WINDOW: Final = 10_000
"""Inserts that a table of our making remembers, to know one that comes again."""
SETTINGS: Final[Mapping[str, str]] = {
    # an insert is answered when it is done, whatever the user's profile says
    "async_insert": "0",
    "wait_end_of_query": "1",
    "insert_deduplicate": "1",
    "date_time_input_format": "best_effort",
    "input_format_json_read_objects_as_strings": "1",
    "input_format_json_read_numbers_as_strings": "1",
}
OF_A_ROW: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        25,  # CANNOT_PARSE_ESCAPE_SEQUENCE
        26,  # CANNOT_PARSE_QUOTED_STRING
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        32,  # ATTEMPT_TO_READ_AFTER_EOF
        36,  # BAD_ARGUMENTS, of a key that a JSON column has twice
        38,  # CANNOT_PARSE_DATE
        41,  # CANNOT_PARSE_DATETIME
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        131,  # TOO_LARGE_STRING_SIZE
        321,  # VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        376,  # CANNOT_PARSE_UUID
        407,  # DECIMAL_OVERFLOW
        467,  # CANNOT_PARSE_BOOL
        469,  # VIOLATED_CONSTRAINT
        675,  # CANNOT_PARSE_IPV4
        676,  # CANNOT_PARSE_IPV6
        691,  # UNKNOWN_ELEMENT_OF_ENUM
    }
)
"""Codes of errors that are one row's fault: its values, or the table's constraints."""
_LOGIN: Final = "Correct settings.username and settings.password"
_COLUMNS: Final = "Correct settings.id and settings.columns, or the table"
MEND: Final[Mapping[int, str]] = {
    16: _COLUMNS,
    47: _COLUMNS,
    60: "Make the table, set `create`, or correct settings.table",
    81: "Make the database, or correct settings.database",
    164: "The user may only read: allow it to insert",
    192: _LOGIN,
    193: _LOGIN,
    194: _LOGIN,
    497: "Grant the user SELECT and INSERT on the table, and for `create` CREATE TABLE",
    516: _LOGIN,
}
"""By code, what a person has to do."""
_CODE: Final = re.compile(r"\b[Cc]ode:? (\d+)\b")
_encode: Final = msgspec.json.encode

Name = Annotated[str, Field(pattern=r"^[^\x00]+$")]


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("write http://host:port or https://host:port; the database has a setting of its own")
    if "@" in parts.netloc:
        raise ValueError("leave the user and the password out of the URL: there are `username` and `password`")
    return url


class ClickhouseSettings(TlsSettings, Sized, frozen=True, extra="forbid"):
    """Settings of a destination of type `clickhouse`."""

    url: Annotated[str, AfterValidator(_address), Field(description="Of its HTTP interface, http(s)://host:port.")]
    database: Annotated[Name, Field(description="The database.")] = "default"
    username: Annotated[str, Field(min_length=1, description="The user.")] = "default"
    password: Annotated[SecretRef, Field(description="Of that user. A secret.")] = ""
    table: Annotated[Name, Field(description="The table.")]
    id: Annotated[Name, Field(description="Column for the event id, of type String or UUID.")] = "event_id"
    columns: Annotated[
        list[Name],
        Field(
            default_factory=list,
            description="Columns that get the mapping's fields of the same names. Empty: profile_id, type, source, "
            "time (DateTime64) and document (String), the whole message.",
        ),
    ]
    create: Annotated[bool, Field(description="Make the table if it is not there; only without `columns`.")] = False
    timeout_s: Annotated[float, Field(ge=1, le=300, description="An insert may take so long.")] = 30.0

    @property
    def address(self) -> str:
        """`host:port`."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


class ClickhouseTarget(SpanTarget):
    """One insert a span, under a token of the span's: ClickHouse drops an insert whose token it knows."""

    def __init__(self, settings: ClickhouseSettings, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._client: AsyncClient | None = None

    @property
    def size(self) -> Sized:
        """See SpanTarget."""
        return self._settings

    async def connect(self) -> None:
        """See Endpoint."""
        settings = self._settings
        parts = urlsplit(settings.url)
        if parts.scheme == "https":
            tls_context(settings)  # says which file is at fault
        try:
            self._client = await clickhouse_connect.get_async_client(
                host=parts.hostname,
                port=parts.port or PORTS[parts.scheme],
                secure=parts.scheme == "https",
                username=settings.username,
                password=resolve(settings.password, self._context.environ),
                connect_timeout=min(CONNECT_S, settings.timeout_s),
                send_receive_timeout=settings.timeout_s,
                ca_cert=settings.ca_file or None,
                client_cert=settings.cert_file or None,
                client_cert_key=settings.key_file or None,
                autogenerate_session_id=False,
                client_name="thamesthrive-hub",
            )
        except (ClickHouseError, aiohttp.ClientError, OSError) as exc:
            raise self._error(exc) from exc
        if settings.create:
            await self._ask(_create(settings))
        names = ", ".join(map(quoted, (settings.id, *(settings.columns or OURS))))
        await self._ask(f"SELECT {names} FROM {_table(settings)} LIMIT 0")  # noqa: S608 - quoted

    async def write(self, span: Span, messages: Sequence[Message], *, whole: bool) -> Sequence[Rejected]:  # noqa: ARG002
        """See SpanTarget. What is there of a span that is not whole any more, the token leaves as it is."""
        columns = self._settings.columns
        rejected = [
            Rejected(place, f"the mapping has to make an object with the fields {', '.join(columns)}")
            for place, message in enumerate(messages)
            if columns and not isinstance(message.content, dict)
        ]
        never = {place for place, _ in rejected}
        places = [place for place in range(len(messages)) if place not in never]
        rejected += await self._put(span, messages, places)
        return rejected

    async def close(self) -> None:
        """See Endpoint."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(ClickHouseError, aiohttp.ClientError, OSError):
                await client.close()

    async def _ask(self, statement: str) -> None:
        """Raises Later, Denied."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._opened().command(statement)
        except (ClickHouseError, aiohttp.ClientError, OSError) as exc:
            raise self._error(exc) from exc

    async def _put(
        self, span: Span, messages: Sequence[Message], places: Sequence[int], half: str = ""
    ) -> list[Rejected]:
        """
        A row at fault is found by halves, the same ones at every attempt. Raises Later, Denied.

        Args: half: of the span: 0, its first, 01, the second of that, and so on.
        """
        if not places:
            return []
        rows = b"\n".join(self._row(messages[place]) for place in places)
        token = f"{span.topic}/{span.partition}/{span.first}-{span.end}/{span.nonce}/{half}"
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout_s):
                await self._opened().raw_insert(
                    _table(settings),
                    column_names=[settings.id, *(settings.columns or OURS)],
                    insert_block=rows,
                    settings={**SETTINGS, "insert_deduplication_token": token},
                    fmt="JSONEachRow",
                )
        except (ClickHouseError, aiohttp.ClientError, OSError) as exc:
            if _code(exc) not in OF_A_ROW:
                raise self._error(exc) from exc
            if len(places) == 1:
                return [Rejected(places[0], _words(exc))]
        else:
            return []
        middle = len(places) // 2
        return [
            *await self._put(span, messages, places[:middle], f"{half}0"),
            *await self._put(span, messages, places[middle:], f"{half}1"),
        ]

    def _row(self, message: Message) -> bytes:
        settings = self._settings
        if settings.columns:
            fields = {name: message.content.get(name) for name in settings.columns}
            return _encode({**fields, settings.id: message.id})
        return _encode(
            {
                settings.id: message.id,
                "profile_id": message.profile_id,
                "type": message.type,
                "source": message.source,
                "time": iso(message.time_ms),
                "document": message.body.decode(),
            }
        )

    def _opened(self) -> AsyncClient:
        if self._client is None:
            raise Later("the destination is closed")
        return self._client

    def _error(self, exc: Exception) -> PortError:
        settings = self._settings
        code = _code(exc)
        place = f"table {settings.table} at {settings.address}"
        if code is not None:
            if code in MEND:
                return Denied(f"{place}: {_words(exc)}. {MEND[code]}")
            return Later(f"{place}: {_words(exc)}")
        if isinstance(exc, TimeoutError):
            return Later(
                f"{place}: no answer within {settings.timeout_s:g} s: is settings.url right, the network cut, or the "
                "server busy? If it is but slow, raise settings.timeout_s"
            )
        cause = exc.__cause__ if isinstance(exc.__cause__, OSError) else exc
        cause = getattr(cause, "os_error", cause)
        return Later(connect_error(cause, settings.address, "settings.url").detail)


def quoted(name: str) -> str:
    """A name of a column, table or database in a statement."""
    text = name.replace("\\", "\\\\").replace("`", "\\`")
    return f"`{text}`"


def _table(settings: ClickhouseSettings) -> str:
    return f"{quoted(settings.database)}.{quoted(settings.table)}"


def _create(settings: ClickhouseSettings) -> str:
    # the key has the time in front, which is the same at every attempt: so reading a time range is fast
    return (
        f"CREATE TABLE IF NOT EXISTS {_table(settings)} ({quoted(settings.id)} String, profile_id String, "
        "type LowCardinality(String), source LowCardinality(String), time DateTime64(3, 'UTC'), document String) "
        f"ENGINE = ReplacingMergeTree ORDER BY (time, {quoted(settings.id)}) "
        f"SETTINGS non_replicated_deduplication_window = {WINDOW}"
    )


def _code(exc: BaseException) -> int | None:
    """Of a ClickHouse error; None: it is not one of the server's."""
    found = _CODE.search(str(exc)) if isinstance(exc, ClickHouseError) else None
    return None if found is None else int(found[1])


def _words(exc: BaseException) -> str:
    """What the server says, without what comes of our own row beyond a line."""
    return " ".join(str(exc).split())[:500]


def _check(settings: ClickhouseSettings, definition: Mapping[str, Any]) -> None:
    if settings.columns and settings.create:
        raise ValueError("settings.create: a table with `columns` of your own is yours to make")
    if settings.columns and definition["mapping"] is None and definition["sends"] == "events":
        raise ValueError("settings.columns: they are the mapping's fields, and there is no mapping")
    if settings.id in (settings.columns or OURS):
        raise ValueError("settings.id: this column has another purpose")
    if definition["give_up_s"]:
        raise ValueError("give_up_s: events are written many at a time, and none of them is to blame: leave it out")


SPEC: Final = TargetSpec("clickhouse", "Insert into a ClickHouse table.", ClickhouseSettings, ClickhouseTarget, _check)
