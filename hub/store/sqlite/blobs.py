"""Bytes that are too large for a Kafka record, by their hash."""

from __future__ import annotations

import hashlib

from hub.store.sqlite.database import Database


class BlobSide:
    """`Blobs` of the port."""

    _db: Database

    def put_blob(self, data: bytes) -> str:
        """Keep `data` on disk; returns its SHA-256 in hex. Raises Unavailable."""
        sha256 = hashlib.sha256(data).hexdigest()
        # the record that names it is acknowledged right after, so a power cut must not take it
        with self._db.transaction(durable=True) as connection:
            connection.execute("INSERT INTO blobs (sha256, data) VALUES (?, ?) ON CONFLICT DO NOTHING", (sha256, data))
        return sha256

    def get_blob(self, sha256: str) -> bytes | None:
        """The bytes, or None. Raises Unavailable."""
        with self._db.reading() as connection:
            row = connection.execute("SELECT data FROM blobs WHERE sha256 = ?", (sha256,)).fetchone()
        return None if row is None else bytes(row[0])
