"""One connection to NATS: its settings, how it logs in, and what breaks it in words."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nats import errors
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy, StreamInfo
from nats.js.errors import APIError, NotFoundError, ServerError, ServiceUnavailableError
from pydantic import AfterValidator, Field

from bridges.base import Context
from bridges.network import TlsSettings, connect_error, tls_context
from hub.definitions.secrets import SecretRef, resolve
from hub.errors import PortError, Refused, Unavailable

T = TypeVar("T")

CONNECT_S: Final = 5
API_S: Final = 5.0
PING_S: Final = 5
"""A server that answers no ping until the next one is due is taken for gone: after 5 to 10 s."""
GOODBYE_S: Final = 2.0
MAX_PENDING_BYTES: Final = 8 * 1024 * 1024
PORT: Final = 4222
_NO_NAME: Final = re.compile(r"[\s.*>/\\]")
"""What the name of a stream or consumer must not hold."""
_JWT: Final = re.compile(r"BEGIN NATS USER JWT-+\s*(\S+)\s*-+END")
_SEED: Final = re.compile(r"BEGIN USER NKEY SEED-+\s*(\S+)\s*-+END")


def _addresses(url: str) -> str:
    for one in url.split(","):
        parts = urlsplit(one.strip())
        if parts.scheme not in ("nats", "tls") or not parts.hostname:
            raise ValueError("write nats://host:port, or tls://host:port; several of one cluster with commas between")
        if "@" in parts.netloc:
            raise ValueError("leave user, password and token out of the URL: there are settings for them")
    return url


def _name(value: str) -> str:
    if _NO_NAME.search(value):
        raise ValueError("a name has no spaces, dots, slashes, * or >")
    return value


class NatsServer(TlsSettings, frozen=True, extra="forbid"):
    """Settings that say where NATS is, and who we are there."""

    url: Annotated[
        str,
        AfterValidator(_addresses),
        Field(description="Servers of one cluster, nats://host:port with commas between; tls:// insists on TLS."),
    ]
    domain: Annotated[str, Field(description="JetStream domain, behind a leaf node. Empty: the server's own.")] = ""
    username: Annotated[str, Field(description="Empty: none.")] = ""
    password: Annotated[SecretRef, Field(description="A secret: env:NAME, or sealed by the API.")] = ""
    token: Annotated[SecretRef, Field(description="Instead of a user. A secret: env:NAME, or sealed by the API.")] = ""
    creds_file: Annotated[str, Field(description="Instead of a user: a .creds file of the bridge's machine.")] = ""


class NatsSettings(NatsServer, frozen=True, extra="forbid"):
    """Settings of a bridge of type `nats`."""

    stream: Annotated[str, AfterValidator(_name), Field(min_length=1, description="JetStream stream to read.")]
    subject: Annotated[str, Field(description="Only messages of this subject; * and > as in NATS. Empty: all.")] = ""
    durable: Annotated[
        str,
        AfterValidator(_name),
        Field(description="Consumer. Empty: <namespace>_bridge_<bridge id>, made if need be."),
    ] = ""
    start: Annotated[
        Literal["earliest", "latest"], Field(description="Where a consumer begins that the bridge makes.")
    ] = "earliest"
    ack_wait_s: Annotated[
        float,
        Field(ge=1, le=3_600, description="Of a consumer that it makes: when a dead bridge's messages come again."),
    ] = 10.0
    max_ack_pending: Annotated[
        int, Field(ge=1, description="Of a consumer that it makes: most messages that are not acknowledged.")
    ] = 20_000


class Link:
    """
    One connection. It is not mended: when it breaks, the bridge begins again.

    Attributes:
        on_end: Called when the connection has ended.
    """

    def __init__(self, settings: NatsServer, context: Context) -> None:
        """Does not connect yet."""
        self._settings = settings
        self._context = context
        self.on_end: Callable[[], None] = lambda: None
        self.client = Client()
        self.js: JetStreamContext = self.client.jetstream(domain=settings.domain or None, timeout=API_S)
        self._last_error: Exception | None = None
        self._denial = ""
        self._error: PortError | None = None
        self._begun = self._closing = False

    @property
    def api(self) -> str:
        """Subjects of JetStream begin so."""
        return f"$JS.{self._settings.domain}.API" if self._settings.domain else "$JS.API"

    async def open(self) -> None:
        """Raises Unavailable, Refused."""
        settings = self._settings
        options = self._options()
        self._begun = True
        try:
            await self.client.connect(**options)
        except (errors.Error, OSError, TimeoutError) as exc:
            cause = self._last_error if isinstance(exc, errors.NoServersError) else exc
            raise self._connect_error(cause or exc) from exc
        wants_tls = settings.url.startswith("tls:")
        if wants_tls and not self.client._server_info.get("tls_required"):  # nobody else tells
            raise Refused(
                "source", f"{settings.url} does not ask for TLS, so it is not used: write nats://, or set up TLS"
            )

    async def close(self, subscription: Subscription | None = None) -> None:
        """
        Never raises. Args: subscription: of pull requests.

        The server hears that nobody waits at it any more, before it hears that the connection is gone: in between it
        would answer requests, and what it sends then comes to the next bridge only when ack_wait is over.
        """
        self._closing = True
        if not self._begun:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                if self.client.is_connected:
                    if subscription is not None:
                        await subscription.unsubscribe()
                    await self.client.flush()
                await self.client.close()
        except (errors.Error, OSError, TimeoutError) as exc:
            self._last_error = exc

    def check(self) -> None:
        """Raises what broke the connection."""
        if self._error is not None:
            raise self._error
        if not self.client.is_connected:
            raise self._lost()

    def break_off(self, error: PortError) -> None:
        """From now on `check` raises this."""
        self._error = self._error or error
        self.on_end()

    async def ask(self, call: Awaitable[T]) -> T:
        """The answer to a request of JetStream's API. Raises Unavailable, Refused; NotFoundError as it is."""
        self._denial = ""
        try:
            return await call
        except NotFoundError:
            raise
        except ServiceUnavailableError as exc:
            raise Unavailable(
                "source",
                f"{self._settings.url} has no JetStream for us{_said(exc)}. Start it with -js, let the account use it, "
                "or set settings.domain",
            ) from exc
        except ServerError as exc:
            raise Unavailable("source", f"JetStream at {self._settings.url} failed{_said(exc)}") from exc
        except APIError as exc:
            raise Refused("source", f"JetStream at {self._settings.url} refused{_said(exc)}") from exc
        except (errors.TimeoutError, TimeoutError) as exc:
            if self._denial:
                raise self._denied() from exc
            raise Unavailable(
                "source", f"JetStream at {self._settings.url} does not answer within {API_S:g} s"
            ) from exc
        except (errors.Error, OSError) as exc:
            raise self._lost() from exc

    def _options(self) -> dict[str, Any]:
        settings, environ = self._settings, self._context.environ
        options: dict[str, Any] = {
            "servers": [one.strip() for one in settings.url.split(",")],
            "name": f"thamesthrive-hub-{self._context.bridge}",
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,
            "reconnect_time_wait": 0.1,
            "connect_timeout": CONNECT_S,
            "ping_interval": PING_S,
            "max_outstanding_pings": 1,
            "pending_size": MAX_PENDING_BYTES,
            "error_cb": self._on_error,
            "closed_cb": self._on_closed,
            "disconnected_cb": self._on_closed,
        }
        if settings.ca_file or settings.cert_file or settings.url.startswith("tls:"):
            options["tls"] = tls_context(settings)
        if settings.username:
            options |= {"user": settings.username, "password": resolve(settings.password, environ)}
        if settings.token:
            options["token"] = resolve(settings.token, environ)
        if settings.creds_file:
            jwt, sign = _credentials(settings.creds_file)
            options |= {"user_jwt_cb": lambda: jwt, "signature_cb": sign}
        return options

    async def _on_error(self, exc: Exception) -> None:
        self._last_error = exc
        if "permissions violation" in str(exc).lower():
            self._denial = str(exc).removeprefix("nats: ")

    async def _on_closed(self) -> None:
        if not self._closing:
            self.break_off(self._lost())

    def _lost(self) -> PortError:
        exc = self.client.last_error or self._last_error
        if exc is not None and _is_login(exc):
            return self._connect_error(exc)
        return Unavailable(
            "source", f"the connection to {self._settings.url} is lost{'' if exc is None else f': {exc}'}"
        )

    def _denied(self) -> PortError:
        return Refused(
            "source",
            f"{self._settings.url} denies this user: {self._denial}. Allow it to publish to {self.api}.> and $JS.ACK.> "
            "and to subscribe to _INBOX.>",
        )

    def _connect_error(self, exc: BaseException) -> PortError:
        settings = self._settings
        if _is_login(exc):
            how = "settings.creds_file" if settings.creds_file else "settings.username, password or token"
            return Refused(
                "source", f"{settings.url} does not let us in: {str(exc).removeprefix('nats: ')}. Correct {how}"
            )
        return connect_error(exc, settings.url, "settings.url")


