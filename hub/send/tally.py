"""How far a file has been sent: counts, refused rows, and the line to go on from."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from hub.send.parcels import Failure, Parcel

SAVE_EVERY_S: Final = 1.0


class _State(msgspec.Struct):
    name: str
    done_line: int


class Checkpoint:
    """
    Where a later run goes on: a small JSON file, always whole.

    Sending a line twice does no harm, its ids are the same; so the file may lag behind, but never runs ahead.
    """

    def __init__(self, path: Path, name: str, monotonic: Callable[[], float]) -> None:
        """
        Args:
            path: Made when it is not there.
            name: What the file is called in the ids; a checkpoint of another name is refused.

        Raises: ValueError: the file is no checkpoint, or another file's.
        """
        self._path = path
        self._name = name
        self._monotonic = monotonic
        self._saved_at = monotonic()
        self.done_line = 0
        """Everything up to this line is settled."""
        if path.exists():
            try:
                state = msgspec.json.decode(path.read_bytes(), type=_State)
            except msgspec.DecodeError as exc:
                raise ValueError(f"{path} is no checkpoint of `hub send`: {exc}") from exc
            if state.name != name:
                raise ValueError(f"{path} is the checkpoint of {state.name}, not of {name}")
            self.done_line = state.done_line

    def reached(self, line: int) -> None:
        """Everything up to `line` is settled; written down once a second."""
        self.done_line = line
        if self._monotonic() - self._saved_at >= SAVE_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write it down now."""
        self._saved_at = self._monotonic()
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_bytes(msgspec.json.encode(_State(self._name, self.done_line)))
        os.replace(fresh, self._path)  # noqa: PTH105 - atomic on the same file system, which is the point


class Tally:
    """Counts on one thread. Parcels settle in any order; the checkpoint follows the first that has not."""

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        """Starts at nothing."""
        self.sent = 0
        self.retried = 0
        self.refused: list[Failure] = []
        self._checkpoint = checkpoint
        self._open: deque[Parcel] = deque()
        self._settled: set[int] = set()

    def opened(self, parcel: Parcel) -> None:
        """`parcel` is on its way; calls come in the order of the file."""
        self._open.append(parcel)

    def accepted(self, parcel: Parcel) -> None:
        """The hub has it."""
        self.sent += parcel.rows
        self.settled(parcel)

    def settled(self, parcel: Parcel) -> None:
        """Nothing more will be done about it."""
        self._settled.add(parcel.lines[0])
        line = 0
        while self._open and self._open[0].lines[0] in self._settled:
            done = self._open.popleft()
            self._settled.discard(done.lines[0])
            line = done.lines[1]
        if line and self._checkpoint is not None:
            self._checkpoint.reached(line)

    def refuse(self, line: int, reason: str) -> None:
        """A row will not be taken; the others go on."""
        self.refused.append(Failure(line, reason))

    def close(self) -> None:
        """Write the checkpoint."""
        if self._checkpoint is not None:
            self._checkpoint.save()
