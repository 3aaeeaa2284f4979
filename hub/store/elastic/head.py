"""
The head: the one document that says what is written. Whoever changes it does so by compare-and-set.

A search engine has no transactions, but a write of one document is whole. So a batch is written in three steps:

1. Its journal, which is the batch, and the head with the batch among its `pending`, in one request to one shard, in
   this order. The head is only taken as it was read: **with it the batch is written**, or, if somebody else was
   quicker, it is not. Progress and totals are in the head, so they move with it.
2. The documents, each on its own. They may be written again, late or twice, by whoever finds the batch pending: each
   says by which batch it was written last (`at`), and an older one leaves it alone.
3. The head without the batch. Its journal goes with the next request.

Batches that are relative to the same documents do not overlap: those of one partition, those that are `is_shared`, and
those that are `is_alone` with any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from hub.errors import Unavailable
from hub.model import Progress
from hub.store.elastic.client import Action, Engine, Found, Result
from hub.store.elastic.indices import BATCHES

HEAD: Final = "head"
MOST_TRIES: Final = 1_000
"""Of one change: so often others were quicker. One of them is through each time, so this is never reached."""

Counted = tuple[int, int, int, int, int]
"""As the fields of `Counts`."""


class Step(NamedTuple):
    """Where a partition stands, as next offsets, where it stood before its last batch, and the `mark` of that."""

    after: int
    before: int
    mark: str


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """
    A batch that is written, and of which documents may be missing.

    Attributes:
        id: Of its journal.
        mark: A digest of its content: whoever gives the same batch again means this one.
        number: Of batches, from 1, in the order in which they were written.
        seq, size: The first of its running numbers, and how many they are.
        at_ms: When, by the writer's clock, milliseconds since 1970; None: not known.
        counts: By source, what it has added to the totals.
        is_shared: It is relative to documents of other partitions, too.
        is_alone: It looks for what it changes, so all others have to be there.
        parts: Of a promotion: how many documents of the journal have its profiles; None: it is a batch.
        pause_s: Of a promotion that is not decided: how long others wait for it at most.
    """

    id: str
    mark: str
    number: int
    seq: int
    size: int
    at_ms: int | None
    epoch: int
    progress: dict[int, Progress]
    counts: dict[str, Counted]
    is_shared: bool
    is_alone: bool = False
    parts: int | None = None
    pause_s: float = 0.0

    def overlaps(self, other: Pending) -> bool:
        """Whether the two are relative to the same documents."""
        if self.is_alone or other.is_alone or (self.is_shared and other.is_shared):
            return True
        return self.epoch == other.epoch and not self.progress.keys().isdisjoint(other.progress)


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is written.

    Attributes:
        topics: By topic id, its epoch.
        progress: By epoch and partition.
        number: Of the last batch.
        seq: The next running number that is free.
        totals: By source, what was counted since the beginning.
        months: Time partitions that there are, or will be with what is pending.
        voids, expired: How often these have changed. removed: how many events were removed on purpose.
        promotions: How many there were. origin: where the last one came from.
        pending: By number.
    """

    topics: dict[str, int] = {}
    progress: dict[int, dict[int, Step]] = {}
    number: int = 0
    seq: int = 1
    totals: dict[str, Counted] = {}
    months: list[str] = []
    voids: int = 0
    expired: int = 0
    removed: int = 0
    promotions: int = 0
    origin: str = ""
    pending: list[Pending] = []

    @property
    def epoch(self) -> int:
        """The newest; 0: none."""
        return max(self.topics.values(), default=0)

    def offsets(self, epoch: int) -> dict[int, int]:
        """Next offsets by partition."""
        return {partition: step.after for partition, step in self.progress.get(epoch, {}).items()}


class HeadDocument:
    """The head of one namespace, and what it was when it was read or written here last: mostly that is what it is."""

    def __init__(self, engine: Engine) -> None:
        """Does not read it yet."""
        self._engine = engine
        self._known: tuple[Head, Found | Result | None] | None = None

    def read(self) -> Head:
        """As it is now. Raises Unavailable."""
        found = self._engine.get(BATCHES, HEAD)
        head = Head() if found is None else msgspec.convert(found.source, Head, strict=False)
        self._known = head, found
        return head

    def recall(self) -> Head:
        """As it was when it was read or written here last; only good for what a compare-and-set decides."""
        return self.read() if self._known is None else self._known[0]

    def change(
        self, change: Callable[[Head], Head | None], before: Sequence[Action] = (), *, is_fresh: bool = False
    ) -> Head:
        """
        Change it, whoever else does so meanwhile.

        Args:
            change: From a head as it is to what it shall be; None: as it is. Called again when somebody was quicker. It
                may be called with an old head: what it raises then is only taken for true once it is read anew.
            before: Written in the same request, before it: whatever becomes of the head, they are done.
            is_fresh: It was read just now.

        Returns: as it is then. Raises: Unavailable: it may be changed nevertheless. What `change` raises.
        """
        for _ in range(MOST_TRIES):
            if self._known is None:
                self.read()
                is_fresh = True
            assert self._known is not None
            head, known_as = self._known
            try:
                wanted = change(head)
            except Exception:
                if is_fresh:
                    raise
                wanted = None
            if wanted is None:
                if is_fresh:
                    return head
                self._known = None
                continue
            source = msgspec.json.encode(wanted)
            action = Action("create" if known_as is None else "index", BATCHES, HEAD, source, if_=known_as)
            self._known = None  # if this fails, who knows what it is
            results = self._engine.results([*before, action])
            before = ()
            if results[-1] is not None:
                self._known = wanted, results[-1]
                return wanted
            is_fresh = False
        raise Unavailable("store", f"others change {self._engine.index(BATCHES)}/{HEAD} all the time")

    def epoch(self, topic_id: str) -> int:
        """The number of this topic id, from 1; given once. Raises Unavailable."""

        def numbered(head: Head) -> Head | None:
            if topic_id in head.topics:
                return None
            return msgspec.structs.replace(head, topics={**head.topics, topic_id: head.epoch + 1})

        return self.change(numbered).topics[topic_id]

    def take(self, count: int) -> tuple[int, int]:
        """
        The first of so many running numbers that nobody else gets; and the `at` of what is made beside batches: that of
        the last one before which there is nothing to finish.

        Raises: Unavailable.
        """
        head = self.change(lambda head: msgspec.structs.replace(head, seq=head.seq + count))
        return head.seq - count, head.pending[0].number - 1 if head.pending else head.number
