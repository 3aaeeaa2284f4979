"""Reads a request's body, unpacked, and never more of it than the limit."""

from __future__ import annotations

import zlib
from typing import Final

from hub.api.asgi import Message, Receive
from hub.errors import InvalidPayload

_WBITS: Final = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}
_RAW_DEFLATE: Final = -15
_MEMBERS: Final = 100
"""Of a gzip file. What follows one is copied, so tens of thousands of empty ones would cost many seconds."""


class Disconnected(Exception):
    """The client went away before it had sent its body; nobody is left to answer."""


async def read_body(receive: Receive, length: bytes | None, encoding: bytes, limit: int) -> bytes:
    """
    The whole body, decompressed.

    Args:
        length: The Content-Length header, if there is one: a body that is too large is refused before it is read.
        encoding: The Content-Encoding header; empty if there is none.
        limit: Most bytes, compressed as well as unpacked.

    Raises:
        InvalidPayload: body_too_large or bad_encoding.
        Disconnected: See there.
    """
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body") or message["type"] == "http.disconnect":
        body = await _rest(message, receive, limit)
    if len(body) > limit:
        raise _too_large(limit)
    return unpack(body, encoding, limit) if encoding else body


def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """
    Undo a Content-Encoding, and stop at the limit: a bomb costs no more than an honest body.

    Raises:
        InvalidPayload: body_too_large or bad_encoding.
    """
    name = encoding.strip().lower()
    if name == b"identity":
        return body
    wbits = _WBITS.get(name)
    if wbits is None:
        raise InvalidPayload("bad_encoding", f"{name.decode('latin-1')} is not one of gzip, deflate, identity")
    if name == b"deflate" and not _has_zlib_header(body):
        wbits = _RAW_DEFLATE  # what some old clients send under this name
    try:
        return _inflate(body, wbits, limit)
    except zlib.error as exc:
        raise InvalidPayload("bad_encoding", f"the compressed body is damaged: {exc}") from exc


async def _rest(message: Message, receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise Disconnected
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _inflate(body: bytes, wbits: int, limit: int) -> bytes:
    out = bytearray()
    for _ in range(_MEMBERS):
        stream = zlib.decompressobj(wbits)
        out += stream.decompress(body, limit + 1 - len(out))
        if len(out) > limit:
            raise _too_large(limit)
        if not stream.eof:
            raise InvalidPayload("bad_encoding", "the compressed body breaks off")
        body = stream.unused_data
        if not body:
            return bytes(out)  # gzip may have several members, one after the other
    raise InvalidPayload("bad_encoding", f"the compressed body has more than {_MEMBERS} members")


def _has_zlib_header(body: bytes) -> bool:
    # RFC 1950, section 2.2: method 8, and the first two bytes are a multiple of 31
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0


def _too_large(limit: int) -> InvalidPayload:
    return InvalidPayload("body_too_large", f"the body is larger than {limit} bytes, which is the limit")
