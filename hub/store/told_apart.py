"""Where the undoing of a merge has to begin: before everybody who was in the survivor then and is told apart by now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from hub.model import MergeEntry


class Row(NamedTuple):
    """A merge of the journal, without the profiles. `version`: of the survivor with the loser's data."""

    id: str
    loser_id: str
    version: int
    is_undone: bool


def beginning(entry: MergeEntry, rows: Sequence[Row], read: Callable[[str], MergeEntry]) -> MergeEntry | None:
    """
    The last merge, this one or an earlier one, before which the survivor held nobody who was told apart since.

    The journal keeps the survivor as it was before a merge. A profile that was part of it at that moment, and is none
    any more, is still in that document: so it must not be what the survivor becomes again.

    None: what the survivor was then is not kept, as somebody who was part of it was erased since (`forgotten.py`).

    Args:
        rows: All merges into the same survivor before that entry, by version.
        read: One of them by id, with the profiles.
    """
    while entry.survivor:
        within = frozenset(msgspec.json.decode(entry.survivor)["ids"])
        # of each profile the newest: an older one that is undone says nothing of one that became part of it again
        newest = {row.loser_id: row for row in rows if row.version < entry.version}
        gone = [row for row in newest.values() if row.is_undone and row.loser_id in within]
        if not gone:
            return entry
        entry = read(min(gone, key=lambda row: row.version).id)
    return None
