"""Bodies that their sender has compressed, and says so in the message's properties."""

from __future__ import annotations

import zlib
from typing import Final

LARGEST_BYTES: Final = 64 * 1024 * 1024
"""What a body may become: a few kilobytes of gzip can hold gigabytes of zeros."""
_WBITS: Final = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def inflated(body: bytes, encoding: str) -> bytes:
    """
    The body as it was before `encoding` (gzip, deflate), whose name may have any case.

    The bytes as they are when the encoding is another one, when they are damaged, or would be too large: such a message
    is no JSON, so it becomes a dead letter with the bytes that came.
    """
    wbits = _WBITS.get(encoding.strip().lower())
    if wbits is None:
        return body
    out = bytearray()
    rest = body
    try:
        while rest:  # gzip may have several members, one after the other
            stream = zlib.decompressobj(wbits)
            out += stream.decompress(rest, LARGEST_BYTES + 1 - len(out))
            if len(out) > LARGEST_BYTES or not stream.eof:
                return body
            rest = stream.unused_data
    except zlib.error:
        return body
    return bytes(out)
