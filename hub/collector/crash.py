"""The named points between two I/O steps of the collector, at which a test can stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, TypeAlias

CrashPoint: TypeAlias = Literal["polled", "loaded", "processed", "written", "produced", "flushed", "committed"]

CRASH_POINTS: Final[tuple[CrashPoint, ...]] = (
    "polled",  # records taken from Kafka, nothing read from the store
    "loaded",  # what is known was read, nothing computed
    "processed",  # the outcome is computed, nothing written
    "written",  # the store has the batch, nobody was told
    "produced",  # stored.v1, triggers.v1 and dead.v1 were handed to librdkafka, which may have sent some
    "flushed",  # Kafka has them, the offsets are not committed
    "committed",  # all is done
)

At: TypeAlias = Callable[[CrashPoint], None]


def nowhere(_point: CrashPoint) -> None:
    """In production nothing happens at a crash point."""