class ConsumerLink(Link):
    """
    A connection that reads.

    Attributes:
        durable: Name of the bridge's consumer.
    """

    def __init__(self, settings: NatsSettings, context: Context) -> None:
        """Does not connect yet."""
        super().__init__(settings, context)
        self._wanted = settings
        self.durable = settings.durable or _NO_NAME.sub("-", f"{context.namespace}_bridge_{context.bridge}")

    async def stream(self) -> StreamInfo:
        """Raises Unavailable: also when there is none."""
        name = self._wanted.stream
        try:
            return await self.ask(self.js.stream_info(name))
        except NotFoundError as exc:
            raise Unavailable(
                "source",
                f"there is no stream {name} at {self._wanted.url}. Make it (nats stream add {name}), or correct "
                "settings.stream",
            ) from exc

    async def consumer(self) -> ConsumerInfo | None:
        """The durable consumer, if it is there."""
        try:
            return await self.ask(self.js.consumer_info(self._wanted.stream, self.durable))
        except NotFoundError:
            return None

    async def make_consumer(self, **where: Any) -> ConsumerInfo:
        """Args: where: its deliver policy, unless settings.start decides."""
        settings = self._wanted
        if not where:
            where = {"deliver_policy": DeliverPolicy.ALL if settings.start == "earliest" else DeliverPolicy.NEW}
        config = ConsumerConfig(
            name=self.durable,
            durable_name=self.durable,
            description=f"Bridge {self._context.bridge} of ThamesThrive Hub, namespace {self._context.namespace}",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=settings.ack_wait_s,
            max_ack_pending=settings.max_ack_pending,
            filter_subject=settings.subject or None,
            **where,
        )
        return await self.ask(self.js.add_consumer(settings.stream, config))


def _is_login(exc: BaseException) -> bool:
    words = str(exc).lower()
    return any(word in words for word in ("authorization", "authentication", "credentials", "expired", "revoked"))


def _said(exc: APIError) -> str:
    return f": {exc.description} (code {exc.err_code})" if exc.description else ""


def _credentials(path: str) -> tuple[bytes, Callable[[str], bytes]]:
    """Of a .creds file: the user's token, and how to sign what the server asks. Raises Refused."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as exc:
        raise Refused("source", f"settings.creds_file: cannot read {path} on the machine of the bridge: {exc}") from exc
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if jwt is None or seed is None:
        raise Refused("source", f"settings.creds_file: {path} is no .creds file: no user's JWT and seed are in it")
    try:
        # base32: two bytes of prefix, the key, two bytes of checksum
        key = Ed25519PrivateKey.from_private_bytes(base64.b32decode(seed[1] + "=" * (-len(seed[1]) % 8))[2:34])
    except ValueError as exc:
        raise Refused("source", f"settings.creds_file: the seed in {path} is no seed: {exc}") from exc
    return jwt[1].encode(), lambda nonce: base64.b64encode(key.sign(nonce.encode()))
