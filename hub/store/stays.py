"""Where else the events of a profile are: while it was part of another one, they were stored under that one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from hub.model import MergeEntry, Stay


def stays(entry: MergeEntry, ended: Callable[[str], Iterable[MergeEntry]]) -> list[Stay]:
    """
    Of the survivor of a merge, after it.

    Args:
        ended: By id of a profile, the merges in which it was the loser and that are undone.
    """
    return _stays(entry.survivor_id, entry.version, (), ended)


def _stays(id: str, since: int, place: tuple[int, ...], ended: Callable[[str], Iterable[MergeEntry]]) -> list[Stay]:
    found: list[Stay] = []
    for merge in ended(id):
        left = msgspec.json.decode(merge.loser)["metadata"]["version"]
        if left >= since:
            # behind what it was sent itself up to then
            stay = Stay(merge.survivor_id, merge.version, (*place, left, 1))
            found += [stay, *_stays(stay.host, stay.since, stay.place, ended)]
    return found
