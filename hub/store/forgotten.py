"""What is kept of somebody who was erased by who was one with them: where their own events lie, and no more."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from hub.model import MergeEntry

_NO_CHANGES: Final = b"[]"
_BECAUSE: Final = ("profile_id", "other_id", "into")


def forgotten(entry: MergeEntry, ids: Collection[str]) -> MergeEntry | None:
    """
    What is left of an entry: the same one, if there is nothing of these ids in it; None: nothing.

    It stays as long as somebody else was part of the loser: what came for them lies where that went (`stays.py`).
    Where one who is erased was part of the survivor there is nothing left to go back to: `survivor` is empty then, and
    the merge cannot be undone.
    """
    held = _ids(entry.survivor) if entry.survivor else []
    took: dict[str, Any] = msgspec.json.decode(entry.loser)
    reason: dict[str, Any] = msgspec.json.decode(entry.reason)
    others = [id for id in took["ids"] if id not in ids]
    if not others:
        return None
    was_taken = len(others) < len(took["ids"])
    is_within = _are_among([*held, entry.survivor_id], ids)
    is_because = _are_among([reason[name] for name in _BECAUSE if reason.get(name)], ids)
    if not (is_within or was_taken or is_because):
        return entry
    return msgspec.structs.replace(
        entry,
        reason=_reason(reason) if is_because else entry.reason,
        loser=_stub(others, took) if was_taken else entry.loser,
        survivor=b"" if is_within else entry.survivor,
        changes=_NO_CHANGES if is_within or was_taken else entry.changes,
    )


def joinable(document: dict[str, Any], ids: Collection[str]) -> dict[str, Any] | None:
    """
    A profile that does not know any more that it was told apart from these: who comes with such an id is somebody new.

    None: it does not know of them.
    """
    metadata: dict[str, Any] = document.get("metadata", {})
    apart: list[str] = metadata.get("apart", [])
    left = [id for id in apart if id not in ids]
    if len(left) == len(apart):
        return None
    return {**document, "metadata": {**metadata, "apart": left}}


def _reason(reason: Mapping[str, Any]) -> bytes:
    """Without the identifier and the event, which were of both."""
    return msgspec.json.encode({name: reason[name] for name in ("kind", "at", *_BECAUSE) if reason.get(name)})


def _stub(others: list[str], document: Mapping[str, Any]) -> bytes:
    """What a loser's document has to say yet: who else was part of it, and up to which version."""
    return msgspec.json.encode({"ids": others, "metadata": {"version": document["metadata"]["version"]}})


def _ids(document: bytes) -> list[str]:
    ids: list[str] = msgspec.json.decode(document)["ids"]
    return ids


def _are_among(some: Iterable[str], ids: Collection[str]) -> bool:
    return any(one in ids for one in some)
