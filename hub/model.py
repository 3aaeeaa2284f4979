"""What the collector keeps: events, profiles, sessions, dead letters, counters; plain values."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import msgspec

OFFSET_BITS: Final = 40
DAY_MS: Final = 86_400_000
OLDEST_MS: Final = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
_EPOCH: Final = date(1970, 1, 1)
FOREVER_MS: Final = 253_370_764_799_999
"""The year 9998 ends: of a suppression that nobody has lifted."""
OUTLIERS: Final = "other"
"""The partition of events whose own time is before 1990 or more than a day after they were received."""


class Position(NamedTuple):
    """Where on events.v1 an event was applied. `place` is its index in its record, from 0."""

    epoch: int
    partition: int
    offset: int
    place: int

    @property
    def version(self) -> int:
        """The version of a profile whose last record this is: epoch · 2^40 + offset."""
        return self.epoch << OFFSET_BITS | self.offset


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the store keeps it."""

    id: str
    partition: str  # a month of the event's own time, UTC: `2026-11`; or OUTLIERS
    profile_id: str  # "" for a profile-less event
    session_id: str  # "" for none
    type: str
    source: str
    time_ms: int
    received_at_ms: int
    position: Position
    digest: bytes  # 16 bytes: of what the client sent, so that a duplicate with other content shows
    profile_version: int
    doc: bytes  # JSON object: what the API gives out, `outcome` included


class KnownEvent(msgspec.Struct, frozen=True):
    """What must be known of a stored event to tell a replay from a duplicate."""

    position: Position
    digest: bytes


class EventKey(NamedTuple):
    """Where to look for an event id: the partitions of its own time, or of when it was received."""

    id: str
    partitions: tuple[str, ...]


class Profile(msgspec.Struct, frozen=True):
    """A profile. `doc` is never changed in place: an update makes a new one."""

    id: str
    version: int
    doc: dict[str, Any]


class Session(msgspec.Struct, frozen=True):
    """A session, held by the profile that claimed it first. `version`: -1 while nothing has come of the claim."""

    id: str
    profile_id: str  # "" while only profile-less events were seen in it
    version: int
    doc: dict[str, Any]


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """
    An event that could not be taken. The fields are those of the Avro record DeadLetter.

    `stage`: where it failed, `bridge` (the original is a broker's message), `collector` (a record of events.v1) or
    `destination` (the document of an event that is stored).
    """

    id: str
    source: str
    reason: str
    detail: str
    stage: str
    origin: str
    at_ms: int
    attempts: int
    body: bytes
    body_sha256: str | None
    body_size: int
    headers: bytes
    position: Position
    payload_id: str | None = None
    key: bytes | None = None
    time_ms: int | None = None
    meta: bytes | None = None


class Alias(msgspec.Struct, frozen=True):
    """Where a profile went that was merged. `version`: of its last own record; `merge_id`: in the journal."""

    into: str
    version: int
    merge_id: str


class Ask(msgspec.Struct, frozen=True):
    """
    That a profile was asked to become part of another one, the asker.

    Attributes:
        id: Of the record that asks.
        asked, asker: Profile ids; "" of one that was erased since.
        cause: Id of the order because of which one of them is "".
        is_done: Whether it was answered; a second copy of the record counts for nothing.
    """

    id: str
    asked: str
    asker: str
    cause: str = ""
    is_done: bool = False


class Claim(msgspec.Struct, frozen=True):
    """That a profile came with an identifier (hash), by an event at a time (milliseconds since 1970)."""

    identifier: str
    label: str
    profile_id: str
    event_id: str
    at_ms: int


class Claimed(msgspec.Struct, frozen=True):
    """Who holds an identifier: who came with it first. `uses`: how many profiles have come with it."""

    profile_id: str
    uses: int


class MergeEntry(msgspec.Struct, frozen=True, kw_only=True):
    """
    One merge in the journal: what both were before, so that it can be undone.

    `version`: of the survivor with the loser's data; `loser`, `survivor`: profile documents as JSON; `reason`: JSON
    object, as in the Avro record Merge; `changes`: JSON list of what changed in the survivor.
    """

    id: str
    loser_id: str
    survivor_id: str
    version: int
    at_ms: int
    reason: bytes
    loser: bytes
    survivor: bytes
    changes: bytes


