"""Runs a process of the hub with a wall clock that the kit sets: `python -m hub.chaos.clock FILE hub-arguments…`.

FILE holds 8 bytes, the nanoseconds to add (signed, little endian), and is looked at with every reading of the clock: so
a running process's clock jumps. Python's `time.time` and `time.time_ns` are all that our code reads; the clocks of
librdkafka and of Kafka itself stay right.
"""

from __future__ import annotations

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from typing import Final

FORMAT: Final = "<q"


def make(path: Path) -> None:
    """A clock that is right."""
    path.write_bytes(struct.pack(FORMAT, 0))


def set_ahead(path: Path, seconds: float) -> None:
    """Set the clock of whoever runs with this file. Args: seconds: negative is behind."""
    with path.open("r+b") as file:
        file.write(struct.pack(FORMAT, int(seconds * 1e9)))


def main() -> None:
    """Bend the clock, then become `hub`."""
    path, arguments = Path(sys.argv[1]), sys.argv[2:]
    with path.open("rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    right = time.time_ns

    def time_ns() -> int:
        number: int = struct.unpack_from(FORMAT, ahead)[0]
        return right() + number

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    sys.argv = ["hub", *arguments]
    runpy.run_module("hub", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
