"""The store, for what is too large for a record: for those who seldom need it."""

from __future__ import annotations

import threading

from hub.store.factory import open_store
from hub.store.port import Store


class LateBlobs:
    """The store's blobs, opened when the first message comes that is too large for a record: most never do."""

    def __init__(self, url: str) -> None:
        """Args: url: the store's."""
        self._url = url
        self._store: Store | None = None
        self._lock = threading.Lock()

    def put_blob(self, data: bytes) -> str:
        """See Blobs. Raises Unavailable."""
        return self._open().put_blob(data)

    def get_blob(self, sha256: str) -> bytes | None:
        """See Blobs. Raises Unavailable."""
        return self._open().get_blob(sha256)

    def close(self) -> None:
        """Close the store if it was opened."""
        with self._lock:
            if self._store is not None:
                self._store.close()
                self._store = None

    def _open(self) -> Store:
        with self._lock:
            if self._store is None:
                self._store = open_store(self._url)
            return self._store
