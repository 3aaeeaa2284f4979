"""The documents of a batch that is written: each one as the batch has it, whoever else writes it meanwhile."""

from __future__ import annotations

import random
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from hub.errors import Unavailable
from hub.model import Batch
from hub.store.elastic.changes import BRIEF, Change, Key, WholeError, brief_of, changes_of, is_there
from hub.store.elastic.client import Action, Engine, Found
from hub.store.elastic.documents import Fields
from hub.store.elastic.head import HeadDocument, Pending
from hub.store.elastic.indices import SESSIONS, events_index
from hub.store.elastic.orders import carry_out

MOST_TRIES: Final = 50
"""Of one document that others change at the same time."""
LATE_S: Final = 10.0
"""
Whoever takes longer for a batch looks whether it is still to be done: what was removed is only for some time kept from
being written again.
"""
_REMEMBERED: Final = 40_000
"""
Documents of which is remembered what they were when they were written last, so that they need not be read first: as
many as the collector keeps profiles and sessions (HUB_COLLECTOR__CACHE_PROFILES).
"""
_MOST_WAIT_S: Final = 0.5


class Applying:
    """Applies batches. What it remembers is only taken if it still holds, so another one may apply the same."""

    def __init__(self, engine: Engine, head: HeadDocument) -> None:
        """Knows nothing yet."""
        self._engine = engine
        self._head = head
        self._made: set[str] = set()  # indices of time partitions that are there
        self._seen: dict[Key, Found] = {}  # BRIEF fields; the oldest first

    def apply(self, batch: Batch, entry: Pending) -> list[str] | None:
        """
        Write what is missing of a batch.

        Returns: ids of its sessions that another profile holds; None: it took so long that somebody else has done it.
        Raises: Unavailable: some of it may be there.
        """
        for partition in dict.fromkeys(event.partition for event in batch.events):
            if partition not in self._made:
                self._engine.make_index(events_index(partition))
                self._made.add(partition)
        running = _Running(self._head, entry)
        try:
            self._all(changes_of(batch, entry), running)
        except _OverError:
            return None
        if entry.is_alone:
            last = entry.seq + entry.size - 1
            carry_out(self._engine, self.run, batch, entry.number, last)
        holders = running.holders
        return [one.id for one in batch.sessions if holders.get(one.id, one.profile_id) != one.profile_id]

    def run(self, changes: Sequence[Change]) -> None:
        """Make changes, whoever else changes the same. Raises Unavailable: some may be made."""
        self._all(changes, _Running(self._head, None))

    def _all(self, changes: Sequence[Change], running: _Running) -> None:
        left = list(changes)
        remembered = {key: self._seen[key] for one in left if (key := _key(one)) in self._seen}
        olds = self._read([one for one in left if not one.is_new and _key(one) not in remembered]) | remembered
        for attempt in range(MOST_TRIES):
            left = self._once(left, olds, running, remembered.keys())
            if not left:
                return
            if attempt:
                time.sleep(random.uniform(0, min(_MOST_WAIT_S, 0.002 * 2**attempt)))
            olds, remembered = self._read(left), {}
        raise Unavailable("store", f"others change {left[0].name}/{left[0].id} all the time")

    def _once(
        self, changes: Sequence[Change], olds: Mapping[Key, Found], running: _Running, unsure: Collection[Key]
    ) -> list[Change]:
        """
        Returns those that are still to be done: somebody else was quicker, or there is only nothing to do by what is
        remembered, which the cluster has not said to be right.
        """
        sent: list[tuple[Change, Fields]] = []
        left: list[Change] = []

        def actions() -> Iterator[Action]:
            for change in changes:
                running.check()
                key = _key(change)
                old, wanted = self._wanted(change, olds.get(key))
                if wanted is None and key in unsure:
                    left.append(change)
                    continue
                running.note(change, old, wanted)
                if wanted is not None:
                    sent.append((change, wanted))
                    yield Action("create" if old is None else "index", *key, wanted, if_=old)

        results = self._engine.results(actions(), in_order=False)
        for (change, wanted), result in zip(sent, results, strict=True):
            key = _key(change)
            self._seen.pop(key, None)
            if result is None:
                left.append(change)
            elif (brief := BRIEF.get(change.name)) is not None:
                source = {name: wanted[name] for name in brief if name in wanted}
                self._seen[key] = Found(source, result.seq_no, result.primary_term, -1)
        for change in left:
            self._seen.pop(_key(change), None)
        while len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return left

    def _wanted(self, change: Change, old: Found | None) -> tuple[Found | None, Fields | None]:
        """What a document is, and shall be."""
        try:
            return old, change.of(None if old is None else old.source)
        except WholeError:
            whole = self._engine.get(change.name, change.id)
            return whole, change.of(None if whole is None else whole.source)

    def _read(self, changes: Sequence[Change]) -> dict[Key, Found]:
        fields: dict[str, Any] = {}
        for name in dict.fromkeys(change.name for change in changes):
            brief = brief_of(name)
            if brief is not None:
                fields[name] = brief
        return self._engine.pick(map(_key, changes), fields)


class _Running:
    """One batch while its documents are written. `holders`: of its sessions, by id."""

    def __init__(self, head: HeadDocument, entry: Pending | None) -> None:
        self._head = head
        self._entry = entry
        self._look = time.monotonic() + LATE_S
        self.holders: dict[str, str] = {}

    def check(self) -> None:
        """Raises _OverError when this took very long and somebody else has done it meanwhile."""
        if self._entry is None or time.monotonic() < self._look:
            return
        if all(one.id != self._entry.id for one in self._head.read().pending):
            raise _OverError
        self._look = time.monotonic() + LATE_S

    def note(self, change: Change, old: Found | None, wanted: Fields | None) -> None:
        """Who holds a session after a change."""
        if change.name != SESSIONS:
            return
        after = wanted if wanted is not None or old is None else old.source
        if after is not None and is_there(after):
            self.holders[change.id] = after["profile_id"]


class _OverError(Exception):
    """All documents of the batch are there."""


def _key(change: Change) -> Key:
    return change.name, change.id
