"""What two profiles would be, had a merge not happened: from the journal, and from the events since."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec

from hub.edge.identifiers import identifiers
from hub.model import MergeEntry, Session, Undo
from hub.pipeline.definitions import Definitions
from hub.pipeline.draft import Draft
from hub.pipeline.histories import SOURCE, note_event, times_ms
from hub.pipeline.identity import IDENTIFIERS, LATE, Follower, Reason
from hub.pipeline.made_sessions import note
from hub.pipeline.mapping import Sent, map_event
from hub.pipeline.merging import merge
from hub.pipeline.rules.compliance import as_sent
from hub.pipeline.rules.enrichment import FIELDS, joined
from hub.pipeline.rules.hand import INVALID
from hub.pipeline.touched import claimed_by
from hub.pipeline.visits import begin_visit


class Parts(NamedTuple):
    """
    The profiles. `followers`: those that were merged later because of the loser; they are not the survivor's either,
    and have to be merged with the loser anew. `sessions`: whose each one is, of those that are not the survivor's.
    """

    survivor: Draft
    loser: Draft
    followers: dict[str, Draft]
    reasons: dict[str, tuple[MergeEntry, Reason]]
    sessions: dict[str, str]

    def given_up(self) -> list[Follower]:
        """The followers, as the record of the loser's restoration carries them."""
        return [
            Follower(entry.loser_id, entry.id, self.followers[entry.loser_id].doc, reason)
            for entry, reason in self.reasons.values()
        ]

    def holder(self, id: str) -> Draft | None:
        """Of which profile an id is; None: of one that was told apart from all of these since."""
        every = (self.survivor, self.loser, *self.followers.values())
        return next((draft for draft in every if id in draft.doc["ids"]), None)


def rebuild(undo: Undo, definitions: Definitions) -> Parts:
    """
    Both as they were before the merge, with what came since where it belongs.

    An event belongs to the profile id that it was sent with, or to that which claimed the session because of which it
    came; a session to the one that claimed it; a later merge to the profile that it was made because of. Events are
    mapped by the definitions in force now.
    """
    survivor, loser = (Draft(msgspec.json.decode(doc)) for doc in (undo.entry.survivor, undo.entry.loser))
    parts = Parts(survivor, loser, {}, {}, {})
    steps: list[tuple[tuple[int, ...], MergeEntry | dict[str, Any]]] = [
        ((entry.version, 0, 0), entry) for entry in undo.merges
    ]
    for doc in undo.events:
        event = msgspec.json.decode(doc)
        steps.append((_place(undo, event), event))
    for _, step in sorted(steps, key=itemgetter(0)):
        if isinstance(step, MergeEntry):
            _merge(parts, step)
        else:
            _event(parts, step, definitions, undo.sessions)
    for id, session in undo.sessions.items():
        holder = parts.holder(claimed_by(session.doc))
        if holder is not None and holder is not survivor:
            parts.sessions[id] = holder.doc["id"]
    return parts


def _place(undo: Undo, event: dict[str, Any]) -> tuple[int, ...]:
    """Where the event belongs among the versions of the survivor."""
    host, version = event["profile"]["id"], event["outcome"]["profile_version"]
    stay = max(
        ((stay.since, stay.place) for stay in undo.stays if stay.host == host and stay.since < version), default=None
    )
    within = () if stay is None else stay[1]
    return (*within, version, 0, event["metadata"]["position"]["place"])


def _merge(parts: Parts, entry: MergeEntry) -> None:
    doc = msgspec.json.decode(entry.loser)
    reason = msgspec.json.decode(entry.reason, type=Reason)
    because = {reason.profile_id, reason.other_id}.difference(doc["ids"])
    holders = [parts.holder(id) for id in because]
    if all(holder is None or holder is parts.survivor for holder in holders):
        merge(parts.survivor, doc)
    else:
        parts.followers[entry.loser_id] = Draft(doc)
        parts.reasons[entry.loser_id] = (entry, reason)


def _event(parts: Parts, event: dict[str, Any], definitions: Definitions, sessions: Mapping[str, Session]) -> None:
    if event["source"]["id"] == SOURCE:
        return  # an event on a segment, which changes nothing
    metadata = event["metadata"]
    sender = metadata.get("sent_as") or event["profile"]["id"]
    way = metadata.get("forwarded_for")
    session = None if event["session"] is None else sessions.get(event["session"]["id"])
    claimant = "" if session is None else claimed_by(session.doc)
    if way == "session":
        # one that is not held any more went away with its events, as another merge was undone
        profile = None if session is None else parts.holder(claimant) or parts.survivor
    else:
        profile = parts.holder(sender)
    if profile is None:
        return
    received, own = metadata["time"]["insert"], metadata["time"]["create"]
    at = own or received
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
    sent_at = received if "time_out_of_range" in metadata["flags"] else at
    sent = Sent(sent_at, event["id"], sender, way in LATE or claimant not in ("", sender))
    if INVALID not in metadata["flags"]:
        map_event(definitions.mappings.get(event["type"], ()), view, profile, sent)
        note_event(profile, definitions.segments.noted.get(event["type"], ()), event, *times_ms(event))
        view.update(as_sent(event))
        points, key = definitions.points.of(event["type"]), definitions.identity_key
        for identifier in identifiers(points, event["source"]["id"], view, key)[0]:
            profile.object(IDENTIFIERS).setdefault(identifier.hash, [identifier.label, at, event["id"]])
    stats, time = profile.object(("stats",)), profile.object(("metadata", "time"))
    stats["events"] += 1
    time["update"] = max(time["update"], received)
    if "visit_started" in metadata["flags"]:
        begin_visit(profile, sent_at, metadata["time"].get("zone", ""))
    if metadata.get("session_made") and session is not None and parts.holder(claimant) is profile:
        note(profile, session.id, sent_at)
