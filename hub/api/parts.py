"""What every door for events is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hub.api.gate import Gate
from hub.api.refusals import Refusals
from hub.definitions.catalogue import Catalogue
from hub.log.publishing import Publish
from hub.settings import Limits
from schemas.topics import EVENTS


class DoorParts(NamedTuple):
    """The same for all doors of a process. `now_ms`: the clock, milliseconds since 1970."""

    publisher: Publish
    namespace: str
    catalogue: Catalogue
    limits: Limits
    refusals: Refusals
    gate: Gate
    now_ms: Callable[[], int]

    @property
    def topic(self) -> str:
        """Where events go."""
        return EVENTS.name(self.namespace)
