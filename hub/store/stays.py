"""Where else the events of a profile are: while it was part of another one, they were stored under that one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from hub.model import MergeEntry, Stay


def stays(entry: MergeEntry, ended: Callable[[str], Iterable[MergeEntry]]) -> list[Stay]:
    """
    Of the survivor of a merge, after it.

    Args:
        ended: By id of a profile, the merges in which it was the loser and that are undone.
    """
    guest = entry.survivor_id

    def after(id: str, since: int, place: tuple[int, ...]) -> list[Stay]:
        found: list[Stay] = []
        for merge in ended(id):
            left: dict[str, Any] = msgspec.json.decode(merge.loser)
            version = left["metadata"]["version"]
            # one that went on into a third when the guest was gone already took nothing of it there
            if version >= since and guest in left["ids"]:
                # behind what it was sent itself up to then
                stay = Stay(merge.survivor_id, merge.version, (*place, version, 1))
                found += [stay, *after(stay.host, stay.since, stay.place)]
        return found

    return after(guest, entry.version, ())
