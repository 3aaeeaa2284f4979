"""Operations on a profile, as Patches on events.v1 carry them: on its segments, and copies of its stored events."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from hub.pipeline.histories import SOURCE
from schemas.records import PATCH, Inbound

HEARTBEAT: Final = "@heartbeat"
COPY: Final = "@copy"
BETWEEN: Final = b"],["
"""Between two events of `CopyEvents` in JSON."""
SOURCES: Final = frozenset({SOURCE, HEARTBEAT, COPY})
"""Event sources of the hub's own whose Patches change profiles; they are no events and count for nothing."""


class Reevaluate(msgspec.Struct, frozen=True, tag_field="op", tag="reevaluate"):
    """Look at segments again, as of the record's own time. `segments`: their ids; None: all."""

    segments: list[str] | None = None


class ChangeSegments(msgspec.Struct, frozen=True, tag_field="op", tag="segment"):
    """A list or a flow lets the profile into segments, and out of others."""

    add: list[str] = []
    remove: list[str] = []
    by: Literal["list", "flow"] = "list"


class CopyEvents(msgspec.Struct, frozen=True, tag_field="op", tag="copy"):
    """
    Apply mappings in force to stored events of the profile, as far as they were not applied to them.

    `events`: (time partition, id), in the order of the log. `mappings`: their ids; empty: all.
    """

    events: list[tuple[str, str]]
    mappings: list[str] = []


Operation: TypeAlias = Reevaluate | ChangeSegments | CopyEvents


def is_patch(inbound: Inbound) -> bool:
    """Whether a record is one of these."""
    return inbound["body"][0] == PATCH and inbound["source"] in SOURCES


def operations_of(inbound: Inbound) -> list[Operation]:
    """What a record asks for, in its order. Args: inbound: `is_patch`. Raises msgspec.DecodeError: of a newer hub."""
    body = inbound["body"]
    return msgspec.json.decode(body[1]["operations"], type=list[Operation]) if body[0] == PATCH else []


def copies_of(inbound: Inbound) -> int:
    """How many stored events a record asks to copy, without decoding it; 0: it asks for something else."""
    if inbound["source"] != COPY or inbound["body"][0] != PATCH:
        return 0
    return 1 + inbound["body"][1]["operations"].count(BETWEEN)


def copied_by(inbound: Inbound) -> list[tuple[str, str]]:
    """Events that a record is about, (time partition, id). Raises as `operations_of`."""
    if inbound["source"] != COPY or inbound["body"][0] != PATCH:
        return []
    return [key for one in operations_of(inbound) if isinstance(one, CopyEvents) for key in one.events]
