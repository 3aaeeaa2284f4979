"""The lines of a growing file as a source, each line a message. An example of a bridge of a package of one's own."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Annotated, BinaryIO, Final

from pydantic import BaseModel, Field

from bridges.base import Batch, Bridge, BridgeSpec, Context, Delivery, Rewind
from bridges.offsets import Tracker
from hub.errors import Refused, Unavailable

WAIT_S: Final = 0.5
LOOK_S: Final = 0.05
MOST_BYTES: Final = 16 * 1024 * 1024
"""Of one batch, so that memory stays flat however long the lines are."""


class LinesSettings(BaseModel, frozen=True, extra="forbid"):
    """Settings of a bridge of type `lines`."""

    path: Annotated[Path, Field(description="The file. Each line is a message when its line feed is there.")]


class LinesBridge(Bridge):
    """
    What is acknowledged is kept beside the file: which file it was, by its inode, and up to which byte.

    A file that is put in its place is read from the beginning, once all of the old one is read and acknowledged.
    """

    def __init__(self, settings: LinesSettings, context: Context) -> None:
        """Does not open anything yet."""
        self._path = settings.path
        self._state = settings.path.with_name(f"{settings.path.name}.{context.namespace}.{context.bridge}.offset")
        self._file: BinaryIO | None = None
        self._inode = 0
        self._next = 0
        """Where the next line begins."""
        self._tracker = Tracker()

    async def connect(self) -> None:
        """See Bridge."""
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError as exc:
            raise Unavailable("source", f"there is no file {self._path}: make it, or correct settings.path") from exc
        except OSError as exc:
            raise Refused("source", f"{self._path} cannot be read: {exc.strerror}") from exc
        self._inode = os.fstat(self._file.fileno()).st_ino
        inode, offset = self._read_state()
        self._next = offset if inode == self._inode else 0
        self._tracker = Tracker()

    async def take(self, limit: int) -> Batch:
        """See Bridge."""
        deadline = time.monotonic() + WAIT_S
        while not (found := await asyncio.to_thread(self._lines, limit)) and time.monotonic() < deadline:
            self._look_for_another()
            await asyncio.sleep(LOOK_S)
        return Batch(found, self._tracker.take(self._next) if found else None)

    async def ack(self, batch: Batch) -> None:
        """See Bridge. The lowest byte counts that is not acknowledged, in whatever order batches are."""
        if batch.token is None:
            return
        self._tracker.ack(batch.token)
        if self._tracker.due:
            done = self._tracker.done
            self._write_state(self._inode, done)
            self._tracker.committed = done

    async def close(self) -> None:
        """See Bridge."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def lag(self) -> int | None:
        """Nobody has counted the lines."""
        return None

    async def rewind(self, to: Rewind) -> None:
        """See Bridge."""
        try:
            offset = 0 if to.to == "beginning" else int(to.offset)
            inode = self._path.stat().st_ino
        except (ValueError, OSError) as exc:
            raise Refused("source", f"it cannot be rewound there: an offset is a number of bytes ({exc})") from exc
        self._write_state(inode, offset)

    def _lines(self, limit: int) -> list[Delivery]:
        """Whole lines only: the last one may still be written."""
        file = self._file
        assert file is not None
        size = os.fstat(file.fileno()).st_size
        if size < self._next:
            raise Refused("source", f"{self._path} has become shorter than what was read: rewind it to the beginning")
        found: list[Delivery] = []
        start = self._next
        file.seek(start)
        while len(found) < limit and self._next - start < MOST_BYTES:
            line = file.readline()
            if not line.endswith(b"\n"):
                break
            found.append(Delivery(line[:-1], f"{self._path.name}/{self._inode}/{self._next}"))
            self._next += len(line)
        return found

    def _look_for_another(self) -> None:
        """Called at the end of the file. Raises Unavailable: there is another one by this name; connect to that."""
        try:
            replaced = self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return  # the next one is not there yet
        if replaced and self._tracker.done == self._tracker.taken:
            raise Unavailable("source", f"{self._path} is another file now, which is read next")

    def _read_state(self) -> tuple[int, int]:
        try:
            inode, offset = self._state.read_text().split()
        except FileNotFoundError:
            return 0, 0
        return int(inode), int(offset)

    def _write_state(self, inode: int, offset: int) -> None:
        try:
            new = self._state.with_suffix(".new")
            new.write_text(f"{inode} {offset}")
            new.replace(self._state)
        except OSError as exc:
            raise Unavailable("source", f"{self._state} cannot be written: {exc.strerror}") from exc


SPEC: Final = BridgeSpec(
    "lines",
    "Take the lines of a file as they are written.",
    LinesSettings,
    LinesBridge,
    rewinds_to=frozenset({"beginning", "offset"}),
)
