"""The shapes of ASGI that the plain routes use, and the one way to answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Final, NamedTuple, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Header: TypeAlias = tuple[bytes, bytes]

JSON: Final[Header] = (b"content-type", b"application/json")


class Answer(NamedTuple):
    """A whole response. `headers` without Content-Length."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = (JSON,)


async def respond(send: Send, answer: Answer, more: Iterable[Header] = ()) -> None:
    """Send a response; `more` headers go behind the answer's own."""
    length = (b"content-length", b"%d" % len(answer.body))
    await send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers, *more, length]})
    await send({"type": "http.response.body", "body": answer.body})
