"""What the records of a batch do to who is in which segment, and what has to be told of that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from hub.conditions.moments import due_ms as in_ms
from hub.model import Copied, Counts, Position, StoredEvent
from hub.pipeline.copying import Copying
from hub.pipeline.definitions import Definitions
from hub.pipeline.documents import NOTHING
from hub.pipeline.draft import Draft
from hub.pipeline.histories import SOURCE, begin, level, note_event
from hub.pipeline.identity import Cause, Identities
from hub.pipeline.mapping import Change
from hub.pipeline.membership import At, Crossing, apply_list, judge, leave_gone
from hub.pipeline.patches import ChangeSegments, CopyEvents, operations_of
from hub.pipeline.payload import Payload
from hub.pipeline.records import Decoded
from hub.pipeline.segment_events import Told, id_at, stored_event, told_of, with_looked
from hub.pipeline.segments import Some
from hub.pipeline.state import State
from hub.pipeline.system_events import EVERY
from hub.pipeline.tally import Tally
from hub.pipeline.touched import Open, Touched
from schemas.records import Event, Inbound, Merge, Stored

NOBODY: Final[frozenset[str]] = frozenset()
MOST_BEHIND: Final = 1 + len(EVERY)


class Segmenting:
    """
    The segments of the profiles of a batch. Each is judged by the definitions of the batch, as of its record's time.

    Attributes:
        due: As in `Batch`.
    """

    def __init__(
        self,
        state: State,
        definitions: Definitions,
        touched: Touched,
        identities: Identities,
        tally: Tally,
        *,
        events: list[StoredEvent],
        stored: list[Stored],
    ) -> None:
        """Args: events, stored: of the batch, to be added to."""
        self._state = state
        self._segments = definitions.segments
        self._offset = definitions.offset
        self._touched = touched
        self._identities = identities
        self._tally = tally
        self._events = events
        self._stored = stored
        self._level: set[str] = set()
        self._changed: set[str] = set()
        self._noted: set[str] = set()
        self._moves: list[tuple[Sequence[str], Sequence[str]]] = []
        self.due: dict[str, int | None] = {}
        self._copying = Copying(state.copied, definitions)

    def learn(self, changes: Iterable[Change]) -> None:
        """What an event of the payload in hand has changed in its profile."""
        if self._segments:
            for change in changes:
                self._changed.add(change.field)

    def note(self, payload: Payload, event: Event, view: Mapping[str, Any]) -> None:
        """An event goes into its profile's history. Args: view: as mappings see it."""
        profile, some = payload.profile, self._segments.noted.get(event["type"])
        if profile is None or not some:
            return
        session_id = payload.track["session_id"]
        document = {
            **view,
            "source": {"id": payload.inbound["source"]},
            "session": {"id": session_id} if session_id else None,
        }
        self._bring_level(profile)
        time_ms, now_ms = payload.counts_ms(event), payload.inbound["received_at_ms"]
        self._noted.update(note_event(profile.draft, some, document, time_ms, now_ms))

    def move(self, enter: Sequence[str], leave: Sequence[str]) -> None:
        """A flow lets the profile of the payload in hand into segments without a condition, and out of others."""
        if self._segments:
            self._moves.append((enter, leave))

    def of_payload(self, payload: Payload, counts: Counts, told: int) -> None:
        """
        Judge a profile once all of a payload is applied to it.

        Args: counts: of its record. told: how many events of the batch had been told before it.
        """
        changed, self._changed = self._changed, set()
        profile = payload.profile
        if profile is None or not payload.profile_lacks or self._identities.alias(profile.holder) is not None:
            self._noted.clear()  # what was merged is judged where it went
            self._moves.clear()
            return
        if not self._segments and not _is_left_over(profile.draft.doc):
            return
        last = self._last_of(payload, told)
        event_id = None if last is None else self._stored[last]["id"]
        at = At(payload.inbound["received_at_ms"], payload.received_at, event_id)
        is_new = profile.created and "judged" not in profile.draft.doc["metadata"]
        self._bring_level(profile)
        noted, self._noted = self._noted, set()
        which = self._segments.concerned(changed, noted, is_new=is_new)
        moved = self._moved(profile, at) if self._moves else ()
        some, crossings = self._look(profile, which, at, is_new=is_new)
        crossings = [*moved, *crossings] if moved else crossings
        position = Position(self._state.epoch, payload.record.partition, payload.record.offset, 0)
        if last is not None:
            self._summarise(last, some, crossings)
        # behind its own events and those of the hub's that each of them may have caused
        behind = len(payload.track["events"]) * (1 + len(EVERY))
        self._tell(crossings, payload.inbound, position, behind, at, is_counted=bool(counts.received))

    def _moved(self, profile: Open, at: At) -> list[Crossing]:
        """What flows have asked for."""
        moves, self._moves = self._moves, []
        return [
            crossing
            for enter, leave in moves
            for crossing in apply_list(profile.draft, self._segments, at, add=enter, remove=leave, by="flow")
        ]

    def of_patch(self, cause: Cause) -> None:
        """Do what a Patch asks for (`hub.pipeline.patches`); nothing, if there is no such profile."""
        inbound, position = cause.inbound, cause.position
        if not self._touched.has(inbound["profile_id"]):
            return
        profile = self._touched.profile(inbound["profile_id"], cause.at)
        if profile.version >= position.version:
            return
        at = At(inbound["received_at_ms"], cause.at, None)
        self._bring_level(profile)
        noted, self._noted = self._noted, set()
        which = self._segments.concerned((), noted, is_new=False) if noted else NOBODY
        crossings: list[Crossing] = []
        judged = frozenset(self._segments.judged)
        for one in operations_of(inbound):
            if isinstance(one, ChangeSegments):
                crossings += apply_list(profile.draft, self._segments, at, add=one.add, remove=one.remove, by=one.by)
            elif isinstance(one, CopyEvents):
                which |= self._copy(profile, one, cause)
            else:
                which |= judged if one.segments is None else judged.intersection(one.segments)
        some, crossed = self._look(profile, which, at)
        crossings += crossed
        # whoever asks may have it in the store from elsewhere: then this is the answer
        self.due[profile.holder] = profile.draft.doc["metadata"].get("due")
        self._identities.touch(profile, cause)
        self._of_record(cause, some, crossings, at)

    def _copy(self, profile: Open, what: CopyEvents, cause: Cause) -> frozenset[str]:
        """Copy stored events into their profile. Returns which segments that concerns."""
        changes = self._copying.copy(profile.draft, what, cause.position.version)
        if not changes:
            return NOBODY
        time = profile.draft.object(("metadata", "time"))
        time["update"] = max(time["update"], cause.at)
        return self._segments.concerned({one.field for one in changes}, set(), is_new=False)

    def copied(self) -> list[Copied]:
        """As `Batch.copied`."""
        return self._copying.outcome()

    def before_merge(self, cause: Cause, body: Merge) -> Merge:
        """Bring both profiles level before one takes the other's data. Returns the record's body with that."""
        if not self._segments or body["step"] != "data":
            return body
        self._bring_level(self._touched.profile(cause.inbound["profile_id"], cause.at))
        self._noted.clear()
        filled = self._state.filled.get(body["loser_id"])
        if not filled:
            return body
        loser = Draft(msgspec.json.decode(body["snapshot"]))
        level(loser, self._segments.series, filled)
        return {**body, "snapshot": msgspec.json.encode(loser.doc)}

    def of_merge(self, cause: Cause) -> None:
        """Judge the profile of a merge's step anew, if the step has changed it."""
        profile_id = cause.inbound["profile_id"]
        if not self._touched.has(profile_id) or self._identities.alias(profile_id) is not None:
            return
        profile = self._touched.profile(profile_id, cause.at)
        if not profile.dirty or profile.version != cause.position.version:
            return
        if not self._segments and not _is_left_over(profile.draft.doc):
            return
        is_whole = True
        if profile_id not in self._level:
            # one that was put together anew: what was made of the store for it was for what it was before
            self._level.add(profile_id)
            level(profile.draft, self._segments.series, NOTHING)
            is_whole = False
        at = At(cause.inbound["received_at_ms"], cause.at, None)
        self._of_record(cause, *self._look(profile, frozenset(self._segments.judged), at), at)
        if not is_whole:
            # its histories may have gaps: they are filled when something comes for it next, and it is judged by all
            profile.draft.object(("metadata",)).pop("judged", None)

    def tell_again(self, decoded: Decoded) -> None:
        """Of a record that was counted before: the events on what it led to."""
        inbound, record = decoded.inbound, decoded.record
        if inbound is None or not inbound["profile_id"]:
            return
        position = Position(self._state.epoch, record.partition, record.offset, 0)
        number = 0
        while (document := self._state.replayed.get(id_at(position, number))) is not None:
            told = told_of(document)
            self._say(told, inbound, position.version, document)
            number += 1

    def outcome(self) -> dict[str, int | None]:
        """As `Batch.due`: of those that are profiles still."""
        return {id: at for id, at in self.due.items() if self._identities.alias(id) is None}

    def _last_of(self, payload: Payload, told: int) -> int | None:
        """The place of the last event that was sent in it, among those told. Args: told: how many were before it."""
        own = [event["id"] for event in payload.track["events"]]
        if len(self._stored) > told and self._stored[-1]["id"] == own[-1]:
            return len(self._stored) - 1
        places = range(len(self._stored) - 1, told - 1, -1)
        return next((place for place in places if self._stored[place]["id"] in own), None)

    def _bring_level(self, profile: Open) -> None:
        """Before anything is noted or judged: its histories are those that are asked for now. Once a batch."""
        id = profile.holder
        if id in self._level:
            return
        self._level.add(id)
        if profile.created:
            begin(profile.draft, self._segments.series)
            return
        filled, series, metadata = self._state.filled.get(id), self._segments.series, profile.draft.doc["metadata"]
        # since it was judged by the newest there are at most fewer; to compare all keys takes as long as some judging
        is_newest = not filled and metadata.get("judged") == self._segments.newest
        if is_newest and len(metadata.get("history", NOTHING)) == len(series):
            return
        level(profile.draft, series, filled or NOTHING)
        self._noted.update(filled or NOTHING)

    def _look(
        self, profile: Open, which: frozenset[str], at: At, *, is_new: bool = False
    ) -> tuple[Some, list[Crossing]]:
        """
        Judge these, and whatever else has to be looked at now. Returns all of them, and what came of it.

        That is what is defined anew since the profile was judged last, and all that time may have changed.
        """
        segments, metadata = self._segments, profile.draft.doc["metadata"]
        judged = metadata.get("judged", -1)
        if judged < segments.newest and not is_new:
            which |= segments.since(judged)
        due_ms = metadata.get("due")
        if due_ms is not None and due_ms <= at.now_ms:
            which |= segments.timed
        some = segments.some(which)
        crossings = [*leave_gone(profile.draft, segments), *judge(profile.draft, some, at)]
        if judged != segments.newest:
            own = profile.draft.object(("metadata",))
            own["judged"] = segments.newest
            if not segments:
                del own["judged"]
        self._schedule(profile, some, at.now_ms)
        return some, crossings

    def _schedule(self, profile: Open, some: Some, now_ms: int) -> None:
        """When to look at the profile again though nothing comes for it. Args: some: were looked at just now."""
        before = profile.draft.doc["metadata"].get("due")
        is_due = before is not None and before <= now_ms
        if not some.timed and not is_due:
            return
        moment = some.due_us(profile.draft.doc, now_ms * 1000)
        due_ms = None if moment is None else in_ms(moment)
        if before is not None and not is_due and len(some.timed) < len(self._segments.timed):
            # of those that were not looked at nothing else is known
            due_ms = before if due_ms is None else min(before, due_ms)
        if due_ms == before:
            return
        metadata = profile.draft.object(("metadata",))
        if due_ms is None:
            del metadata["due"]
        else:
            metadata["due"] = due_ms
        self.due[profile.holder] = due_ms

    def _of_record(self, cause: Cause, some: Some, crossings: list[Crossing], at: At) -> None:
        """Tell of a record that has no events of its own."""
        self._tell(crossings, cause.inbound, cause.position, 0, at, is_counted=True)
        if crossings:
            self._summarise(len(self._stored) - 1, some, crossings)

    def _summarise(self, place: int, some: Some, crossings: list[Crossing]) -> None:
        """The last event of the record says what the record did. Args: place: of that event among those told."""
        if not (some.segments or crossings):
            return
        told = self._stored[place]
        told["event"] = document = with_looked(told["event"], some.looked, crossings)
        if crossings:
            told["segments_entered"] = [one.segment for one in crossings if one.entered]
            told["segments_left"] = [one.segment for one in crossings if not one.entered]
        # behind it there may be events of the hub's that it has caused
        for number in range(len(self._events) - 1, max(-1, len(self._events) - MOST_BEHIND - 1), -1):
            if self._events[number].id == told["id"]:
                # nobody has seen it yet; a copy of all its fields takes as long as all the rest of this
                msgspec.structs.force_setattr(self._events[number], "doc", document)
                return

    def _tell(
        self, crossings: list[Crossing], inbound: Inbound, position: Position, behind: int, at: At, *, is_counted: bool
    ) -> None:
        """The events on crossings: stored, and counted as received and stored at once. Args: behind: their place."""
        for number, crossing in enumerate(crossings):
            event = stored_event(
                crossing,
                inbound,
                position._replace(place=behind + number),
                number,
                event_id=at.event_id,
                definitions=self._offset,
                at=at.now,
            )
            self._events.append(event)
            own = Counts()
            if is_counted:
                own = self._tally.counts_at(position.partition, event.source, inbound["received_at_ms"])
            own.received += 1
            own.stored += 1
            self._say(Told(event.id, event.type, [], []), inbound, position.version, event.doc)

    def _say(self, told: Told, inbound: Inbound, version: int, document: bytes) -> None:
        self._stored.append(
            Stored(
                id=told.id,
                profile_id=inbound["profile_id"],
                profile_version=version,
                source=SOURCE,
                type=told.type,
                time_ms=inbound["received_at_ms"],
                event=document,
                segments_entered=told.entered,
                segments_left=told.left,
            )
        )


def _is_left_over(document: Mapping[str, Any]) -> bool:
    """Whether a profile has something of segments that are not defined any more. Args: document: of the profile."""
    return bool(document["segments"]) or "history" in document["metadata"]
