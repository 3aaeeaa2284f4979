"""Stored events copied into their profiles: mappings that were not applied to them when they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hub.model import Copied
from hub.pipeline.applied import joined as also_named
from hub.pipeline.applied import keys_of, left, named, of_event
from hub.pipeline.definitions import Definitions
from hub.pipeline.draft import Draft
from hub.pipeline.event_types import Rules
from hub.pipeline.mapping import Change, Field, Sent, map_event
from hub.pipeline.patches import CopyEvents
from hub.pipeline.payload import NO_PROFILE
from hub.pipeline.rules.enrichment import FIELDS, joined
from hub.pipeline.rules.hand import INVALID

NOT_MAPPED: Final = frozenset({NO_PROFILE, INVALID})
"""Flags of events that no mapping is applied to."""
MOST_CHANGES: Final = 100
"""Of one event, that its document tells of those that were made at once."""
_encode: Final = msgspec.json.Encoder().encode


class Copying:
    """The copies of a batch. `documents`: by event id, of those that the batch may be asked to copy."""

    def __init__(self, documents: Mapping[str, bytes], definitions: Definitions) -> None:
        """Nothing is copied yet."""
        self._documents = documents
        self._definitions = definitions
        self._outcomes: dict[str, dict[str, Any]] = {}
        self._partitions: dict[str, str] = {}

    def copy(self, profile: Draft, what: CopyEvents, version: int) -> list[Change]:
        """
        Apply what is left of each event, in their order; one that is not there any more is left out.

        Args: version: of the profile with it.
        """
        every: list[Change] = []
        for partition, id in what.events:
            document = self._documents.get(id)
            if document is None:
                continue
            event = msgspec.json.decode(document)
            outcome = event["outcome"] = self._outcomes.get(id) or event["outcome"]
            lines = lines_left(event, self._definitions, what.mappings)
            if not lines:
                continue
            changes = apply(lines, event, profile, self._definitions.types)
            told = {
                "profile": profile.doc["id"],
                "version": version,
                "mapped": named(lines),
                "changes": msgspec.to_builtins(changes[:MOST_CHANGES]),
            }
            made = {"mapped": also_named(of_event(event), lines), "copied": [*outcome.get("copied", ()), told]}
            self._outcomes[id], self._partitions[id] = {**outcome, **made}, partition
            every += changes
        return every

    def outcome(self) -> list[Copied]:
        """As of `Batch`."""
        return [
            Copied(id, self._partitions[id], _encode(outcome["mapped"]), _encode(outcome["copied"]))
            for id, outcome in self._outcomes.items()
        ]


def lines_left(event: Mapping[str, Any], definitions: Definitions, mappings: list[str]) -> list[Field]:
    """Lines in force that were not applied to an event and may be. Args: event: its document."""
    if event["profile"] is None or not NOT_MAPPED.isdisjoint(event["metadata"]["flags"]):
        return []
    lines = definitions.mappings.get(event["type"])
    return left(lines.own, of_event(event), mappings) if lines else []


def apply(lines: list[Field], event: Mapping[str, Any], profile: Draft, types: Rules) -> list[Change]:
    """
    Apply lines to a profile as of the event's own time: what the profile has of a later one stays.

    Args: event: its document.
    """
    metadata = event["metadata"]
    sender = metadata.get("sent_as") or event["profile"]["id"]
    # others of the same sender have passed it, so that time decides (`hub.pipeline.mapping`)
    sent = Sent(counts_at(event), event["id"], sender, late=True)
    changes, _ = map_event(lines, view_of(event, types), profile, sent)
    return changes


def lines_copied(event: Mapping[str, Any], definitions: Definitions, profile_id: str, since: int) -> list[Field]:
    """
    Lines in force that were copied into a profile when it was newer than a version. Args: event: its document.
    """
    lines = definitions.mappings.get(event["type"], ())
    copies = [
        one["mapped"]
        for one in event["outcome"].get("copied", ())
        if one["profile"] == profile_id and one["version"] > since
    ]
    return [line for line in lines if any(line.key in keys_of(one.get(line.mapping, "")) for one in copies)]


def view_of(event: Mapping[str, Any], types: Rules) -> dict[str, Any]:
    """A stored event as mappings see it, with its index fields as they are in force. Args: event: its document."""
    view = view_before_index(event)
    rule = types.get(event["type"])
    if rule is not None:
        view.update(joined(view, rule.indexed(view)[0]))
    return view


def view_before_index(event: Mapping[str, Any]) -> dict[str, Any]:
    """A stored event as the rule of its type sees it. Args: event: its document."""
    time = event["metadata"]["time"]
    return {
        "id": event["id"],
        "type": event["type"],
        "time": time["create"] or time["insert"],
        "source": event["source"]["id"],
        "properties": event["properties"],
        "context": event["context"],
        **{name: event[name] for name in FIELDS if name in event},
    }


def counts_at(event: Mapping[str, Any]) -> str:
    """When it counts as having been, RFC 3339: its own time, unless that is out of range. Args: event: its document."""
    time = event["metadata"]["time"]
    insert: str = time["insert"]
    return insert if "time_out_of_range" in event["metadata"]["flags"] else time["create"] or insert


def target_of(event: Mapping[str, Any]) -> str:
    """The profile id that a copy is sent to, wherever that profile went since. Args: event: its document."""
    metadata, owner = event["metadata"], event["profile"]["id"]
    if metadata.get("forwarded_for") == "session":
        return str(owner)
    return str(metadata.get("sent_as") or owner)
