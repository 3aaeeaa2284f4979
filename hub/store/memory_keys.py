"""The keys of sealed records in the store in memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from hub.model import Void
from hub.pipeline.data_keys import DataKey
from hub.store.port import Removal


class KeysInMemory:
    """As `hub.store.sqlite.keys` has it, on dicts."""

    _lock: threading.RLock
    _voids: dict[tuple[str, int], Void]

    def __init__(self) -> None:
        """Starts empty."""
        self._keys: dict[bytes, tuple[DataKey, int]] = {}  # and when it was kept, milliseconds since 1970
        self._keys_read: dict[str, int] = {}
        self._keys_gone: dict[bytes, None] = {}

    def data_keys(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """See the port."""
        with self._lock:
            return {id: self._keys[id][0].wrapped for id in ids if id in self._keys}

    def keys_read(self, topic_id: str) -> int:
        """See the port."""
        return self._keys_read.get(topic_id, 0)

    def keep_keys(
        self, topic_id: str, begin: int, end: int, keys: Sequence[DataKey], gone: Sequence[bytes], *, at_ms: int
    ) -> bool:
        """See the port."""
        with self._lock:
            if self.keys_read(topic_id) != begin:
                return False
            for key in keys:
                if self._is_void(key):
                    self._keys_gone[key.id] = None
                else:
                    self._keys.setdefault(key.id, (key, at_ms))
            for id in gone:
                self._keys.pop(id, None)
            self._keys_read[topic_id] = end
        return True

    def remove_keys(self, removal: Removal, marks: Sequence[str], most: int) -> int:
        """See the port."""
        with self._lock:
            found = [key.id for key, _ in self._keys.values() if key.mark in marks and self._is_void(key)][:most]
            self._throw_away(found)
            if found:
                self._count(removal.id, keys=len(found))
        return len(found)

    def has_keys(self) -> bool:
        """See the port."""
        return bool(self._keys_read)

    def remove_old_keys(self, before_ms: int, most: int) -> int:
        """See the port."""
        with self._lock:
            found = [id for id, (_, kept_ms) in self._keys.items() if kept_ms < before_ms][:most]
            self._throw_away(found)
        return len(found)

    def keys_to_bury(self, most: int) -> list[bytes]:
        """See the port."""
        with self._lock:
            return list(self._keys_gone)[:most]

    def forget_keys(self, ids: Sequence[bytes]) -> None:
        """See the port."""
        with self._lock:
            for id in ids:
                self._keys_gone.pop(id, None)

    def _throw_away(self, ids: Sequence[bytes]) -> None:
        for id in ids:
            del self._keys[id]
            self._keys_gone[id] = None

    def _is_void(self, key: DataKey) -> bool:
        void = self._voids.get((key.mark, 0))
        return void is not None and key.at_ms <= void.until_ms

    def _count(self, id: str, **more: int) -> None:
        raise NotImplementedError
