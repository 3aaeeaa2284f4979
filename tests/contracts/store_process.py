"""Another process on the same store, for the tests: `python -m tests.contracts.store_process FILE WHAT ARGUMENT`."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path

from hub.errors import Unavailable
from hub.store.sqlite import SqliteStore
from tests.contracts.batches import whole


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


WHAT = {"die_before": die_before, "write_on": write_on, "number_epochs": number_epochs, "fill_up": fill_up}

if __name__ == "__main__":
    WHAT[sys.argv[2]](Path(sys.argv[1]), sys.argv[3])