class Stay(NamedTuple):
    """
    A time that a profile spent in another one, until that merge was undone: what came meanwhile is stored there.

    `since`: the host's version with the profile in it. `place`: where what came belongs among the profile's own
    versions; versions of two profiles cannot be compared.
    """

    host: str
    since: int
    place: tuple[int, ...]


class Undo(msgspec.Struct, frozen=True):
    """
    All that the undoing of a merge needs.

    Attributes:
        first: The merge, this one or an earlier one, before which the survivor held nobody who is told apart by now.
        merges: Those into the survivor from then on that hold, in their order; without `entry`.
        undone: Those that do not, in their order.
        events: Documents of what came after `first`.
        sessions: By id, of the survivor's: those of these events, and all that another id has claimed; also such ones
            that are held by somebody who is part of it.
        stays: Of the survivor, after `first`; the events of its hosts are among `events`.
        copied: Documents of all events of the survivor's ids that were copied after they were stored, in their order.
    """

    entry: MergeEntry
    first: MergeEntry
    merges: list[MergeEntry]
    undone: list[MergeEntry]
    events: list[bytes]
    sessions: dict[str, Session]
    stays: list[Stay]
    copied: list[bytes] = []


class Outgoing(msgspec.Struct, frozen=True):
    """A record for events.v1 that has to be sent once the batch is stored. `position`: of the record that caused it."""

    position: Position
    key: bytes
    value: bytes
    replay: bytes | None = None  # value of the replay header


class CounterKey(NamedTuple):
    """What a counter counts: one source in one minute of receive time (minutes since 1970) on one partition."""

    epoch: int
    partition: int
    source: str
    minute: int


class Counts(msgspec.Struct):
    """How many events were received, and what became of them."""

    received: int = 0
    stored: int = 0
    duplicate: int = 0
    dropped: int = 0
    dead: int = 0

    @property
    def difference(self) -> int:
        """Received, less what is known to have become of them: 0 when it adds up."""
        return self.received - (self.stored + self.duplicate + self.dropped + self.dead)


class Progress(NamedTuple):
    """A partition's step in one batch, as next offsets: what the writer believes is stored, and what will be."""

    before: int
    after: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """
    All that one batch of the collector writes; the store takes it whole or not at all.

    `failed_again`: dead letters whose replay has failed, each one further attempt. `resolved`: by id, dead letters of
    which everything is stored now, and when they were replayed (milliseconds since 1970). Both are relative to what
    is stored, as the counters are, and like them hold nothing of records that were counted before. `privacy`: what
    somebody has asked for; its record is the only one of the batch. `voids`: further ids of people who are suppressed.
    `due`: by profile id, when its segments have to be looked at again (milliseconds since 1970); None: not any more.
    `copied`: events that were copied into their profiles after they were stored.
    """

    epoch: int
    progress: dict[int, Progress]
    events: list[StoredEvent]
    profiles: list[Profile]
    sessions: list[Session]
    dead_letters: list[DeadLetter]
    counters: dict[CounterKey, Counts]
    failed_again: list[DeadLetter] = []
    resolved: dict[str, int] = {}
    identity: Identity | None = None
    privacy: Privacy | None = None
    voids: list[Void] = []
    due: dict[str, int | None] = {}
    copied: list[Copied] = []


class Copied(msgspec.Struct, frozen=True):
    """
    What is told in the document of a stored event, as it was copied into its profile after it was stored.

    `mapped`, `copied`: JSON of these two members of its outcome, whole: which lines of mappings were applied to it, and
    which of them later: when that was, and what they have changed (`hub.pipeline.copying`).
    """

    id: str
    partition: str
    mapped: bytes
    copied: bytes


class Void(NamedTuple):
    """
    That what came from somebody counts for nothing: records received from `since_ms` to `until_ms`, both included.

    `mark`: 32 hex digits, of one of the person's ids under the hub's key, as the id itself is not kept. `cause`: id of
    the order (`Privacy`) that it is of.
    """

    mark: str
    since_ms: int
    until_ms: int
    cause: str


