"""What the events of a payload do: to its profile, its session and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from hub.edge.identifiers import identifiers
from hub.model import OFFSET_BITS, OUTLIERS, Counts, KnownEvent, Position, StoredEvent, partition_of
from hub.pipeline import flow_changes, heartbeat, letters, made_sessions, privacy, system_events, taken_over
from hub.pipeline.definitions import Definitions
from hub.pipeline.documents import NOTHING, event_document, iso
from hub.pipeline.draft import Draft
from hub.pipeline.flow_changes import Asked
from hub.pipeline.holders import claims_as
from hub.pipeline.identity import Decision, Identities, Reason, cause_of
from hub.pipeline.mapping import EVENT_TYPE, POINT, Change, Field, Lines, Problem, Sent, map_event
from hub.pipeline.modes import (
    has_system_events,
    is_ephemeral,
    is_fleeting,
    is_static,
    keeps_profile,
    keeps_session,
    makes_session,
)
from hub.pipeline.past import is_done, is_past
from hub.pipeline.payload import NO_PROFILE, NO_SESSION, Payload
from hub.pipeline.records import LogRecord
from hub.pipeline.referral import newcomer
from hub.pipeline.rules.around import around_of
from hub.pipeline.rules.enrichment import NOTHING as UNTOLD
from hub.pipeline.rules.enrichment import Enriched, enriched, joined
from hub.pipeline.rules.hand import INVALID, Hand
from hub.pipeline.rules.steps import Verdict
from hub.pipeline.segment_events import NOTHING_TOLD, Told, told_of
from hub.pipeline.segmenting import Segmenting
from hub.pipeline.sessions import Seen
from hub.pipeline.state import State
from hub.pipeline.tally import REFUSED_BY_SCHEMA, Tally
from hub.pipeline.touched import Open, Touched, end_session, touch_profile, touch_session
from hub.pipeline.visits import begin_visit
from schemas.records import Event, Inbound, Stored, Track

_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_FOR_WHO_IS_THERE: Final = frozenset({heartbeat.SOURCE, flow_changes.SOURCE})
"""Event sources of the hub's own of which some records make nobody."""


