"""Who runs on a data folder: its lock, and the state file that `hub status` reads."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from hub.errors import Refused
from hub.stack import files

LOCK: Final = "lock"
STATE: Final = "run.json"

State: TypeAlias = Literal["starting", "ready", "not ready", "waiting", "failed", "stopped"]


class ProcessState(msgspec.Struct, frozen=True, kw_only=True):
    """One process. `waiting`: it has ended and starts again soon; `failed`: it will not, a person has to act."""

    name: str
    state: State
    pid: int | None
    port: int
    restarts: int
    started_at_ms: int
    last_exit: str  # how the run before ended; "" for never


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """One `hub up`."""

    pid: int
    ready: bool
    url: str
    namespace: str
    kafka: str
    redis: str
    started_at_ms: int
    processes: list[ProcessState]


@contextlib.contextmanager
def lock(data: Path) -> Iterator[None]:
    """
    The data folder is ours until the block, or this process, ends.

    Raises: Refused: another one has it; names its process id and how to stop it.
    """
    with (data / LOCK).open("a+b") as file:
        with _gate(data):
            if not _try(file.fileno(), fcntl.LOCK_EX):
                pid = (data / LOCK).read_text() or "unknown"
                raise Refused(
                    "data folder",
                    f"{data} is in use by a hub that runs as process {pid}. Stop it with `hub down --data {data}`, "
                    "or start this one with another --data",
                )
            file.truncate(0)
            file.write(str(os.getpid()).encode())
            file.flush()
        try:
            yield
        finally:
            (data / STATE).unlink(missing_ok=True)


def holder(data: Path) -> int | None:
    """The process id of the hub that runs on this folder; None when none does."""
    path = data / LOCK
    if not path.exists():
        return None
    with path.open("rb") as file, _gate(data):
        if _try(file.fileno(), fcntl.LOCK_SH):
            return None
        return int(file.read() or 0)


def write(data: Path, state: RunState) -> None:
    """Replace the state file."""
    files.write_atomically(data / STATE, msgspec.json.format(msgspec.json.encode(state)).decode() + "\n")


def read(data: Path) -> RunState | None:
    """The state of the hub that runs on this folder; None when none does, or when it has not got so far."""
    if holder(data) is None:
        return None
    try:
        return msgspec.json.decode((data / STATE).read_bytes(), type=RunState)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def _gate(data: Path) -> Iterator[None]:
    """Held for the moment of a try: so whoever only looks never makes a start fail."""
    with (data / f"{LOCK}.gate").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _try(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
