"""Look-ups of flows, answered from the store: for runs, and for trials."""

from __future__ import annotations

from hub.flows.effects import Answer, LookUp
from hub.store.port import Reading


def answered(store: Reading, ask: LookUp) -> Answer:
    """Blocks. Raises QueryError, Unavailable."""
    if ask.id:
        return Answer(200, {}, _known(store, ask))
    if ask.counts:
        return Answer(200, {}, store.count(ask.kind, ask.query))
    return Answer(200, {}, store.search(ask.kind, ask.query, ask.size, None).items)


def _known(store: Reading, ask: LookUp) -> list[dict[str, object]]:
    """What an id answers with, in a list. A profile on its way into another one has no document for a moment."""
    found = store.get(ask.kind, ask.id)
    if found is None and ask.kind == "profiles" and (into := store.survivor(ask.id)) != ask.id:
        found = {"id": into}
    return [] if found is None else [found]
