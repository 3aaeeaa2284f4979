"""Another process on the same store, for the tests: `python -m tests.contracts.store_process FILE WHAT ARGUMENT`."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from hub.errors import Unavailable
from hub.store.sqlite import SqliteStore, beside, rollback
from tests.contracts.batches import NOW_MS, whole


def die_before(path: Path, statement: str) -> None:
    """Write batch 1, but die without warning before the first statement that begins like this."""
    store = SqliteStore(path)

    def trace(sql: str) -> None:
        if sql.startswith(statement):
            os.kill(os.getpid(), signal.SIGKILL)

    with store._db.exclusive() as connection:
        connection.set_trace_callback(trace)
    store.write(whole(1, 50))


def write_on(path: Path, events: str) -> None:
    """Write batches of this many events until killed; a line before and after each."""
    store = SqliteStore(path)
    number = store.progress(1).get(0, 0) // int(events)
    while True:
        print("writing", number, flush=True)
        store.write(whole(number, int(events)))
        print("written", number, flush=True)
        number += 1


def number_epochs(path: Path, order: str) -> None:
    """Ask for the epochs of these topics; prints one number each, in the order of their names."""
    store = SqliteStore(path)
    numbers = {topic: store.epoch(topic) for topic in order.split(",")}
    print(*(numbers[topic] for topic in sorted(numbers)))


def fill_up(path: Path, limit: str) -> None:
    """Write batches until the system refuses, then print what was written and what was said."""
    store = SqliteStore(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    for number in range(1_000):
        try:
            store.write(whole(number, 100))
        except Unavailable as exc:
            print(number, exc, flush=True)
            os._exit(0)  # closing would checkpoint, which the limit forbids as well


def upgrade(path: Path, point: str) -> None:
    """Upgrade the store, or die at this point; prints how many events there are, and whether it was this process."""

    def at(here: beside.Point) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    done = beside.upgrade(path, now_ms=lambda: NOW_MS, at=at)
    print(SqliteStore(path).count("events", ""), done is not None, flush=True)


def upgrade_within(path: Path, limit: str) -> None:
    """Upgrade the store where no file may be longer than this; prints what was said."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        beside.upgrade(path, now_ms=lambda: NOW_MS)
    except Unavailable as exc:
        print("Unavailable", exc, flush=True)


def roll_back(path: Path, point: str) -> None:
    """Go back to the file of before the last upgrade, and die at this point."""

    def at(here: rollback.Point) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    rollback.roll_back(path, now_ms=lambda: NOW_MS, at=at)


WHAT = {"die_before": die_before, "write_on": write_on, "number_epochs": number_epochs, "fill_up": fill_up}
WHAT |= {"upgrade": upgrade, "upgrade_within": upgrade_within, "roll_back": roll_back}

if __name__ == "__main__":
    WHAT[sys.argv[2]](Path(sys.argv[1]), sys.argv[3])
