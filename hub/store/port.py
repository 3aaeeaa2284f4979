"""The port that every store passes through: what the collector and the API ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from hub.conditions.ast import Condition
from hub.flows.kept import KeptRun, RunDocuments
from hub.model import (
    Alias,
    Ask,
    Batch,
    Claim,
    Claimed,
    CounterKey,
    Counts,
    Known,
    Outgoing,
    Person,
    Position,
    Session,
    Undo,
    Void,
    Wanted,
)
from hub.pipeline.applied import Promoted
from hub.pipeline.data_keys import DataKey
from hub.task import Planned, Slice, Task

Kind: TypeAlias = Literal["profiles", "events", "sessions", "dead-letters"]
Scope: TypeAlias = Literal["profiles", "sessions"]
"""What can be cut into slices by id."""

MAX_PAGE: Final = 1_000
"""Most items in one page of a search."""
MOST_GROUPS: Final = 5
"""Most groups of a histogram that are told apart."""
MAX_ROWS: Final = 20_000
"""Most rows of a balance sheet: a day of 13 busy sources, some 3 MB of JSON."""
MAX_WRONG: Final = 100
"""Most rows that do not add up to be told one by one."""
MOST_LATER: Final = 50_000
"""Most events since a merge that can still be undone: all of them are applied anew at once."""
OVERTAKEN: Final = "somebody was erased while another profile was about to become one with them: it is looked at anew"
"""Why a batch that was right when it was processed is not written."""


class Page(NamedTuple):
    """Some of the matches, and where the next ones begin (None: that was all)."""

    items: list[dict[str, Any]]
    next: str | None


class Span(NamedTuple):
    """A span of time, milliseconds since 1970; `until_ms` is outside."""

    since_ms: int
    until_ms: int


class Series(NamedTuple):
    """How many documents each interval has, of those whose field has this value (None: it has none)."""

    value: str | int | float | bool | None
    counts: list[int]


class Histogram(NamedTuple):
    """Documents by interval: all of them; of the most frequent groups, the most frequent first; of all other groups."""

    counts: list[int]
    groups: list[Series]
    other: list[int]


class CountedValue(NamedTuple):
    """A value of a field and how many documents have it."""

    value: str | int | float | bool | None
    documents: int


class CountedMinute(NamedTuple):
    """The counters of one source in one minute of receive time (minutes since 1970), of all partitions together."""

    minute: int
    source: str
    counts: Counts


class Books(NamedTuple):
    """
    The numbers of the balance sheet, all of one moment.

    `totals`: by source, since the beginning. `rows`: of the minutes asked for, newest first; MAX_ROWS + 1 when there
    are more. `wrong`: rows that do not add up, of any minute, newest first; MAX_WRONG + 1 when there are more.
    `stored_events`: how many events there are, with those that were removed on purpose; None when that was not asked
    for.
    """

    epoch: int
    progress: dict[int, int]
    totals: dict[str, Counts]
    rows: list[CountedMinute]
    wrong: list[CountedMinute]
    stored_events: int | None


class Neighbour(NamedTuple):
    """An event of the same profile. `time_ms`: its own time, else that of receipt; milliseconds since 1970."""

    id: str
    type: str
    time_ms: int
    position: Position


class EventPlace(NamedTuple):
    """
    Where an event lies. `partition`, `seq`: in the store, as `event_documents` takes them; `position`: on the log.

    `received_at_ms`: when the edge took it, milliseconds since 1970.
    """

    partition: str
    seq: int
    position: Position
    received_at_ms: int


class Owned(NamedTuple):
    """An event or an identifier (`id`) and the profile that it is stored for. `seq`: its running number, from 1."""

    seq: int
    id: str
    profile_id: str


class AliasRow(NamedTuple):
    """
    That a profile is part of another one. `settled`: its data has arrived there and stays; False while a merge, or the
    undoing of one, is under way.
    """

    id: str
    into: str
    settled: bool


class MergeRow(NamedTuple):
    """One merge of the journal, without the profiles. `undone_ms`: since when it is undone, or None."""

    id: str
    loser_id: str
    survivor_id: str
    version: int
    at_ms: int
    reason: dict[str, Any]
    changes: list[dict[str, Any]]
    undone_ms: int | None


class OrderRow(NamedTuple):
    """
    What somebody has asked for (`hub.model.Privacy`), and how far it is done. Times in milliseconds since 1970.

    `seq`: its running number. `until_ms`: of an erasure, what was received up to then is void. `done_ms`: None while
    something is left to remove. `removed`: how many of what.
    """

    seq: int
    id: str
    kind: str
    mark: str
    at_ms: int
    reason: str
    is_suppressed: bool
    until_ms: int
    done_ms: int | None
    removed: dict[str, int]


class Removal(NamedTuple):
    """An erasure of which events, letters or records to send are left. `until_ms`: as in `OrderRow`."""

    id: str
    person: Person
    until_ms: int


class Removed(NamedTuple):
    """
    What the store does not have any more. `events`: how many were removed, of people or as too old. `number`: another
    one whenever somebody was erased or suppressed, or an event removed. `is_going_on`: whether there are `removals`.
    """

    events: int
    number: int
    is_going_on: bool


class LetterPart(NamedTuple):
    """Of a dead letter, what tells whose it is. `seq`: its running number; `first_ms`: when it was buried first."""

    seq: int
    id: str
    stage: str
    key: bytes
    body: bytes
    first_ms: int


class Passed(NamedTuple):
    """How far the search for events that are too old has come: partition, type, time (milliseconds), number in it."""

    partition: str
    event_type: str
    time_ms: int
    seq: int


class Looked(NamedTuple):
    """How far the search for a person's events has come: partition, profile, time (milliseconds), number in it."""

    partition: str
    profile_id: str
    time_ms: int
    seq: int


