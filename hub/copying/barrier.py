"""Waits until the collectors have done something: know a definition, have applied a record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from hub.errors import Unavailable
from hub.ids import derived
from hub.pipeline.requests import reevaluate
from hub.segments.due import Sending
from hub.segments.planner import barrier_keys

LOOK_S: Final = 0.05


class Progressing(Protocol):
    """What is asked of the store."""

    def latest_progress(self) -> tuple[int, dict[int, int]]:
        """As of `Reading`."""
        ...


def until_applied(
    store: Progressing, landed: Iterable[tuple[int, int]], stopping: Callable[[], bool], patience_s: float
) -> bool:
    """
    Wait until the records at these offsets of events.v1, (partition, offset), are applied.

    Args: patience_s: how long nothing may move meanwhile.

    Returns: False: the process is to stop. Raises: Unavailable: the collectors do not get on.
    """
    wanted: dict[int, int] = {}
    for partition, offset in landed:
        wanted[partition] = max(offset, wanted.get(partition, -1))
    moved_at, before = time.monotonic(), None
    while True:
        _, progress = store.latest_progress()
        if all(progress.get(partition, 0) > offset for partition, offset in wanted.items()):
            return True
        if stopping():
            return False
        if progress != before:
            moved_at, before = time.monotonic(), progress
        if time.monotonic() - moved_at > patience_s:
            raise Unavailable("collector", f"it has stored nothing for {patience_s:.0f} s: is it running?")
        time.sleep(LOOK_S)


def until_known(
    store: Progressing,
    sender: Sending,
    partitions: int,
    offset: int,
    *,
    id: str,
    at_ms: int,
    stopping: Callable[[], bool],
    patience_s: float,
) -> bool:
    """
    Wait until whoever writes a partition knows definitions that are as new as this offset: what comes later is mapped
    by them. As of a back-fill of segments (`hub.segments.planner`).

    Args: id: of who waits. at_ms: now, milliseconds since 1970. The others, and what is returned: see `until_applied`.
    """
    records = (
        reevaluate(key, [], id=derived("barrier", id, key), at_ms=at_ms, definitions_offset=offset)
        for key in barrier_keys(partitions)
    )
    return until_applied(store, sender.send(records), stopping, patience_s)
