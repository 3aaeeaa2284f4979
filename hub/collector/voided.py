"""Which records of a batch are of people who want none kept, and what a request for privacy is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from hub.model import Alias, Batch, Person
from hub.pipeline.crossed import Crossed, Erased, loser_of, of_ask, of_data
from hub.pipeline.definitions import Definitions
from hub.pipeline.privacy import NOTHING, Judged, Name, Place, is_order, judge, mark, names
from hub.pipeline.records import Decoded
from hub.store.port import Writing
from schemas.records import MERGE

MOST_CLEAN: Final = 100_000
"""Ids kept in memory of which nothing is void."""
NEVER: Final[Mapping[str, int]] = {}


class Voided:
    """
    Asks the store, once for each id, as long as nobody asks for their privacy.

    A hub in which nobody ever has costs one short read a batch.
    """

    def __init__(self, forget: Callable[[], None]) -> None:
        """Args: forget: everything that is remembered of the store; called when others have removed some of it."""
        self._forget = forget
        self._seen = self._moved = 0
        self._changed = False
        self._clean: set[Name] = set()
        self.expired: Mapping[str, int] = NEVER
        """By event type, before when an event was received that is not kept any more; milliseconds since 1970."""

    def keep(self, batch: Batch) -> None:
        """The batch is about to be written."""
        self._changed = self._changed or batch.privacy is not None or bool(batch.voids)

    def judge(
        self, records: Sequence[Decoded], store: Writing, definitions: Definitions, finish: Callable[[], None]
    ) -> Judged:
        """What is void of these records. Args: finish: as of `Memory.load`. Raises Unavailable."""
        if self._changed:
            # the next one may be of the person of the batch that is being written
            finish()
            self._changed = False
        number, moved = store.voiding()
        if moved != self._moved:
            self.expired = dict(store.expired())
            self._moved = moved
        if number != self._seen:
            finish()
            self._forget()
            self._clean.clear()
            self._seen = number
        if not number:
            return NOTHING
        crossed = _crossed(records, store)
        named = {place_of(one): list(names(one.inbound, definitions)) for one in records if one.inbound is not None}
        asked = {name for some in named.values() for name in some} - self._clean
        if not (asked or crossed):
            return NOTHING
        key = definitions.identity_key
        marks = {mark(*name, key): name for name in asked}
        voids = store.voids(list(marks))
        if len(self._clean) > MOST_CLEAN:
            self._clean.clear()
        self._clean.update(name for one, name in marks.items() if one not in voids)
        return judge(records, named, voids, crossed, key) if voids or crossed else NOTHING

    def person(
        self, records: Sequence[Decoded], aliases: Mapping[str, Alias], store: Writing, finish: Callable[[], None]
    ) -> Person | None:
        """Whom an order is about that is to be carried out here. Raises Unavailable."""
        inbound = records[0].inbound
        if inbound is None or not is_order(inbound) or inbound["profile_id"] in aliases:
            return None
        finish()
        return None if store.has_order(inbound["id"]) else store.person(inbound["profile_id"])


def _crossed(records: Sequence[Decoded], store: Writing) -> dict[Place, Crossed]:
    """Steps of merges that an erasure has overtaken. Raises Unavailable."""
    steps = [
        (place_of(one), one.inbound) for one in records if one.inbound is not None and one.inbound["body"][0] == MERGE
    ]
    if not steps:
        return {}
    asks = store.asks([inbound["id"] for _, inbound in steps])
    orders = {ask.cause: store.order(ask.cause) for ask in asks.values() if ask.cause}
    erased = {id: Erased(id, row.until_ms, row.is_suppressed) for id, row in orders.items() if row is not None}
    aliases = store.aliases([loser_of(inbound) for _, inbound in steps if loser_of(inbound)])
    found: dict[Place, Crossed] = {}
    for place, inbound in steps:
        if inbound["body"][0] != MERGE:
            continue
        if loser_of(inbound):
            one = of_data(inbound, aliases.get(loser_of(inbound)))
        else:
            ask = asks.get(inbound["id"])
            one = of_ask(inbound, inbound["body"][1], ask, None if ask is None else erased.get(ask.cause))
        if one is not None:
            found[place] = one
    return found


def place_of(record: Decoded) -> Place:
    """Where it lies."""
    return record.record.partition, record.record.offset


def handed_on(records: Iterable[Decoded]) -> list[str]:
    """Where those lay first that other partitions have handed on: what is void is counted once, too."""
    found = (None if one.inbound is None else one.inbound.get("first_at") for one in records)
    return [first_at for first_at in found if first_at is not None]
