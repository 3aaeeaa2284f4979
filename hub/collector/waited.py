"""Which event types pauses of flows may wait for, as the collector knows them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from hub.definitions.catalogue import Applied, Catalogue
from hub.flows.waits import waited_types
from hub.store.port import DefinitionVersion

FLOW: Final = "flow"
_PAGE: Final = 100


class Remembering(Protocol):
    """What is asked of the store."""

    def waited_types(self) -> set[str]:
        """Types that paused runs wait for."""
        ...

    def ever_defined(self, kind: str) -> set[str]:
        """See `hub.store.port.Versions`."""
        ...

    def versions(self, kind: str, id: str, size: int, before: int | None) -> list[DefinitionVersion]:
        """See `hub.store.port.Versions`."""
        ...


class WaitedTypes:
    """
    Of every version of every flow that was ever seen: a run keeps to the version that it began with, and may come to a
    pause of it days after the flow was changed or switched off. What is known is never forgotten.

    Attributes:
        types: All of them; replaced, never changed.
    """

    def __init__(self, catalogue: Catalogue) -> None:
        """Learns from each definition before it is in force. Args: catalogue: nothing was applied to it yet."""
        self.types: frozenset[str] = frozenset()
        self._adding = threading.Lock()
        catalogue.on_record(self._learn)

    def remember(self, store: Remembering, flows: Iterable[str]) -> None:
        """
        What was before this process, also of flows that were deleted. Args: flows: ids of those that there are, as the
        store may not have them yet. Raises Unavailable.
        """
        self._add(store.waited_types())
        for id in store.ever_defined(FLOW).union(flows):
            before: int | None = None
            while page := store.versions(FLOW, id, _PAGE, before):
                for one in page:
                    self._add(waited_types(None if one.spec is None else msgspec.json.decode(one.spec)))
                before = page[-1].version

    def _learn(self, applied: Applied) -> None:
        if applied.kind == FLOW:
            self._add(waited_types(applied.spec))

    def _add(self, types: Iterable[str]) -> None:
        with self._adding:
            more = self.types.union(types)
            if len(more) > len(self.types):
                self.types = more
