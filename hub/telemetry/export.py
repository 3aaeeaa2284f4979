"""From ended spans to the OTLP endpoint: a bounded queue and a thread, so that nobody ever waits for the endpoint."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

import structlog
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from hub.telemetry.metrics import DROPPED, EXPORTED

log: Final = structlog.get_logger()

MOST: Final = 4_096
"""Spans that wait; what comes then is thrown away, and counted."""
BATCH: Final = 512
EVERY_S: Final = 1.0
END_S: Final = 3.0
"""For what is left when the process ends."""


class Queue(SpanProcessor):
    """
    Takes spans from any thread in a microsecond.

    Not the SDK's own: that says nothing of what it throws away, and waits for its exporter at the end for as long as
    that likes.
    """

    def __init__(self, exporter: SpanExporter, *, most: int = MOST, every_s: float = EVERY_S) -> None:
        """Starts its thread. Args: exporter: tries for some seconds, then gives up."""
        self._exporter = exporter
        self._most = most
        self._every_s = every_s
        self._waiting: deque[ReadableSpan] = deque()
        self._wake, self._ended = threading.Event(), threading.Event()
        self._fails = False
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: only what has ended is told."""

    def on_end(self, span: ReadableSpan) -> None:
        """It is told when its turn comes, or thrown away."""
        if len(self._waiting) >= self._most:
            DROPPED.labels("full").inc()
            return
        self._waiting.append(span)
        if len(self._waiting) == BATCH:
            self._wake.set()

    def shutdown(self) -> None:
        """Tell what is left, for END_S at most; the rest is thrown away."""
        self._ended.set()
        self._wake.set()
        self._thread.join(END_S)
        self._exporter.shutdown()
        self._thread.join(END_S)
        if self._waiting:
            DROPPED.labels("ended").inc(len(self._waiting))

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - as the SDK has it
        """Nobody waits here."""
        return not self._waiting

    def _run(self) -> None:
        while not self._ended.is_set():
            self._wake.wait(self._every_s)
            self._wake.clear()
            self._tell()

    def _tell(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                done = self._exporter.export(batch) is SpanExportResult.SUCCESS
            except Exception as exc:  # noqa: BLE001 - whatever is wrong with it is no fault of the hub's work
                done = False
                log.warning("telemetry.failed", error=f"{type(exc).__name__}: {exc}")
            if done:
                EXPORTED.inc(len(batch))
            else:
                DROPPED.labels("failed").inc(len(batch))
            if done == self._fails:
                self._fails = not done
                log.warning("telemetry.away" if self._fails else "telemetry.back")
            if self._ended.is_set() and not done:
                return
