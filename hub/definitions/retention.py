"""How long events are kept, by their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from hub.definitions.catalogue import Entry
from hub.definitions.kinds import Retention


def cutoffs(entries: Mapping[str, Entry]) -> dict[str, int]:
    """By event type (`*`: all that are not named), how many days; the longest where several say it."""
    found: dict[str, int] = {}
    for entry in entries.values():
        spec = cast("Retention", entry.spec)
        if spec.enabled:
            found[spec.event_type] = max(found.get(spec.event_type, 0), spec.days)
    return found
