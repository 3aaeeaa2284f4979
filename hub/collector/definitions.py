"""The compiled definitions, kept level with the catalogue."""

from __future__ import annotations

from typing import cast

from hub.definitions.catalogue import Catalogue
from hub.definitions.kinds import Mapping
from hub.errors import Unavailable
from hub.pipeline.mapping import compile_mappings
from hub.pipeline.process import Definitions


class CompiledDefinitions:
    """Compiles only when a mapping has changed."""

    def __init__(self, catalogue: Catalogue, timeout_s: float = 30.0) -> None:
        """Args: timeout_s: how long a record may wait for the definitions that its edge had seen."""
        self._catalogue = catalogue
        self._timeout_s = timeout_s
        self._seen: object = None
        self._current = Definitions(-1, {})

    def at_least(self, offset: int) -> Definitions:
        """The definitions in force, once they are as new as `offset`. Raises Unavailable."""
        if not self._catalogue.wait_for(offset, self._timeout_s):
            raise Unavailable(
                "kafka",
                f"definitions.v1 is at offset {self._catalogue.offset}, but a record needs {offset}: "
                "was the topic made anew?",
            )
        reached, entries = self._catalogue.offset, self._catalogue.entries("mapping")
        if entries is not self._seen:
            self._seen = entries
            pairs = [(key, cast("Mapping", entry.spec)) for key, entry in entries.items()]
            self._current = Definitions(reached, compile_mappings(pairs))
        elif reached != self._current.offset:
            self._current = Definitions(reached, self._current.mappings)
        return self._current