class Person(msgspec.Struct, frozen=True):
    """
    All by which the hub knows somebody.

    Attributes:
        ids: Of the profile and of all that were merged into it, each with the version up to which what is stored under
            it is theirs.
        sessions: That they hold.
        identifiers: By hash, those that they hold, or one of `hosts` for them: label, and how many profiles have come
            with it.
        latest_ms: When the newest event was received of those profiles whose data is on its way to the one that they
            were merged into, milliseconds since 1970; 0: there are none.
        hosts: Profiles that some of them were part of once, and are not any more: what came for them meanwhile lies
            there.
    """

    ids: dict[str, int] = {}
    sessions: list[str] = []
    identifiers: dict[str, tuple[str, int]] = {}
    latest_ms: int = 0
    hosts: list[str] = []


class Privacy(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is done because somebody has asked for their privacy.

    Attributes:
        kind: `erase`, `suppress`, or `lift`: a suppression ends.
        mark: Of the profile id that was asked for.
        at_ms: When it was asked for, milliseconds since 1970.
        is_suppressed: Whether nothing of the person is taken from now on.
        person: Who; of `erase`, what is removed.
        shared: Identifiers of `person` that too many have: they stay, as nobody's.
        voids: What counts for nothing from now on. Of `lift`: nothing.
        marks: Of `lift`: every suppression that one of these is in ends.
    """

    id: str
    kind: Literal["erase", "suppress", "lift"]
    mark: str
    at_ms: int
    reason: str
    is_suppressed: bool
    person: Person
    shared: list[str]
    voids: list[Void]
    marks: list[str]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a batch does to the identity of profiles.

    Attributes:
        aliases: Profiles that were merged: they are no profiles any more.
        restored: Profiles that live again; their documents are among the batch's.
        taken: Sessions among the batch's that have another holder now: their versions begin anew.
        uses: By identifier, how many more profiles have come with it.
        merges: For the journal.
        undone: By merge id, when (milliseconds since 1970).
        forwarded: Records (`epoch/partition/offset`) that were handed on by another partition and are applied now.
        outbox: What has to be sent; the store keeps it until the next batch of its partition.
        asks: Profiles that are asked to become part of others, by records in the outbox.
        answered: Ids of such records that have had their effect.
    """

    aliases: dict[str, Alias]
    restored: list[str]
    taken: list[str]
    uses: dict[str, int]
    merges: list[MergeEntry]
    undone: dict[str, int]
    forwarded: list[str]
    outbox: list[Outgoing]
    asks: list[Ask] = []
    answered: list[str] = []


class Wanted(msgspec.Struct, frozen=True):
    """What the collector must know before it can process a batch. `forwarded`, `merges`: as in Identity, by id."""

    profiles: list[str]
    sessions: list[str]
    events: list[EventKey]
    forwarded: list[str] = []
    merges: list[str] = []


class Known(msgspec.Struct, frozen=True):
    """What the store has of what was wanted; the rest is not there. `aliases`: of the profiles that are none."""

    profiles: dict[str, Profile]
    sessions: dict[str, Session]
    events: dict[str, KnownEvent]
    aliases: dict[str, Alias] = {}
    forwarded: set[str] = set()
    merges: set[str] = set()


def partition_of(time_ms: int, received_at_ms: int) -> str:
    """The time partition of an event: the month of `time_ms` in UTC, or OUTLIERS. Milliseconds since 1970."""
    if not OLDEST_MS <= time_ms <= received_at_ms + DAY_MS:
        return OUTLIERS
    return month_of(time_ms)


def month_of(time_ms: int) -> str:
    """`2026-11` for a time in November 2026 UTC. Args: time_ms: milliseconds since 1970, years 1 to 9998."""
    return _month(time_ms // DAY_MS)


@lru_cache(maxsize=4096)
def _month(day: int) -> str:
    first = _EPOCH + timedelta(days=day)
    return f"{first.year:04d}-{first.month:02d}"


def previous_month(month: str) -> str:
    """`2025-12` for `2026-01`."""
    year, number = int(month[:4]), int(month[5:])
    return f"{year - 1:04d}-12" if number == 1 else f"{year:04d}-{number - 1:02d}"
