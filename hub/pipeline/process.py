"""What a batch of records does: the pure core of the collector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from hub import ids
from hub.model import Batch, Counts, DeadLetter, KnownEvent, Position, Privacy
from hub.pipeline import letters, membership, privacy
from hub.pipeline.definitions import Definitions
from hub.pipeline.documents import iso
from hub.pipeline.flow_triggers import FlowTriggers
from hub.pipeline.holders import NOBODY, Holders, onward
from hub.pipeline.identity import FOR_SENDER, Identities, Why, cause_of, is_long, is_movable
from hub.pipeline.modes import keeps_nothing
from hub.pipeline.patches import is_patch
from hub.pipeline.records import Decoded, LogRecord
from hub.pipeline.state import State
from hub.pipeline.tally import Tally
from hub.pipeline.touched import Touched
from hub.pipeline.tracks import Tracks
from hub.pipeline.undo import rebuild, tell_apart
from schemas.records import MERGE, REFUSED, TRACK, Inbound, Merge, Stored, Trigger

MOST_STUMBLES: Final = 10
"""Records of one batch that our own code may stumble over before it stops."""


class Outcome(msgspec.Struct, frozen=True):
    """
    What to write and what to tell. `stored` and `dead_letters` are in the order of the log; a replay tells again.

    `known`: the events stored by this batch. `conflicts`: duplicates that say something else than the first, by source.
    `own_dead`: events that died here, of those counted for the first time; neither what a bridge refused nor what was
    dead before, nor what a validator refused. `filtered`: those that a filter dropped, by its id. `voided`: those that
    came from people who want none kept, or are too old, by why (`hub.pipeline.privacy.WHY`). `triggers`: what its
    events are to flows, for triggers.v1; a replay tells them again.
    """

    batch: Batch
    stored: list[Stored]
    dead_letters: list[DeadLetter]
    known: dict[str, KnownEvent]
    conflicts: dict[str, int]
    own_dead: int
    filtered: dict[str, int] = {}
    voided: dict[str, int] = {}
    triggers: list[Trigger] = []


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
        take = run.take_for_flows if definitions.flows or state.replayed else run.take
        for place, decoded in enumerate(records):
            try:
                take(decoded)
            except Exception as exc:
                stumbled += 1
                if isinstance(exc, MemoryError) or stumbled > MOST_STUMBLES:
                    raise
                # half of it may have been applied to the drafts: begin anew, without it
                records[place] = Decoded(decoded.record, None, f"the collector stumbled over it: {exc!r}")
                break
        else:
            return run.outcome()


class _Run:
    """One call of `process`."""

    def __init__(self, state: State, definitions: Definitions, holders: Holders) -> None:
        self._state = state
        self._holders = holders
        self._definitions = definitions
        self._touched = Touched(state.profiles, state.sessions)
        self._identities = Identities(state.identity, self._touched, definitions.most_profiles)
        self._tally = Tally(state.epoch, state.progress)
        self._tracks = Tracks(state, definitions, self._touched, self._identities, self._tally)
        self._flows = FlowTriggers(
            definitions.flows,
            self._touched,
            state.replayed,
            events=self._tracks.events,
            stored=self._tracks.stored,
        )
        self._privacy: Privacy | None = None

    def take_for_flows(self, decoded: Decoded) -> None:
        """As `take`, in a hub that has flows."""
        self.take(decoded)
        if decoded.inbound is not None:
            self._flows.of_record(decoded.inbound)

    def take(self, decoded: Decoded) -> None:
        told = len(self._tally.told)
        fresh = self._tally.advance(decoded)
        if self._is_void(decoded, fresh=fresh):
            return
        if not self._goes_elsewhere(decoded, fresh=fresh):
            self._take(decoded, told, fresh=fresh)
        if not fresh and self._state.replayed:
            self._tracks.segmenting.tell_again(decoded)

    def _take(self, decoded: Decoded, told: int, *, fresh: bool) -> None:
        """It is applied here. Args: told: how many letters there were before it."""
        if not fresh:
            counts = Counts()
        elif letters.is_outward(decoded.inbound):
            counts = Counts(received=1)  # counted nowhere: it says what became of a letter that is sent again
        else:
            counts = self._tally.counts_of(decoded)
        self._apply(decoded, counts)
        if counts.received and len(self._tally.told) == told:
            self._tally.resolve(decoded)

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
            self._tally.counts_of(decoded).dropped += decoded.weight
            self._tally.void(privacy.why(void), decoded.weight)
            self._tally.resolve(decoded)
        return True

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
        alias = self._identities.alias(inbound["profile_id"])
        is_back = alias is None and self._goes_back(record, inbound)
        # what goes back has begun no session here
        holder = NOBODY if is_back else self._holders.of(inbound)
        is_merge = inbound["body"][0] == MERGE
        if alias is not None and position.version > alias.version and not _is_restore(inbound):
            if fresh:
                self._identities.forward(cause_of(record, inbound, position), alias.into, "alias")
            return True
        order = privacy.order_of(inbound)
        if not fresh:
            is_order = order is not None or is_patch(inbound)
            return is_merge or is_order or not self._was_applied(inbound, position, holder)
        if inbound["body"][0] == MERGE:
            self._merge(record, inbound, inbound["body"][1], position)
            return True
        if self._goes_on(record, inbound, position, holder):
            return True
        if order is not None:
            self._order(order, inbound, position)
        elif is_patch(inbound):
            self._tracks.segmenting.of_patch(cause_of(record, inbound, position))
        return order is not None or is_patch(inbound)

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
        return None if self._identities.holds(profile, holder) else onward(inbound, self._identities.root(holder))

    def _goes_back(self, record: LogRecord, inbound: Inbound) -> bool:
        """Whether the record was handed on to here for somebody who is no part of the profile, or not yet."""
        why = inbound.get("forwarded_for")
        if why not in FOR_SENDER or (why == "return" and is_long(record, inbound)):
            return False
        profile = self._touched.profile(inbound["profile_id"], iso(inbound["received_at_ms"]))
        return (inbound.get("sent_as") or "") not in profile.draft.doc["ids"]

    def _merge(self, record: LogRecord, inbound: Inbound, body: Merge, position: Position) -> None:
        cause, segmenting = cause_of(record, inbound, position), self._tracks.segmenting
        if body["step"] == "ask":
            self._identities.asked(cause, body)
        elif body["step"] == "data":
            self._identities.take(cause, segmenting.before_merge(cause, body))
        elif body["step"] == "restore":
            self._identities.restored(cause, body)
        elif body["step"] == "undo":
            undo = self._identities.undo_of(inbound["id"])
            if undo is None or undo.entry.survivor_id != inbound["profile_id"]:
                return
            parts = rebuild(undo, self._definitions)
            followers = parts.given_up()
            if not is_movable(parts.loser.doc, followers):
                return
            now = self._touched.profile(inbound["profile_id"], cause.at).draft.doc
            membership.part(now, parts.survivor, parts.loser)
            tell_apart(now, parts, undo)
            self._identities.touch(self._touched.put(inbound["profile_id"], parts.survivor.doc), cause)
            for id in sorted(parts.sessions):
                self._touched.give(undo.sessions[id], parts.sessions[id])
            self._identities.restore(cause, undo.entry.loser_id, parts.loser.doc, undo.entry.id, followers)
            for merge_id in (undo.entry.id, *(one.merge_id for one in followers)):
                self._identities.undone(merge_id, inbound["received_at_ms"])
        else:
            raise ValueError(f"this collector does not know the step {body['step']!r} of a merge")
        segmenting.of_merge(cause)

    def _apply(self, decoded: Decoded, counts: Counts) -> None:
        record, inbound = decoded.record, decoded.inbound
        position = Position(self._state.epoch, record.partition, record.offset, 0)
        if inbound is None:
            self._tally.bury(record, letters.undecodable(record, position, decoded.error), counts)
            return
        kind = inbound["body"][0]
        if inbound["body"][0] == TRACK:
            self._tracks.take(record, self._identities.in_turn(inbound), inbound["body"][1], counts)
        elif inbound["body"][0] == REFUSED:
            self._tally.bury(record, letters.refused(position, inbound, inbound["body"][1]), counts)
        else:
            detail = (
                f"this collector does not know {kind.rpartition('.')[2]} records: update it, then replay the letter"
            )
            self._tally.bury(record, letters.failed(record, position, inbound, "unsupported_record", detail), counts)

    def outcome(self) -> Outcome:
        tally, tracks = self._tally, self._tracks
        batch = Batch(
            epoch=self._state.epoch,
            progress=tally.progress(),
            events=tracks.events,
            profiles=self._touched.profiles(),
            sessions=self._touched.sessions(),
            dead_letters=tally.dead,
            counters=tally.counters,
            failed_again=tally.failed_again,
            resolved=tally.resolved,
            identity=self._identities.outcome(),
            privacy=self._privacy,
            voids=list(self._state.judged.more),
            due=tracks.segmenting.outcome(),
            copied=tracks.segmenting.copied(),
        )
        return Outcome(
            batch,
            tracks.stored,
            tally.told,
            tracks.known,
            tally.conflicts,
            tally.own_dead,
            tally.filtered,
            tally.voided,
            self._flows.found,
        )


def _is_restore(inbound: Inbound) -> bool:
    return inbound["body"][0] == MERGE and inbound["body"][1]["step"] == "restore"
