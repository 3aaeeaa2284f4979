"""Who a profile is part of now, and all ids of that person."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from hub.model import Alias
from hub.store.elastic.changes import is_there
from hub.store.elastic.client import Engine
from hub.store.elastic.indices import PROFILES


class PeopleSide:
    """What other parts of the store ask of identity."""

    _engine: Engine
    aliases: Callable[[Sequence[str]], dict[str, Alias]]

    def _survivors(self, ids: Sequence[str]) -> dict[str, str]:
        """By id, the profile that each is part of now: itself, if it was never merged. Raises Unavailable."""
        into = {id: id for id in ids}
        while aliases := self.aliases(sorted(set(into.values()))):
            into = {id: aliases[one].into if one in aliases else one for id, one in into.items()}
        return into

    def _ids_of(self, profile_id: str) -> list[str]:
        """Every id of the profile that this one is part of now, this one included. Raises Unavailable."""
        into = self._survivors([profile_id])[profile_id]
        found = self._engine.many(PROFILES, [into], ["doc", "gone"]).get(into)
        is_known = found is not None and is_there(found.source)
        document = msgspec.json.decode(found.source["doc"]) if found is not None and is_known else {}
        return list(dict.fromkeys((into, *document.get("ids", ()), profile_id)))
