"""The definitions in force, as the pipeline uses them: compiled."""

from __future__ import annotations

import msgspec

from hub.edge.identifiers import Points
from hub.pipeline.mapping import Compiled

MOST_PROFILES = 2_000


class Definitions(msgspec.Struct, frozen=True):
    """
    Compiled once per change.

    Attributes:
        offset: Of the newest definition.
        points: The identification points.
        identity_key: Secret that identifiers are hashed with, 64 bytes at most.
        most_profiles: How many profiles may share an identifier before it identifies nobody.
    """

    offset: int
    mappings: Compiled
    points: Points = msgspec.field(default_factory=Points)
    identity_key: bytes = b""
    most_profiles: int = MOST_PROFILES
