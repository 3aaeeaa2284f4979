"""
The keys that records of events.v1 are sealed with, without transactions.

A key is a row: `kept`, `gone` (thrown away here, and still on keys.v1), or `buried` (thrown away there as well). It is
made once and only ever goes on in this order, so that whoever keeps it once more, late, changes nothing: that is why a
buried one stays until `remove_old_keys` comes to its time.

What keys.v1 says is kept in steps that anybody may do again: the keys are written; those that are void by now are
thrown away; those that were thrown away there are buried; then the progress on keys.v1 is changed by compare-and-set,
which is what counts. Voids are looked at once more after the keys were written: an erasure of before is seen then, one
that comes later finds the keys.

A key that is thrown away is in no answer from then on; the engine overwrites its bytes on disk when it merges segments.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from hub.model import Void
from hub.pipeline.data_keys import DataKey
from hub.store.elastic.client import Action, Engine
from hub.store.elastic.rows import Fields, Row, Table, between, equal
from hub.store.port import Removal

_BEFORE: Final[Mapping[str, Collection[str]]] = {"gone": ("kept",), "buried": ("kept", "gone")}


class KeySide:
    """`DataKeys` of the port, and what the sweeper does with them."""

    _engine: Engine
    voids: Callable[[Sequence[str]], dict[str, list[Void]]]
    """See the port: as they are, not as of the last refresh."""
    _count_removed: Callable[..., None]

    def data_keys(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """See the port. Raises Unavailable."""
        found = self._keys.many(id.hex() for id in ids)
        return {
            bytes.fromhex(key): base64.b64decode(row.source["wrapped"])
            for key, row in found.items()
            if row.source["state"] == "kept"
        }

    def keys_read(self, topic_id: str) -> int:
        """See the port. Raises Unavailable."""
        found = self._progress.get(topic_id)
        return 0 if found is None else int(found.source["next"])

    def keep_keys(
        self, topic_id: str, begin: int, end: int, keys: Sequence[DataKey], gone: Sequence[bytes], *, at_ms: int
    ) -> bool:
        """See the port. Raises Unavailable: it may be kept nevertheless."""
        found = self._progress.get(topic_id)
        if (0 if found is None else found.source["next"]) != begin:
            return False
        void = self._void({key.mark for key in keys})
        self._keys.apply(self._keys.creating(key.id.hex(), _row(key, void, at_ms)) for key in keys)
        void = self._void({key.mark for key in keys})
        self._move([key.id for key in keys if _is_void(key, void)], "gone")
        self._move(gone, "buried", at_ms=at_ms)
        row = {"next": end}
        action = (
            self._progress.creating(topic_id, row) if found is None else self._progress.putting(topic_id, row, found)
        )
        return not self._progress.apply([action])

    def remove_keys(self, removal: Removal, marks: Sequence[str], most: int) -> int:
        """See the port. Raises Unavailable: some may be thrown away, and not counted."""
        self._keys.refresh()
        void = self._void(marks)
        found: list[Row] = []
        for mark, until_ms in void.items():
            where = [equal("state", "kept"), equal("mark", mark), between("at_ms", lte=until_ms)]
            found += self._keys.find(where, ["key"], most - len(found))
            if len(found) == most:
                break
        removed = self._throw_away(found)
        if removed:
            self._count_removed(removal.id, add={"keys": removed})
        return removed

    def has_keys(self) -> bool:
        """See the port. Raises Unavailable."""
        return bool(self._progress.find([], ["key"], 1))

    def remove_old_keys(self, before_ms: int, most: int) -> int:
        """See the port. Raises Unavailable: some may be thrown away."""
        self._keys.refresh()
        where = [between("kept_ms", lt=before_ms)]
        buried = self._keys.find([equal("state", "buried"), *where], ["kept_ms", "key"], most)
        self._keys.apply(self._keys.removing(row.key, row.found) for row in buried)
        return self._throw_away(self._keys.find([equal("state", "kept"), *where], ["kept_ms", "key"], most))

    def keys_to_bury(self, most: int) -> list[bytes]:
        """See the port. Raises Unavailable."""
        return [bytes.fromhex(row.key) for row in self._keys.find([equal("state", "gone")], ["key"], most)]

    def forget_keys(self, ids: Sequence[bytes]) -> None:
        """See the port. Raises Unavailable."""
        self._move(ids, "buried")

    @property
    def _keys(self) -> Table:
        return Table(self._engine, "keys")

    @property
    def _progress(self) -> Table:
        return Table(self._engine, "keys-read")

    def _void(self, marks: Collection[str]) -> dict[str, int]:
        """Of these marks, up to when what was received is void, milliseconds since 1970."""
        found = self.voids(sorted(marks)) if marks else {}
        every = {
            mark: max((one.until_ms for one in voids if one.since_ms == 0), default=-1) for mark, voids in found.items()
        }
        return {mark: until_ms for mark, until_ms in every.items() if until_ms >= 0}

    def _throw_away(self, rows: Sequence[Row]) -> int:
        """Returns how many of them this call has thrown away, and nobody else."""
        actions = [self._keys.putting(row.key, _moved(row.fields, "gone"), row.found) for row in rows]
        return len(actions) - len(self._keys.apply(actions))

    def _move(self, ids: Sequence[bytes], state: str, *, at_ms: int | None = None) -> None:
        """
        On to this state; those that are there or further stay.

        Args: at_ms: also those that were never kept, as of this time; None: these not.
        """
        rest = {id.hex() for id in ids}
        while rest:
            found = self._keys.many(rest)
            actions: list[Action] = []
            for key in sorted(rest):
                row = found.get(key)
                if row is None and at_ms is not None:
                    actions.append(self._keys.creating(key, _tombstone(at_ms)))
                elif row is not None and row.source["state"] in _BEFORE[state]:
                    actions.append(self._keys.putting(key, _moved(row.source, state), row))
            rest = self._keys.apply(actions)  # others have moved these meanwhile: once more


def _is_void(key: DataKey, void: Mapping[str, int]) -> bool:
    return key.at_ms <= void.get(key.mark, -1)


def _row(key: DataKey, void: Mapping[str, int], at_ms: int) -> dict[str, Any]:
    if _is_void(key, void):
        return {"state": "gone", "kept_ms": at_ms}
    return {
        "state": "kept",
        "mark": key.mark,
        "at_ms": key.at_ms,
        "kept_ms": at_ms,
        "wrapped": base64.b64encode(key.wrapped).decode(),
    }


def _moved(row: Fields, state: str) -> dict[str, Any]:
    """Without the key, and without whose it was."""
    return {"state": state, "kept_ms": row["kept_ms"]}


def _tombstone(at_ms: int) -> dict[str, Any]:
    return {"state": "buried", "kept_ms": at_ms}
