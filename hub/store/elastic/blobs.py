"""Bytes that are too large for a Kafka record, by their hash."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from hub.store.elastic.client import Engine

INDEX: Final = "blobs"
"""Nothing in it is indexed."""
PART_BYTES: Final = 8 * 1024 * 1024
"""Of one document: the engines refuse a request of 100 MB, and a text of 50 million characters."""


class BlobSide:
    """`Blobs` of the port. A blob is as many documents as it takes; the first one is written last."""

    _engine: Engine

    def put_blob(self, data: bytes) -> str:
        """Keep `data` on disk; returns its SHA-256 in hex. Raises Unavailable: what is kept of it nobody sees."""
        sha256 = hashlib.sha256(data).hexdigest()
        parts = [data[begin : begin + PART_BYTES] for begin in range(0, len(data), PART_BYTES)] or [b""]
        for number in range(len(parts) - 1, -1, -1):
            text = base64.b64encode(parts[number]).decode()
            # the same bytes have the same parts: one that is there is right
            self._engine.create(INDEX, _id(sha256, number), {"data": text, "parts": len(parts)})
        return sha256

    def get_blob(self, sha256: str) -> bytes | None:
        """The bytes, or None. Raises Unavailable."""
        first = self._engine.get(INDEX, _id(sha256, 0))
        if first is None:
            return None
        data = [base64.b64decode(first.source["data"])]
        for number in range(1, first.source["parts"]):  # one at a time: an answer has to fit into memory
            part = self._engine.get(INDEX, _id(sha256, number))
            if part is None:
                return None  # it is being removed
            data.append(base64.b64decode(part.source["data"]))
        return b"".join(data)


def remove_blobs(engine: Engine, hashes: list[str]) -> None:
    """Remove these, the first part of each first: who is killed in between leaves what nobody sees."""
    found = engine.many(INDEX, [_id(sha256, 0) for sha256 in hashes], ["parts"])
    for sha256 in hashes:
        first = found.get(_id(sha256, 0))
        for number in range(first.source["parts"] if first is not None else 0):
            engine.delete(INDEX, _id(sha256, number))


def _id(sha256: str, number: int) -> str:
    return sha256 if number == 0 else f"{sha256}.{number}"
