"""The file that a backup is written to: a draft beside it, which takes its name when it is whole."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

from hub.errors import Refused

DRAFT: Final = ".hub-backup-part"
STORE: Final = ".hub-backup-store"


class Draft(NamedTuple):
    """`descriptor`: of the empty draft. `store`: a path beside it for the copy of the store; nothing is there yet."""

    path: Path
    descriptor: int
    store: Path


def target_of(target: Path, name: str) -> Path:
    """`target`, or in the folder that it is a file of this name."""
    return target / name if target.is_dir() else target


@contextmanager
def draft(target: Path, *, replace: bool) -> Iterator[Draft]:
    """
    A draft for the block, mode 0600, which nobody else writes. Nothing of it is left after it unless `keep` was called.

    What backups have left that were killed is removed.

    Raises: Refused: the target is there already, or its folder is not, or another process writes a backup of this name.
    OSError.
    """
    if target.exists() and not replace:
        raise Refused("backup", f"{target} is there already: choose another name, or replace it with --force")
    folder = target.absolute().parent
    if not folder.is_dir():
        raise Refused("backup", f"there is no folder {folder}: make it, or choose another place")
    _sweep(folder)
    path = folder / f".{target.name}{DRAFT}"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not _lock(descriptor):
            raise Refused("backup", f"another process is writing {target} just now")
        os.ftruncate(descriptor, 0)
        made = Draft(path, descriptor, folder / f".{target.name}{STORE}")
        try:
            made.store.unlink(missing_ok=True)
            os.close(os.open(made.store, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            yield made
        finally:
            _forget(made.store)
            # if it was kept there is none of this name any more
            path.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def keep(draft: Draft, target: Path) -> None:
    """The draft takes the target's name: from now on it is there, whole, and stays after a power cut."""
    draft.path.replace(target)
    to_disk(target.absolute().parent)


def to_disk(path: Path) -> None:
    """Have the system write a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(folder: Path) -> None:
    for path in folder.glob(f".*{DRAFT}"):
        with suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDWR)
            try:
                if _lock(descriptor):  # whoever wrote it is gone
                    _forget(path.with_name(path.name.removesuffix(DRAFT) + STORE))
                    path.unlink()
            finally:
                os.close(descriptor)


def _forget(store: Path) -> None:
    for suffix in ("", "-journal", "-wal", "-shm"):
        store.with_name(store.name + suffix).unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
