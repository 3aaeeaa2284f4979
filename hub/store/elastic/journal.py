"""Batches as the journal keeps them until all of their documents are there."""

from __future__ import annotations

import secrets
import zlib
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from hub.model import Batch
from hub.store.elastic.documents import bytes_of, text_of

_LEVEL: Final = 1
_MARK_BYTES: Final = 12
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Batch).decode


class Draft(NamedTuple):
    """A batch on its way into the journal. `mark`: a digest of its content."""

    id: str
    mark: str
    raw: bytes

    def source(self, number: int) -> dict[str, Any]:
        """Its document. Args: number: of the last batch that was written before it."""
        return {"after": number, "batch": text_of(zlib.compress(self.raw, _LEVEL))}


def draft(batch: Batch) -> Draft:
    """What the journal is to have of a batch, under an id that no other try has."""
    raw = _encode(batch)
    return Draft(f"batch/{secrets.token_hex(16)}", blake2b(raw, digest_size=_MARK_BYTES).hexdigest(), raw)


def batch_of(source: dict[str, Any]) -> Batch:
    """The batch of a journal's document."""
    return _decode(zlib.decompress(bytes_of(source["batch"])))
