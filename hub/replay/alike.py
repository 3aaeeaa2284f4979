"""Do two stores agree on everything but what mappings and segments made? Events, who holds what, who is whose part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from typing import Final, NamedTuple, Protocol

from hub.errors import Refused
from hub.pipeline.histories import SOURCE as SEGMENTS
from hub.store.port import AliasRow, Owned, Reading, Walking

PAGE: Final = 5_000
MOST_OPEN: Final = 200_000
"""Most events and identifiers on which the two do not agree (yet) that are kept in memory."""


class Both(Reading, Walking, Protocol):
    """What is asked of each of the two stores."""


class Differs(Exception):
    """The two do not agree; the message says on what."""


class Held(NamedTuple):
    """An event of a time partition, or an identifier (no partition)."""

    partition: str
    id: str


class Alike:
    """
    Compares live with a shadow that holds the same records of the log.

    As long as nobody is erased and nothing becomes too old, events and identifiers are only ever added, so each call of
    `look` goes on where the last one stopped, and few are left for the one that counts; else it begins anew. A profile
    may be part of another one in only one of the stores at the time of its event, so what counts is which profile it is
    part of now.
    """

    def __init__(self, live: Both, shadow: Both, name: str) -> None:
        """Args: name: of the shadow."""
        self._live = live
        self._shadow = shadow
        self._name = name
        self._seen: defaultdict[str, int] = defaultdict(int)
        self._events = 0
        self._open: dict[Held, str] = {}  # whose it is in the store in which it was found
        self._removed = self._numbers()

    def look(self) -> None:
        """
        Look at what is new. Raises: Unavailable. Refused: they differ in so much that it need not be asked again.
        """
        removed = self._numbers()
        if removed != self._removed:
            self._removed, self._events = removed, 0
            self._seen.clear()
            self._open.clear()
        for partition in self._live.event_partitions():
            while page := self._live.events_since(partition, self._seen[partition], PAGE):
                self._events += len(page)
                self._keep(partition, page, self._shadow.event_owners(partition, [one.id for one in page]))
        # live may have more: those of records in hand, which it applies later
        while page := self._shadow.claims_since(self._seen[""], PAGE):
            self._keep("", page, _holders(self._live, [one.id for one in page]))
        self._look_again()

    def is_removing(self) -> bool:
        """Whether somebody was erased in one of the two whose events are still being removed. Raises Unavailable."""
        return self._live.removed().is_going_on or self._shadow.removed().is_going_on

    def judge(self) -> None:
        """
        Whether they agree, both of them standing still, after a last look. Reads all merged profiles, besides.

        Raises: Differs. Unavailable.
        """
        if self.is_removing() or self._numbers() != self._removed:
            raise Differs(f"events are being removed from live or from {self._name} at this moment")
        self._judge_aliases()
        totals = self._shadow.books(0, 0).totals
        stored = sum(counts.stored for source, counts in totals.items() if source != SEGMENTS)
        stored -= self._shadow.removed().events
        missing = [held for held in self._open if held.partition]
        if missing:
            raise Differs(
                f"{len(missing):,} events are not in {self._name}, or belong to another profile there, such as "
                f"{missing[0].id}"
            )
        if stored != self._events:
            raise Differs(f"{self._name} has {stored:,} events, live has {self._events:,}")
        if self._open:
            raise Differs(f"{len(self._open):,} identifiers are held by somebody else in {self._name}")

    def _numbers(self) -> tuple[int, int]:
        return self._live.removed().number, self._shadow.removed().number

    def _judge_aliases(self) -> None:
        for ours, theirs in zip_longest(_aliases(self._live), _aliases(self._shadow)):
            if ours is None or theirs is None or ours[:2] != theirs[:2]:
                id = min(one.id for one in (ours, theirs) if one is not None)
                raise Differs(f"profile {id} is not part of the same profile in live and in {self._name}")
            if not (ours.settled and theirs.settled):
                raise Differs(f"profile {ours.id} is being joined with {ours.into} at this moment, or parted from it")

    def _keep(self, partition: str, page: list[Owned], owners: dict[str, str]) -> None:
        for one in page:
            if owners.get(one.id) != one.profile_id:
                self._open[Held(partition, one.id)] = one.profile_id
        self._seen[partition] = page[-1].seq
        if len(self._open) > MOST_OPEN:
            held = next(iter(self._open))
            raise Refused(
                "replay",
                f"more than {MOST_OPEN:,} events and identifiers are others in {self._name}, such as {held.id}",
            )

    def _look_again(self) -> None:
        """Some are there by now; some are held by a profile that is part of the same one."""
        by_partition: defaultdict[str, list[str]] = defaultdict(list)
        for held in self._open:
            by_partition[held.partition].append(held.id)
        for partition, ids in by_partition.items():
            for some in (ids[first : first + PAGE] for first in range(0, len(ids), PAGE)):
                other = self._shadow.event_owners(partition, some) if partition else _holders(self._live, some)
                for id, owner in other.items():
                    if self._root(owner) == self._root(self._open[Held(partition, id)]):
                        del self._open[Held(partition, id)]

    def _root(self, id: str) -> str:
        # in both they are the same: `_judge_aliases`
        return self._live.survivor(id) if id else ""


def _holders(store: Reading, identifiers: list[str]) -> dict[str, str]:
    return {id: one.profile_id for id, one in store.identifier_uses(identifiers).items()}


def _aliases(store: Walking) -> Iterator[AliasRow]:
    id = ""
    while page := store.aliases_after(id, PAGE):
        yield from page
        id = page[-1].id
