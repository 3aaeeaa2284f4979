"""A Redis or Valkey server as both of its bridges reach it: settings, connections, and its errors in words."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field
from redis import exceptions as errors
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from bridges.base import Context
from bridges.network import TlsSettings, connect_error, tls_context
from hub.definitions.secrets import SecretRef, resolve
from hub.errors import PortError, Refused, Unavailable

CONNECT_S: Final = 5.0
READ_BYTES: Final = 262_144
DEFAULT_PORT: Final = 6379
FAILURES: Final = (errors.RedisError, OSError)
"""What a command may raise."""


def _address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss") or not parts.hostname:
        raise ValueError("write redis://host:port/database, or rediss://… for TLS")
    if "@" in parts.netloc:
        raise ValueError("leave the user and the password out of the URL: there are `username` and `password`")
    if parts.query or parts.fragment or not (parts.path.strip("/") or "0").isdigit():
        raise ValueError("after the port only the number of the database may follow, as in redis://host:6379/0")
    return url


class RedisSettings(TlsSettings, frozen=True, extra="forbid"):
    """Settings of every bridge that reads a Redis or Valkey server."""

    url: Annotated[
        str,
        AfterValidator(_address),
        Field(description="The server, redis://host:port/database; rediss:// for TLS."),
    ]
    username: Annotated[str, Field(description="ACL user. Empty: the server's default user.")] = ""
    password: Annotated[SecretRef, Field(description="Of that user. A secret.")] = ""
    timeout_s: Annotated[
        float, Field(ge=1, le=60, description="A server that does not answer for so long is taken for gone.")
    ] = 10.0


def client(settings: RedisSettings, context: Context) -> Redis:
    """
    One connection, opened with the first command; nothing is tried twice, as whoever runs the bridge does that.

    Raises: Refused: a file or variable that the settings name is not there.
    """
    parts = urlsplit(settings.url)
    more: dict[str, Any] = {}
    if parts.scheme == "rediss":
        tls_context(settings)  # says what is wrong with the files
        more = {
            "ssl": True,
            "ssl_ca_certs": settings.ca_file or None,
            "ssl_certfile": settings.cert_file or None,
            "ssl_keyfile": settings.key_file or None,
        }
    return Redis(
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORT,
        db=int(parts.path.strip("/") or "0"),
        username=settings.username or None,
        password=resolve(settings.password, context.environ) or None,
        socket_timeout=settings.timeout_s,
        socket_connect_timeout=min(CONNECT_S, settings.timeout_s),
        socket_read_size=READ_BYTES,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name=f"thamesthrive-hub-{context.bridge}",
        driver_info=None,
        single_connection_client=True,
        **more,
    )


_MEND: Final[tuple[tuple[type[Exception], str, type[PortError], str], ...]] = (
    (errors.AuthenticationWrongNumberOfArgsError, "", Refused, "remove settings.username: this server knows no users"),
    (errors.AuthenticationError, "without any password", Refused, "remove settings.password: the server wants none"),
    (errors.AuthenticationError, "", Refused, "correct settings.password and settings.username"),
    (errors.NoPermissionError, "", Refused, "give the user of settings.username that right: ACL SETUSER on the server"),
    (errors.MovedError, "", Refused, "a node of a cluster: name in settings.url the one that holds the key"),
    (errors.OutOfMemoryError, "", Unavailable, "raise maxmemory on the server, or remove something from it"),
    (errors.ReadOnlyError, "", Unavailable, "this is a replica: name the primary in settings.url"),
    (errors.BusyLoadingError, "", Unavailable, "it reads its files, and will be ready by itself"),
    (errors.ResponseError, "WRONGTYPE", Refused, "the key holds something else: ask the server for its TYPE"),
    (errors.ResponseError, "unknown command", Refused, "the server is too old: Redis 6.2 or Valkey is needed"),
    (errors.ResponseError, "DB index", Refused, "settings.url names a database that the server does not have"),
    (errors.InvalidResponse, "", Refused, "this is no Redis; or it speaks TLS: then write rediss:// in settings.url"),
)
"""Error, words in its text, what it is, how to mend it; the first that fits."""


def port_error(exc: Exception, settings: RedisSettings) -> PortError:
    """What an error of the client means to the bridge: what happened, where, and how to mend it."""
    parts = urlsplit(settings.url)
    address = f"{parts.hostname}:{parts.port or DEFAULT_PORT}"
    words = str(exc) or type(exc).__name__
    for error, text, kind, mend in _MEND:
        if isinstance(exc, error) and text in words:
            return kind("source", f"{address} says: {words.rstrip('.')}. {mend[0].upper()}{mend[1:]}")
    # the client makes errors of its own from those of the network
    cause = exc if isinstance(exc, OSError) else exc.__cause__ or exc.__context__
    if isinstance(cause, TimeoutError) and "connecting" in words and parts.scheme == "rediss":
        mend = "write redis:// in settings.url, if the server speaks no TLS there"
        return Unavailable("source", f"no answer to TLS from {address}. Does a firewall let us through? Or {mend}")
    if isinstance(cause, OSError):
        return connect_error(cause, address, "settings.url")
    if "closed by server" in words:
        words = "it has closed the connection; if it speaks TLS, write rediss:// in settings.url"
    return Unavailable("source", f"{address}: {words}")
