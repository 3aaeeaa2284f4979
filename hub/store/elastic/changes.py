"""
What a batch does to documents, one by one: pure.

A change says what becomes of a document, whatever it is when it is looked at. One that was written by the same batch,
or a later one, stays as it is: so each may be applied again, late or twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import EllipsisType
from typing import Any, Final, NamedTuple

import msgspec

from hub.model import Alias, Ask, Batch, DeadLetter, MergeEntry, Outgoing, Profile, Session, StoredEvent
from hub.store.documents import dead_letter_document, failed_again, resolved
from hub.store.elastic import documents as made
from hub.store.elastic.documents import Fields
from hub.store.elastic.facts import facts
from hub.store.elastic.head import Pending
from hub.store.elastic.indices import EVENTS, LETTERS, PROFILES, ROWS, SESSIONS, events_index

Key = tuple[str, str]
"""Index and id."""

_decode: Final = msgspec.json.Decoder().decode


class WholeError(Exception):
    """The change has to see all of the document, not only its BRIEF fields."""


class Change(NamedTuple):
    """
    Of one document. `name`: of the index. `of`: from what it is (None: there is none) to what it shall be (None: as it
    is).

    `is_new`: there is most likely none, and `of(None)` is all that there is to it otherwise, too.
    """

    name: str
    id: str
    of: Callable[[Fields | None], Fields | None]
    is_new: bool = False


BRIEF: Final[dict[str, list[str]]] = {
    PROFILES: ["at", "seq", "version", "gone", "due_ms", *made.ALIAS],
    SESSIONS: ["at", "seq", "version", "gone", "profile_id"],
}
"""What a change has to know of a document that it writes anew, by index; of all others it sees everything."""


def brief_of(name: str) -> list[str] | None:
    """The fields that a change has to know of a document of this index; None: all of them."""
    return ["at", "gone"] if name.startswith(f"{EVENTS}-") else BRIEF.get(name)


def is_there(source: Mapping[str, Any] | None) -> bool:
    """Whether a document is one: not removed, nor never made."""
    return source is not None and "gone" not in source


def is_alone(batch: Batch) -> bool:
    """Whether it looks for what it changes: who is erased, what is void."""
    return batch.privacy is not None or bool(batch.voids)


def is_shared(batch: Batch) -> bool:
    """Whether it is relative to documents that batches of other partitions change, too."""
    if batch.failed_again or batch.resolved or batch.copied:
        return True
    identity = batch.identity
    return identity is not None and bool(identity.uses or identity.undone or identity.asks or identity.answered)


def size_of(batch: Batch) -> int:
    """How many running numbers it takes."""
    merges = 0 if batch.identity is None else len(batch.identity.merges)
    orders = 0 if batch.privacy is None else 1
    letters = len(batch.dead_letters) + len(batch.failed_again)
    return len(batch.events) + len(batch.profiles) + len(batch.sessions) + letters + merges + orders


def changes_of(batch: Batch, entry: Pending) -> list[Change]:
    """All of a batch but what is about privacy. Each document is in one of them."""
    seqs = _Numbers(entry.seq)
    found = _events(batch, entry.number, seqs)
    found += _profiles(batch, entry.number, seqs)
    found += _sessions(batch, entry.number, seqs)
    found += _letters(batch, entry.number, seqs)
    found += _identity(batch, entry, seqs)
    found += _books(batch, entry)
    return found


class _Numbers:
    """Running numbers of a batch, the same whenever it is applied."""

    def __init__(self, first: int) -> None:
        self._next = first

    def __call__(self) -> int:
        number, self._next = self._next, self._next + 1
        return number


def _events(batch: Batch, at: int, seqs: _Numbers) -> list[Change]:
    copied = {(one.partition, one.id): one for one in batch.copied}
    made_here: dict[Key, Change] = {}
    for event in batch.events:
        seq = seqs()
        copy = copied.pop((event.partition, event.id), None)
        if (events_index(event.partition), event.id) not in made_here:
            change = Change(events_index(event.partition), event.id, _event(event, seq, at, copy), is_new=True)
            made_here[change[:2]] = change
    others = [Change(events_index(one.partition), one.id, _copy(one, at)) for one in copied.values()]
    return [*made_here.values(), *others]


def _event(event: StoredEvent, seq: int, at: int, copy: Any) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if is_done(old, at) or is_there(old):
            return None if copy is None or is_done(old, at) else _copy(copy, at)(old)
        source = made.event_source(event, seq, at)
        return source if copy is None else _copy(copy, at)({**source, "at": at - 1})

    return of


def _copy(copy: Any, at: int) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if old is None or not is_there(old) or is_done(old, at):
            return None
        if "doc" not in old:
            raise WholeError
        document = _decode(old["doc"])
        outcome = {**document["outcome"], "mapped": _decode(copy.mapped), "copied": _decode(copy.copied)}
        return made.event_with(old, {**document, "outcome": outcome}, at)

    return of


def _profiles(batch: Batch, at: int, seqs: _Numbers) -> list[Change]:
    identity = batch.identity
    restored: Collection[str] = () if identity is None else frozenset(identity.restored)
    aliases: Mapping[str, Alias] = {} if identity is None else identity.aliases
    newest: dict[str, tuple[Profile, int]] = {}
    for profile in batch.profiles:
        seq = seqs()
        if profile.id not in newest or newest[profile.id][0].version < profile.version:
            newest[profile.id] = profile, seq
    ids = dict.fromkeys((*newest, *aliases, *restored, *batch.due))
    return [
        Change(
            PROFILES,
            id,
            _OfProfile(id, at, newest.get(id), aliases.get(id), batch.due.get(id, ...), id in restored).of,
        )
        for id in ids
    ]


class _OfProfile(NamedTuple):
    """
    What a batch does to a profile. `new`: it as it shall be, and its running number if there is none.

    `due_ms`: when its segments have to be looked at again; None: not any more; ...: that stays.
    """

    id: str
    at: int
    new: tuple[Profile, int] | None
    alias: Alias | None
    due_ms: int | EllipsisType | None
    is_restored: bool

    def of(self, old: Fields | None) -> Fields | None:
        """See Change."""
        if is_done(old, self.at):
            return None
        led = self._led(old)
        before = old if is_there(old) and self.alias is None else None
        if self.new is not None and (before is None or before["version"] < self.new[0].version):
            seq = self.new[1] if before is None else before["seq"]
            return self._alive(made.profile_source(self.new[0], seq, self.at), before, led)
        if before is not None:
            return self._alive(before, before, led)
        return {"gone": True, "at": self.at, **led} if old is not None or led else None

    def _led(self, old: Fields | None) -> Fields:
        if self.alias is not None:
            return made.alias_fields(self.id, self.alias)
        if old is None or self.is_restored:
            return {}
        return {name: old[name] for name in made.ALIAS if name in old}

    def _alive(self, source: Fields, before: Fields | None, led: Fields) -> Fields | None:
        had = None if before is None else before.get("due_ms")
        due = had if isinstance(self.due_ms, EllipsisType) else self.due_ms
        if source is before:
            if due == had and len(led) == sum(name in before for name in made.ALIAS):
                return None
            if "doc" not in source:
                raise WholeError
            source = {**source, "at": self.at, "facts": facts(_decode(source["doc"]), "profiles")}
        rest = {name: value for name, value in source.items() if name != "due_ms" and name not in made.ALIAS}
        return {**rest, **led} if due is None else {**rest, "due_ms": due, **led}


def _sessions(batch: Batch, at: int, seqs: _Numbers) -> list[Change]:
    taken: Collection[str] = () if batch.identity is None else frozenset(batch.identity.taken)
    by_id: dict[str, list[tuple[Session, int]]] = {}
    for session in batch.sessions:
        by_id.setdefault(session.id, []).append((session, seqs()))
    return [Change(SESSIONS, id, _session(some, at, is_taken=id in taken)) for id, some in by_id.items()]


def _session(some: list[tuple[Session, int]], at: int, *, is_taken: bool) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if is_done(old, at):
            return None
        best: Session | None = None
        holder, version, seq = None, -1, some[0][1]
        if old is not None and is_there(old):
            holder, version, seq = old["profile_id"], old["version"], old["seq"]
        for session, _ in some:
            if is_taken and session.profile_id != holder:
                holder, version = session.profile_id, -1
            elif is_taken and best is None:
                version = -1
            if holder is None or (holder == session.profile_id and version < session.version):
                best, holder, version = session, session.profile_id, session.version
        return None if best is None else made.session_source(best, seq, at)

    return of


def _letters(batch: Batch, at: int, seqs: _Numbers) -> list[Change]:
    made_here: dict[str, tuple[DeadLetter, int]] = {}
    for letter in batch.dead_letters:
        seq = seqs()
        made_here.setdefault(letter.id, (letter, seq))
    again: dict[str, list[tuple[DeadLetter, int]]] = {}
    for letter in batch.failed_again:
        again.setdefault(letter.id, []).append((letter, seqs()))
    ids = dict.fromkeys((*made_here, *again, *batch.resolved))
    return [
        Change(
            LETTERS,
            id,
            _letter(made_here.get(id), again.get(id, []), batch.resolved.get(id), at),
            is_new=id in made_here and id not in again and id not in batch.resolved,
        )
        for id in ids
    ]


def _letter(
    new: tuple[DeadLetter, int] | None, again: list[tuple[DeadLetter, int]], resolved_ms: int | None, at: int
) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if is_done(old, at):
            return None
        source = old if is_there(old) else None
        if source is None and new is not None:
            source = made.letter_source(new[0], dead_letter_document(new[0]), new[1], at)
        for letter, seq in again:
            if source is None:
                source = made.letter_source(letter, dead_letter_document(letter), seq, at)
            else:
                document = failed_again(_decode(source["doc"]), letter)
                source = {**source, **made.letter_columns(letter, document, at), "source": source["source"]}
        if source is not None and resolved_ms is not None:
            source = {**source, **made.letter_with(resolved(_decode(source["doc"]), resolved_ms), at)}
        return None if source is old else source

    return of


def _identity(batch: Batch, entry: Pending, seqs: _Numbers) -> list[Change]:
    identity, at = batch.identity, entry.number
    if identity is None:
        return []
    found = [Change(ROWS, made.row_id(made.CLAIMS, id), _use(uses, at)) for id, uses in identity.uses.items()]
    merges: dict[str, tuple[MergeEntry, int]] = {}
    for merge in identity.merges:
        seq = seqs()
        merges.setdefault(merge.id, (merge, seq))
    found += [
        Change(ROWS, made.row_id(made.MERGES, id), _merge(merges.get(id), identity.undone.get(id), at))
        for id in dict.fromkeys((*merges, *identity.undone))
    ]
    for first_at in dict.fromkeys(identity.forwarded):
        row = {"table": made.FORWARDED, "key": first_at, "at": at}
        found.append(Change(ROWS, made.row_id(made.FORWARDED, first_at), _create(row, at), is_new=True))
    asks: dict[str, Ask] = {}
    for ask in identity.asks:
        asks.setdefault(ask.id, ask)
    answered = frozenset(identity.answered)
    found += [
        Change(ROWS, made.row_id(made.ASKS, id), _ask(asks.get(id), at, is_answered=id in answered))
        for id in dict.fromkeys((*asks, *identity.answered))
    ]
    by_partition: dict[tuple[int, int], list[Outgoing]] = {}
    for one in identity.outbox:
        by_partition.setdefault(one.position[:2], []).append(one)
    for place, some in by_partition.items():
        step = entry.progress.get(place[1]) if place[0] == entry.epoch else None
        id = made.row_id(made.OUTBOX, *place)
        found.append(Change(ROWS, id, _outbox(id, some, at, 0 if step is None else step.before)))
    return found


def _use(more: int, at: int) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if old is None or not is_there(old) or is_done(old, at):
            return None
        return {**old, "at": at, "uses": old["uses"] + more}

    return of


def _merge(
    new: tuple[MergeEntry, int] | None, undone_ms: int | None, at: int
) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if is_done(old, at):
            return None
        source = old if is_there(old) else None
        if source is None and new is not None:
            source = made.merge_source(*new, at)
        if source is not None and undone_ms is not None:
            source = {**source, "at": at, "undone": True, "undone_ms": undone_ms}
        return None if source is old else source

    return of


def _ask(new: Ask | None, at: int, *, is_answered: bool) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if is_done(old, at):
            return None
        source = old if is_there(old) else None
        if source is None and new is not None:
            source = made.ask_source(new, at)
        if source is not None and is_answered:
            source = {**source, "at": at, "is_done": True}
        return None if source is old else source

    return of


def _outbox(key: str, some: list[Outgoing], at: int, before: int) -> Callable[[Fields | None], Fields | None]:
    def of(old: Fields | None) -> Fields | None:
        if is_done(old, at):
            return None
        items = {} if old is None else {tuple(item[0]): item for item in old["items"]}
        kept = {position: item for position, item in items.items() if position[2] >= before}
        for one in some:
            kept.setdefault(tuple(one.position), made.outgoing_fields(one))
        return {"table": made.OUTBOX, "key": key, "at": at, "items": list(kept.values())}

    return of


def _create(source: Fields, at: int) -> Callable[[Fields | None], Fields | None]:
    return lambda old: None if is_done(old, at) or is_there(old) else source


def _books(batch: Batch, entry: Pending) -> list[Change]:
    found = []
    for place, (key, counts) in enumerate(batch.counters.items()):
        row = made.counter_source(key, counts, entry.number)
        id = made.row_id(made.COUNTERS, entry.number, place)
        found.append(Change(ROWS, id, _create(row, entry.number), is_new=True))
    if entry.at_ms is None:
        return found
    for partition, step in batch.progress.items():
        row = {
            "table": made.WRITES,
            "at": entry.number,
            "epoch": batch.epoch,
            "partition": partition,
            "first": step.before,
            "next": step.after,
            "at_ms": entry.at_ms,
        }
        id = made.row_id(made.WRITES, batch.epoch, partition, step.after)
        found.append(Change(ROWS, id, _create(row, entry.number), is_new=True))
    return found


def is_done(old: Mapping[str, Any] | None, at: int) -> bool:
    """Whether this batch, or a later one, has written it."""
    return old is not None and bool(old["at"] >= at)
