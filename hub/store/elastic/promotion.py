"""
Profiles from elsewhere, in the place of those that are there, while nobody else writes.

A promotion is pending in the head like a batch that is alone (`hub.store.elastic.head`), in two ways:

1. As a **pause**: whoever wants to write waits for it, and gives it up once it has lasted as long as it may by their
   own clock; so one that is killed holds nobody up for longer. What is to be replaced is put into the journal
   meanwhile, where nobody looks for it.
2. As **decided**: by a compare-and-set of the head that still has the pause, which counts the promotion as well. With
   it all of it is done, and whoever has opened the store before is fenced. The profiles follow; whoever finds it
   pending sees to them.

Reads go on, and see some of the profiles before others.
"""

from __future__ import annotations

import secrets
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from hub.errors import Unavailable
from hub.pipeline.applied import Promoted
from hub.store.elastic.apply import Applying
from hub.store.elastic.changes import BRIEF, Change, is_done, is_there
from hub.store.elastic.client import Action, Engine
from hub.store.elastic.documents import OUTBOX, Fields, bytes_of, row_id, text_of
from hub.store.elastic.facts import facts
from hub.store.elastic.head import Head, HeadDocument, Pending
from hub.store.elastic.indices import BATCHES, PROFILES, ROWS
from hub.store.elastic.rows import Table
from hub.store.fences import GROWN, older_log

PART_BYTES: Final = 2 * 1024 * 1024
"""About so many bytes of profiles are one document of the journal."""
_Profiles = list[tuple[str, bytes]]
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Profiles).decode


class PromotionSide:
    """`Promoting` of the port, and `promoted`."""

    _engine: Engine
    _head: HeadDocument
    _applying: Applying
    _done: list[str]
    _settle: Callable[[Pending], None]
    _take_off: Callable[[Pending], None]

    @contextmanager
    def promotion(self, origin: str, *, at_ms: int, most_s: float) -> Iterator[Pause]:
        """See the port. Raises Unavailable: it may be decided nevertheless, if it is raised at the end."""
        entry = self._hold(most_s)
        pause = Pause(self._engine, entry, most_s)
        try:
            yield pause
            pause.end({"origin": origin, "at_ms": at_ms, "mapped": pause.mapped})
            decided = self._decide(entry, pause.parts, origin)
            if decided is None:
                raise pause.over()
        except BaseException:
            self.give_up(entry)
            raise
        self.complete(decided)

    def promoted(self) -> list[Promoted]:
        """See the port. Raises Unavailable."""
        promotions = Table(self._engine, "promotions")
        promotions.refresh()
        rows = [row.fields for row in promotions.every([], ["number"])]
        # keys of JSON are texts
        found = [msgspec.convert(row, Promoted, strict=False) for row in rows]
        return [one for one in found if one.mapped]

    def new_epoch(self, topic_id: str, *, at_ms: int) -> int:  # noqa: ARG002 - the port's: here no row has it
        """See the port. Raises Unavailable: it may be done nevertheless; to do it twice does no harm."""
        for entry in self._head.read().pending:
            self._settle(entry)
        while True:
            head = self._head.read()
            old, new = head.topics.get(topic_id), head.epoch + 1
            if old is not None:
                self._copy_outbox(old, new, head.offsets(old))

            def numbered(now: Head, old: int | None = old, new: int = new) -> Head | None:
                if (now.topics.get(topic_id), now.epoch + 1) != (old, new):
                    return None
                topics = {**now.topics, topic_id: new}
                if old is None:
                    return replace(now, topics=topics, promotions=now.promotions + 1, origin=GROWN)
                return replace(
                    now,
                    topics={**topics, older_log(topic_id, old): old},
                    progress={**now.progress, new: now.progress.get(old, {})},
                    promotions=now.promotions + 1,
                    origin=GROWN,
                )

            if self._head.change(numbered, is_fresh=True).topics.get(topic_id) == new:
                return new

    def _copy_outbox(self, old: int, new: int, partitions: Iterable[int]) -> None:
        """The rows of before stay, and are never asked for again."""
        ids = {row_id(OUTBOX, old, partition): row_id(OUTBOX, new, partition) for partition in partitions}
        rows = self._engine.many(ROWS, ids)
        self._engine.bulk(
            Action("index", ROWS, ids[id], {**row.source, "key": ids[id], "items": _numbered(row.source["items"], new)})
            for id, row in rows.items()
        )

    def give_up(self, entry: Pending) -> None:
        """A pause is over, and nothing has come of it; one that is decided stays. Raises Unavailable."""

        def without(head: Head) -> Head | None:
            left = [one for one in head.pending if one.id != entry.id or not one.pause_s]
            return None if len(left) == len(head.pending) else replace(head, pending=left)

        self._head.change(without)

    def complete(self, entry: Pending) -> None:
        """Write what is missing of one that is decided. Anybody may, again and late. Raises Unavailable."""
        assert entry.parts is not None
        found = self._engine.get(BATCHES, entry.id)
        head = self._head.read()
        if all(one.id != entry.id for one in head.pending):
            return
        if found is None:
            raise _lost(entry.id, self._engine)
        for number in range(entry.parts):
            part = self._engine.get(BATCHES, _part(entry.id, number))
            if part is None:
                if all(one.id != entry.id for one in self._head.read().pending):
                    return  # somebody else was quicker
                raise _lost(_part(entry.id, number), self._engine)
            profiles = _decode(zlib.decompress(bytes_of(part.source["profiles"])))
            self._applying.run([Change(PROFILES, id, _replacing(id, doc, entry.number)) for id, doc in profiles])
        progress = {str(partition): after for partition, after in head.offsets(entry.epoch).items()}
        about = {name: found.source[name] for name in ("origin", "at_ms", "mapped")}
        row = {**about, "number": entry.number, "epoch": entry.epoch, "progress": progress}
        Table(self._engine, "promotions").create(str(entry.number), row)
        self._take_off(entry)
        self._done += [_part(entry.id, number) for number in range(entry.parts)]

    def _hold(self, most_s: float) -> Pending:
        """From now on everybody else waits."""
        id = f"promotion/{secrets.token_hex(16)}"
        while True:
            blocking: list[Pending] = []
            begun: list[Pending] = []

            def add(head: Head, blocking: list[Pending] = blocking, begun: list[Pending] = begun) -> Head | None:
                blocking[:], begun[:] = head.pending, []
                if blocking:
                    return None
                begun.append(_entry(id, head, most_s))
                return replace(head, number=begun[0].number, pending=begun)

            self._head.change(add)
            if begun:
                return begun[0]
            self._settle(blocking[0])

    def _decide(self, entry: Pending, parts: int, origin: str) -> Pending | None:
        """None: the pause was given up."""
        decided: list[Pending] = []

        def decide(head: Head) -> Head | None:
            decided.clear()
            if all(one.id != entry.id for one in head.pending):
                return None
            decided.append(replace(entry, pause_s=0.0, parts=parts, epoch=head.epoch))
            return replace(head, promotions=head.promotions + 1, origin=origin, pending=list(decided))

        self._head.change(decide)
        return decided[0] if decided else None


