"""What the collector asks of the store: a compare-and-set a batch (`hub.store.elastic.head`), and what it must know."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.errors import Fenced, Unavailable
from hub.model import Batch, Counts, Known, KnownEvent, Position, Session, Wanted
from hub.store.elastic import documents as made
from hub.store.elastic.apply import Applying
from hub.store.elastic.changes import is_alone, is_shared, is_there, size_of
from hub.store.elastic.client import Action, Engine
from hub.store.elastic.head import Counted, Head, HeadDocument, Pending, Step
from hub.store.elastic.indices import BATCHES, PROFILES, ROWS, SESSIONS, events_index
from hub.store.elastic.journal import Draft, batch_of, draft
from hub.store.fences import fenced_by

PATIENCE_S: Final = 1.0
"""How long somebody else may take for what they are writing before it is done for them: they may be dead."""
OLD: Final = 10_000
"""Journals of tries that came to nothing are removed so many batches later."""
_FIRST_WAIT_S: Final = 0.005
_MOST_WAIT_S: Final = 0.1
_OF_EVENT: Final = ["position", "digest", "gone"]
_OF_PROFILE: Final = ["doc", "version", "gone", *made.ALIAS]
_OF_SESSION: Final = ["doc", "version", "profile_id", "gone"]
_OF_ROW: Final = ["at", "gone"]


class WriteSide:
    """`Writing` of the port."""

    _engine: Engine
    _head: HeadDocument
    _applying: Applying
    _promotions: int
    _done: list[str]
    """Journals that nobody needs any more: they go with the next request."""
    _check_answers: Callable[[Batch], None]
    give_up: Callable[[Pending], None]
    complete: Callable[[Pending], None]
    """Of promotions."""
    has_order: Callable[[str], bool]

    def epoch(self, topic_id: str) -> int:
        """See the port. Raises Unavailable."""
        return self._head.epoch(topic_id)

    def progress(self, epoch: int) -> dict[int, int]:
        """See the port. What others have written and not finished is finished first. Raises Unavailable."""
        for entry in self._head.read().pending:
            self._settle(entry)
        return self._head.read().offsets(epoch)

    def known(self, wanted: Wanted) -> Known:
        """See the port. Raises Unavailable."""
        months = {events_index(partition): _OF_EVENT for key in wanted.events for partition in key.partitions}
        found = self._engine.pick(
            [
                *((PROFILES, id) for id in wanted.profiles),
                *((SESSIONS, id) for id in wanted.sessions),
                *((events_index(partition), key.id) for key in wanted.events for partition in key.partitions),
                *((ROWS, made.row_id(made.FORWARDED, id)) for id in wanted.forwarded),
                *((ROWS, made.row_id(made.MERGES, id)) for id in wanted.merges),
            ],
            {**months, PROFILES: _OF_PROFILE, SESSIONS: _OF_SESSION, ROWS: _OF_ROW},
        )
        sources = {key: one.source for key, one in found.items()}
        there = {key: source for key, source in sources.items() if is_there(source)}
        gone = {id: made.alias_of(sources[PROFILES, id]) for id in wanted.profiles if (PROFILES, id) in sources}
        return Known(
            profiles={
                id: made.profile_of(id, there[PROFILES, id]) for id in wanted.profiles if (PROFILES, id) in there
            },
            sessions={
                id: made.session_of(id, there[SESSIONS, id]) for id in wanted.sessions if (SESSIONS, id) in there
            },
            events={
                key.id: _known_event(there[place])
                for key in wanted.events
                for partition in key.partitions
                if (place := (events_index(partition), key.id)) in there
            },
            aliases={id: alias for id, alias in gone.items() if alias is not None and (PROFILES, id) not in there},
            forwarded={id for id in wanted.forwarded if (ROWS, made.row_id(made.FORWARDED, id)) in there},
            merges={id for id in wanted.merges if (ROWS, made.row_id(made.MERGES, id)) in there},
        )

    def outcomes(self, ids: Sequence[tuple[str, str]]) -> Mapping[str, bytes]:
        """See the port. Raises Unavailable."""
        names = {events_index(partition): ["doc", "gone"] for _, partition in ids}
        found = self._engine.pick([(events_index(partition), id) for id, partition in ids], names)
        return {id: one.source["doc"].encode() for (_, id), one in found.items() if is_there(one.source)}

    def claim_sessions(self, sessions: Sequence[Session]) -> dict[str, Session]:
        """See the port. Raises Unavailable."""
        first = {one.id: one for one in reversed(sessions)}
        found = self._sessions(list(first))
        missing = [id for id in first if id not in found]
        if missing:
            seq, at = self._head.take(len(missing))
            for place, id in enumerate(missing):
                self._create(SESSIONS, id, made.session_source(first[id], seq + place, at))
            found |= self._sessions(missing)
        return found

    def write(self, batch: Batch, *, at_ms: int | None = None) -> list[str]:
        """
        See the port. Raises: Fenced: nothing is written. Unavailable: it may be written, which shows when the same
        batch is given again.
        """
        drawn = draft(batch)
        entry = self._commit(batch, drawn, at_ms)
        if entry is None:
            return self._lost(batch)
        lost = self._applying.apply(batch, entry)
        if lost is None:
            return self._lost(batch)
        self._take_off(entry)
        return lost

    def finish(self) -> None:
        """Remove what nobody needs any more. Raises Unavailable."""
        self._engine.bulk(Action("delete", BATCHES, id) for id in self._done)
        self._done.clear()

    def sweep(self) -> None:
        """Remove journals of tries that came to nothing long ago. Raises Unavailable."""
        self._engine.refresh(BATCHES)
        head = self._head.read()
        pending = {entry.id for entry in head.pending}
        hits = self._engine.hits(BATCHES, {"size": 1_000, "_source": ["after"]})
        old = [hit["_id"] for hit in hits if hit["_source"].get("after", head.number) < head.number - OLD]
        self._engine.bulk(Action("delete", BATCHES, id) for id in old if id not in pending)

    # The steps of a batch

    def _commit(self, batch: Batch, drawn: Draft, at_ms: int | None) -> Pending | None:
        """None: it is written, with all its documents."""
        while True:
            entry = _entry(batch, drawn, at_ms)
            committed: list[Pending] = []

            def add(head: Head, entry: Pending = entry, committed: list[Pending] = committed) -> Head | None:
                committed.clear()
                again = next((one for one in head.pending if one.mark == entry.mark), None)
                if again is not None:
                    committed.append(again)
                    return None
                if _is_written(head, entry):
                    return None
                self._check(head, entry)
                self._check_answers(batch)
                committed.append(msgspec.structs.replace(entry, number=head.number + 1, seq=head.seq))
                is_new = batch.privacy is not None and not self.has_order(batch.privacy.id)
                return _with(head, committed[0], batch, bool(batch.voids) + is_new)

            done = list(self._done)
            before = [Action("delete", BATCHES, id) for id in done]
            before.append(Action("index", BATCHES, drawn.id, drawn.source(self._head.recall().number)))
            try:
                self._head.change(add, before)
            except _BlockedError as exc:
                self._settle(exc.entry)
                continue
            self._done[:] = [id for id in self._done if id not in done]
            return committed[0] if committed else None

    def _check(self, head: Head, entry: Pending) -> None:
        if head.promotions != self._promotions:
            raise fenced_by(head.origin)
        stands = head.offsets(entry.epoch)
        for partition, step in entry.progress.items():
            if stands.get(partition, step.before) != step.before:
                raise Fenced(
                    "store",
                    f"partition {partition} stands at offset {stands[partition]}, not {step.before}: another collector "
                    "wrote it",
                )
        blocking = next((one for one in head.pending if one.overlaps(entry)), None)
        if blocking is not None:
            raise _BlockedError(blocking)

    def _settle(self, entry: Pending) -> None:
        """Wait until a batch of somebody else has all its documents, or see to it. A promotion is one, too."""
        since = time.monotonic()
        wait_s = _FIRST_WAIT_S
        while now := next((one for one in self._head.read().pending if one.id == entry.id), None):
            if time.monotonic() > since + (now.pause_s or PATIENCE_S):
                self._complete(now)
                return
            time.sleep(wait_s)
            wait_s = min(2 * wait_s, _MOST_WAIT_S)

    def _complete(self, entry: Pending) -> None:
        if entry.parts is not None:
            (self.give_up if entry.pause_s else self.complete)(entry)
            return
        found = self._engine.get(BATCHES, entry.id)
        if found is not None:
            self._applying.apply(batch_of(found.source), entry)
            self._take_off(entry)
        elif any(one.id == entry.id for one in self._head.read().pending):
            raise Unavailable(
                "store",
                f"the journal {entry.id} of a batch that is written is not in {self._engine.index(BATCHES)}: documents "
                "of it may be missing. Restore that index from a snapshot, or the whole store",
            )

    def _take_off(self, entry: Pending) -> None:
        def without(head: Head) -> Head | None:
            left = [one for one in head.pending if one.id != entry.id]
            return None if len(left) == len(head.pending) else msgspec.structs.replace(head, pending=left)

        self._head.change(without)
        self._done.append(entry.id)

    def _lost(self, batch: Batch) -> list[str]:
        found = self._sessions([one.id for one in batch.sessions])
        return [one.id for one in batch.sessions if one.id in found and found[one.id].profile_id != one.profile_id]

    def _sessions(self, ids: Sequence[str]) -> dict[str, Session]:
        found = self._engine.many(SESSIONS, ids, _OF_SESSION)
        return {id: made.session_of(id, one.source) for id, one in found.items() if is_there(one.source)}

    def _create(self, name: str, id: str, source: dict[str, Any]) -> None:
        """A document that is not there, or was removed."""
        if not self._engine.create(name, id, source):
            found = self._engine.get(name, id)
            if found is not None and not is_there(found.source):
                self._engine.put(name, id, {**source, "at": max(source["at"], found.source["at"])}, if_=found)


class _BlockedError(Exception):
    """Another batch has to have all its documents first."""

    def __init__(self, entry: Pending) -> None:
        super().__init__(entry.id)
        self.entry = entry


def _entry(batch: Batch, drawn: Draft, at_ms: int | None) -> Pending:
    """As it will be, without its number and the running ones."""
    totals: dict[str, Counted] = {}
    for key, counts in batch.counters.items():
        totals[key.source] = _sum(totals.get(key.source), _counted(counts))
    return Pending(
        id=drawn.id,
        mark=drawn.mark,
        number=0,
        seq=0,
        size=size_of(batch),
        at_ms=at_ms,
        epoch=batch.epoch,
        progress=batch.progress,
        counts=totals,
        is_shared=is_shared(batch),
        is_alone=is_alone(batch),
    )


def _is_written(head: Head, entry: Pending) -> bool:
    """Whether this very batch was the last one of all its partitions. One that moves nothing on cannot be told."""
    if all(step.before == step.after for step in entry.progress.values()):
        return False
    stands = head.progress.get(entry.epoch, {})
    return all(partition in stands and stands[partition].mark == entry.mark for partition in entry.progress)


def _with(head: Head, entry: Pending, batch: Batch, voids: int) -> Head:
    steps = {partition: Step(step.after, step.before, entry.mark) for partition, step in entry.progress.items()}
    totals = dict(head.totals)
    for source, counts in entry.counts.items():
        totals[source] = _sum(totals.get(source), counts)
    progress = head.progress
    if steps:
        progress = {**progress, entry.epoch: {**progress.get(entry.epoch, {}), **steps}}
    months = {event.partition for event in batch.events}
    return msgspec.structs.replace(
        head,
        number=entry.number,
        seq=head.seq + entry.size,
        progress=progress,
        totals=totals,
        voids=head.voids + voids,
        months=sorted(months.union(head.months)),
        pending=[*head.pending, entry],
    )


def _counted(counts: Counts) -> Counted:
    return counts.received, counts.stored, counts.duplicate, counts.dropped, counts.dead


def _sum(one: Counted | None, other: Counted) -> Counted:
    if one is None:
        return other
    a, b, c, d, e = (left + right for left, right in zip(one, other, strict=True))
    return a, b, c, d, e


def _known_event(source: Mapping[str, Any]) -> KnownEvent:
    return KnownEvent(Position(*source["position"]), made.bytes_of(source["digest"]))
