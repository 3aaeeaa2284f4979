"""What a batch of records does: the pure core of the collector."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from hub.model import (
    OUTLIERS,
    Batch,
    CounterKey,
    Counts,
    DeadLetter,
    KnownEvent,
    Position,
    Profile,
    Progress,
    Session,
    StoredEvent,
    partition_of,
)
from hub.pipeline import letters
from hub.pipeline.documents import event_document, iso
from hub.pipeline.mapping import Change, Compiled, Problem, map_event
from hub.pipeline.records import Decoded, LogRecord
from hub.pipeline.touched import Open, Touched, touch_profile, touch_session
from schemas.records import REFUSED, TRACK, Event, Inbound, Stored, Track

MINUTE_MS: Final = 60_000
MOST_STUMBLES: Final = 10
"""Records of one batch that our own code may stumble over before it stops."""
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class State(msgspec.Struct, frozen=True):
    """
    What is known before the batch. Profiles, sessions and events that are absent do not exist.

    `progress`: next offset to count, by partition. `replayed`: documents of events at their own coordinates.
    """

    epoch: int
    progress: dict[int, int]
    profiles: dict[str, Profile]
    sessions: dict[str, Session]
    events: dict[str, KnownEvent]
    replayed: dict[str, bytes]


class Definitions(msgspec.Struct, frozen=True):
    """The definitions in force, compiled. `offset`: of the newest one."""

    offset: int
    mappings: Compiled


class Outcome(msgspec.Struct, frozen=True):
    """
    What to write and what to tell. `stored` and `dead_letters` are in the order of the log; a replay tells again.

    `known`: the events stored by this batch. `conflicts`: duplicates that say something else than the first, by source.
    `own_dead`: events that died here, of those counted for the first time; neither what a bridge refused nor what was
    dead before.
    """

    batch: Batch
    stored: list[Stored]
    dead_letters: list[DeadLetter]
    known: dict[str, KnownEvent]
    conflicts: dict[str, int]
    own_dead: int


def process(records: Sequence[Decoded], state: State, definitions: Definitions) -> Outcome:
    """
    The outcome of the records, in their order. Pure: the same arguments give the same outcome, `state` is not changed.

    An event at fault becomes a dead letter and holds up nobody, even one that our own code stumbles over. Time comes
    from the records' own receive times.

    Raises: whatever the code raised, when it stumbles over too many of the records: then it is the code that is at
        fault, and draining the log into dead letters would not help.
    """
    records = list(records)
    stumbled = 0
    while True:
        run = _Run(state, definitions)
        for place, decoded in enumerate(records):
            try:
                run.take(decoded)
            except Exception as exc:
                stumbled += 1
                if isinstance(exc, MemoryError) or stumbled > MOST_STUMBLES:
                    raise
                # half of it may have been applied to the drafts: begin anew, without it
                records[place] = Decoded(decoded.record, None, f"the collector stumbled over it: {exc!r}")
                break
        else:
            return run.outcome()


class _Payload(NamedTuple):
    """A Track in hand: whose it is, and whether the profile and session still lack this record."""

    record: LogRecord
    inbound: Inbound
    track: Track
    version: int
    received_at: str
    profile: Open | None
    profile_lacks: bool
    session: Open | None


class _Run:
    """One call of `process`."""

    def __init__(self, state: State, definitions: Definitions) -> None:
        self._state = state
        self._definitions = definitions
        self._touched = Touched(state.profiles, state.sessions)
        self._known: dict[str, KnownEvent] = {}
        self._progress: dict[int, Progress] = {}
        self._counters: dict[CounterKey, Counts] = {}
        self._events: list[StoredEvent] = []
        self._stored: list[Stored] = []
        self._told_dead: list[DeadLetter] = []
        self._dead: list[DeadLetter] = []
        self._again: set[Position] = set()
        self._failed_again: list[DeadLetter] = []
        self._resolved: dict[str, int] = {}
        self._own_dead = 0
        self._conflicts: dict[str, int] = {}

    def take(self, decoded: Decoded) -> None:
        told = len(self._told_dead)
        counts = self._advance(decoded)
        self._apply(decoded, counts)
        replay = decoded.record.replay
        if replay is not None and counts.received and len(self._told_dead) == told:
            # the record's own time: the same bytes again say when they were received first
            self._resolved[replay.letter_id] = decoded.record.at_ms

    def _apply(self, decoded: Decoded, counts: Counts) -> None:
        record, inbound = decoded.record, decoded.inbound
        position = Position(self._state.epoch, record.partition, record.offset, 0)
        if inbound is None:
            self._bury(record, letters.undecodable(record, position, decoded.error), counts)
            return
        kind = inbound["body"][0]
        if inbound["body"][0] == TRACK:
            self._track(record, inbound, inbound["body"][1], counts)
        elif inbound["body"][0] == REFUSED:
            self._bury(record, letters.refused(position, inbound, inbound["body"][1]), counts)
        else:
            detail = (
                f"this collector does not know {kind.rpartition('.')[2]} records: update it, then replay the letter"
            )
            self._bury(record, letters.failed(record, position, inbound, "unsupported_record", detail), counts)

    def outcome(self) -> Outcome:
        batch = Batch(
            epoch=self._state.epoch,
            progress=self._progress,
            events=self._events,
            profiles=self._touched.profiles(),
            sessions=self._touched.sessions(),
            dead_letters=self._dead,
            counters=self._counters,
            failed_again=self._failed_again,
            resolved=self._resolved,
        )
        return Outcome(batch, self._stored, self._told_dead, self._known, self._conflicts, self._own_dead)

    def _advance(self, decoded: Decoded) -> Counts:
        """
        Move the progress past the record.

        Returns: where to count it; a record counted before goes nowhere, which shows by `received` being 0.
        """
        record, inbound = decoded.record, decoded.inbound
        before = self._state.progress.get(record.partition, 0)
        reached = self._progress[record.partition].after if record.partition in self._progress else before
        self._progress[record.partition] = Progress(before, max(reached, record.offset + 1))
        if record.offset < reached:
            return Counts()
        source = letters.UNKNOWN_SOURCE if inbound is None else inbound["source"] or letters.UNKNOWN_SOURCE
        at_ms = record.at_ms if inbound is None else inbound["received_at_ms"]
        key = CounterKey(self._state.epoch, record.partition, source, at_ms // MINUTE_MS)
        counts = self._counters.setdefault(key, Counts())
        counts.received += decoded.weight
        return counts

    def _bury(self, record: LogRecord, letter: DeadLetter, counts: Counts) -> None:
        counts.dead += 1
        if record.replay is None:
            self._dead.append(letter)
            self._told_dead.append(letter)
            if letter.stage == "collector" and counts.received:
                self._own_dead += 1
            return
        # several events of one record may fail again: that is one attempt of one letter
        letter = letters.again(letter, record, record.replay)
        at = letter.position._replace(place=0)
        if at in self._again:
            return
        self._again.add(at)
        self._told_dead.append(letter)
        if counts.received:
            self._failed_again.append(letter)

    def _track(self, record: LogRecord, inbound: Inbound, track: Track, counts: Counts) -> None:
        if not track["events"]:
            counts.dropped += 1
            return
        payload = self._open(record, inbound, track)
        new = 0
        for place, event in enumerate(track["events"]):
            position = Position(self._state.epoch, record.partition, record.offset, place)
            known = self._known.get(event["id"]) or self._state.events.get(event["id"])
            if known is not None and known.position != position:
                counts.duplicate += 1
                if known.digest != _digest(event):
                    self._conflicts[inbound["source"]] = self._conflicts.get(inbound["source"], 0) + 1
            elif self._event(payload, event, position, counts, replayed=known is not None):
                new += 1
        if new:
            _count(payload, new)

    def _open(self, record: LogRecord, inbound: Inbound, track: Track) -> _Payload:
        version = Position(self._state.epoch, record.partition, record.offset, 0).version
        at = iso(inbound["received_at_ms"])
        profile_id, session_id = inbound["profile_id"], track["session_id"]
        if not profile_id:
            # only the owner of a session's profile writes the session, so a profile-less payload leaves it alone
            return _Payload(record, inbound, track, version, at, None, False, None)
        profile = self._touched.profile(profile_id, at)
        session = self._touched.session(session_id, profile_id, at) if session_id else None
        return _Payload(record, inbound, track, version, at, profile, profile.version < version, session)

    def _event(self, payload: _Payload, event: Event, position: Position, counts: Counts, *, replayed: bool) -> bool:
        """Store, or tell again. Returns whether the profile still had to learn of it."""
        try:
            properties, context = _decode(event["properties"]), _decode(event["context"])
            _decode(event["options"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            detail = f"event {position.place} holds JSON that cannot be read: {exc}"
            letter = letters.failed(payload.record, position, payload.inbound, "undecodable_record", detail)
            self._bury(payload.record, letter, counts)
            return False
        own_time = None if event["time_ms"] is None else iso(event["time_ms"])
        changes: list[Change] = []
        problems: list[Problem] = []
        lines = self._definitions.mappings.get(event["type"])
        if lines and payload.profile is not None and payload.profile_lacks:
            at = own_time or payload.received_at
            view = {"id": event["id"], "type": event["type"], "time": at, "properties": properties, "context": context}
            changes, problems = map_event(lines, view, payload.profile.draft, [at, event["id"]])
        if replayed:
            self._tell(payload, event, self._state.replayed[event["id"]])
        else:
            counts.stored += 1
            self._store(payload, event, position, own_time=own_time, changes=changes, problems=problems)
        return payload.profile_lacks

    def _store(
        self,
        payload: _Payload,
        event: Event,
        position: Position,
        *,
        own_time: str | None,
        changes: Sequence[Change],
        problems: Sequence[Problem],
    ) -> None:
        inbound, track, profile = payload.inbound, payload.track, payload.profile
        time_ms = inbound["received_at_ms"] if event["time_ms"] is None else event["time_ms"]
        partition = partition_of(time_ms, inbound["received_at_ms"])
        version = 0 if profile is None else payload.version
        digest = _digest(event)
        doc = event_document(
            event,
            inbound,
            track,
            position,
            received_at=payload.received_at,
            own_time=own_time,
            flags=_flags(payload, partition),
            definitions=self._definitions.offset,
            profile_version=version,
            profile_created=profile is not None and profile.created and not profile.dirty and position.place == 0,
            changes=changes,
            problems=problems,
        )
        self._events.append(
            StoredEvent(
                id=event["id"],
                partition=partition,
                profile_id=inbound["profile_id"],
                session_id=track["session_id"] or "",
                type=event["type"],
                source=inbound["source"],
                time_ms=time_ms,
                received_at_ms=inbound["received_at_ms"],
                position=position,
                digest=digest,
                profile_version=version,
                doc=doc,
            )
        )
        self._known[event["id"]] = KnownEvent(position, digest)
        self._tell(payload, event, doc)

    def _tell(self, payload: _Payload, event: Event, doc: bytes) -> None:
        inbound = payload.inbound
        self._stored.append(
            Stored(
                id=event["id"],
                profile_id=inbound["profile_id"],
                profile_version=0 if payload.profile is None else payload.version,
                source=inbound["source"],
                type=event["type"],
                time_ms=inbound["received_at_ms"] if event["time_ms"] is None else event["time_ms"],
                event=doc,
                segments_entered=[],
                segments_left=[],
            )
        )


def _count(payload: _Payload, new: int) -> None:
    at = payload.received_at
    session, profile = payload.session, payload.profile
    if session is not None and session.holder == payload.inbound["profile_id"] and session.version < payload.version:
        new_visit = session.created and not session.dirty
        touch_session(session, payload.version, new, at, payload.track)
    else:
        new_visit = False
    if profile is not None and payload.profile_lacks:
        touch_profile(profile, payload.version, new, at, new_visit=new_visit)


def _flags(payload: _Payload, partition: str) -> list[str]:
    flags = []
    if partition == OUTLIERS:
        flags.append("time_out_of_range")
    if payload.session is not None and payload.session.holder != payload.inbound["profile_id"]:
        flags.append("session_of_another_profile")
    return flags


def _digest(event: Event) -> bytes:
    """16 bytes of what the client said: another digest under the same id is a conflict."""
    said = blake2b(event["type"].encode(), digest_size=16)
    said.update(b"\x00%d\x00" % (event["time_ms"] or 0))
    said.update(event["properties"])
    said.update(event["context"])
    return said.digest()