class Pause:
    """What is to be replaced. Not thread-safe."""

    def __init__(self, engine: Engine, entry: Pending, most_s: float) -> None:
        """Args: entry: in the head."""
        self._engine = engine
        self._entry = entry
        self._most_s = most_s
        self._until = time.monotonic() + most_s  # others have begun to wait later, so this ends first
        self._profiles: _Profiles = []
        self._bytes = 0
        self.parts = 0
        self.mapped: Mapping[str, Mapping[str, str]] = {}

    def note_mapped(self, mapped: Mapping[str, Mapping[str, str]]) -> None:
        """See the port."""
        self.mapped = mapped

    def replace(self, profiles: Sequence[tuple[str, bytes]]) -> None:
        """See the port. Raises Unavailable."""
        self._check()
        for id, doc in profiles:
            self._profiles.append((id, doc))
            self._bytes += len(doc)
            if self._bytes >= PART_BYTES:
                self._put()

    def end(self, about: Fields) -> None:
        """All of it is in the journal when this returns. Raises Unavailable: its time is over."""
        if self._profiles:
            self._put()
        self._engine.bulk([Action("index", BATCHES, self._entry.id, {"after": self._entry.number, **about})])
        self._check()

    def over(self) -> Unavailable:
        """What to raise when its time is over."""
        return Unavailable(
            "store", f"collectors had to wait for {self._most_s:g} s, which is the most: nothing was changed here"
        )

    def _put(self) -> None:
        text = text_of(zlib.compress(_encode(self._profiles), 1))
        part = {"after": self._entry.number, "profiles": text}
        self._engine.bulk([Action("index", BATCHES, _part(self._entry.id, self.parts), part)])
        self.parts += 1
        self._profiles, self._bytes = [], 0

    def _check(self) -> None:
        if time.monotonic() > self._until:
            raise self.over()


def _numbered(items: Sequence[Sequence[Any]], epoch: int) -> list[list[Any]]:
    """Args: items: of a row of the outbox, each with its position in front."""
    return [[[epoch, *item[0][1:]], *item[1:]] for item in items]


def _entry(id: str, head: Head, pause_s: float) -> Pending:
    return Pending(
        id=id,
        mark=id,
        number=head.number + 1,
        seq=head.seq,
        size=0,
        at_ms=None,
        epoch=head.epoch,
        progress={},
        counts={},
        is_shared=True,
        is_alone=True,
        pause_s=pause_s,
        parts=0,
    )


def _part(id: str, number: int) -> str:
    return f"{id}/{number}"


def _replacing(id: str, doc: bytes, at: int) -> Callable[[Fields | None], Fields | None]:
    """Another document for a profile that is there, with the same version."""

    def of(old: Fields | None) -> Fields | None:
        if old is None or not is_there(old) or is_done(old, at):
            return None
        document: dict[str, Any] = msgspec.json.decode(doc)
        kept = {name: old[name] for name in BRIEF[PROFILES] if name in old}
        more = {"segments": document.get("segments") or [], "facts": facts(document, "profiles"), "doc": doc.decode()}
        return {**kept, "id": id, "at": at, **more}

    return of


def _lost(id: str, engine: Engine) -> Unavailable:
    return Unavailable(
        "store",
        f"{id} of a promotion that is decided is not in {engine.index(BATCHES)}: profiles may be the old ones. Restore "
        "that index from a snapshot, or the whole store",
    )