class Expired(NamedTuple):
    """Events of a type (`*`: of all that have no row of their own) received before `before_ms` are not kept."""

    event_type: str
    before_ms: int


class Rule(NamedTuple):
    """A segment by condition, as a set query asks for it. `condition`: on profiles; its `now` is that of the query."""

    segment: str
    condition: Condition


class Differing(NamedTuple):
    """
    Some profiles, by id, as they were looked at. `last`: the last of them; None: there was none. `looked`: how many.

    `rows`: those that are in other segments than the conditions say: id, and which segments. `overdue`: of these, the
    ids of which the time has come anyway.
    """

    rows: list[tuple[str, list[str]]]
    last: str | None
    looked: int
    overdue: frozenset[str] = frozenset()


class Cut(NamedTuple):
    """Where a slice ends: the last id in it, "" if there are no more behind it. `size`: how many are in it."""

    until: str
    size: int


class IdleSession(NamedTuple):
    """
    A session in which nothing has happened for a while.

    `ended_ms`: when its last event was, milliseconds since 1970; `source`: where that came from, "" if not known.
    """

    id: str
    profile_id: str
    ended_ms: int
    source: str


class EventSpan(NamedTuple):
    """Events of a time partition behind one running number (0: from the first) up to another, which is inside."""

    partition: str
    after: int
    until: int


class DefinitionVersion(NamedTuple):
    """
    One version of a definition. `version`: its offset on definitions.v1; `at_ms`: when, milliseconds since 1970;
    `spec`: its JSON as it was published; None: it was deleted.
    """

    kind: str
    id: str
    version: int
    at_ms: int
    spec: str | None


def ended_ms(end: str) -> int:
    """Milliseconds since 1970. Args: end: `metadata.time.end` of a session, as the hub writes it."""
    return round(datetime.fromisoformat(end).timestamp() * 1000)


def check_size(size: int) -> None:
    """Raises ValueError for a page of no size that a search gives."""
    if not 1 <= size <= MAX_PAGE:
        raise ValueError(f"a page has 1 to {MAX_PAGE} items, not {size}")


