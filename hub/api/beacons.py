"""May a page send a beacon with JSON? A browser asks so with credentials, and `*` is no answer to that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from hub.api.asgi import Header

_ANY: Final[tuple[Header, ...]] = ((b"access-control-allow-origin", b"*"),)


def may_send(headers: Iterable[Header]) -> tuple[Header, ...]:
    """
    CORS headers for the answer to a preflight: yes to the origin that asks, with credentials.

    `navigator.sendBeacon` has no other way, and the predecessor's script uses it. It lends nothing: no cookie says here
    who sends, none is kept, and the answer to the event itself (`*`) cannot be read with credentials.
    """
    origin = next((value for name, value in headers if name == b"origin"), None)
    if origin is None:
        return _ANY
    return (
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    )
