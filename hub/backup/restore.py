"""`hub restore`: a data folder of a backup, made beside its place and put there when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from hub.backup import archive, manifest, place
from hub.backup.make import Counting, Step, Tell
from hub.backup.manifest import Manifest
from hub.errors import Refused
from hub.stack import state
from hub.store.sqlite.snapshot import check

DRAFT: Final = ".hub-restore-part"
OLD: Final = ".hub-restore-old"


class Restored(NamedTuple):
    """`replaced`: whether there was something in the folder, which is gone now."""

    data: Path
    about: Manifest
    replaced: bool


def look(source: Path, tell: Tell = lambda _: None) -> Manifest:
    """Read all of a backup, and change nothing. Raises: Refused: it is none, damaged, or of a newer hub. OSError."""
    with archive.reading(source) as (_, about):
        """Its manifest, before the long part."""
    done = Counting(tell)
    done.begin("reading", about.bytes)
    return archive.verify(source, done)


def restore(
    source: Path,
    data: Path,
    *,
    replace: bool = False,
    tell: Tell = lambda _: None,
    at: Callable[[], None] = lambda: None,
) -> Restored:
    """
    Make the data folder of it. Until all is there and was compared with the manifest, `data` stays as it is.

    Args: data: a folder that is not there or is empty. replace: also if something is in it, which is removed then. at:
        called when all is written, before the folder comes into its place.

    Raises:
        Refused: something is in the folder; a hub runs on it; the backup is damaged, none, or of a newer hub. OSError.
    """
    data = data.resolve()
    _take_back(data)
    is_full = _require_free(data, replace=replace)
    with archive.reading(source) as (members, about), _draft(data) as draft:
        done = Counting(tell)
        done.begin("restoring", about.bytes)
        for entry in about.files:
            path = draft / entry.name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                for chunk in archive.chunks(members, entry, done):
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        tell(Step("checking the store"))
        if check(draft / manifest.STORE, "quick_check") != (about.schema, about.rows):
            raise Refused("backup", f"{source} has another store than it says. Take another backup")
        for folder in (draft, *(path for path in draft.rglob("*") if path.is_dir())):
            place.to_disk(folder)
        at()
        _put(draft, data, is_full=is_full)
    return Restored(data, about, is_full)


def _require_free(data: Path, *, replace: bool) -> bool:
    """Whether there is something in it that may be replaced. Raises Refused."""
    if not data.exists():
        return False
    if not data.is_dir():
        raise Refused("restore", f"{data} is no folder")
    if data.is_mount():
        raise Refused(
            "restore",
            f"{data} is a mount point, which cannot be replaced: restore into a folder in it, as in {data}/hub",
        )
    pid = state.holder(data)
    if pid is not None:
        raise Refused("restore", f"a hub runs on {data} as process {pid}. Stop it with `hub down --data {data}`")
    if not any(data.iterdir()):
        return False
    if not replace:
        raise Refused(
            "restore", f"{data} is not empty: restore into another folder, or replace all that is in it with --force"
        )
    return True


def _take_back(data: Path) -> None:
    """What a restore has put aside that was cut off before the new folder was in its place."""
    old = _beside(data, OLD)
    if old.exists() and not data.exists():
        old.rename(data)


@contextmanager
def _draft(data: Path) -> Iterator[Path]:
    """A folder beside it, mode 0700; what is left of one that was cut off is removed."""
    data.parent.mkdir(parents=True, exist_ok=True)
    draft, old = _beside(data, DRAFT), _beside(data, OLD)
    for path in (draft, old):
        shutil.rmtree(path, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _put(draft: Path, data: Path, *, is_full: bool) -> None:
    old = _beside(data, OLD)
    if is_full:
        data.rename(old)
    try:
        draft.rename(data)  # over an empty folder, or none
    except BaseException:
        if is_full:
            old.rename(data)
        raise
    place.to_disk(data.parent)
    shutil.rmtree(old, ignore_errors=True)


def _beside(data: Path, suffix: str) -> Path:
    return data.with_name(f".{data.name}{suffix}")
