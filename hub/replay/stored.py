"""The records that Kafka no longer has, rebuilt from the store, in the order of the log."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import groupby
from typing import Final, NamedTuple

from hub.model import Position
from hub.replay.bounds import Selection
from hub.replay.rebuild import inbound_of
from hub.store.port import EventPlace, Walking
from schemas.records import Inbound

PAGE: Final = 5_000
"""Places read at once; 500 documents: of up to 256 KB each."""
DOCUMENTS: Final = 500


class Rebuilt(NamedTuple):
    """A record, and where it lay on its log."""

    partition: int
    offset: int
    inbound: Inbound


class StoredRecords:
    """
    Finds the wanted events first, so that how many there are is known, then gives them out record by record.

    The store has no index by position, and need not have one on the hot path for the few replays that there are: the
    places are sorted in a temporary file, some 40 bytes an event, that is gone when the object is closed.
    """

    def __init__(self, store: Walking, selection: Selection, tick: Callable[[int], None] = lambda _: None) -> None:
        """Reads where every event lies. Args: tick: called with how many were looked at. Raises Unavailable."""
        self._store = store
        self._sorted = sqlite3.connect("", isolation_level=None)  # no name: a file of SQLite's own, deleted at once
        self._sorted.execute(
            """CREATE TABLE places (epoch INTEGER, at INTEGER, partition INTEGER, place INTEGER, month TEXT,
            seq INTEGER, PRIMARY KEY (epoch, at, partition, place, month, seq)) WITHOUT ROWID"""
        )
        self.events = 0
        looked = 0
        after: EventPlace | None = None
        while True:
            page = store.event_places(after, PAGE)
            wanted = [one for one in page if selection.wants_stored(one.position, one.received_at_ms)]
            self._sorted.execute("BEGIN")
            self._sorted.executemany("INSERT INTO places VALUES (?,?,?,?,?,?)", map(_row, wanted))
            self._sorted.execute("COMMIT")
            self.events += len(wanted)
            looked += len(page)
            tick(looked)
            if len(page) < PAGE:
                break
            after = page[-1]

    def close(self) -> None:
        """Give the temporary file back."""
        self._sorted.close()

    def __iter__(self) -> Iterator[Rebuilt]:
        """Oldest log first, then by offset: so each partition is in its order. Raises Unavailable."""
        for (_, partition, offset), events in groupby(self._documents(), key=lambda one: one[0][:3]):
            inbound = inbound_of([document for _, document in events])
            if inbound is not None:
                yield Rebuilt(partition, offset, inbound)

    def _documents(self) -> Iterator[tuple[Position, bytes]]:
        query = "SELECT epoch, partition, at, place, month, seq FROM places ORDER BY epoch, at, partition, place"
        with closing(self._sorted.execute(query)) as rows:
            while page := rows.fetchmany(DOCUMENTS):
                by_month: defaultdict[str, list[int]] = defaultdict(list)
                for *_, month, seq in page:
                    by_month[month].append(seq)
                found = {
                    (month, seq): document
                    for month, seqs in by_month.items()
                    for seq, document in zip(seqs, self._store.event_documents(month, seqs), strict=True)
                }
                for *position, month, seq in page:
                    yield Position(*position), found[month, seq]


def _row(place: EventPlace) -> tuple[object, ...]:
    position = place.position
    return position.epoch, position.offset, position.partition, position.place, place.partition, place.seq