class _Done(msgspec.Struct, frozen=True):
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
    mapped: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class Tracks:
    """The payloads of a batch, one after the other. `events`, `stored`, `known`: as `Batch` and `Outcome` have them."""

    def __init__(
        self, state: State, definitions: Definitions, touched: Touched, identities: Identities, tally: Tally
    ) -> None:
        self._state = state
        self._definitions = definitions
        self._touched = touched
        self._identities = identities
        self._tally = tally
        self.events: list[StoredEvent] = []
        self.stored: list[Stored] = []
        self.known: dict[str, KnownEvent] = {}
        self.segmenting = Segmenting(
            state, definitions, touched, identities, tally, events=self.events, stored=self.stored
        )

    def take(self, record: LogRecord, inbound: Inbound, track: Track, counts: Counts) -> None:
        """Apply it. Args: counts: of its record."""
        if not track["events"]:
            counts.dropped += 1
            return
        if inbound["source"] in _FOR_WHO_IS_THERE and self._is_vain(inbound):
            counts.dropped += len(track["events"])
            return
        payload = self._open(record, inbound, track)
        new, told = 0, len(self.stored)
        for place, event in enumerate(track["events"]):
            position = Position(self._state.epoch, record.partition, record.offset, place)
            known = self.known.get(event["id"]) or self._state.events.get(event["id"])
            if known is not None and known.position != position:
                counts.duplicate += 1
                if known.digest != _digest(event):
                    self._tally.conflict(inbound["source"])
            else:
                new += self._event(payload, event, position, counts, replayed=known is not None, first=not new)
        if new:
            _count(payload, self._definitions.channels.get(inbound["source"], ""))
            if payload.profile is not None:
                self._join(payload, payload.profile)
                self.segmenting.of_payload(payload, counts, told)

    def _is_vain(self, inbound: Inbound) -> bool:
        """Whether it is about somebody who has gone; it is told again of who is part of another by now."""
        is_vain = heartbeat.is_vain(inbound, self._touched) or flow_changes.is_vain(inbound, self._touched)
        return is_vain and self._identities.alias(inbound["profile_id"]) is None

    def _join(self, payload: Payload, profile: Open) -> None:
        """With those who turned out to be the same person."""
        record, inbound = payload.record, payload.inbound
        other = newcomer(inbound, payload.track, profile.draft.doc)
        if other is None and not self._identities.has_joins:
            return
        cause = cause_of(record, inbound, Position(self._state.epoch, record.partition, record.offset, 0))
        self._identities.settle(profile, cause)
        if other is not None:
            reason = Reason("request", inbound["profile_id"], other, cause.at)
            self._identities.ask(cause, other, inbound["profile_id"], reason)

    def _open(self, record: LogRecord, inbound: Inbound, track: Track) -> Payload:
        version = self._state.epoch << OFFSET_BITS | record.offset
        at = iso(inbound["received_at_ms"])
        profile_id, session_id, is_kept = inbound["profile_id"], track["session_id"], not is_ephemeral(track)
        if not profile_id:
            # only the owner of a session's profile writes the session, so a profile-less payload leaves it alone
            return Payload(record, inbound, track, version, at, None, False, None, is_kept, [])
        if self._identities.alias(profile_id) is not None:
            # it was applied before its profile was merged, and is only told again
            return Payload(record, inbound, track, version, at, None, False, None, is_kept, [])
        if not keeps_profile(track):
            return Payload(record, inbound, track, version, at, None, False, None, is_kept, [], flags=(NO_PROFILE,))
        profile = self._touched.profile(profile_id, at)
        lacks, has_session, session = profile.version < version, keeps_session(track), None
        if has_session and session_id:
            session = self._touched.session(session_id, profile, at, self._identities.holds, claims_as(inbound))
        flags = () if has_session else (NO_SESSION,)
        payload = Payload(record, inbound, track, version, at, profile, lacks, session, is_kept, [], flags=flags)
        makes = has_session and not session_id and lacks and makes_session(track)
        return self._with_session(payload, profile) if makes else payload

    def _with_session(self, payload: Payload, profile: Open) -> Payload:
        """With the session that the hub makes for it; without one, if its first event comes too late for any."""
        inbound, at, event = payload.inbound, payload.received_at, payload.track["events"][0]
        before = made_sessions.open_id(profile.draft.doc)
        session_id, begins = made_sessions.belongs(profile.draft.doc, payload.counts_ms(event), event["id"])
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
        return msgspec.structs.replace(
            payload,
            track={**payload.track, "session_id": session_id},
            session=session,
            is_made=True,
            ends=None if ends is None or ends.holder != profile.holder else ends,
        )

    def _event(
        self, payload: Payload, event: Event, position: Position, counts: Counts, *, replayed: bool, first: bool
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
            self._tally.bury(payload.record, letter, counts)
            return 0
        if self._state.expired and not replayed and self._is_expired(payload, event):
            counts.dropped += 1
            if counts.received:
                self._tally.void(privacy.EXPIRED, 1)
            return 0
        own_time = None if event["time_ms"] is None else iso(event["time_ms"])
        hand, chain = None, self._definitions.rules.of(event["type"])
        if chain is not None and not (_is_flow_change(payload, event) or taken_over.is_document(payload.inbound)):
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
            document = self._state.replayed[event["id"]]
            self._tell(payload, event, document, told_of(document))
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

    def _is_expired(self, payload: Payload, event: Event) -> bool:
        expired = self._state.expired
        return payload.inbound["received_at_ms"] < expired.get(event["type"], expired.get("*", 0))

    def _system(
        self, payload: Payload, cause: Event, position: Position, counts: Counts, *, replayed: bool, first: bool
    ) -> int:
        """
        The events that this one caused: stored, or told again. Returns how many the profile still had to learn of.

        They lie behind the record's own, and count as received and stored at once, from a source of their own.
        """
        number = len(payload.track["events"]) + len(system_events.EVERY) * position.place
        inbound, known = system_events.as_its_source(payload.inbound), self._state.replayed
        payload = msgspec.structs.replace(payload, inbound=inbound, flags=())
        created, started = first and payload.begins_profile, first and payload.starts_visit
        learned = 0
        for place, event in enumerate(system_events.made(cause, profile_created=True, visit_started=True), number):
            is_known = event["id"] in known
            if not (is_known if replayed else created if event["type"] == system_events.PROFILE_CREATED else started):
                continue
            own_time = None if event["time_ms"] is None else iso(event["time_ms"])
            done = self._done(payload, event, own_time, _decode(event["properties"]), {}, hand=None, replayed=is_known)
            if is_known:
                document = known[event["id"]]
                self._tell(payload, event, document, told_of(document))
            else:
                own = Counts()
                if counts.received:
                    own = self._tally.counts_at(position.partition, inbound["source"], inbound["received_at_ms"])
                own.received += 1
                own.stored += 1
                there = position._replace(place=place)
                self._store(payload, event, there, own_time=own_time, done=done, first=False, is_kept=True)
            if payload.profile_lacks:
                payload.seen.append(_seen(payload, event, own_time, done))
                learned += 1
        return learned

    def _end(self, verdict: Verdict, hand: Hand, payload: Payload, position: Position, counts: Counts) -> None:
        """The event goes no further: count it, or bury it."""
        if verdict.dropped_by:
            counts.dropped += 1
            if counts.received:
                self._tally.filter(verdict.dropped_by.partition("/")[2])
            return
        faults = "; ".join(f"{one.field}: {one.detail}" for one in hand.did if one.rule == verdict.buried_by)
        detail = f"event {position.place} is not as {verdict.buried_by} says: {faults}"
        letter = letters.failed(payload.record, position, payload.inbound, REFUSED_BY_SCHEMA, detail)
        self._tally.bury(payload.record, letter, counts)

    def _done(
        self,
        payload: Payload,
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
        asked = None
        if type == flow_changes.TYPE and _is_flow_change(payload, event):
            asked = flow_changes.asked(properties, definitions.segments)
        elif is_done(payload.inbound["origin"]):
            lines, asked = self._of_past(payload, type, properties, lines)
        is_invalid = hand is not None and INVALID in hand.flags
        is_applied = payload.profile is not None and payload.profile_lacks and not is_invalid
        is_mapped = is_applied and (lines or points or asked)
        is_noted = is_applied and type in definitions.segments.noted
        if replayed and not (is_mapped or payload.profile_lacks):
            return _Done()
        # also of a profile that has it already: it was applied by this very record
        mapped = msgspec.UNSET if payload.profile is None or is_invalid or lines is None else lines.named
        # identification points see what was sent: what is kept of that are hashes that only this hub can make
        sent_properties, sent_context, request = properties, context, payload.track["request"]
        if hand is not None:
            properties, context, request = hand.properties, hand.context, hand.request
        time_ms = payload.inbound["received_at_ms"] if event["time_ms"] is None else event["time_ms"]
        around = around_of(payload.track["context"]) if hand is None else hand.around
        told = enriched(request, context, time_ms, definitions.places, around)
        if not is_mapped and rule is None and not is_noted:
            return _Done(fields=told.fields, told=told, hand=hand, mapped=mapped)
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
        if is_noted:
            self.segmenting.note(payload, event, view)
        is_odd, has_failed = bool(problems), False
        changes: list[Change] = []
        decisions: list[Decision] = []
        if payload.profile is not None and is_mapped:
            sent = Sent(payload.counts_at(event, at), event["id"], payload.sender, payload.is_late)
            if asked is None:
                changes, failed = map_event(lines or (), view, payload.profile.draft, sent)
            else:
                changes, failed = self._of_flow(asked, lines or (), view, payload.profile.draft, sent)
            problems += failed
            has_failed = bool(failed)
            if hand is not None:
                view = {**view, "properties": sent_properties, "context": sent_context}
            found, faults = identifiers(points, source, view, definitions.identity_key)
            decisions = self._identities.decide(payload.profile, found, event["id"], at)
            problems += [Problem(f"{POINT}{one.point}", one.field, one.detail) for one in faults]
            self.segmenting.learn(changes)
        tags, journey = ((), "") if rule is None else (rule.tags, rule.state(payload.visits))
        return _Done(changes, problems, decisions, index, tags, journey, is_odd, has_failed, told, hand, mapped)

    def _of_past(
        self, payload: Payload, type: str, properties: Any, lines: Lines | None
    ) -> tuple[Lines | None, Asked | None]:
        """The lines for an event whose profile has what it did; and of the document of a profile, what it asks for."""
        asked = None
        if payload.profile is not None and taken_over.is_document(payload.inbound):
            asked = taken_over.asked(type, properties, payload.profile.draft, self._definitions.segments)
        return taken_over.quiet(lines), asked

    def _of_flow(
        self, asked: Asked, lines: Sequence[Field], view: Mapping[str, Any], profile: Draft, sent: Sent
    ) -> tuple[list[Change], list[Problem]]:
        """What a flow wants changed; then the lines that are defined for such events. Args: as of `map_event`."""
        self.segmenting.move(asked.enter, asked.leave)
        settled: list[Change] = []
        if view["source"] == taken_over.SOURCE:
            settled = taken_over.settle(view["type"], view["properties"], profile)
        sent = sent._replace(late=sent.late or flow_changes.is_overtaken(profile.doc, sent.at))
        changes, problems = map_event([*asked.lines, *lines], view, profile, sent)
        return [*settled, *changes], [*asked.problems, *problems]

    def _store(
        self,
        payload: Payload,
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
            profile_created=first and payload.begins_profile,
            changes=done.changes,
            problems=done.problems,
            identity=done.decisions,
            index=done.fields,
            tags=done.tags,
            journey=done.journey,
            hand=done.hand,
            told=done.told,
            mapped=done.mapped,
            channel=self._definitions.channels.get(inbound["source"], ""),
            static_profile=is_static(track),
            session_made=payload.is_made,
        )
        if not is_kept:
            self._tell(payload, event, doc)
            return
        self.events.append(
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
        self.known[event["id"]] = KnownEvent(position, digest)
        self._tell(payload, event, doc)

    def _tell(self, payload: Payload, event: Event, doc: bytes, told: Told = NOTHING_TOLD) -> None:
        inbound = payload.inbound
        self.stored.append(
            Stored(
                id=event["id"],
                profile_id=inbound["profile_id"],
                profile_version=0 if payload.profile is None else payload.version,
                source=inbound["source"],
                type=event["type"],
                time_ms=inbound["received_at_ms"] if event["time_ms"] is None else event["time_ms"],
                event=doc,
                segments_entered=told.entered,
                segments_left=told.left,
            )
        )


def _count(payload: Payload, channel: str) -> None:
    at, version, seen = payload.received_at, payload.version, payload.seen
    session, profile = payload.session, payload.profile
    new_visit = payload.starts_visit
    is_document = taken_over.is_document(payload.inbound)
    if session is not None and session.holder == payload.inbound["profile_id"] and session.version < version:
        before = session.draft.doc["metadata"]["status"] if session.version >= 0 else ""
        if is_document:
            taken_over.session(session.draft, payload.track)
            session.version, session.dirty = version, True
        else:
            touch_session(session, version, seen, at, payload.track, channel=channel)
        if is_past(payload.inbound["origin"]):
            taken_over.over(session.draft, before)
    if payload.ends is not None:
        end_session(payload.ends, version)
    if profile is not None and payload.profile_lacks:
        if new_visit:
            begin_visit(profile.draft, seen[0].at, seen[0].zone)
        if payload.is_made:
            for one in seen:
                made_sessions.note(profile.draft, payload.track["session_id"] or "", one.at)
        touch_profile(profile, version, 0 if is_document else len(seen), at)


def _is_flow_change(payload: Payload, event: Event) -> bool:
    return event["type"] == flow_changes.TYPE and payload.inbound["source"] == flow_changes.SOURCE


def _seen(payload: Payload, event: Event, own_time: str | None, done: _Done) -> Seen:
    at = payload.counts_at(event, own_time or payload.received_at)
    return Seen(event["id"], event["type"], at, done.told.fields, done.told.zone)


def _hand(payload: Payload, event: Event, at: str, properties: Any, context: Any) -> Hand:
    profile = payload.profile
    return Hand(
        event["id"],
        event["type"],
        at,
        payload.inbound["source"],
        properties=properties,
        context=context,
        request=payload.track["request"],
        around=around_of(payload.track["context"]),
        received_at=payload.received_at,
        profile=None if profile is None else profile.draft.doc,
    )


def _flags(payload: Payload, partition: str, done: _Done, *, first: bool) -> list[str]:
    flags = list(payload.flags)
    if partition == OUTLIERS:
        flags.append("time_out_of_range")
    if payload.session is not None and payload.session.holder != payload.inbound["profile_id"]:
        flags.append("session_of_another_profile")
    if first and payload.starts_visit:
        flags.append("visit_started")
    if any(decision.did == "shared" for decision in done.decisions):
        flags.append("identifier_shared")
    if any(decision.did == "too_large" for decision in done.decisions):
        flags.append("profile_too_large")
    if done.is_odd:
        flags.append("odd_index_field")
    if done.has_failed:
        flags.append("mapping_problem")
    if done.hand is not None:
        flags += done.hand.flags
    return flags


def _digest(event: Event) -> bytes:
    """16 bytes of what the client said: another digest under the same id is a conflict."""
    said = b"%b\x00%d\x00%b%b" % (
        event["type"].encode(),
        event["time_ms"] or 0,
        event["properties"],
        event["context"],
    )
    return blake2b(said, digest_size=16).digest()
