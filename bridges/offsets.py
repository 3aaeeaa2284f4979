"""Which offset of a partition may be committed, when batches are acknowledged in any order; pure."""

from __future__ import annotations

from collections import deque


class Chunk:
    """A run of offsets of one partition that was taken in one batch."""

    __slots__ = ("acked", "end")

    def __init__(self, end: int) -> None:
        """Args: end: the offset after the last one."""
        self.end = end
        self.acked = False


class Tracker:
    """
    One partition of the source while it is ours.

    Attributes:
        taken: Offset after the last message taken; -1 before the first.
        done: Every message below it is acknowledged; -1 before the first.
        committed: What the broker has confirmed; -1 before the first.
    """

    def __init__(self) -> None:
        """Starts with nothing taken."""
        self.taken = -1
        self.done = -1
        self.committed = -1
        self._open: deque[Chunk] = deque()

    def take(self, end: int) -> Chunk:
        """Messages up to `end` (exclusive) are in flight. Calls come in the order of the partition."""
        chunk = Chunk(end)
        self._open.append(chunk)
        self.taken = end
        return chunk

    def ack(self, chunk: Chunk) -> None:
        """`chunk` is durable; `done` moves on when everything before it is."""
        chunk.acked = True
        while self._open and self._open[0].acked:
            self.done = self._open.popleft().end

    @property
    def due(self) -> bool:
        """Whether there is something to commit."""
        return self.done > self.committed
