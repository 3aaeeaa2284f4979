"""How far a store has come on the log, read from its file as any release has left it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from enum import Enum
from pathlib import Path

from hub.store.sqlite import moved
from hub.store.sqlite.failures import translated


class Reach(Enum):
    """Of what. The query has the topic's id, and gives partitions with their next offsets."""

    EVENTS = """SELECT partition, next_offset FROM progress JOIN epochs ON epochs.number = progress.epoch
        WHERE topic_id = ?"""
    KEYS = "SELECT 0, next_offset FROM keys_read WHERE topic_id = ?"


def reach(path: Path, of: Reach, topic_id: str) -> dict[int, int]:
    """
    Next offsets, by partition; empty if there is no file, or it has none of this topic.

    Args: path: as in the store's URL. Raises: Unavailable, Refused.
    """
    path = path.absolute()
    with translated(path):
        path = moved.chain(path)[-1]
        if not path.exists():
            return {}
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            table = "progress" if of is Reach.EVENTS else "keys_read"
            if table not in set(moved.tables(connection)):
                return {}
            return dict(connection.execute(of.value, (topic_id,)).fetchall())
