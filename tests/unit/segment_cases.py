"""Segments for tests without Kafka: definitions, records that ask for another look, what was told."""

from __future__ import annotations

from typing import Any

import msgspec

from hub.pipeline.definitions import Definitions
from hub.pipeline.requests import join_or_leave, reevaluate
from hub.pipeline.segments import Segments, Spec
from hub.store.query.segment import segment_condition
from schemas.records import Inbound
from tests.factories import NOW_MS, event, track
from tests.unit.hub_model import DEFINITIONS, Hub


def segments(*, version: int = 10, frozen: frozenset[str] = frozenset(), **conditions: str | None) -> Segments:
    """All of one version. Args: frozen: which are switched off. conditions: by id; None: by list or flow."""
    return Segments(
        Spec(id, id.title(), version, None if text is None else segment_condition(text), id not in frozen)
        for id, text in conditions.items()
    )


def with_segments(some: Segments, base: Definitions = DEFINITIONS) -> Definitions:
    return msgspec.structs.replace(base, segments=some, offset=some.newest)


def define(hub: Hub, some: Segments) -> None:
    """From now on these are in force, in every collector."""
    for owner in hub.owners:
        owner.definitions = with_segments(some, owner.definitions)


def sent(id: str, profile_id: str, n: Any = None, *, at_ms: int = 0, type: str = "sign-in", who: str = "") -> Inbound:
    """An event that happens, and is received, so long after NOW_MS."""
    properties = ({} if n is None else {"n": n}) | ({"who": who} if who else {})
    return track(profile_id, event(id, type, time_ms=NOW_MS + at_ms, **properties), received_at_ms=NOW_MS + at_ms)


def look_again(profile_id: str, *, at_ms: int = 0, some: list[str] | None = None) -> Inbound:
    id = f"look-{profile_id}-{at_ms}"
    return reevaluate(profile_id, some, id=id, at_ms=NOW_MS + at_ms, definitions_offset=-1)


def listed(
    profile_id: str, add: list[str] | None = None, remove: list[str] | None = None, *, at_ms: int = 0
) -> Inbound:
    id = f"list-{profile_id}-{at_ms}-{add}-{remove}"
    return join_or_leave(
        profile_id, add or [], remove or [], by="list", id=id, at_ms=NOW_MS + at_ms, definitions_offset=-1
    )


def crossings(hub: Hub, profile_id: str = "") -> list[tuple[str, str]]:
    """(+ or -, segment) of the stored events on segments, in the order in which they were stored."""
    found = hub.store.search("events", 'source = "@segments"', 1_000, None).items
    found = [one for one in found if not profile_id or one["profile"]["id"] == profile_id]
    found.sort(key=lambda one: tuple(one["metadata"]["position"].values()))
    return [("+" if one["type"] == "segment-entered" else "-", one["properties"]["segment"]) for one in found]
