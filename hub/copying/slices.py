"""
Stored events in slices: each a span of one time partition's running numbers.

A slice is gone through in the order of these numbers, or profile by profile: then what its collector has to do for a
profile is done once for many of its events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from hub.store.port import Copies, EventSpan
from hub.task import Planned

Chunks: TypeAlias = Iterator[tuple[dict[str, int], list[bytes]]]
"""Events in their order, some at a time: the checkpoint behind them, their documents."""


def planned(store: Copies, where: str, types: Sequence[str], size: int) -> Iterator[Planned]:
    """
    Slices of all events of these types that match now; without those in which there are none.

    Args: size: stored events of a slice, matching or not.
    """
    for partition in store.event_partitions():
        after = 0
        while until := store.events_cut(partition, after, size):
            span = EventSpan(partition, after, until)
            matching = store.count_between(span, where, types)
            if matching:
                yield Planned(span._asdict(), matching)
            after = until


def span_of(spec: dict[str, Any], at: dict[str, Any] | None) -> EventSpan:
    """What is left of a slice. Args: at: its checkpoint, `seq`: the last running number that is done."""
    span = EventSpan(**spec)
    return span if at is None else behind(span, at["seq"])


def behind(span: EventSpan, seq: int) -> EventSpan:
    """What is left of it behind this running number."""
    return span._replace(after=seq)


def by_profile(
    store: Copies, span: EventSpan, where: str, types: Sequence[str], at: dict[str, Any] | None, *, size: int
) -> Chunks:
    """
    What is left of a slice, profile by profile, each in the order of the log, `size` events at a time.

    Args: span: the whole slice. at: its checkpoint, `number`: of the last event that is done; no profile's id, which
        would stay there when somebody is erased. If that event has gone, all is done again, which changes nothing.
    """
    numbers = [number for _, number in store.owners_between(span, where, types)]
    done = None if at is None else at.get("number")
    begin = numbers.index(done) + 1 if done in numbers else 0
    for first in range(begin, len(numbers), size):
        page = numbers[first : first + size]
        found = dict(store.events_at(span.partition, page))
        # one that was removed since is in none of them
        yield {"number": page[-1]}, [found[number] for number in page if number in found]
