"""How far an import of the command line is: a small JSON file, always whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from hub.imports.importer import Counts, Step
from hub.imports.rows import Source, unreadable


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a later run has to know.

    Attributes:
        mark: Of the source's content.
        position: Where to go on; null: at the beginning.
        began_ms: When the import began first, milliseconds since 1970.
        finished: Whether it came to the end.
    """

    id: str
    location: str
    mark: str
    position: Any
    counts: Counts
    began_ms: int
    finished: bool = False


class Checkpoint:
    """
    The file of one import. Importing a row twice does no harm, its ids are the same: so the file may lag behind what
    Kafka has, but never runs ahead.
    """

    def __init__(self, folder: Path, id: str) -> None:
        """Args: folder: made when it is not there."""
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{id}.json"

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def read(self) -> Saved | None:
        """What the last run left; None: there was none. Raises Refused."""
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Saved)
        except FileNotFoundError:
            return None
        except (msgspec.DecodeError, OSError) as exc:
            raise unreadable(f"{self._path} is no checkpoint of an import: {exc}. Remove it to begin anew") from exc

    def write(self, saved: Saved) -> None:
        """In one step."""
        fresh = self._path.with_name(f"{self._path.name}.new")
        fresh.write_bytes(msgspec.json.encode(saved))
        os.replace(fresh, self._path)  # noqa: PTH105 - atomic on the same file system, which is the point


def begin(before: Saved | None, *, id: str, location: str, source: Source, resume: bool, now_ms: int) -> Saved:
    """
    Where a run begins.

    Args:
        before: What the last run left. source: open. resume: whether to go on where that was.

    Raises: Refused: what was imported under this id was something else.
    """
    if before is None:
        return Saved(id=id, location=location, mark=source.mark, position=None, counts=Counts(), began_ms=now_ms)
    if not source.continues(before.mark):
        raise unreadable(
            f"{location} is not what was imported as {id!r} before ({before.location}): its rows would get the ids of "
            "other rows, and be taken for duplicates. Give it an id of its own (--id)"
        )
    if resume:
        # a file that has grown since goes on behind its last row
        return msgspec.structs.replace(before, location=location, mark=source.mark, finished=False)
    return Saved(id=id, location=location, mark=source.mark, position=None, counts=Counts(), began_ms=before.began_ms)


def after(saved: Saved, step: Step) -> Saved:
    """One page later."""
    return msgspec.structs.replace(saved, position=step.position, counts=saved.counts.plus(step.counts))
