"""
events.v1 gets more partitions, and no profile notices: all that lies on the old ones is stored before a key moves.

Design: docs/scaling.md. Each step may be done again, so whoever was killed on the way is followed by the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Final, NamedTuple

from hub.errors import HubError, Refused, Unavailable
from hub.log.admin import LogAdmin
from hub.log.config import REFRESH_S
from hub.log.hold import Hold
from hub.log.progress import Progress
from hub.settings import Kafka
from hub.store.port import Store
from schemas.topics import EVENTS

POLL_S: Final = 0.2
STILL_S: Final = 1.5
"""So long nothing may have come: brokers learn one after the other that the log is held."""
KNOWN_S: Final = 1.5 * REFRESH_S
"""After so long every producer that can reach Kafka knows the new partitions."""


class Grown(NamedTuple):
    """`before`, `partitions`: how many there were and are. `held_s`: how long nothing was taken, seconds."""

    before: int
    partitions: int
    held_s: float


class Growing:
    """One call of `hub partitions grow`, with live's store open for writing."""

    def __init__(
        self, kafka: Kafka, namespace: str, store: Store, now_ms: Callable[[], int], on_step: Callable[[str], None]
    ) -> None:
        """Args: now_ms: milliseconds since 1970. on_step: told what is being done."""
        self._kafka = kafka
        self._namespace = namespace
        self._store = store
        self._now_ms = now_ms
        self._on_step = on_step
        self._log = LogAdmin(kafka, namespace)
        self._hold = Hold(kafka, namespace)

    def grow(self, to: int, within_s: float) -> Grown:
        """
        Args: within_s: how long collectors may need to store what lies on the log; after that all is as it was.

        Raises:
            Refused: there are more partitions already; or the broker does not let us.
            Unavailable: it took too long, or Kafka or the store does not answer. It may be done again.
        """
        before, was_held = len(self._log.partitions(EVENTS)), self._hold.is_on
        if before > to:
            raise Refused("kafka", f"events.v1 has {before} partitions: they can only become more")
        if before == to and not was_held:
            return Grown(before, to, 0.0)
        began = time.monotonic()
        if before < to:
            self._begin(to, within_s)
        self._on_step(f"events.v1 has {to} partitions: waiting {KNOWN_S:g} s until every producer knows them")
        time.sleep(KNOWN_S)
        self.release()
        return Grown(before, to, round(time.monotonic() - began, 3))

    def release(self) -> None:
        """Let events.v1 take records again, whatever was done before. Raises Unavailable, Refused."""
        self._hold.end()

    def _begin(self, to: int, within_s: float) -> None:
        try:
            self._hold.begin()
            self._on_step("events.v1 is held: waiting until collectors have stored what lies on it")
            self._drain(within_s)
            self._store.new_epoch(self._log.topic_id(EVENTS), at_ms=self._now_ms())
            self._on_step("all of it is stored: adding partitions")
            self._log.add_partitions(EVENTS, to)
        except BaseException:  # Ctrl-C, too
            # once there are more, producers have to know of them first: that is for the next call
            with suppress(HubError):
                if len(self._log.partitions(EVENTS)) < to:
                    self.release()
            raise

    def _drain(self, within_s: float) -> None:
        """Until everything is stored and told, and nothing has come for a while. Raises Unavailable."""
        began = still_since = time.monotonic()
        ends: dict[int, int] = {}
        with closing(Progress(self._kafka, self._namespace)) as committed:
            while True:
                now, found = time.monotonic(), self._log.end_offsets(EVENTS)
                if found != ends:
                    ends, still_since = found, now
                left = self._left(ends, committed())
                if not left and now - still_since >= STILL_S:
                    return
                if now - began > within_s:
                    raise Unavailable(
                        "collector",
                        f"{left:,} records of events.v1 were not stored within {within_s:g} s, and it takes records "
                        "again. Do collectors run? Do it when less comes in, or with a larger --within",
                    )
                time.sleep(POLL_S)

    def _left(self, ends: dict[int, int], committed: dict[int, int]) -> int:
        """How many records are not stored, or not told to others."""
        epoch = self._store.known_epoch(self._log.topic_id(EVENTS))
        stored = {} if epoch is None else self._store.progress(epoch)
        return sum(
            max(0, end - min(committed.get(number, 0), stored.get(number, 0)))
            for number, end in ends.items()
            if end  # nobody commits where nothing ever was
        )
