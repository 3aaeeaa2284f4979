"""A PostgreSQL server as the bridge reaches it: settings, a connection, and its errors in words."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed
from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.bell import Bell
from bridges.network import TlsSettings, tls_context
from hub.definitions.secrets import SecretRef, resolve
from hub.errors import PortError, Refused, Unavailable

Row: TypeAlias = tuple[Any, ...]
Statement: TypeAlias = bytes | SQL | Composed

CONNECT_S: Final = 5
HEAR_S: Final = 0.02
"""How long after its first byte a notification may take to be whole."""
DEFAULT_PORT: Final = 5432
FAILURES: Final = (psycopg.Error, OSError)
"""What a statement may raise."""
# what is acknowledged and lost in a crash of the server comes again, with the same id: no need to wait for its disk
SESSION: Final = b"SET TimeZone TO 'UTC'; SET DateStyle TO 'ISO'; SET synchronous_commit TO off"


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.path.strip("/"):
        raise ValueError("write postgresql://host:port/database")
    if "@" in parts.netloc:
        raise ValueError("leave the user and the password out of the URL: there are `username` and `password`")
    if parts.query or parts.fragment:
        raise ValueError("nothing may follow the database: there are settings of their own for TLS")
    return url


class PostgresServer(TlsSettings, frozen=True, extra="forbid"):
    """Settings that say where a PostgreSQL server is, and who we are there."""

    url: Annotated[str, AfterValidator(_address), Field(description="The database, postgresql://host:port/database.")]
    username: Annotated[str, Field(min_length=1, description="The role.")]
    password: Annotated[SecretRef, Field(description="Of that role. A secret.")] = ""
    sslmode: Annotated[
        Literal["", "disable", "prefer", "require", "verify-ca", "verify-full"],
        Field(description="As in libpq. Empty: verify-full when there is a ca_file, else prefer."),
    ] = ""
    timeout_s: Annotated[
        float, Field(ge=1, le=300, description="A statement that takes so long: the server is taken for gone.")
    ] = 10.0

    @property
    def address(self) -> str:
        """`host:port`."""
        parts = urlsplit(self.url)
        return f"{parts.hostname}:{parts.port or DEFAULT_PORT}"


class Link:
    """One connection; its statements are transactions of their own."""

    def __init__(self, settings: PostgresServer, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self._connection: AsyncConnection[Row] | None = None
        self._late: set[asyncio.Task[list[Row]]] = set()
        self._asked = False
        """Whether there was a statement since somebody asked for notifications."""

    async def open(self) -> None:
        """Raises Unavailable, Refused."""
        parts = urlsplit(self._settings.url)
        try:
            self._connection = await AsyncConnection.connect(
                host=parts.hostname,
                port=parts.port or DEFAULT_PORT,
                dbname=parts.path.strip("/"),
                user=self._settings.username,
                password=resolve(self._settings.password, self._context.environ),
                application_name=f"thamesthrive-hub-{self._context.bridge}",
                client_encoding="UTF8",
                connect_timeout=CONNECT_S,
                keepalives_idle=5,
                keepalives_interval=3,
                keepalives_count=2,
                autocommit=True,
                prepare_threshold=None,  # so that a pooler may be in between
                **self._tls(),
            )
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc
        await self.ask(SESSION)

    async def ask(self, statement: Statement, parameters: Sequence[Any] | None = None) -> list[Row]:
        """Its rows; none if it has none. Raises Unavailable, Refused."""
        connection = self._opened()
        self._asked = True
        asking = asyncio.create_task(_ask(connection, statement, parameters), name=f"ask-{self._context.bridge}")
        try:
            done, _ = await asyncio.wait({asking}, timeout=self._settings.timeout_s)
        finally:
            if not asking.done():
                # psycopg asks the server to stop, for up to ten seconds: nobody but `close` waits for that
                self._late.add(asking)
                asking.cancel()
        if not done:
            raise Unavailable(
                "source",
                f"{self._settings.address} does not answer within {self._settings.timeout_s:g} s: is the network cut, "
                "the table locked, or an index missing? If it is but slow, raise settings.timeout_s",
            )
        try:
            return asking.result()
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc

    async def notified(self, timeout_s: float) -> bool:
        """Whether a notification came within that time; takes all that are there. Raises Unavailable."""
        connection = self._opened()
        try:
            # an answer to a statement may have brought some, and then the socket says nothing of them
            asked, self._asked = self._asked, False
            if (asked or timeout_s <= 0) and await _notifications(connection, 0):
                return True
            # psycopg itself would look ten times a second
            return await _readable(connection, timeout_s) and await _notifications(connection, HEAR_S)
        except FAILURES as exc:
            raise port_error(exc, self._settings) from exc

    async def close(self) -> None:
        """Raises nothing."""
        if self._late:
            await asyncio.wait(self._late)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _opened(self) -> AsyncConnection[Row]:
        if self._connection is None:
            raise Unavailable("source", "the bridge is closed")
        return self._connection

    def _tls(self) -> dict[str, Any]:
        settings = self._settings
        tls_context(settings)  # says what is wrong with the files
        mode = settings.sslmode or ("verify-full" if settings.ca_file else "prefer")
        files = {"sslrootcert": settings.ca_file, "sslcert": settings.cert_file}
        files["sslkey"] = settings.key_file or settings.cert_file
        if mode == "verify-full" and not settings.ca_file:
            files["sslrootcert"] = "system"
        return {"sslmode": mode, **{name: value for name, value in files.items() if value}}


async def _readable(connection: AsyncConnection[Row], timeout_s: float) -> bool:
    """Whether the server says something within that time."""
    if timeout_s <= 0:
        return False
    loop, said, socket = asyncio.get_running_loop(), Bell(), connection.fileno()
    loop.add_reader(socket, said.ring)
    try:
        return await said.rings(timeout_s)
    finally:
        loop.remove_reader(socket)


async def _notifications(connection: AsyncConnection[Row], timeout_s: float) -> bool:
    """Whether there is one within that time; takes all."""
    came = False
    async for _ in connection.notifies(timeout=timeout_s, stop_after=1):
        came = True
    if came:
        async for _ in connection.notifies(timeout=0):
            pass
    return came


async def _ask(connection: AsyncConnection[Row], statement: Statement, parameters: Sequence[Any] | None) -> list[Row]:
    async with connection.cursor(binary=parameters is not None) as cursor:
        await cursor.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description is not None else []


_CONNECTING: Final[tuple[tuple[str, type[PortError], str], ...]] = (
    ("password authentication failed", Refused, "correct settings.username and settings.password"),
    ("no password supplied", Refused, "set settings.password"),
    ("authentication failed", Refused, "correct settings.username, or the server's pg_hba.conf"),
    ("no encryption", Refused, "the server wants TLS (pg_hba.conf): set settings.sslmode to require or more"),
    ("pg_hba.conf", Refused, "let the role in from this machine: a line in the server's pg_hba.conf"),
    (
        "does not support SSL",
        Refused,
        "the server speaks no TLS: set settings.sslmode to disable, or turn its `ssl` on",
    ),
    ("certificate verify failed", Refused, "name the authority of the server's certificate in settings.ca_file"),
    ("root certificate file", Refused, "name the authority of the server's certificate in settings.ca_file"),
    ("does not match host name", Refused, "write the host in settings.url as the certificate has it"),
    ("role ", Refused, "correct settings.username, or CREATE ROLE"),
    ("database ", Refused, "correct the database in settings.url"),
    ("too many", Unavailable, "raise max_connections on the server, or end idle connections"),
    ("starting up", Unavailable, "it will be ready by itself"),
    ("shutting down", Unavailable, "it is tried again"),
    ("not known", Unavailable, "correct the host in settings.url"),
    ("resolve", Unavailable, "correct the host in settings.url"),
    ("Connection refused", Unavailable, "does the server run, listen there, and is the port in settings.url right?"),
    ("timeout", Unavailable, "is settings.url right, and does a firewall let us through?"),
)
"""Of an attempt to connect, whose errors have no code: words in the text, what it is, the mend; the first that fits."""

_STATES: Final[tuple[tuple[str, type[PortError], str], ...]] = (
    ("42P01", Unavailable, "make the table, or correct settings.table; it is looked for again until then"),
    ("3F000", Unavailable, "make the schema, or correct settings.table"),
    ("42703", Refused, "correct the names of columns in the settings"),
    ("42501", Refused, "GRANT the role of settings.username that right"),
    ("42883", Refused, "PostgreSQL 13 or later is needed"),
    ("25006", Refused, "this server only reads, it is a standby: name the primary in settings.url"),
    ("28", Refused, "correct settings.username and settings.password"),
    ("3D000", Refused, "correct the database in settings.url"),
    ("22", Refused, "a value of the table cannot be read: look at the types of the columns in the settings"),
    ("42", Refused, "look at settings.table and the columns in the settings"),
)
"""Beginnings of SQLSTATE codes, what it is, how to mend it; the first that fits. Source: PostgreSQL 18, Appendix A."""


def port_error(exc: Exception, settings: PostgresServer) -> PortError:
    """What an error of psycopg's means to the bridge: what happened, where, and how to mend it."""
    words = re.sub(r"\s+", " ", str(exc)).strip() or type(exc).__name__
    state = exc.sqlstate if isinstance(exc, psycopg.Error) else None
    if state is None:
        for text, kind, mend in _CONNECTING:
            if text in words:
                return kind("source", f"{settings.address}: {words.rstrip('.')}. {mend[0].upper()}{mend[1:]}")
        return Unavailable("source", f"{settings.address}: {words}")
    for code, kind, mend in _STATES:
        if state.startswith(code):
            return kind("source", f"{settings.address} says: {words.rstrip('.')}. {mend[0].upper()}{mend[1:]}")
    return Unavailable("source", f"{settings.address} says: {words} [{state}]")
