"""What the API has to know of the ways out: what a destination would send of an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from hub.definitions.kinds import Destination

Rehearse: TypeAlias = Callable[[Mapping[str, Any]], dict[str, Any]]
"""
Gets an event's document; gives what would be sent of it, as POST /destinations/{id}/test shows it.
"""

RehearseOf: TypeAlias = Callable[[Destination], Rehearse]
"""Of a definition. Raises ValueError, QueryError: it cannot be used."""
