"""The port that every store passes through: what the collector and the API ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from hub.model import (
    Alias,
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

Kind: TypeAlias = Literal["profiles", "events", "sessions", "dead-letters"]

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


class Expired(NamedTuple):
    """Events of a type (`*`: of all that have no row of their own) received before `before_ms` are not kept."""

    event_type: str
    before_ms: int


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


class Sweeping(Protocol):
    """
    What removes in small steps, beside the collector's batches: each call is one short transaction.

    Raises: Unavailable: nothing was removed by the call; call it again.
    """

    def removals(self) -> list[Removal]:
        """Erasures of which something is left, oldest first."""
        ...

    def remove_events(self, removal: Removal, most: int) -> int:
        """Remove some of a person's events, `most` at a time. Returns how many; 0: none is left."""
        ...

    def letters_after(self, seq: int, most: int) -> list[LetterPart]:
        """As of `Reading`."""
        ...

    def remove_letters(self, removal: Removal, ids: Sequence[str]) -> None:
        """Remove dead letters of a person, and their bodies wherever they are kept."""
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
        """The next `most` events of a partition behind this number (0: from the first), in the order they came."""
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

    def keep_voids(self, voids: Sequence[Void], expired: Sequence[Expired]) -> None:
        """What is void elsewhere is void here, too. Writes. Raises Unavailable."""
        ...

    def aliases_after(self, id: str, most: int) -> list[AliasRow]:
        """The next `most` merged profiles behind this id ("": from the first), by id."""
        ...


class Promotion(Protocol):
    """What may be done while nobody else writes."""

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


class Blobs(Protocol):
    """Bytes that are too large for a Kafka record."""

    def put_blob(self, data: bytes) -> str:
        """Keep `data`; returns its SHA-256 in hex. Putting it twice keeps one."""
        ...

    def get_blob(self, sha256: str) -> bytes | None:
        """The bytes, or None."""
        ...


class Store(Writing, Reading, Sweeping, Walking, Promoting, Versions, Blobs, Protocol):
    """All in one, as `open_store` gives it."""

    def close(self) -> None:
        """Give back files and connections; nothing may be called afterwards."""
        ...
