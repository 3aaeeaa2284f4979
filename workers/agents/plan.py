"""What the leader does about a run: how many slices may go now, and how it ends. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schemas.heartbeats import Run, RunState

SLICE: Final = 2_000
"""Profiles in a slice: a tenth of a second's work, so that others have their turn and a kill costs little."""
AHEAD: Final = 12
"""Slices of a run that may be under way: two for each of six partitions, so that no agent waits for the leader."""


def size(rate_limit: float) -> int:
    """Profiles in a slice: at most what may be sent in a second."""
    return max(1, min(SLICE, int(rate_limit))) if rate_limit else SLICE


def pace(run: Run, now_ms: int) -> None:
    """Begin to count anew if the clock has gone back: a run does not stand still until it has come again."""
    if now_ms < run.paced_ms:
        run.paced_ms, run.paced = now_ms, run.profiles


def room(run: Run, counts: Mapping[str, int], now_ms: int) -> int:
    """
    How many slices more may be cut now.

    Args: counts: as `schemas.heartbeats.counts_of` gives them.
    """
    if run.is_cut:
        return 0
    under_way = run.slices - counts["done"] - counts["failed"]
    free = AHEAD - under_way
    allowed = _allowed(run, now_ms)
    if allowed is not None:
        # rounded up, so that the first goes at once and the last is not waited for
        free = min(free, -(-(allowed - run.profiles) // size(run.work.rate_limit)))
    return max(0, free)


def _allowed(run: Run, now_ms: int) -> int | None:
    """How many profiles may have been given out by now; None: any number."""
    passed_ms = now_ms - run.paced_ms
    limits = []
    if run.work.rate_limit:
        limits.append(run.paced + int(run.work.rate_limit * passed_ms / 1000) + 1)
    if run.jitter_ms and passed_ms < run.jitter_ms:
        limits.append(run.paced + int((run.total - run.paced) * passed_ms / run.jitter_ms) + 1)
    return min(limits) if limits else None


def ended(run: Run, counts: Mapping[str, int]) -> RunState | None:
    """How it has ended; None: it has not."""
    if not run.is_cut or counts["done"] + counts["failed"] < run.slices:
        return None
    return "failed" if counts["failed"] else "done"
