"""What two profiles would be, had a merge not happened: from the journal, and from the events since."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from hub.edge.identifiers import identifiers
from hub.model import MergeEntry, Session, Undo
from hub.pipeline import membership, taken_over
from hub.pipeline.applied import applied
from hub.pipeline.copying import apply, lines_copied, target_of
from hub.pipeline.definitions import Definitions
from hub.pipeline.draft import Draft
from hub.pipeline.flow_changes import asked_by, is_overtaken
from hub.pipeline.histories import SOURCE, note_event, times_ms
from hub.pipeline.identity import IDENTIFIERS, LATE, Follower, Reason
from hub.pipeline.made_sessions import note
from hub.pipeline.mapping import Sent, map_event
from hub.pipeline.merging import merge
from hub.pipeline.past import is_done
from hub.pipeline.payload import NO_SESSION
from hub.pipeline.rules.compliance import as_sent
from hub.pipeline.rules.enrichment import FIELDS, joined
from hub.pipeline.rules.hand import INVALID
from hub.pipeline.touched import claimed_by
from hub.pipeline.visits import begin_visit


class Parts(NamedTuple):
    """
    The profiles, from merge to merge and event to event.

    Attributes:
        there: All whose events these are by now: the survivor, then the loser, then the followers.
        followers: Those that were merged later because of the loser; they are not the survivor's either, and have to be
            merged with the loser anew.
        elsewhere: Ids that were the survivor's, and are not in any of these: what was theirs went away with them.
        sessions: Whose each one is, of those that are not the survivor's.
    """

    survivor: Draft
    loser: Draft
    there: list[Draft]
    followers: dict[str, Draft]
    reasons: dict[str, tuple[MergeEntry, Reason]]
    elsewhere: set[str]
    sessions: dict[str, str]

    def given_up(self) -> list[Follower]:
        """The followers, as the record of the loser's restoration carries them."""
        return [
            Follower(entry.loser_id, entry.id, self.followers[entry.loser_id].doc, reason)
            for entry, reason in self.reasons.values()
        ]

    def holder(self, id: str) -> Draft | None:
        """Of which profile an id is; None: of one that was told apart from all of these since."""
        return next((draft for draft in self.there if id in draft.doc["ids"]), None)

    def holder_of_session(self, claimant: str) -> Draft | None:
        """
        Of which profile is what came because of a session. Args: claimant: the id that the session was claimed with.
        """
        return None if claimant in self.elsewhere else self.holder(claimant) or self.survivor


def rebuild(undo: Undo, definitions: Definitions) -> Parts:
    """
    Both as they were before the merge, with what came since where it belongs.

    An event belongs to the profile id that it was sent with, or to that which claimed the session because of which it
    came; a session, and the visit that it is, to the one that claimed it; a later merge to the profile that it was made
    because of. Events are mapped by the definitions in force now, as far as they were (`hub.pipeline.applied`): a
    mapping that is younger than an event, and was not copied, is left for a copy.

    If the survivor held somebody then who is told apart by now, it begins as it was before that one came, and the loser
    comes in between.
    """
    survivor, loser = (Draft(msgspec.json.decode(doc)) for doc in (undo.first.survivor, undo.entry.loser))
    parts = Parts(survivor, loser, [survivor], {}, {}, set(), {})
    undone = {entry.id for entry in undo.undone}
    steps: list[tuple[tuple[int, ...], MergeEntry | dict[str, Any]]] = [
        ((entry.version, 0, 0), entry) for entry in (*undo.merges, *undo.undone, undo.entry)
    ]
    for doc in undo.events:
        event = msgspec.json.decode(doc)
        steps.append((_place(undo, event), event))
    for _, step in sorted(steps, key=itemgetter(0)):
        if not isinstance(step, MergeEntry):
            _event(parts, step, definitions, undo.sessions)
        elif step.id == undo.entry.id:
            _begin(parts, undo)
        elif step.id in undone:
            parts.elsewhere.update(msgspec.json.decode(step.loser)["ids"])
        else:
            _merge(parts, step)
    _copies(parts, undo, definitions)
    for id, session in undo.sessions.items():
        holder = parts.holder(claimed_by(session.doc))
        # it may be held by somebody who was part of the survivor, or is still
        if holder is not None and session.profile_id not in holder.doc["ids"]:
            parts.sessions[id] = holder.doc["id"]
    return parts


def tell_apart(now: Mapping[str, Any], parts: Parts, undo: Undo) -> None:
    """
    Whom no identifier merges with the survivor: the loser, who goes with it, and whoever was told apart from it before.

    Args: now: the document of both as one.
    """
    metadata = parts.survivor.object(("metadata",))
    from_it = {*(entry.loser_id for entry in undo.undone), *(stay.host for stay in undo.stays)}
    from_others = {id for draft in parts.there[1:] for id in draft.doc["metadata"].get("apart", ())}
    before = (id for id in now["metadata"].get("apart", ()) if id in from_it or id not in from_others)
    apart = dict.fromkeys((*metadata.get("apart", ()), *before, undo.entry.loser_id, *parts.followers))
    metadata["apart"] = [id for id in apart if id not in parts.survivor.doc["ids"]]


