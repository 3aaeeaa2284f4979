"""Processes that the tests of backups kill: `python -m tests.backup_process WHAT ARGUMENT…`.

`back_up DATA TARGET POINT` and `restore SOURCE DATA` kill themselves, without warning, at that point, or before the
folder comes into its place. `log FILE` stands in for a broker: it appends a record of eight bytes, a thousand times a
second at most. `store LOG FILE` is a collector of it: it writes how long the log is to the store; a line after each.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from hub.backup import make
from hub.backup.make import Site, back_up
from hub.backup.restore import restore
from hub.store.sqlite import SqliteStore
from tests.contracts.batches import NOW_MS, batch


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_backing_up(data: str, target: str, point: str) -> None:
    def at(here: make.Point) -> None:
        if here == point:
            die()

    site = Site(Path(data), f"sqlite:///{data}/hub.sqlite", "hub")
    back_up(site, Path(target), now_ms=lambda: NOW_MS, replace=True, at=at)


def die_restoring(source: str, data: str) -> None:
    restore(Path(source), Path(data), replace=True, at=die)


def log(path: str) -> None:
    with Path(path).open("ab", buffering=0) as file:
        while True:
            file.write(b"record\r\n")
            time.sleep(0.001)


def store(log: str, path: str) -> None:
    collected = SqliteStore(Path(path))
    before = collected.progress(1).get(0, 0)
    while True:
        now = Path(log).stat().st_size // 8
        collected.write(batch(progress={0: (before, now)}))
        before = now
        print(now, flush=True)


if __name__ == "__main__":
    {"back_up": die_backing_up, "restore": die_restoring, "log": log, "store": store}[sys.argv[1]](*sys.argv[2:])
