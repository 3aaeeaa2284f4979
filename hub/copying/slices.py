"""Stored events in slices: each a span of one time partition's running numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from hub.store.port import Copies, EventSpan
from hub.task import Planned


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