class Writing(Protocol):
    """What the collector needs. One caller a connection; calls block."""

    def epoch(self, topic_id: str) -> int:
        """
        The number of this topic, from 1. A topic id that the store has not seen gets the next number, once.

        Raises: Unavailable.
        """
        ...

    def progress(self, epoch: int) -> dict[int, int]:
        """Next offset to apply, by partition of the events topic. Partitions never written are absent."""
        ...

    def known(self, wanted: Wanted) -> Known:
        """Profiles, sessions and event ids, in one round."""
        ...

    def outcomes(self, ids: Sequence[tuple[str, str]]) -> Mapping[str, bytes]:
        """Documents of stored events by id. Args: ids: (event id, time partition)."""
        ...

    def claim(self, claims: Iterable[Claim]) -> dict[str, Claimed]:
        """
        Claim identifiers: each goes to the first who came with it, in the order given, and stays with it for ever.

        Returns: who holds each of them. Raises: Unavailable.
        """
        ...

    def claim_sessions(self, sessions: Sequence[Session]) -> dict[str, Session]:
        """
        Claim sessions, each for its profile: those that are there stay with who holds them.

        Returns: what is there then of each of them. Raises Unavailable.
        """
        ...

    def aliases(self, ids: Sequence[str]) -> dict[str, Alias]:
        """Of those profiles that were merged: where each went. Raises Unavailable."""
        ...

    def asks(self, ids: Sequence[str]) -> dict[str, Ask]:
        """Of these records, those that ask a profile to become part of another. Raises Unavailable."""
        ...

    def outbox(self, epoch: int, partitions: Sequence[int]) -> list[Outgoing]:
        """What the last batch of each partition had to send, and may not have sent, in its order."""
        ...

    def undo(self, merge_id: str) -> Undo | None:
        """What it takes to undo a merge; None when there is none, it is undone, or more than MOST_LATER events came."""
        ...

    def voiding(self) -> tuple[int, int]:
        """How often `voids` has changed, and how often `expired`; 0: never."""
        ...

    def voids(self, marks: Sequence[str]) -> dict[str, list[Void]]:
        """By mark, what is void of it; marks of which nothing is are absent."""
        ...

    def expired(self) -> list[Expired]:
        """Which events are not kept because of their age."""
        ...

    def person(self, id: str) -> Person:
        """All by which a profile is known; its own version is -1. Args: id: of a profile that was not merged."""
        ...

    def has_order(self, id: str) -> bool:
        """Whether what was asked for under this id has been done, or has been begun."""
        ...

    def order(self, id: str) -> OrderRow | None:
        """As of `Reading`."""
        ...

    def history(self, id: str, types: Sequence[str]) -> list[bytes]:
        """
        Documents of the events of these types of a profile, and of all that were merged into it, oldest first by their
        own time; also of those that it was part of for a time, so that some may be another's
        (`hub.pipeline.histories.is_of`). Without what is erased and not removed yet. Raises Unavailable.
        """
        ...

    def events_to_copy(self, keys: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """
        Documents of stored events by id, without those that are erased and not removed yet.

        Args: keys: (time partition, id). Raises Unavailable.
        """
        ...

    def promoted(self) -> list[Promoted]:
        """Lines of mappings that promotions have applied to what was stored then, oldest first. Raises Unavailable."""
        ...

    def write(self, batch: Batch, *, at_ms: int | None = None) -> list[str]:
        """
        Write a batch, once: events and dead letters under their id (a second write changes nothing), profiles and
        sessions only over a lower version, sessions only of the profile that was stored with them first or takes them,
        counters added, progress moved on. A dead letter that failed again gets one more attempt (it is made if it is
        not there); a resolved one is marked, and stays so.

        Args:
            at_ms: When, by the writer's clock, milliseconds since 1970; kept once a batch for `written_at`, and of no
                influence on anything else. None: that is not known.

        Returns: ids of sessions that were not written, because another profile holds them.

        Raises:
            Fenced: The store's progress is not `before`: someone else wrote. Or profiles were promoted since this
                store was opened, so that what the caller remembers of them is old. Nothing is written.
            Unavailable: Nothing of the batch can be assumed written; the same batch may be given again.
        """
        ...


class Reading(Protocol):
    """What the API needs. Thread-safe; never blocks the collector."""

    def ping(self) -> None:
        """Raises Unavailable when the store cannot answer."""
        ...

    def get(self, kind: Kind, id: str) -> dict[str, Any] | None:
        """One document by id; None if there is none. A profile by any id that was ever given out for it."""
        ...

    def search(self, kind: Kind, query: str, size: int, cursor: str | None, span: Span | None = None) -> Page:
        """
        Documents that match, newest first.

        Args: query: docs/query.md, empty for all; size: 1 to 1,000; span: only of this time, as in `histogram`.

        The profile of an event or a session is asked for by any id that was ever given out for it: it means the person.

        Raises: hub.store.query.QueryError: the query or the cursor is not valid; says where.
        """
        ...

    def count(self, kind: Kind, query: str, span: Span | None = None) -> int:
        """How many documents match. Args: as in `search`."""
        ...

    def histogram(
        self, kind: Kind, query: str, edges: Sequence[int], group_by: str = "", groups: int = MOST_GROUPS
    ) -> Histogram:
        """
        How many documents match, by interval of their time: an event's own, since when there is a profile or session,
        when a dead letter failed last.

        Args:
            edges: Milliseconds since 1970, rising; an interval ends where the next begins, the last one at the last.
            group_by: A field, or empty for no groups. Of a list the first value counts.
            groups: Most of them.

        Raises: QueryError, Unavailable.
        """
        ...

    def values(self, kind: Kind, query: str, field: str, prefix: str = "", most: int = 20) -> list[CountedValue]:
        """
        The most frequent values of a field in the documents that match, the most frequent first. Each of a list counts.

        Args: prefix: Only values that begin so. most: of them.

        Raises: QueryError, Unavailable.
        """
        ...

    def counters(self) -> Iterable[tuple[CounterKey, Counts]]:
        """Every counter, oldest minute first: as many as the hub is old. `books` is bounded."""
        ...

    def books(self, since: int, until: int, *, count_events: bool = False) -> Books:
        """
        The balance sheet's numbers, read in one transaction.

        Args:
            since: First minute of the rows, minutes since 1970; until: the one after the last.
            count_events: Also count the stored events, which takes longer the more there are.
        """
        ...

    def merges(self, ids: Sequence[str]) -> list[MergeRow]:
        """The journal of the merges in which one of these profiles survived or ended, oldest first."""
        ...

    def merge(self, id: str) -> MergeRow | None:
        """One merge of the journal."""
        ...

    def undo(self, merge_id: str) -> Undo | None:
        """What it takes to undo a merge; None when there is none, it is undone, or more than MOST_LATER events came."""
        ...

    def identifier_uses(self, identifiers: Sequence[str]) -> dict[str, Claimed]:
        """Who holds each identifier, and how many profiles have come with it."""
        ...

    def survivor(self, id: str) -> str:
        """The profile that this one is part of now; `id` itself if it was never merged."""
        ...

    def written_at(self, position: Position) -> int | None:
        """When the batch that holds this record was written, milliseconds since 1970; None when that is not known."""
        ...

    def neighbours(self, id: str, most: int) -> tuple[list[Neighbour], list[Neighbour]]:
        """
        Events of the same profile before this event and after it, in the order of a search, the nearest first.

        Args: id: of an event. most: of each list.

        Returns: (before, after); both empty when there is no such event, or it has no profile.
        """
        ...

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """The newest epoch and its progress; (0, {}) for a new store."""
        ...

    def open_dead_letters(self, query: str, size: int, after: int) -> tuple[list[dict[str, Any]], int | None]:
        """
        Dead letters that match and are open, in the order in which they were first buried, whatever became of them
        since: what changes meanwhile is neither given twice nor left out.

        Args: size: most of them, 1 to 1,000. after: 0, or what was returned before.

        Returns: Their documents without the body, and where the next ones begin; None: that was all.
        Raises: QueryError, Unavailable.
        """
        ...

    def count_open_dead_letters(self, query: str) -> int:
        """How many dead letters match and are open. Raises QueryError, Unavailable."""
        ...

    def dead_letter_body(self, id: str) -> bytes | None:
        """The original bytes of a dead letter, wherever they are kept."""
        ...

    def order(self, id: str) -> OrderRow | None:
        """What somebody has asked for under this id."""
        ...

    def orders(self, size: int, before: int | None) -> list[OrderRow]:
        """The newest `size` with a running number below `before` (None: of all), the newest first."""
        ...

    def voids(self, marks: Sequence[str]) -> dict[str, list[Void]]:
        """As of `Writing`."""
        ...

    def person(self, id: str) -> Person:
        """As of `Writing`."""
        ...

    def letters_after(self, seq: int, most: int) -> list[LetterPart]:
        """The next `most` dead letters behind this number (0: from the first), whatever became of them."""
        ...


class Segments(Protocol):
    """What keeps segments right as time goes by. Thread-safe. Raises Unavailable."""

    def due(self, until_ms: int, limit: int, after: tuple[int, str] = (-1, "")) -> list[tuple[str, int]]:
        """
        Profiles that have to be looked at again by `until_ms`, and when: the earliest first.

        Args: after: when and who the last one was that is known already. Times in milliseconds since 1970.
        """
        ...

    def note_due(self, rows: Sequence[tuple[str, int]]) -> None:
        """
        Profiles (id, when) that have to be looked at again: of two times the earlier one counts, as that does no harm.
        """
        ...

    def differing(self, rules: Sequence[Rule], after: str, until: str, most: int, now_us: int) -> Differing:
        """
        Of the next `most` profiles behind `after` up to `until` ("": the last): those that are not in the segments
        whose condition holds, or in others of these.

        Args: now_us: microseconds since 1970, what `now` means.
        """
        ...

    def profiles_after(self, id: str, most: int) -> list[tuple[str, bytes]]:
        """As of `Walking`."""
        ...

    def with_events(self, ids: Sequence[str], types: Sequence[str]) -> set[str]:
        """Which of these profiles have an event of one of these types, or parts whose events may be."""
        ...

    def history(self, id: str, types: Sequence[str]) -> list[bytes]:
        """As of `Writing`."""
        ...

    def satisfying(self, condition: Condition, size: int, now_us: int) -> tuple[int, list[dict[str, Any]]]:
        """How many profiles a condition holds for, and documents of the newest `size` of them."""
        ...

    def members(self, segment: str, size: int, before: int | None) -> tuple[list[dict[str, Any]], int | None]:
        """The newest profiles in a segment below this number (None: of all), and where the next begin."""
        ...

    def segment_sizes(self) -> dict[str, int]:
        """How many profiles are in each segment that has any."""
        ...

    def keep_sizes(self, hour: int, sizes: Mapping[str, int], oldest: int) -> None:
        """
        Sizes at the beginning of an hour (since 1970), the first that are told; those before `oldest` are removed.
        """
        ...

    def kept_sizes(self, segment: str, since: int, until: int) -> list[tuple[int, int]]:
        """By hour since 1970, from `since` on and before `until`: the sizes that were kept."""
        ...

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """As of `Reading`."""
        ...


class Scanning(Protocol):
    """What agents need: profiles and sessions by id, in slices. Thread-safe. Raises Unavailable."""

    def next_cut(self, scope: Scope, after: str, size: int, query: str = "") -> Cut:
        """
        Where a slice of `size` ends that begins behind this id ("": with the first).

        Args: query: on profiles: only those that match are counted, the others between them are in the slice as well.
        """
        ...

    def profile_ids(self, query: str, after: str, until: str, most: int) -> list[str]:
        """
        The next `most` ids of profiles that match, behind `after` up to `until` ("": the last), by id.

        Args: query: as in `search`. most: 1 to 1,000. Raises: QueryError.
        """
        ...

    def active(self, ids: Sequence[str], event_type: str, since_ms: int) -> set[str]:
        """
        Who of these profiles has an event of this type whose own time is not before `since_ms` (since 1970), events of
        the profiles that were merged into it included.
        """
        ...

    def idle_sessions(self, after: str, until: str, since_ms: int, before_ms: int, most: int) -> list[IdleSession]:
        """
        The next `most` sessions, 1 to 1,000, behind `after` up to `until` ("": the last), by id, whose last event was
        between these times (milliseconds since 1970; `before_ms` is outside) and that have not ended.
        """
        ...


class Sweeping(Protocol):
    """
    What removes in small steps, beside the collector's batches: each call is one short transaction.

    Raises: Unavailable: nothing was removed by the call; call it again.
    """

    def removals(self) -> list[Removal]:
        """Erasures of which something is left, oldest first."""
        ...

    def remove_events(self, removal: Removal, after: Looked | None, most: int) -> tuple[int, Looked | None]:
        """
        Look at the next `most` events that may be a person's, under their own ids and their hosts' (`Person`), behind
        `after` (None: from the first), and remove those that are (`hub.store.stays`).

        Returns: how many, and where it has come to; None: these were all.
        """
        ...

    def letters_after(self, seq: int, most: int) -> list[LetterPart]:
        """As of `Reading`."""
        ...

    def remove_letters(self, removal: Removal, ids: Sequence[str]) -> None:
        """Remove dead letters of a person, and their bodies wherever they are kept."""
        ...

    def remove_keys(self, removal: Removal, marks: Sequence[str], most: int) -> int:
        """
        Throw away keys of a person's records that are void, `most` at a time. Returns how many; 0: none is left.

        Args: marks: of the person's profiles.
        """
        ...

    def has_keys(self) -> bool:
        """Whether a key was ever read from keys.v1."""
        ...

    def remove_old_keys(self, before_ms: int, most: int) -> int:
        """Throw away keys that were kept before this time, `most` at a time. Returns how many; 0: none is left."""
        ...

    def keys_to_bury(self, most: int) -> list[bytes]:
        """Some that were thrown away here, and have to be on keys.v1."""
        ...

    def forget_keys(self, ids: Sequence[bytes]) -> None:
        """They are thrown away on keys.v1, too."""
        ...

    def end_removal(self, removal: Removal, at_ms: int) -> None:
        """Nothing is left of it: the person's ids are forgotten. Args: at_ms: now, milliseconds since 1970."""
        ...

    def expire(self, rows: Sequence[Expired]) -> None:
        """From now on events of this age are void, whatever comes; times never go back. Removes nothing yet."""
        ...

    def remove_expired(self, after: Passed | None, most: int) -> tuple[int, Passed | None]:
        """
        Look at the next `most` events behind `after` (None: from the first), and remove those that are too old.

        Returns: how many, and where it has come to; None: these were all.
        """
        ...


class DataKeys(Protocol):
    """The keys that records of events.v1 are sealed with. Raises Unavailable."""

    def data_keys(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """By id, the wrapped keys that are there. Args: ids: at most 10,000."""
        ...

    def keys_read(self, topic_id: str) -> int:
        """Next offset to keep, of the keys.v1 with this id; 0 of one that nothing was kept of."""
        ...

    def keep_keys(
        self, topic_id: str, begin: int, end: int, keys: Sequence[DataKey], gone: Sequence[bytes], *, at_ms: int
    ) -> bool:
        """
        Keep what keys.v1 says from offset `begin` to `end`, which is outside. A key whose record is void, as its person
        was erased, is not kept but thrown away.

        Args: gone: ids that were thrown away there. at_ms: now, milliseconds since 1970.

        Returns: False: others have kept it already, and nothing was done.
        """
        ...


class Copies(Protocol):
    """What is asked of stored events when they are copied. Thread-safe. Raises QueryError, Unavailable."""

    def event_partitions(self) -> list[str]:
        """As of `Walking`."""
        ...

    def promoted(self) -> list[Promoted]:
        """As of `Writing`."""
        ...

    def events_cut(self, partition: str, after: int, size: int) -> int:
        """
        Where a slice of about `size` events ends that begins behind this running number; 0: there are none behind it.

        It ends between two records: what came in one stays together.
        """
        ...

    def count_between(self, span: EventSpan, query: str, types: Sequence[str]) -> int:
        """How many of those that `events_between` gives."""
        ...

    def events_between(self, span: EventSpan, query: str, types: Sequence[str], most: int) -> list[tuple[int, bytes]]:
        """
        The first `most` events of these types that match, (running number, document), in the order they came, which is
        that of the log for each profile.

        Args: query: as in `search`.
        """
        ...

    def owners_between(self, span: EventSpan, query: str, types: Sequence[str]) -> list[tuple[str, int]]:
        """
        Of those that `events_between` gives, all: (profile id, running number), in this order; the id is
        empty of an event without a profile.
        """
        ...

    def events_at(self, partition: str, numbers: Sequence[int]) -> list[tuple[int, bytes]]:
        """Those of these running numbers that are there, as of `events_between`."""
        ...

    def rewrite_events(self, partition: str, documents: Sequence[tuple[int, bytes, bytes]]) -> int:
        """
        Other documents for events: (running number, document as it was read, new one). One that is not as it was any
        more, or not there, is left alone. Returns how many were written.
        """
        ...


class Tasks(Protocol):
    """
    Long pieces of work, and how far they are (`hub.task`). Thread-safe. Whoever writes them need not own anything: what
    two do at once is told apart here. Raises Unavailable: nothing was changed.
    """

    def add_task(self, task: Task) -> bool:
        """Keep a new task. False: there is one with this id, which stays as it is."""
        ...

    def task(self, id: str) -> Task | None:
        """One of them."""
        ...

    def tasks(self, size: int, before: int | None = None, kind: str = "", state: str = "") -> list[tuple[int, Task]]:
        """
        The newest `size` with a running number below `before` (None: of all), the newest first, with that number.

        Args: kind, state: only these; empty for all.
        """
        ...

    def open_tasks(self, queue: str) -> list[Task]:
        """Those of a queue that are not over, oldest first."""
        ...

    def slices(self, task: str) -> list[Slice]:
        """Of a task, by number; none while it waits."""
        ...

    def open_slices(self, task: str) -> list[int]:
        """Numbers of those that are neither done nor failed."""
        ...

    def begin_plan(self, id: str) -> Task | None:
        """Somebody begins to cut a task into slices: it is counted. None: that is done, or it is over."""
        ...

    def plan_task(self, id: str, slices: Sequence[Planned], at_ms: int) -> bool:
        """
        Cut a task that waits into slices, all at once; from then on it runs. Without slices it is done.

        Args: slices: at most MOST_SLICES. at_ms: now, milliseconds since 1970, as below.

        Returns: False: others have done it, or it is over. Raises ValueError: too many.
        """
        ...

    def begin_slice(self, id: str, number: int) -> Slice | None:
        """Somebody begins a slice, or goes on with it: that is counted. None: neither it nor its task is open."""
        ...

    def save_slice(self, id: str, part: Slice, at_ms: int) -> bool:
        """
        A page of a slice is done: `part.step` is one more than what is kept. With the last slice the task is over.

        Returns: False: others have saved that page, the slice is not open any more, or its task does not run.
        """
        ...

    def note_slice_error(
        self, id: str, number: int, error: str, at_ms: int, *, is_final: bool, is_fault: bool = True
    ) -> None:
        """
        What went wrong with a slice.

        Args:
            is_final: It has failed, and its task will have when the others end.
            is_fault: Whether it is counted: else the slice has not been begun, as it were.
        """
        ...

    def note_plan_error(self, id: str, error: str, at_ms: int, *, is_final: bool) -> None:
        """What went wrong when a task was cut into slices. Args: is_final: it has failed."""
        ...

    def cancel_task(self, id: str, at_ms: int) -> Task | None:
        """End it where it is. Returns what there is then; None: there is no such task."""
        ...

    def forget_tasks(self, before_ms: int) -> int:
        """Remove those that are over and were asked for before this time. Returns how many."""
        ...


class FlowRuns(Protocol):
    """
    Runs of flows (`hub.flows.kept`). Thread-safe. Whoever saves one need not own anything: `turn` tells apart what two
    do at once. Times in milliseconds since 1970. Raises Unavailable: nothing was changed.
    """

    def flow_runs(self, ids: Sequence[str]) -> dict[str, KeptRun]:
        """Those of these that are there, by id."""
        ...

    def run_documents(
        self, events: Sequence[tuple[str, str]], profiles: Sequence[str], sessions: Sequence[str]
    ) -> RunDocuments:
        """
        What runs are about, of one moment.

        Args: events: (time partition, id). profiles: by any id that was ever given out for them.
        """
        ...

    def save_flow_runs(self, runs: Sequence[KeptRun], *, durable: bool = False) -> list[str]:
        """
        Save runs, in one transaction.

        Args: durable: they are on disk when this returns, and no power cut takes them: of those with something left to
        do that nobody else knows of from now on.

        Returns: ids of those that were refused: `turn` is not the stored one plus 1 (0 for one that is not there), or
        the profile is not there any more.
        """
        ...

    def cancel_flow_run(self, id: str, at_ms: int) -> KeptRun | None:
        """End a run where it is. Returns what there is then; None: there is no such run."""
        ...

    def due_flow_runs(self, until_ms: int, after: tuple[int, str] | None, most: int) -> list[KeptRun]:
        """
        The next `most` paused runs whose `due_ms` is not behind `until_ms`, the earliest first.

        Args: after: `due_ms` and id of the last one that is known already.
        """
        ...

    def due_seconds(self, most: int, after_s: int = 0) -> list[int]:
        """
        The next `most` whole seconds (since 1970, rounded up) behind `after_s` at which paused runs are due, the
        soonest first, each once.
        """
        ...

    def left_flow_runs(self, before_ms: int, most: int) -> list[str]:
        """Ids of runs that are `waiting` and were saved last before this time, the oldest first."""
        ...

    def waiting_flow_runs(self, profile_ids: Sequence[str], event_type: str) -> list[KeptRun]:
        """Paused runs of these profiles, by the ids they have, that wait for such an event, the oldest first."""
        ...

    def waited_types(self) -> set[str]:
        """Types of events that some pause may wait for."""
        ...

    def list_flow_runs(
        self,
        size: int,
        before: int | None,
        *,
        flow: str = "",
        state: str = "",
        profile_id: str = "",
        sessions: Sequence[str] = (),
    ) -> tuple[list[KeptRun], int | None]:
        """
        The newest `size` (1 to 1,000) with a running number below `before` (None: of all), the newest first.

        Args:
            flow, state: only these; empty for all.
            profile_id: any id of a person; runs of all ids of that person.
            sessions: only those without a profile in one of these; at most 1,000. Empty: all.

        Returns: also where the next ones begin; None: that was all.
        """
        ...

    def forget_flow_runs(self, before_ms: int, most: int) -> int:
        """Remove `most` of those that are over and were saved last before this time. Returns how many."""
        ...


class Versions(Protocol):
    """Every version of every definition. Thread-safe."""

    def keep_versions(self, versions: Iterable[DefinitionVersion]) -> None:
        """Keep those that are not kept yet. Raises Unavailable: none of them may be."""
        ...

    def versions(self, kind: str, id: str, size: int, before: int | None) -> list[DefinitionVersion]:
        """The newest `size` versions below `before` (None: of all), the newest first."""
        ...

    def version(self, kind: str, id: str, version: int) -> DefinitionVersion | None:
        """One of them; the newest of that number."""
        ...

    def ever_defined(self, kind: str) -> set[str]:
        """Ids of all definitions of a kind of which a version is kept, deleted ones, too."""
        ...


class Walking(Protocol):
    """What a replay needs: everything, page by page, each page one short read. Thread-safe."""

    def known_epoch(self, topic_id: str) -> int | None:
        """The number of this topic, as `epoch` gave it; None for one that the store has not seen."""
        ...

    def event_places(self, after: EventPlace | None, most: int) -> list[EventPlace]:
        """The next `most` events behind `after`, in the store's own order; fewer than that: these were the last."""
        ...

    def event_documents(self, partition: str, seqs: Sequence[int]) -> list[bytes]:
        """Documents of events of one partition, as JSON, in the order of `seqs`."""
        ...

    def profiles_after(self, id: str, most: int) -> list[tuple[str, bytes]]:
        """The next `most` profiles behind this id ("": from the first), by id: (id, document as JSON)."""
        ...

    def event_partitions(self) -> list[str]:
        """The time partitions that there are."""
        ...

    def events_since(self, partition: str, seq: int, most: int) -> list[Owned]:
        """
        The next `most` events of a partition behind this number (0: from the first), in the order they came. Without
        those on segments, which the hub makes again, and perhaps others.
        """
        ...

    def event_owners(self, partition: str, ids: Sequence[str]) -> dict[str, str]:
        """Of those events that are there: the profile that each is stored for; "" for none."""
        ...

    def claims_since(self, seq: int, most: int) -> list[Owned]:
        """The next `most` identifiers behind this number (0: from the first), in the order they were claimed."""
        ...

    def expired(self) -> list[Expired]:
        """As of `Writing`."""
        ...

    def voids_after(self, after: tuple[str, int], most: int) -> list[Void]:
        """The next `most` behind this mark and `since_ms` (("", -1): from the first)."""
        ...

    def removed(self) -> Removed:
        """What was here once and is not any more."""
        ...

    def keep_voids(self, voids: Sequence[Void], expired: Sequence[Expired]) -> None:
        """What is void elsewhere is void here, too. Writes. Raises Unavailable."""
        ...

    def aliases_after(self, id: str, most: int) -> list[AliasRow]:
        """The next `most` merged profiles behind this id ("": from the first), by id."""
        ...


class Promotion(Protocol):
    """What may be done while nobody else writes."""

    def note_mapped(self, mapped: Mapping[str, Mapping[str, str]]) -> None:
        """Which lines of mappings these profiles have of all events. Args: mapped: as of `Promoted`."""
        ...

    def replace(self, profiles: Sequence[tuple[str, bytes]]) -> None:
        """
        Other documents (id, JSON) for profiles that are there. Their versions stay, so the documents must have them.

        Raises: Unavailable: the time is over, or the store is.
        """
        ...


class Promoting(Protocol):
    """Profiles from elsewhere, in one transaction."""

    def promotion(self, origin: str, *, at_ms: int, most_s: float) -> AbstractContextManager[Promotion]:
        """
        Nobody else writes while the block runs; what it does is there at its end, or nothing of it when it raises.

        Whoever has opened the store for writing before is fenced from then on, this object included: what is remembered
        of profiles is old. Reads go on, and see what was there before.

        Args:
            origin: Where the profiles come from, for people. at_ms: now, milliseconds since 1970.
            most_s: After so many seconds the others go on, whatever the block is waiting for.

        Raises: Unavailable: others write all the time, or `most_s` is over. Nothing is changed.
        """
        ...

    def new_epoch(self, topic_id: str, *, at_ms: int) -> int:
        """
        Number a topic's log anew, for what comes from now on: versions are above all there are, in whatever partition.

        How far it is applied stays, and so does what is in the outbox. The log before is `hub.store.fences.older_log`.
        Whoever has opened the store for writing before is fenced from then on, this object included.

        Args: topic_id: of the newest log, all of which is stored. at_ms: now, milliseconds since 1970.

        Returns: the new number; that of a topic that the store has not seen before, too.
        Raises: Unavailable.
        """
        ...


class Blobs(Protocol):
    """Bytes that are too large for a Kafka record."""

    def put_blob(self, data: bytes) -> str:
        """Keep `data`; returns its SHA-256 in hex. Putting it twice keeps one."""
        ...

    def get_blob(self, sha256: str) -> bytes | None:
        """The bytes, or None."""
        ...


class Store(
    Writing,
    Reading,
    Segments,
    Scanning,
    Sweeping,
    Walking,
    Promoting,
    DataKeys,
    Versions,
    Copies,
    Tasks,
    FlowRuns,
    Blobs,
    Protocol,
):
    """All in one, as `open_store` gives it."""

    def close(self) -> None:
        """Give back files and connections; nothing may be called afterwards."""
        ...
