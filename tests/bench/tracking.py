"""Watches a process from its first record to its last: how many it has done, and what it used meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, NamedTuple

import psutil

from tests.bench.processes import Usage

LOOK_EVERY_S: Final = 0.05


class Course(NamedTuple):
    """From when the first records were done to when the last one was."""

    records: int
    wall_s: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Records per second."""
        return self.records / self.wall_s

    @property
    def cpu_s_per_100k(self) -> float:
        """Processor seconds per 100,000 records."""
        return self.cpu_s / self.records * 100_000


def follow(process: psutil.Process, done: Callable[[], int], total: int, timeout_s: float) -> Course:
    """Ask `done` 20 times a second until it is `total`."""
    deadline = time.monotonic() + timeout_s
    first: tuple[int, float, float] | None = None
    while True:
        count, now, used = done(), time.monotonic(), Usage.of(process).cpu_s
        if count and first is None:
            first = count, now, used
        if first is not None and count >= total:
            begun, at, used_before = first
            assert count == total, f"{count} records came of {total}"
            assert begun < total, "it was over before it could be watched: send more"
            return Course(total - begun, now - at, used - used_before)
        assert process.is_running(), "the process has ended"
        assert now < deadline, f"{count} of {total} records after {timeout_s:g} s"
        time.sleep(LOOK_EVERY_S)
