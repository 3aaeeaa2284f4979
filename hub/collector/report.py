"""What the collector says of its work: metrics of each batch, a line in the log every few seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import structlog

from hub.collector import metrics
from hub.model import Counts
from hub.pipeline.process import Outcome

log: Final = structlog.get_logger()
LINE_EVERY_S: Final = 5.0
SAMPLES: Final = 16
"""Records of a batch whose age is looked at."""


class Report:
    """Used by one thread."""

    def __init__(self) -> None:
        """The first batch gets a line."""
        self._sum = Counts()
        self._batches = 0
        self._slowest_s = 0.0
        self._told_at = 0.0

    def stored(self, received_ms: Sequence[int], now_ms: int) -> None:
        """The store has a batch. Args: received_ms: when its records were received, milliseconds since 1970."""
        # some of them say it as well as all: a second's worth of load has thousands
        for at_ms in received_ms[:: max(1, len(received_ms) // SAMPLES)]:
            metrics.STORED_S.observe(max(0, now_ms - at_ms) / 1000)

    def add(self, outcome: Outcome, took_s: float) -> None:
        """Count a batch that is done. Args: took_s: from its poll to its commit."""
        for key, counts in outcome.batch.counters.items():
            metrics.STORED.labels(key.source).inc(counts.stored)
            metrics.DUPLICATES.labels(key.source).inc(counts.duplicate)
            self._sum.received += counts.received
            self._sum.stored += counts.stored
            self._sum.duplicate += counts.duplicate
            self._sum.dropped += counts.dropped
            self._sum.dead += counts.dead
        for source, conflicts in outcome.conflicts.items():
            metrics.CONFLICTS.labels(source).inc(conflicts)
        for id, filtered in outcome.filtered.items():
            metrics.FILTERED.labels(id).inc(filtered)
        for why, voided in outcome.voided.items():
            metrics.VOIDED.labels(why).inc(voided)
        for trigger in outcome.triggers:
            metrics.TRIGGERS.labels(trigger["kind"]).inc()
        for letter in (*outcome.batch.dead_letters, *outcome.batch.failed_again):
            metrics.DEAD.labels(letter.reason).inc()
        metrics.RESOLVED.inc(len(outcome.batch.resolved))
        metrics.BATCH_S.observe(took_s)
        log.debug("batch.stored", stored=len(outcome.batch.events), took_s=round(took_s, 4))
        self._batches += 1
        self._slowest_s = max(self._slowest_s, took_s)
        now = time.monotonic()
        if now - self._told_at >= LINE_EVERY_S:
            self._tell(now)

    def _tell(self, now: float) -> None:
        log.info(
            "batches.stored",
            batches=self._batches,
            received=self._sum.received,
            stored=self._sum.stored,
            duplicate=self._sum.duplicate,
            dropped=self._sum.dropped,
            dead=self._sum.dead,
            slowest_s=round(self._slowest_s, 3),
        )
        self._sum, self._batches, self._slowest_s, self._told_at = Counts(), 0, 0.0, now
