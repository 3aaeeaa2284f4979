"""What a batch of records does: the pure core of the collector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import msgspec

from hub import ids
from hub.edge.identifiers import identifiers
from hub.model import (
    OUTLIERS,
    Batch,
    CounterKey,
    Counts,
    DeadLetter,
    KnownEvent,
    Person,
    Position,
    Privacy,
    Profile,
    Progress,
    Session,
    StoredEvent,
    partition_of,
)
from hub.pipeline import letters, made_sessions, privacy, system_events
from hub.pipeline.definitions import Definitions
from hub.pipeline.documents import NOTHING, event_document, iso
from hub.pipeline.holders import Holders, claims_as, onward
from hub.pipeline.identity import LATE, Decision, Identities, Known, Reason, Why, cause_of
from hub.pipeline.mapping import EVENT_TYPE, Change, Problem, Sent, map_event
from hub.pipeline.modes import (
    has_system_events,
    is_ephemeral,
    is_fleeting,
    is_static,
    keeps_nothing,
    keeps_profile,
    keeps_session,
    makes_session,
)
from hub.pipeline.records import Decoded, LogRecord
from hub.pipeline.referral import newcomer
from hub.pipeline.rules.enrichment import NOTHING as UNTOLD
from hub.pipeline.rules.enrichment import Enriched, enriched, joined
from hub.pipeline.rules.hand import INVALID, Hand
from hub.pipeline.rules.steps import Verdict
from hub.pipeline.sessions import Seen
from hub.pipeline.touched import Open, Touched, claimed_by, end_session, touch_profile, touch_session
from hub.pipeline.undo import rebuild
from hub.pipeline.visits import begin_visit
from schemas.records import MERGE, REFUSED, TRACK, Event, Inbound, Merge, Stored, Track

MINUTE_MS: Final = 60_000
REFUSED_BY_SCHEMA: Final = "schema_violation"
NO_PROFILE: Final = "profile_not_saved"
NO_SESSION: Final = "session_not_saved"
MOST_STUMBLES: Final = 10
"""Records of one batch that our own code may stumble over before it stops."""
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class State(msgspec.Struct, frozen=True):
    """
    What is known before the batch. Profiles, sessions and events that are absent do not exist.

    `progress`: next offset to count, by partition. `replayed`: documents of events at their own coordinates.
    `judged`: records of people who want none kept. `person`: whom an order is about; None: it is none, or it is done.
    `expired`: by event type, `*` for all others, before when an event was received that is not kept any more.
    """

    epoch: int
    progress: dict[int, int]
    profiles: dict[str, Profile]
    sessions: dict[str, Session]
    events: dict[str, KnownEvent]
    replayed: dict[str, bytes]
    identity: Known = Known()
    judged: privacy.Judged = privacy.NOTHING
    person: Person | None = None
    expired: Mapping[str, int] = NOTHING


class Outcome(msgspec.Struct, frozen=True):
    """
    What to write and what to tell. `stored` and `dead_letters` are in the order of the log; a replay tells again.

    `known`: the events stored by this batch. `conflicts`: duplicates that say something else than the first, by source.
    `own_dead`: events that died here, of those counted for the first time; neither what a bridge refused nor what was
    dead before, nor what a validator refused. `filtered`: those that a filter dropped, by its id. `voided`: those that
    came from people who want none kept, or are too old, by why (`hub.pipeline.privacy.WHY`).
    """

    batch: Batch
    stored: list[Stored]
    dead_letters: list[DeadLetter]
    known: dict[str, KnownEvent]
    conflicts: dict[str, int]
    own_dead: int
    filtered: dict[str, int] = {}
    voided: dict[str, int] = {}


def process(records: Sequence[Decoded], state: State, definitions: Definitions) -> Outcome:
    """
    The outcome of the records, in their order. Pure: the same arguments give the same outcome, `state` is not changed.

    An event at fault becomes a dead letter and holds up nobody, even one that our own code stumbles over. Time comes
    from the records' own receive times.

    Raises: whatever the code raised, when it stumbles over too many of the records: then it is the code that is at
        fault, and draining the log into dead letters would not help.
    """
    records = list(records)
    holders = Holders(state.sessions)
    stumbled = 0
    while True:
        run = _Run(state, definitions, holders)
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
    """
    A Track in hand: whose it is, and whether the profile and session still lack this record.

    Attributes:
        is_kept: Whether its events are kept, but for those that say otherwise themselves.
        seen: What the profile learns of, in order.
        is_made: Whether the session is the hub's own.
        ends: The session of the profile that is over with it.
        flags: Of each of its events.
    """

    record: LogRecord
    inbound: Inbound
    track: Track
    version: int
    received_at: str
    profile: Open | None
    profile_lacks: bool
    session: Open | None
    is_kept: bool
    seen: list[Seen]
    is_made: bool = False
    ends: Open | None = None
    flags: Sequence[str] = ()

    @property
    def sender(self) -> str:
        """The profile id that the client sent."""
        return self.inbound.get("sent_as") or self.inbound["profile_id"]

    @property
    def is_late(self) -> bool:
        """Whether others of the same sender, or a copy of itself, may come by another way and pass it."""
        if self.inbound.get("forwarded_for") in LATE:
            return True
        return self.session is not None and claimed_by(self.session.draft.doc) != self.sender


class _Done(NamedTuple):
    """What one event did, and what its type makes of it: index fields, tags, where the customer is on the way."""

    changes: Sequence[Change] = ()
    problems: Sequence[Problem] = ()
    decisions: Sequence[Decision] = ()
    fields: Mapping[str, Any] = NOTHING
    tags: Sequence[str] = ()
    journey: str = ""
    is_odd: bool = False
    has_failed: bool = False
    told: Enriched = UNTOLD
    hand: Hand | None = None


class _Run:
    """One call of `process`."""

    def __init__(self, state: State, definitions: Definitions, holders: Holders) -> None:
        self._state = state
        self._holders = holders
        self._definitions = definitions
        self._touched = Touched(state.profiles, state.sessions)
        self._identities = Identities(state.identity, self._touched, definitions.most_profiles)
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
        self._filtered: dict[str, int] = {}
        self._voided: dict[str, int] = {}
        self._privacy: Privacy | None = None

    def take(self, decoded: Decoded) -> None:
        told = len(self._told_dead)
        fresh = self._advance(decoded)
        if self._is_void(decoded, fresh=fresh):
            return
        if self._goes_elsewhere(decoded, fresh=fresh):
            return
        counts = self._counts(decoded) if fresh and not letters.is_outward(decoded.inbound) else Counts()
        self._apply(decoded, counts)
        replay = decoded.record.replay
        if replay is not None and counts.received and len(self._told_dead) == told:
            # the record's own time: the same bytes again say when they were received first
            self._resolved[replay.letter_id] = decoded.record.at_ms

    def _is_void(self, decoded: Decoded, *, fresh: bool) -> bool:
        """Whether it came from somebody who was erased, or is suppressed: then it is counted, and nothing else."""
        judged = self._state.judged
        if not judged.records:
            return False
        void = judged.records.get((decoded.record.partition, decoded.record.offset))
        if void is None:
            return False
        heir = judged.heirs.get((decoded.record.partition, decoded.record.offset))
        if fresh and heir is not None and decoded.inbound is not None:
            position = Position(self._state.epoch, decoded.record.partition, decoded.record.offset, 0)
            order = privacy.heir_order(ids.derived("heir", decoded.inbound["id"]), heir, self._definitions.offset)
            self._identities.send(cause_of(decoded.record, decoded.inbound, position), order)
        first_at = None if decoded.inbound is None else decoded.inbound.get("first_at")
        if first_at is not None:
            if self._identities.is_known(first_at):
                return True
            self._identities.applied(first_at)
        if fresh and decoded.events:
            self._counts(decoded).dropped += decoded.weight
            self._count_void(privacy.why(void), decoded.weight)
            if decoded.record.replay is not None:
                self._resolved[decoded.record.replay.letter_id] = decoded.record.at_ms
        return True

    def _count_void(self, why: str, events: int) -> None:
        self._voided[why] = self._voided.get(why, 0) + events

    def _order(self, order: privacy.Order, inbound: Inbound, position: Position) -> None:
        """Somebody asks for their privacy."""
        person, id = self._state.person, inbound["profile_id"]
        if person is not None:
            profile = self._state.profiles.get(id)
            now = position.version, None if profile is None else profile.doc
            self._privacy = privacy.carry_out(order, inbound, person, now, self._definitions)

    def _goes_elsewhere(self, decoded: Decoded, *, fresh: bool) -> bool:
        """
        Whether the record is done with: it belongs to another profile, is a step of a merge, or came a second time.

        What is sent because of a record that was counted before lies in the outbox already: such a record is told again
        if it was applied here, and else it went elsewhere.
        """
        inbound = decoded.inbound
        if inbound is None or inbound["body"][0] == REFUSED or not inbound["profile_id"]:
            return False
        record = decoded.record
        position = Position(self._state.epoch, record.partition, record.offset, 0)
        holder = self._holders.of(inbound)
        alias = self._identities.alias(inbound["profile_id"])
        is_merge = inbound["body"][0] == MERGE
        if alias is not None and position.version > alias.version and not _is_restore(inbound):
            if fresh:
                self._identities.forward(cause_of(record, inbound, position), alias.into, "alias")
            return True
        order = privacy.order_of(inbound)
        if not fresh:
            return is_merge or order is not None or not self._was_applied(inbound, position, holder)
        if inbound["body"][0] == MERGE:
            self._merge(record, inbound, inbound["body"][1], position)
            return True
        if self._goes_on(record, inbound, position, holder):
            return True
        if order is not None:
            self._order(order, inbound, position)
        return order is not None

    def _was_applied(self, inbound: Inbound, position: Position, holder: str) -> bool:
        """
        Of a record that was counted before: whether that was here, so that its events lie at its own coordinates.

        What is not kept lies nowhere: it was applied here if it would be now.
        """
        if inbound["body"][0] != TRACK:
            return True
        track = inbound["body"][1]
        if not track["session_id"] and not inbound.get("first_at"):
            return True
        if keeps_nothing(track):
            return holder == inbound["profile_id"] or self._way(inbound, holder) is None
        known = [self._state.events.get(event["id"]) for event in track["events"]]
        return any(one is not None and one.position == position._replace(place=n) for n, one in enumerate(known))

    def _goes_on(self, record: LogRecord, inbound: Inbound, position: Position, holder: str) -> bool:
        """Whether the record was handed on to here before and is applied already, or is handed on from here."""
        first_at = inbound.get("first_at")
        if first_at and self._identities.is_known(first_at):
            return True
        if first_at or holder != inbound["profile_id"]:
            way = self._way(inbound, holder)
            if way is not None:
                self._identities.forward(cause_of(record, inbound, position), *way)
                return True
        if first_at:
            self._identities.applied(first_at)
        return False

    def _way(self, inbound: Inbound, holder: str) -> tuple[str, Why] | None:
        """Where the record goes, and why; None: it is applied here. Args: holder: of its session."""
        profile = self._touched.profile(inbound["profile_id"], iso(inbound["received_at_ms"]))
        sent_as = inbound.get("sent_as") or ""
        if inbound.get("forwarded_for") == "alias" and sent_as not in profile.draft.doc["ids"]:
            # the merge was undone while the record was on its way
            return sent_as, "return"
        return None if self._identities.holds(profile, holder) else onward(inbound, self._identities.root(holder))

    def _merge(self, record: LogRecord, inbound: Inbound, body: Merge, position: Position) -> None:
        cause = cause_of(record, inbound, position)
        if body["step"] == "ask":
            self._identities.asked(cause, body)
        elif body["step"] == "data":
            self._identities.take(cause, body)
        elif body["step"] == "restore":
            self._identities.restored(cause, body)
        elif body["step"] == "undo":
            undo = self._identities.undo_of(inbound["id"])
            if undo is None or undo.entry.survivor_id != inbound["profile_id"]:
                return
            parts = rebuild(undo, self._definitions)
            metadata = parts.survivor.object(("metadata",))
            metadata["apart"] = list(dict.fromkeys((*metadata.get("apart", ()), undo.entry.loser_id)))
            self._identities.touch(self._touched.put(inbound["profile_id"], parts.survivor.doc), cause)
            for id in sorted(parts.sessions):
                self._touched.give(undo.sessions[id], parts.sessions[id])
            followers = parts.given_up()
            self._identities.restore(cause, undo.entry.loser_id, parts.loser.doc, undo.entry.id, followers)
            for merge_id in (undo.entry.id, *(one.merge_id for one in followers)):
                self._identities.undone(merge_id, inbound["received_at_ms"])
        else:
            raise ValueError(f"this collector does not know the step {body['step']!r} of a merge")

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
            identity=self._identities.outcome(),
            privacy=self._privacy,
            voids=list(self._state.judged.more),
        )
        told, dead, known, conflicts = self._stored, self._told_dead, self._known, self._conflicts
        return Outcome(batch, told, dead, known, conflicts, self._own_dead, self._filtered, self._voided)

    def _advance(self, decoded: Decoded) -> bool:
        """Move the progress past the record. Returns whether it is the first time: else it was counted before."""
        record = decoded.record
        before = self._state.progress.get(record.partition, 0)
        reached = self._progress[record.partition].after if record.partition in self._progress else before
        self._progress[record.partition] = Progress(before, max(reached, record.offset + 1))
        return record.offset >= reached

    def _counts(self, decoded: Decoded) -> Counts:
        """Where to count the record, as received: under the minute in which the edge took it."""
        record, inbound = decoded.record, decoded.inbound
        source = letters.UNKNOWN_SOURCE if inbound is None else inbound["source"] or letters.UNKNOWN_SOURCE
        at_ms = record.at_ms if inbound is None else inbound["received_at_ms"]
        counts = self._counters_at(record.partition, source, at_ms)
        counts.received += decoded.weight
        return counts

    def _counters_at(self, partition: int, source: str, at_ms: int) -> Counts:
        key = CounterKey(self._state.epoch, partition, source, at_ms // MINUTE_MS)
        return self._counters.setdefault(key, Counts())

    def _bury(self, record: LogRecord, letter: DeadLetter, counts: Counts) -> None:
        counts.dead += 1
        if record.replay is None:
            self._dead.append(letter)
            self._told_dead.append(letter)
            # what a validator refuses was asked for, and stops nobody
            if letter.stage == "collector" and letter.reason != REFUSED_BY_SCHEMA and counts.received:
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
            else:
                new += self._event(payload, event, position, counts, replayed=known is not None, first=not new)
        if new:
            _count(payload, self._definitions.channels.get(inbound["source"], ""))
            if payload.profile is not None:
                position = Position(self._state.epoch, record.partition, record.offset, 0)
                cause = cause_of(record, inbound, position)
                self._identities.settle(payload.profile, cause)
                other = newcomer(inbound, track, payload.profile.draft.doc)
                if other is not None:
                    reason = Reason("request", inbound["profile_id"], other, cause.at)
                    self._identities.ask(cause, other, inbound["profile_id"], reason)

    def _open(self, record: LogRecord, inbound: Inbound, track: Track) -> _Payload:
        version = Position(self._state.epoch, record.partition, record.offset, 0).version
        at = iso(inbound["received_at_ms"])
        profile_id, session_id, is_kept = inbound["profile_id"], track["session_id"], not is_ephemeral(track)
        if not profile_id:
            # only the owner of a session's profile writes the session, so a profile-less payload leaves it alone
            return _Payload(record, inbound, track, version, at, None, False, None, is_kept, [])
        if self._identities.alias(profile_id) is not None:
            # it was applied before its profile was merged, and is only told again
            return _Payload(record, inbound, track, version, at, None, False, None, is_kept, [])
        if not keeps_profile(track):
            return _Payload(record, inbound, track, version, at, None, False, None, is_kept, [], flags=(NO_PROFILE,))
        profile = self._touched.profile(profile_id, at)
        lacks, has_session = profile.version < version, keeps_session(track)
        payload = _Payload(record, inbound, track, version, at, profile, lacks, None, is_kept, [])
        if not has_session:
            return payload._replace(flags=(NO_SESSION,))
        if session_id:
            holds = self._identities.holds
            return payload._replace(session=self._touched.session(session_id, profile, at, holds, claims_as(inbound)))
        return self._with_session(payload, profile) if lacks and makes_session(track) else payload

    def _with_session(self, payload: _Payload, profile: Open) -> _Payload:
        """With the session that the hub makes for it; without one, if its first event comes too late for any."""
        inbound, at, event = payload.inbound, payload.received_at, payload.track["events"][0]
        before = made_sessions.open_id(profile.draft.doc)
        session_id, begins = made_sessions.belongs(profile.draft.doc, _counts_ms(payload, event), event["id"])
        if session_id is None:
            return payload

        def opened(id: str) -> Open:
            return self._touched.session(id, profile, at, self._identities.holds, claims_as(inbound))

        session = opened(session_id)
        if session.holder != profile.holder:
            # it went to another profile, as a merge was undone
            before, session_id, begins = None, made_sessions.begun_by(profile.holder, event["id"]), True
            session = opened(session_id)
        ends = opened(before) if begins and before is not None else None
        return payload._replace(
            track={**payload.track, "session_id": session_id},
            session=session,
            is_made=True,
            ends=None if ends is None or ends.holder != profile.holder else ends,
        )

    def _event(
        self, payload: _Payload, event: Event, position: Position, counts: Counts, *, replayed: bool, first: bool
    ) -> int:
        """
        Store, or tell again. Returns how many events the profile still had to learn of: it, and those that it caused.

        Args: first: whether the profile has learned of no event of this payload yet.
        """
        try:
            properties, context = _decode(event["properties"]), _decode(event["context"])
            _decode(event["options"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            detail = f"event {position.place} holds JSON that cannot be read: {exc}"
            letter = letters.failed(payload.record, position, payload.inbound, "undecodable_record", detail)
            self._bury(payload.record, letter, counts)
            return 0
        if self._state.expired and not replayed and self._is_expired(payload, event):
            counts.dropped += 1
            if counts.received:
                self._count_void(privacy.EXPIRED, 1)
            return 0
        own_time = None if event["time_ms"] is None else iso(event["time_ms"])
        hand, chain = None, self._definitions.rules.of(event["type"])
        if chain is not None:
            hand = _hand(payload, event, own_time or payload.received_at, properties, context)
            verdict = chain.judge(hand)
            if verdict.is_over and not replayed:
                self._end(verdict, hand, payload, position, counts)
                return 0
            chain.work(hand)
        is_kept = payload.is_kept and not is_fleeting(event)
        if is_kept and not (replayed or counts.received):
            # counted before and not stored: a rule that has changed since does not bring it back when it is told again
            return 0
        done = self._done(payload, event, own_time, properties, context, hand=hand, replayed=replayed)
        if replayed:
            self._tell(payload, event, self._state.replayed[event["id"]])
        else:
            if is_kept:
                counts.stored += 1
            else:
                counts.dropped += 1
            self._store(payload, event, position, own_time=own_time, done=done, first=first, is_kept=is_kept)
        caused = 0
        if is_kept and payload.profile is not None and has_system_events(payload.track):
            caused = self._system(payload, event, position, counts, replayed=replayed, first=first)
        if not payload.profile_lacks:
            return 0
        payload.seen.insert(len(payload.seen) - caused, _seen(payload, event, own_time, done))
        return 1 + caused

    def _is_expired(self, payload: _Payload, event: Event) -> bool:
        expired = self._state.expired
        return payload.inbound["received_at_ms"] < expired.get(event["type"], expired.get("*", 0))

    def _system(
        self, payload: _Payload, cause: Event, position: Position, counts: Counts, *, replayed: bool, first: bool
    ) -> int:
        """
        The events that this one caused: stored, or told again. Returns how many the profile still had to learn of.

        They lie behind the record's own, and count as received and stored at once, from a source of their own.
        """
        number = len(payload.track["events"]) + len(system_events.EVERY) * position.place
        inbound, known = system_events.as_its_source(payload.inbound), self._state.replayed
        payload = payload._replace(inbound=inbound, flags=())
        created, started = first and _is_created(payload.profile), first and _starts_visit(payload)
        learned = 0
        for place, event in enumerate(system_events.made(cause, profile_created=True, visit_started=True), number):
            is_known = event["id"] in known
            if not (is_known if replayed else created if event["type"] == system_events.PROFILE_CREATED else started):
                continue
            own_time = None if event["time_ms"] is None else iso(event["time_ms"])
            done = self._done(payload, event, own_time, _decode(event["properties"]), {}, hand=None, replayed=is_known)
            if is_known:
                self._tell(payload, event, known[event["id"]])
            else:
                own = Counts()
                if counts.received:
                    own = self._counters_at(position.partition, inbound["source"], inbound["received_at_ms"])
                own.received += 1
                own.stored += 1
                there = position._replace(place=place)
                self._store(payload, event, there, own_time=own_time, done=done, first=False, is_kept=True)
            if payload.profile_lacks:
                payload.seen.append(_seen(payload, event, own_time, done))
                learned += 1
        return learned

    def _end(self, verdict: Verdict, hand: Hand, payload: _Payload, position: Position, counts: Counts) -> None:
        """The event goes no further: count it, or bury it."""
        if verdict.dropped_by:
            counts.dropped += 1
            if counts.received:
                id = verdict.dropped_by.partition("/")[2]
                self._filtered[id] = self._filtered.get(id, 0) + 1
            return
        faults = "; ".join(f"{one.field}: {one.detail}" for one in hand.did if one.rule == verdict.buried_by)
        detail = f"event {position.place} is not as {verdict.buried_by} says: {faults}"
        letter = letters.failed(payload.record, position, payload.inbound, REFUSED_BY_SCHEMA, detail)
        self._bury(payload.record, letter, counts)

    def _done(
        self,
        payload: _Payload,
        event: Event,
        own_time: str | None,
        properties: Any,
        context: Any,
        *,
        hand: Hand | None,
        replayed: bool,
    ) -> _Done:
        """Apply the event to its profile, if that lacks it. One that is only told again is looked at no further."""
        definitions, type = self._definitions, event["type"]
        rule, lines, points = definitions.types.get(type), definitions.mappings.get(type), definitions.points.of(type)
        is_invalid = hand is not None and INVALID in hand.flags
        is_applied = payload.profile is not None and payload.profile_lacks and not is_invalid
        is_mapped = is_applied and (lines or points)
        if replayed and not (is_mapped or payload.profile_lacks):
            return _Done()
        # identification points see what was sent: what is kept of that are hashes that only this hub can make
        sent_properties, sent_context, request = properties, context, payload.track["request"]
        if hand is not None:
            properties, context, request = hand.properties, hand.context, hand.request
        time_ms = payload.inbound["received_at_ms"] if event["time_ms"] is None else event["time_ms"]
        told = enriched(request, context, time_ms, definitions.places)
        if not is_mapped and rule is None:
            return _Done(fields=told.fields, told=told, hand=hand)
        source, at = payload.inbound["source"], own_time or payload.received_at
        view = {
            "id": event["id"],
            "type": type,
            "time": at,
            "source": source,
            "properties": properties,
            "context": context,
            **told.fields,
        }
        problems: list[Problem] = []
        index: Mapping[str, Any] = told.fields
        if rule is not None:
            own, odd = rule.indexed(view)
            index = joined(index, own)
            view.update(index)
            problems += [Problem(f"{EVENT_TYPE}{type}", *one) for one in odd]
        is_odd, has_failed = bool(problems), False
        changes: list[Change] = []
        decisions: list[Decision] = []
        if payload.profile is not None and is_mapped:
            sent = Sent(_counts_at(payload, event, at), event["id"], payload.sender, payload.is_late)
            changes, failed = map_event(lines or (), view, payload.profile.draft, sent)
            problems += failed
            has_failed = bool(failed)
            if hand is not None:
                view = {**view, "properties": sent_properties, "context": sent_context}
            found, faults = identifiers(points, source, view, definitions.identity_key)
            decisions = self._identities.decide(payload.profile, found, event["id"], at)
            problems += [Problem(*fault) for fault in faults]
        tags, journey = ((), "") if rule is None else (rule.tags, rule.state(_visits(payload)))
        return _Done(changes, problems, decisions, index, tags, journey, is_odd, has_failed, told, hand)

    def _store(
        self,
        payload: _Payload,
        event: Event,
        position: Position,
        *,
        own_time: str | None,
        done: _Done,
        first: bool,
        is_kept: bool,
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
            flags=_flags(payload, partition, done, first=first),
            definitions=self._definitions.offset,
            profile_version=version,
            profile_created=first and _is_created(profile),
            changes=done.changes,
            problems=done.problems,
            identity=done.decisions,
            index=done.fields,
            tags=done.tags,
            journey=done.journey,
            hand=done.hand,
            told=done.told,
            channel=self._definitions.channels.get(inbound["source"], ""),
            static_profile=is_static(track),
            session_made=payload.is_made,
        )
        if not is_kept:
            self._tell(payload, event, doc)
            return
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


def _count(payload: _Payload, channel: str) -> None:
    at, version, seen = payload.received_at, payload.version, payload.seen
    session, profile = payload.session, payload.profile
    new_visit = _starts_visit(payload)
    if session is not None and session.holder == payload.inbound["profile_id"] and session.version < version:
        touch_session(session, version, seen, at, payload.track, channel=channel)
    if payload.ends is not None:
        end_session(payload.ends, version)
    if profile is not None and payload.profile_lacks:
        if new_visit:
            begin_visit(profile.draft, seen[0].at, seen[0].zone)
        if payload.is_made:
            for one in seen:
                made_sessions.note(profile.draft, payload.track["session_id"] or "", one.at)
        touch_profile(profile, version, len(seen), at)


def _starts_visit(payload: _Payload) -> bool:
    session = payload.session
    return (
        session is not None
        and session.holder == payload.inbound["profile_id"]
        and session.version < payload.version
        and session.created
        and not session.dirty
    )


def _counts_at(payload: _Payload, event: Event, at: str) -> str:
    """The time that an event counts at, beside others: its own (`at`), unless that is out of range."""
    return payload.received_at if _is_outlier(event["time_ms"], payload.inbound["received_at_ms"]) else at


def _counts_ms(payload: _Payload, event: Event) -> int:
    """The same in milliseconds since 1970."""
    time_ms, received_at_ms = event["time_ms"], payload.inbound["received_at_ms"]
    return received_at_ms if time_ms is None or _is_outlier(time_ms, received_at_ms) else time_ms


def _is_outlier(time_ms: int | None, received_at_ms: int) -> bool:
    return time_ms is not None and partition_of(time_ms, received_at_ms) == OUTLIERS


def _seen(payload: _Payload, event: Event, own_time: str | None, done: _Done) -> Seen:
    at = _counts_at(payload, event, own_time or payload.received_at)
    return Seen(event["id"], event["type"], at, done.told.fields, done.told.zone)


def _is_created(profile: Open | None) -> bool:
    """Whether a profile begins with the payload in hand."""
    return profile is not None and profile.created and not profile.dirty


def _visits(payload: _Payload) -> int:
    """Of the profile, one that begins with this payload included."""
    if payload.profile is None:
        return 0
    visits = payload.profile.draft.doc.get("stats", NOTHING).get("visits", 0)
    return int(visits) + _starts_visit(payload)


def _hand(payload: _Payload, event: Event, at: str, properties: Any, context: Any) -> Hand:
    profile = payload.profile
    return Hand(
        event["id"],
        event["type"],
        at,
        payload.inbound["source"],
        properties=properties,
        context=context,
        request=payload.track["request"],
        received_at=payload.received_at,
        profile=None if profile is None else profile.draft.doc,
    )


def _flags(payload: _Payload, partition: str, done: _Done, *, first: bool) -> list[str]:
    flags = list(payload.flags)
    if partition == OUTLIERS:
        flags.append("time_out_of_range")
    if payload.session is not None and payload.session.holder != payload.inbound["profile_id"]:
        flags.append("session_of_another_profile")
    if first and _starts_visit(payload):
        flags.append("visit_started")
    if any(decision.did == "shared" for decision in done.decisions):
        flags.append("identifier_shared")
    if done.is_odd:
        flags.append("odd_index_field")
    if done.has_failed:
        flags.append("mapping_problem")
    if done.hand is not None:
        flags += done.hand.flags
    return flags


def _is_restore(inbound: Inbound) -> bool:
    return inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "restore"


def _digest(event: Event) -> bytes:
    """16 bytes of what the client said: another digest under the same id is a conflict."""
    said = blake2b(event["type"].encode(), digest_size=16)
    said.update(b"\x00%d\x00" % (event["time_ms"] or 0))
    said.update(event["properties"])
    said.update(event["context"])
    return said.digest()
