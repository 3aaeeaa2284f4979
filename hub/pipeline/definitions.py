"""The definitions in force, as the pipeline uses them: compiled."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from hub.edge.identifiers import Points
from hub.pipeline.event_types import Rules
from hub.pipeline.flow_triggers import NO_FLOWS, Flows
from hub.pipeline.mapping import Compiled
from hub.pipeline.rules.enrichment import Places
from hub.pipeline.rules.steps import NO_STEPS, Steps
from hub.pipeline.segments import NO_SEGMENTS, Segments

MOST_PROFILES = 2_000


class Definitions(msgspec.Struct, frozen=True):
    """
    Compiled once per change.

    Attributes:
        offset: Of the newest definition.
        mappings: The lines of mappings and of event types.
        points: The identification points.
        identity_key: Secret that identifiers are hashed with, 64 bytes at most.
        most_profiles: How many profiles may share an identifier before it identifies nobody.
        types: The event types in force.
        channels: By event source, where it has a channel.
        rules: Filters, validators, data-compliance and reshapers.
        places: Where IP addresses are; None: nobody knows.
        segments: Those that are defined.
        flows: What those in force wait for.
    """

    offset: int
    mappings: Compiled
    points: Points = msgspec.field(default_factory=Points)
    identity_key: bytes = b""
    most_profiles: int = MOST_PROFILES
    types: Rules = {}
    channels: Mapping[str, str] = {}
    rules: Steps = NO_STEPS
    places: Places | None = None
    segments: Segments = NO_SEGMENTS
    flows: Flows = NO_FLOWS
