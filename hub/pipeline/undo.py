"""What two profiles would be, had a merge not happened: from the journal, and from the events since."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from hub.edge.identifiers import identifiers
from hub.model import MergeEntry, Undo
from hub.pipeline.definitions import Definitions
from hub.pipeline.draft import Draft
from hub.pipeline.identity import IDENTIFIERS, Reason
from hub.pipeline.mapping import Sent, map_event
from hub.pipeline.merging import merge


class Parts(NamedTuple):
    """Both profiles. `sessions`: ids of those that were the loser's."""

    survivor: Draft
    loser: Draft
    sessions: set[str]


def rebuild(undo: Undo, definitions: Definitions) -> Parts:
    """
    Both as they were before the merge, with each later event and each later merge on the side that it belongs to.

    An event belongs to the side of the profile id that it was sent with, a later merge to the side of the profile that
    it was merged because of. Events are mapped by the definitions in force now.
    """
    parts = Parts(Draft(msgspec.json.decode(undo.entry.survivor)), Draft(msgspec.json.decode(undo.entry.loser)), set())
    events = [msgspec.json.decode(doc) for doc in undo.events]
    steps: list[tuple[int, int, MergeEntry | dict[str, Any]]] = [
        (event["outcome"]["profile_version"], event["metadata"]["position"]["place"], event) for event in events
    ]
    steps += [(entry.version, 0, entry) for entry in undo.merges]
    for _, _, step in sorted(steps, key=lambda item: item[:2]):
        if isinstance(step, MergeEntry):
            merge(_side_of_merge(parts, step), msgspec.json.decode(step.loser))
        else:
            _event(parts, step, definitions)
    return parts


def _side_of_merge(parts: Parts, entry: MergeEntry) -> Draft:
    reason = msgspec.json.decode(entry.reason, type=Reason)
    theirs = set(msgspec.json.decode(entry.loser)["ids"])
    because = {reason.profile_id, reason.other_id} - theirs
    return parts.survivor if because.isdisjoint(parts.loser.doc["ids"]) else parts.loser


def _event(parts: Parts, event: dict[str, Any], definitions: Definitions) -> None:
    metadata = event["metadata"]
    sender = metadata.get("sent_as") or event["profile"]["id"]
    is_losers = sender in parts.loser.doc["ids"]
    if not is_losers and sender not in parts.survivor.doc["ids"]:
        return  # of a profile that was merged and told apart again since
    side = parts.loser if is_losers else parts.survivor
    received, own = metadata["time"]["insert"], metadata["time"]["create"]
    at = own or received
    view = {
        "id": event["id"],
        "type": event["type"],
        "time": at,
        "properties": event["properties"],
        "context": event["context"],
    }
    map_event(definitions.mappings.get(event["type"], ()), view, side, Sent(at, event["id"], sender))
    found, _ = identifiers(definitions.points.of(event["type"]), event["source"]["id"], view, definitions.identity_key)
    for identifier in found:
        side.object(IDENTIFIERS).setdefault(identifier.hash, [identifier.label, at, event["id"]])
    stats, time = side.object(("stats",)), side.object(("metadata", "time"))
    stats["events"] += 1
    time["update"] = max(time["update"], received)
    if "visit_started" in metadata["flags"]:
        visit = side.object(("metadata", "time", "visit"))
        stats["visits"] += 1
        visit["count"], visit["last"], visit["current"] = stats["visits"], visit["current"], received
    if is_losers and event["session"] is not None:
        parts.sessions.add(event["session"]["id"])
