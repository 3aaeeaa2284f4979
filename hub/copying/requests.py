"""What to copy of some stored events, and the Patches that ask the owners of their profiles for it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypedDict

import msgspec

from hub.ids import derived
from hub.pipeline.applied import Promoted, with_promoted
from hub.pipeline.copying import NOT_MAPPED, apply, lines_left, target_of
from hub.pipeline.definitions import Definitions
from hub.pipeline.draft import Draft
from hub.pipeline.patches import COPY, CopyEvents
from schemas.records import PATCH, Inbound, Patch

MOST_EVENTS: Final = 50
"""Of one Patch."""


class _Metadata(TypedDict, total=False):
    flags: list[str]
    position: dict[str, int]
    sent_as: str
    forwarded_for: str


class _Outcome(TypedDict, total=False):
    mapped: dict[str, str]


class _Part(TypedDict):
    """As much of an event's document as says what is left to copy: to read the rest takes longer than all else here."""

    id: str
    type: str
    profile: dict[str, Any] | None
    metadata: _Metadata
    outcome: _Outcome


_part: Final = msgspec.json.Decoder(_Part).decode
_whole: Final = msgspec.json.Decoder(dict[str, Any]).decode


class Found(NamedTuple):
    """
    A page of stored events.

    Attributes:
        copies: By profile id that is asked, events of which something is left to copy, in their order: parts of their
            documents, or whole ones for a sample.
        counts: `to_copy`, `applied_already`: all lines were applied to it; `not_mapped`: events without a profile, or
            that are not to change it.
    """

    copies: dict[str, list[dict[str, Any]]]
    counts: dict[str, int]


def types_of(definitions: Definitions, mappings: Sequence[str]) -> list[str]:
    """Event types that these mappings are about. Args: mappings: their ids; empty: all."""
    return sorted(
        type
        for type, lines in definitions.mappings.items()
        if any(not mappings or line.mapping in mappings for line in lines.own)
    )


def look(
    documents: Iterable[bytes],
    definitions: Definitions,
    mappings: list[str],
    promoted: Sequence[Promoted] = (),
    *,
    whole: bool = False,
) -> Found:
    """
    What is left to copy.

    Args: documents: of events, in the order of the log. promoted: what promotions have applied to them. whole: whether
        they are wanted for a sample.
    """
    decode: Callable[[bytes], Any] = _whole if whole else _part
    copies: dict[str, list[dict[str, Any]]] = {}
    counts = {"to_copy": 0, "applied_already": 0, "not_mapped": 0}
    for document in documents:
        event: dict[str, Any] = with_promoted(decode(document), promoted)
        if lines_left(event, definitions, mappings):
            counts["to_copy"] += 1
            copies.setdefault(target_of(event), []).append(event)
        else:
            counts["not_mapped" if is_not_mapped(event) else "applied_already"] += 1
    return Found(copies, {name: number for name, number in counts.items() if number})


def is_not_mapped(event: Mapping[str, Any]) -> bool:
    """Whether no mapping is applied to it. Args: event: its document."""
    return event["profile"] is None or not NOT_MAPPED.isdisjoint(event["metadata"]["flags"])


def requests(
    copies: Mapping[str, list[dict[str, Any]]],
    partition: str,
    mappings: list[str],
    *,
    task: str,
    at_ms: int,
    definitions_offset: int,
) -> Iterator[Inbound]:
    """
    Patches that ask for it. To ask twice does no harm, as an event's document names what was applied.

    Args: partition: time partition of the events. task: who asks. at_ms: now, milliseconds since 1970.
        definitions_offset: the collector waits until it knows definitions that are as new as this.
    """
    for profile_id, events in copies.items():
        for begin in range(0, len(events), MOST_EVENTS):
            some = [(partition, event["id"]) for event in events[begin : begin + MOST_EVENTS]]
            id = derived("copy", task, profile_id, some[0][1])
            body: Patch = {"cause": task, "operations": msgspec.json.encode([CopyEvents(some, mappings)])}
            yield {
                "id": id,
                "source": COPY,
                "profile_id": profile_id,
                "received_at_ms": at_ms,
                "definitions_offset": definitions_offset,
                "origin": "copy",
                "body": (PATCH, body),
            }


def sample(
    copies: Mapping[str, list[dict[str, Any]]],
    definitions: Definitions,
    mappings: list[str],
    profile: Callable[[str], dict[str, Any] | None],
    most: int,
) -> list[dict[str, Any]]:
    """
    What some of the copies would do: event, profile, and its fields before and after.

    Args: copies: whole events. profile: the document of one; None: there is none. most: of them.
    """
    found: list[dict[str, Any]] = []
    for id, events in copies.items():
        if len(found) >= most:
            break
        document = profile(id)
        if document is None:
            continue
        draft = Draft(document)
        for event in events[: most - len(found)]:
            changes = apply(lines_left(event, definitions, mappings), event, draft, definitions.types)
            fields = [{"field": one.field, "before": one.old, "after": one.new} for one in changes]
            found.append({"event": event["id"], "profile": document["id"], "changes": fields})
    return found
