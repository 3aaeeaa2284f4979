"""A request as the doors see it."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl

from hub.api.asgi import Header, Receive, Scope
from hub.api.body import read_body


class Call(NamedTuple):
    """
    A request.

    Attributes:
        headers: Names in lower case.
        client: Its address and port, if the server knows them.
        scheme: http or https.
        body: Unpacked; empty until it has been read.
    """

    method: str
    path: str
    query: bytes
    headers: list[Header]
    client: tuple[str, int] | None
    scheme: str
    body: bytes = b""

    def header(self, name: bytes) -> str:
        """The first of this name; empty if there is none."""
        return next((value.decode("latin-1") for known, value in self.headers if known == name), "")

    def query_values(self) -> dict[str, str]:
        """The query string: the last value of each name."""
        return dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True))

    def cookie(self, name: str) -> str:
        """A cookie's value; empty if it was not sent."""
        wanted = name.encode()
        for known, line in self.headers:
            if known == b"cookie":
                for pair in line.split(b";"):
                    key, _, value = pair.strip().partition(b"=")
                    if key == wanted:
                        return value.strip(b'"').decode("latin-1")
        return ""

    async def with_body(self, receive: Receive, limit: int, *, packed: bool = False) -> Call:
        """
        The request, its body read.

        Args:
            limit: Most bytes, compressed as well as unpacked.
            packed: Leave the body as it came.

        Raises:
            InvalidPayload: body_too_large or bad_encoding.
            Disconnected: The client went away.
        """
        length = self.header(b"content-length").encode("latin-1") or None
        encoding = b"" if packed else self.header(b"content-encoding").encode("latin-1")
        return self._replace(body=await read_body(receive, length, encoding, limit))


def call_of(scope: Scope) -> Call:
    """The request of an ASGI scope."""
    return Call(
        scope["method"],
        scope["path"],
        scope["query_string"],
        list(scope["headers"]),
        scope.get("client") or None,
        scope.get("scheme", "http"),
    )
