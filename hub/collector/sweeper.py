"""Removes what is to go, in small steps beside the collector's batches: the erased, and what is too old."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from hub.collector import metrics
from hub.definitions.catalogue import Catalogue
from hub.definitions.retention import cutoffs
from hub.edge.inbound import identification_points
from hub.errors import HubError
from hub.model import DAY_MS
from hub.pipeline.data_keys import ID_BYTES
from hub.pipeline.letter_owner import Looking, is_about
from hub.pipeline.privacy import PROFILE, mark
from hub.store.port import Expired, Passed, Removal, Sweeping

log: Final = structlog.get_logger()
LOOK_S: Final = 0.5
"""Between two looks at whether somebody has asked to be erased."""
STEP: Final = 500
"""Events in one transaction: ten milliseconds, in which a batch waits; 80 at worst here."""
LETTERS: Final = 200
KEYS: Final = 1_000
NO_KEY: Final = bytes(ID_BYTES)
"""An id that no key has."""
PAUSE_S: Final = 0.005
"""After each step: so that the collector's next batch is never behind two of them."""
RETENTION_S: Final = 60.0
"""Between two looks at what has become too old."""
MOST_WAIT_S: Final = 30.0
"""Between two tries while the store or Kafka is away, at most; each time twice as long as before."""


class Sweeper:
    """
    A thread of the collector process with a connection of its own.

    Where it was interrupted, by a crash or because the store was away, it goes on: what is left to do is in the store.
    Several collectors may do the same at once.
    """

    def __init__(
        self,
        store: Sweeping,
        catalogue: Catalogue,
        now_ms: Callable[[], int],
        *,
        throw_away: Callable[[Sequence[bytes]], None] = lambda _: None,
        kept_ms: Callable[[], int | None] = lambda: None,
        look_s: float = LOOK_S,
        retention_s: float = RETENTION_S,
    ) -> None:
        """
        Does nothing yet.

        Args:
            store: nobody else uses it. now_ms: the clock, milliseconds since 1970.
            throw_away: keys (ids) on keys.v1, for ever. Raises Unavailable. kept_ms: after how many milliseconds a
                record of events.v1 is gone; None: never.
        """
        self._store = store
        self._catalogue = catalogue
        self._now_ms = now_ms
        self._throw_away = throw_away
        self._kept_ms = kept_ms
        self._look_s = look_s
        self._retention_s = retention_s
        self._looked_s = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish the step in hand."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        wait_s = self._look_s
        while not self._stop.wait(wait_s):
            waits = wait_s > self._look_s
            try:
                self.sweep()
            except HubError as exc:
                if not waits:
                    log.warning("sweeper.waits", why=str(exc))
            except Exception:
                log.exception("sweeper.failed")  # and tried again: what is left to do is still in the store
            else:
                if waits:
                    log.info("sweeper.goes_on")
                wait_s = self._look_s
                continue
            wait_s = min(2 * wait_s, MOST_WAIT_S)

    def sweep(self) -> None:
        """Everything that there is to do now. Raises Unavailable: the rest is done another time."""
        for removal in self._store.removals():
            self._remove(self._store, removal)
        self._bury_keys(self._store)
        if time.monotonic() - self._looked_s >= self._retention_s:
            self._retain(self._store)
            self._remove_old_keys(self._store)
            self._looked_s = time.monotonic()

    def _remove(self, store: Sweeping, removal: Removal) -> None:
        while self._remove_events(store, removal):
            if self._stop.is_set():
                return
        seq, key = 0, self._catalogue.identity_key
        by = Looking(key, self._catalogue.compiled("identification-point", identification_points).regions)
        while letters := store.letters_after(seq, LETTERS):
            seq = letters[-1].seq
            found = [
                letter.id
                for letter in letters
                if letter.first_ms <= removal.until_ms
                and is_about(removal.person, stage=letter.stage, key=letter.key, body=letter.body, by=by)
            ]
            if found:
                store.remove_letters(removal, found)
            if self._stop.wait(PAUSE_S):
                return
        marks = [mark(PROFILE, id, key) for id in removal.person.ids]
        while store.remove_keys(removal, marks, KEYS):
            if self._stop.wait(PAUSE_S):
                return
        self._bury_keys(store)
        store.end_removal(removal, self._now_ms())
        log.info("person.erased", erasure=removal.id)

    def _remove_events(self, store: Sweeping, removal: Removal) -> int:
        """Those that are there; returns how many. What others were writing just then is there the next time."""
        total, looked = 0, None
        while True:
            removed, looked = store.remove_events(removal, looked, STEP)
            metrics.ERASED.inc(removed)
            total += removed
            if looked is None or self._stop.wait(PAUSE_S):
                return total

    def _bury_keys(self, store: Sweeping) -> None:
        """What was thrown away in the store is thrown away on keys.v1, too, before it is forgotten."""
        while ids := store.keys_to_bury(KEYS):
            self._throw_away(ids)
            store.forget_keys(ids)

    def _remove_old_keys(self, store: Sweeping) -> None:
        """Of records that Kafka has deleted."""
        if not store.has_keys():
            return
        # Kafka closes a segment when something new comes, and takes thrown away keys out of closed ones only
        self._throw_away([NO_KEY])
        kept_ms = self._kept_ms()
        if kept_ms is None:
            return
        while store.remove_old_keys(self._now_ms() - kept_ms - DAY_MS, KEYS):
            self._bury_keys(store)
            if self._stop.wait(PAUSE_S):
                return

    def _retain(self, store: Sweeping) -> None:
        days = self._catalogue.compiled("retention", cutoffs)
        if not days:
            return
        now_ms = self._now_ms()
        store.expire([Expired(type, now_ms - number * DAY_MS) for type, number in sorted(days.items())])
        passed: Passed | None = None
        while True:
            removed, passed = store.remove_expired(passed, STEP)
            metrics.EXPIRED.inc(removed)
            if passed is None or self._stop.wait(PAUSE_S):
                return
