"""Who sent an event: what its request tells, as the edge keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from hub.edge.paths import found_at

MOST_BYTES: Final = 4_096
"""A request that is longer is not remembered."""

_BROWSER: Final = ("browser", "local", "browser")
_EMPTY: Final = b"{}"
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Client(NamedTuple):
    """Address, User-Agent and Accept-Language, empty if unknown; and `document`, all that is kept of the request."""

    ip: str
    agent: str
    languages: str
    document: Mapping[str, Any]


NOBODY: Final = Client("", "", "", {})


def client_of(request: bytes) -> Client:
    """
    The client behind a request. Devices repeat theirs: most are answered from memory.

    Args: request: JSON object with `headers` and `ip`.
    """
    if request == _EMPTY:
        return NOBODY
    return _known(request) if len(request) <= MOST_BYTES else _read(request)


def ip_of(client: Client, context: Mapping[str, Any]) -> str:
    """The customer's address: a server that sends for its customers has theirs in `context.ip`."""
    ip = context.get("ip")
    return ip if type(ip) is str and ip else client.ip


def agent_text(client: Client, context: Mapping[str, Any]) -> str:
    """The customer's user agent; as for the address, the context counts more than the request."""
    agent = context.get("userAgent") or browser_of(context).get("userAgent")
    return agent if type(agent) is str and agent else client.agent


def browser_of(context: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the predecessor's clients say of the browser, in `context.browser.local.browser`."""
    if "browser" not in context:
        return {}
    browser = found_at(context, _BROWSER)
    return browser if isinstance(browser, dict) else {}


def _read(request: bytes) -> Client:
    document = _decode(request)
    headers = document.get("headers")
    if type(headers) is not dict:
        headers = {}
    ip = document.get("ip")
    return Client(
        ip if type(ip) is str else "",
        _header(headers, "user-agent"),
        _header(headers, "accept-language"),
        document,
    )


def _header(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name)
    if value is None:
        # the edge writes names in lower case; what a bridge's messages say of their request may not
        value = next((value for key, value in headers.items() if key.lower() == name), None)
    return value if type(value) is str else ""


_known: Final = lru_cache(maxsize=4_096)(_read)