def _place(undo: Undo, event: dict[str, Any]) -> tuple[int, ...]:
    """Where the event belongs among the versions of the survivor."""
    host, version = event["profile"]["id"], event["outcome"]["profile_version"]
    stay = max(
        ((stay.since, stay.place) for stay in undo.stays if stay.host == host and stay.since < version), default=None
    )
    within = () if stay is None else stay[1]
    return (*within, version, 0, event["metadata"]["position"]["place"])


def _begin(parts: Parts, undo: Undo) -> None:
    """The moment of the merge."""
    if undo.first.id != undo.entry.id:
        then = msgspec.json.decode(undo.entry.survivor)
        others = (msgspec.json.decode(one.loser) for one in undo.undone if one.loser_id in then["ids"])
        membership.keep(parts.survivor, then, others)
    parts.elsewhere.difference_update(parts.loser.doc["ids"])
    parts.there.append(parts.loser)


def _copies(parts: Parts, undo: Undo, definitions: Definitions) -> None:
    """What was copied since, of events that came before: into whom they belong to."""
    later = {msgspec.json.decode(doc)["id"] for doc in undo.events} if undo.copied else ()
    for doc in undo.copied:
        event = msgspec.json.decode(doc)
        lines = lines_copied(event, definitions, undo.entry.survivor_id, undo.first.version)
        holder = parts.holder(target_of(event))
        if lines and holder is not None and event["id"] not in later:
            apply(lines, event, holder, definitions.types)


def _merge(parts: Parts, entry: MergeEntry) -> None:
    doc = msgspec.json.decode(entry.loser)
    parts.elsewhere.difference_update(doc["ids"])
    reason = msgspec.json.decode(entry.reason, type=Reason)
    # what went on to the survivor because another had ended in it is that one's
    because = {reason.profile_id, reason.other_id, reason.into or entry.survivor_id}.difference(doc["ids"])
    holders = [parts.holder(id) for id in because]
    if all(holder is None or holder is parts.survivor for holder in holders):
        merge(parts.survivor, doc)
    else:
        parts.followers[entry.loser_id] = follower = Draft(doc)
        parts.there.append(follower)
        parts.reasons[entry.loser_id] = (entry, msgspec.structs.replace(reason, into=None))


def _event(parts: Parts, event: dict[str, Any], definitions: Definitions, sessions: Mapping[str, Session]) -> None:
    if event["source"]["id"] == SOURCE:
        return  # an event on a segment, which changes nothing
    metadata = event["metadata"]
    sender = metadata.get("sent_as") or event["profile"]["id"]
    way = metadata.get("forwarded_for")
    has_session = event["session"] is not None and NO_SESSION not in metadata["flags"]
    session = sessions.get(event["session"]["id"]) if has_session else None
    # what names one that is not held here any more came with another's: else it had gone with it
    claimant = claimed_by(session.doc) if session is not None else "" if has_session else sender
    received, own = metadata["time"]["insert"], metadata["time"]["create"]
    at = own or received
    sent_at = received if "time_out_of_range" in metadata["flags"] else at
    # one that is not held any more went away with its events, as another merge was undone
    visitor = None if session is None else parts.holder_of_session(claimant)
    if visitor is not None and "visit_started" in metadata["flags"]:
        begin_visit(visitor, sent_at, metadata["time"].get("zone", ""))
    profile = visitor if way == "session" else parts.holder(sender)
    if profile is None:
        return
    view: dict[str, Any] = {
        "id": event["id"],
        "type": event["type"],
        "time": at,
        "source": event["source"]["id"],
        "properties": event["properties"],
        "context": event["context"],
        **{name: event[name] for name in FIELDS if name in event},
    }
    rule = definitions.types.get(event["type"])
    if rule is not None:
        view.update(joined(view, rule.indexed(view)[0]))
    sent = Sent(sent_at, event["id"], sender, way in LATE or claimant != sender)
    if INVALID not in metadata["flags"]:
        lines = applied(definitions.mappings.get(event["type"], ()), event)
        if is_done(metadata["origin"]):
            lines = taken_over.again(event, profile, lines)
        elif (own := asked_by(event)) is not None:
            late = sent.late or (bool(own.lines) and is_overtaken(profile.doc, sent.at))
            sent, lines = sent._replace(late=late), [*own.lines, *lines]
            when = membership.At(times_ms(event)[1], received, event["id"])
            membership.apply_list(profile, definitions.segments, when, add=own.enter, remove=own.leave, by="flow")
        map_event(lines, view, profile, sent)
        note_event(profile, definitions.segments.noted.get(event["type"], ()), event, *times_ms(event))
        view.update(as_sent(event))
        points, key = definitions.points.of(event["type"]), definitions.identity_key
        for identifier in identifiers(points, event["source"]["id"], view, key)[0]:
            profile.object(IDENTIFIERS).setdefault(identifier.hash, [identifier.label, at, event["id"]])
    stats, time = profile.object(("stats",)), profile.object(("metadata", "time"))
    stats["events"] += not taken_over.is_of_document(event)
    time["update"] = max(time["update"], received)
    if metadata.get("session_made") and session is not None and parts.holder(claimant) is profile:
        note(profile, session.id, sent_at)
