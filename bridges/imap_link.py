"""A mailbox as the bridge reaches it: settings, a session, and the server's errors in words."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Final, Literal, NamedTuple

from imapclient import IMAPClient, SocketTimeout
from imapclient.exceptions import (
    CapabilityError,
    IMAPClientAbortError,
    IMAPClientError,
    LoginError,
    ProtocolError,
)
from pydantic import Field, model_validator

from bridges.base import Context
from bridges.network import TlsSettings, connect_error, tls_context
from hub.definitions.secrets import SecretRef, resolve
from hub.errors import PortError, Refused, Unavailable

CONNECT_S: Final = 5.0
READ_S: Final = 8.0
"""A server that is silent for so long within an answer is taken for gone."""
PORTS: Final = {"tls": 993, "starttls": 143, "plain": 143}
FAILURES: Final = (IMAPClientError, ProtocolError, CapabilityError, OSError, ValueError)
"""What a call may raise: imaplib gives what it cannot understand as ValueError, among others."""


class ImapServer(TlsSettings, frozen=True, extra="forbid"):
    """Settings that say where a mailbox is, and who we are there."""

    host: Annotated[str, Field(min_length=1, description="Of the IMAP server.")]
    port: Annotated[int, Field(ge=0, le=65535, description="0: 993 with TLS from the start, else 143.")] = 0
    security: Annotated[
        Literal["tls", "starttls", "plain"],
        Field(description="TLS from the start, TLS after STARTTLS, or none (to this machine only)."),
    ] = "tls"
    allow_plain: Annotated[
        bool, Field(description="Send the password over a network in the clear, with security plain.")
    ] = False
    username: Annotated[str, Field(min_length=1, description="Of the mailbox, often its address.")]
    password: Annotated[SecretRef, Field(min_length=1, description="Of that user, or an app password. A secret.")]
    folder: Annotated[str, Field(min_length=1, description="The folder to read.")] = "INBOX"

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> ImapServer:
        if self.security == "plain" and not (self.allow_plain or _is_loopback(self.host)):
            raise ValueError(
                f"security plain would send the password to {self.host} in the clear: use tls or starttls, or set "
                "allow_plain if nobody can listen on the way"
            )
        return self

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port or PORTS[self.security]}"


class Client(IMAPClient):  # type: ignore[misc]
    """imapclient's, which keeps to itself what a server says beside its answers."""

    def told_of_mails(self) -> bool:
        """Whether the server has told of new mails since it was asked last."""
        self._imap.response("EXPUNGE")  # nobody else takes these away
        return bool(self._imap.response("EXISTS")[1] != [None])


class Mailbox(NamedTuple):
    """
    A selected folder.

    Attributes:
        uidvalidity: Changes when the folder is made again, and its mails get other UIDs.
        uidnext: Below this are the UIDs of all mails that were there when it was selected.
        lasting_flags: Those that can be set for good; `\\*` among them: any.
    """

    client: Client
    uidvalidity: int
    uidnext: int
    lasting_flags: frozenset[bytes]


def opened(settings: ImapServer, context: Context, *, keep: Callable[[Client], None]) -> Mailbox:
    """
    A session of its own with the folder selected. Blocks.

    Args: keep: is told of the client as soon as there is one, so that it can be closed whatever happens.

    Raises: Unavailable, Refused.
    """
    password = resolve(settings.password, context.environ)
    client = _connected(settings)
    keep(client)
    try:
        if settings.security == "starttls":
            _starttls(client, settings)
        client.normalise_times = False  # times with their zones
        if client.has_capability("LOGINDISABLED"):
            raise Refused(
                "source", f"{settings.address} takes no password here: set settings.security to tls or starttls"
            )
        client.login(settings.username, password)
        selected = client.select_folder(settings.folder)
        uidnext = selected.get(b"UIDNEXT") or client.folder_status(settings.folder, ["UIDNEXT"])[b"UIDNEXT"]
    except FAILURES as exc:
        raise port_error(exc, settings) from exc
    flags = frozenset(flag.lower() for flag in selected.get(b"PERMANENTFLAGS", ()))
    return Mailbox(client, int(selected.get(b"UIDVALIDITY", 0)), int(uidnext), flags)


def shut(client: Client) -> None:
    """End it without asking the server. Raises nothing."""
    with suppress(*FAILURES, AttributeError):
        client.shutdown()


def _connected(settings: ImapServer) -> Client:
    implicit = settings.security == "tls"
    try:
        return Client(
            settings.host,
            settings.port or PORTS[settings.security],
            ssl=implicit,
            ssl_context=tls_context(settings) if implicit else None,
            timeout=SocketTimeout(CONNECT_S, READ_S),
        )
    except IMAPClientError as exc:
        raise Unavailable(
            "source",
            f"{settings.address} does not speak IMAP: {exc}. Are settings.port and settings.security right?",
        ) from exc
    except OSError as exc:
        raise _network_error(exc, settings) from exc


def _starttls(client: Client, settings: ImapServer) -> None:
    if not client.has_capability("STARTTLS"):
        raise Refused("source", f"{settings.address} offers no STARTTLS: set settings.security to tls, and its port")
    client.starttls(tls_context(settings))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_MEND: Final[tuple[tuple[type[Exception], str, type[PortError], str], ...]] = (
    (
        Exception,
        r"\[(UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\]|temporar|too many|try again",
        Unavailable,
        "It is tried again",
    ),
    (
        LoginError,
        "",
        Refused,
        "Correct settings.username and settings.password; Google, Microsoft and others want an app password here",
    ),
    (Exception, "(select|examine) failed", Unavailable, "Make the folder {folder}, or correct settings.folder"),
    (Exception, r"\[NOPERM\]|\[READ-ONLY\]|permission", Refused, "Give {username} that right on the folder"),
    (Exception, r"\[OVERQUOTA\]|quota", Unavailable, "Make room in the mailbox"),
)
"""Error, words in its text (RFC 5530, or older words), what it is, how to mend it; the first that fits."""


def port_error(exc: Exception, settings: ImapServer) -> PortError:
    """What an error of the client means to the bridge: what happened, where, and how to mend it."""
    if isinstance(exc, OSError):
        return _network_error(exc, settings)
    words = re.sub(r"^b?['\"]|['\"]$", "", str(exc)).rstrip(".") or type(exc).__name__
    if isinstance(exc, IMAPClientAbortError) or not isinstance(exc, IMAPClientError | CapabilityError):
        return Unavailable("source", f"{settings.address} has broken the session off: {words}")
    for error, text, kind, mend in _MEND:
        if isinstance(exc, error) and re.search(text, words, re.IGNORECASE):
            how = mend.format(folder=settings.folder, username=settings.username)
            return kind("source", f"{settings.address} says: {words}. {how}")
    return Unavailable("source", f"{settings.address} says: {words}")


def _network_error(exc: Exception, settings: ImapServer) -> PortError:
    if (
        isinstance(exc, ssl.SSLError)
        and settings.security == "tls"
        and not isinstance(exc, ssl.SSLCertVerificationError)
    ):
        return Refused(
            "source",
            f"no TLS with {settings.address}: {exc}. Set settings.security to starttls, or settings.port to "
            "that of TLS (993)",
        )
    if isinstance(exc, TimeoutError) and "connect" not in str(exc).lower():
        return Unavailable(
            "source",
            f"no answer from {settings.address} in time. Is it overloaded, or the network cut? Else look at "
            "settings.host, settings.port and settings.security",
        )
    return connect_error(exc, settings.address, "settings.host and settings.port")
