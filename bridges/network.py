"""What adapters over TCP share: settings of TLS, and words for a connection that does not come about."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, Field

from hub.egress import check
from hub.errors import PortError, Refused, Unavailable
from hub.settings import Egress

_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "UNEXPECTED_EOF", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
"""Reasons of OpenSSL's when the other side does not speak TLS."""


PLACES: Final = frozenset({"url", "host", "bootstrap", "endpoint_url"})
"""Settings that say where a server is, in all adapters; so may those of packages."""
_OPTIONS: Final = frozenset({"bootstrap.servers", "metadata.broker.list", "sasl.oauthbearer.token.endpoint.url"})
"""Of librdkafka's options those that say it, too."""


def places(settings: BaseModel) -> list[str]:
    """Whom an adapter with these settings connects to: hosts, hosts and ports, URLs."""
    found: list[str] = []
    for name, value in settings:
        if isinstance(value, BaseModel):
            found += places(value)
        elif name in PLACES or (name == "queue" and "://" in value):  # SQS takes a URL there
            found += [value] if isinstance(value, str) else value
        elif name == "options":
            found += [str(option) for key, option in value.items() if key in _OPTIONS]
    return [one.strip() for text in found for one in text.split(",") if one.strip()]


async def permit(settings: BaseModel, egress: Egress) -> None:
    """Before an adapter connects. Raises Refused: whoever runs the hub does not want that."""
    await asyncio.to_thread(check, places(settings), egress, "source")


class TlsSettings(BaseModel, frozen=True, extra="forbid"):
    """How a server is known, and the bridge to it. Files of the machine that runs `hub bridges`."""

    ca_file: Annotated[str, Field(description="TLS: the authority to trust, a PEM file. Empty: the system's.")] = ""
    cert_file: Annotated[str, Field(description="TLS: our certificate, a PEM file, if the server asks for one.")] = ""
    key_file: Annotated[str, Field(description="TLS: the key of cert_file. Empty: it is in the same file.")] = ""


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """Raises Refused: a file is not there, or is no PEM file."""
    files = {name: getattr(settings, name) for name in ("ca_file", "cert_file", "key_file")}
    for name, path in files.items():
        if path and not Path(path).is_file():
            raise Refused("source", f"settings.{name}: there is no file {path} on the machine of the bridge")
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
        if settings.cert_file:
            context.load_cert_chain(settings.cert_file, settings.key_file or None)
    except (OSError, ssl.SSLError) as exc:
        named = ", ".join(f"settings.{name}" for name, path in files.items() if path)
        raise Refused("source", f"the files of {named} are no certificate, or a key that does not fit: {exc}") from exc
    return context


def connect_error(exc: BaseException, address: str, setting: str) -> PortError:
    """
    What a failed attempt to connect means, and what to do.

    Args:
        address: `host:port`, as a person would write it.
        setting: Where the address stands, such as `settings.url`.
    """
    kind, words = _meaning(exc, address, setting)
    return kind("source", words)


def _meaning(exc: BaseException, address: str, setting: str) -> tuple[type[PortError], str]:
    kind: type[PortError] = Unavailable
    match exc:
        case ssl.SSLCertVerificationError():
            kind = Refused
            words = (
                f"the certificate of {address} is not trusted: {exc.verify_message}. Put the PEM file of its authority "
                f"into settings.ca_file, or write the host in {setting} as the certificate has it"
            )
        case ssl.SSLError() if any(reason in str(exc) for reason in _NO_TLS):
            kind = Refused
            words = f"{address} does not speak TLS. Change {setting}: its port for TLS, or an address without it"
        case ssl.SSLError():
            kind = Refused
            words = f"no TLS with {address}: {exc}. Look at settings.ca_file, settings.cert_file and the server's log"
        case socket.gaierror():
            words = f"the host of {address} is not known ({exc.strerror}). Correct {setting}"
        case ConnectionRefusedError():
            words = f"nobody listens at {address}. Does the server run, and is the port in {setting} right?"
        case ConnectionResetError():
            words = f"{address} breaks the connection off at once. Does {setting} say TLS where it should?"
        case TimeoutError():
            words = f"no answer from {address}. Is {setting} right, and does a firewall let us through?"
        case _:
            words = f"no connection to {address}: {str(exc) or type(exc).__name__}. Look at {setting}"
    return kind, words
