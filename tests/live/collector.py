"""`hub collector` as a process of its own, for tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from hub.collector.crash import CRASH_POINTS

CRASHES: Final = [
    pytest.param(point, marks=() if point in {"written", "flushed"} else pytest.mark.long) for point in CRASH_POINTS
]
"""
For tests that kill it among records of one kind: in each run where its store is ahead of the topics, and where it is
ahead of the offsets. `test_collector_crash.py` kills it at all points in each run.
"""


class CollectorProcess:
    """One `hub collector`; its output is in `log`."""

    def __init__(self, kafka: str, namespace: str, folder: Path, *options: str, name: str = "collector") -> None:
        """Starts it. Args: folder: its data folder, the store included."""
        self.log = folder / f"{name}.log"
        environment = {
            **os.environ,
            "HUB_KAFKA__BOOTSTRAP": kafka,
            "HUB_KAFKA__PARTITIONS": "4",
            "HUB_NAMESPACE": namespace,
            "HUB_DATA": str(folder),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hub", "collector", *options], env=environment, stdout=log, stderr=log
            )

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        """SIGKILL, as a power cut does it."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def collector(
    kafka: str, namespace: str, folder: Path, *options: str, name: str = "collector"
) -> Iterator[CollectorProcess]:
    """A collector that runs as long as the block, and stops cleanly."""
    one = CollectorProcess(kafka, namespace, folder, *options, name=name)
    try:
        yield one
        assert one.stop() == 0, one.log.read_text()
    finally:
        one.kill()
