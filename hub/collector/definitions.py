"""The compiled definitions, kept level with the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from msgspec.structs import replace

from hub.definitions.catalogue import Catalogue, Entry
from hub.definitions.kinds import Mapping as MappingDefinition
from hub.edge.identifiers import Points
from hub.edge.inbound import identification_points
from hub.errors import Unavailable
from hub.pipeline.definitions import MOST_PROFILES, Definitions
from hub.pipeline.mapping import Compiled, compile_mappings


class CompiledDefinitions:
    """Compiles only what has changed."""

    def __init__(self, catalogue: Catalogue, most_profiles: int = MOST_PROFILES, timeout_s: float = 30.0) -> None:
        """
        Args: most_profiles: as in `Definitions`. timeout_s: how long a record may wait for the definitions that its
        edge had seen.
        """
        self._catalogue = catalogue
        self._timeout_s = timeout_s
        self._current = Definitions(-1, {}, Points(), catalogue.identity_key, most_profiles)

    def at_least(self, offset: int) -> Definitions:
        """The definitions in force, once they are as new as `offset`. Raises Unavailable."""
        if not self._catalogue.wait_for(offset, self._timeout_s):
            raise Unavailable(
                "kafka",
                f"definitions.v1 is at offset {self._catalogue.offset}, but a record needs {offset}: "
                "was the topic made anew?",
            )
        reached = self._catalogue.offset
        mappings = self._catalogue.compiled("mapping", _mappings)
        points = self._catalogue.compiled("identification-point", identification_points)
        now = self._current
        if reached != now.offset or mappings is not now.mappings or points is not now.points:
            self._current = replace(now, offset=reached, mappings=mappings, points=points)
        return self._current


def _mappings(entries: Mapping[str, Entry]) -> Compiled:
    return compile_mappings((id, cast("MappingDefinition", entry.spec)) for id, entry in entries.items())
