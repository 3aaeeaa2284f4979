"""What a collector has for other profiles while the log is held: it stays in the store's outbox."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from hub.model import Batch, Identity, Outgoing

LOOK_S: Final = 0.5
"""Between two tries to send it, while nothing else is to do."""


class Unsent:
    """
    By partition, in its order. For the polling thread.

    A batch removes from the outbox what those before it had there, as that was sent. So what was not is given to the
    next batch of its partition, ahead of what that has itself; and whoever takes the partition over finds it there.
    """

    def __init__(self) -> None:
        """None."""
        self._waiting: defaultdict[int, list[Outgoing]] = defaultdict(list)
        self._next_s = 0.0

    def keep(self, held: Iterable[Outgoing]) -> None:
        """These could not be sent."""
        for one in held:
            self._waiting[one.position.partition].append(one)

    def with_batch(self, batch: Batch) -> Batch:
        """The batch, as it keeps what waits for its partitions; it is sent with it."""
        if not self._waiting:
            return batch
        waiting: list[Outgoing] = []
        for partition, step in batch.progress.items():
            some = self._waiting.pop(partition, [])
            for place, one in enumerate(some, -len(some)):
                at = one.position._replace(epoch=batch.epoch, offset=step.before, place=place)
                waiting.append(replace(one, position=at))
        if not waiting:
            return batch
        identity = batch.identity or Identity(
            aliases={}, restored=[], taken=[], uses={}, merges=[], undone={}, forwarded=[], outbox=[]
        )
        return replace(batch, identity=replace(identity, outbox=[*waiting, *identity.outbox]))

    def take(self) -> list[Outgoing]:
        """All of it, to be sent now that there is nothing else to do; at times none."""
        if not self._waiting or time.monotonic() < self._next_s:
            return []
        self._next_s = time.monotonic() + LOOK_S
        waiting, self._waiting = self._waiting, defaultdict(list)
        return [one for some in waiting.values() for one in some]
