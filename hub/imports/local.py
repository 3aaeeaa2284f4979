"""Files of this machine: any for whoever runs a command, those of one folder for the hub."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeAlias

from hub.imports.bytes_of import Blob
from hub.imports.rows import unreadable

HEAD_BYTES: Final = 65_536

Find: TypeAlias = Callable[[str], list[Path]]
"""The files of a name or pattern, in their order. Raises Refused: there are none, or they are not to be read."""


def anywhere(pattern: str) -> list[Path]:
    """Whatever this user may read."""
    plain = Path(pattern).expanduser()
    if plain.is_file() or not glob.has_magic(pattern):
        return [_file(plain, pattern)]
    found = sorted(Path(name) for name in glob.glob(str(plain)) if Path(name).is_file())  # noqa: PTH207 - absolute ones, too
    if not found:
        raise unreadable(f"there is no file {pattern}")
    return found


def within(folder: Path | None) -> Find:
    """Only what lies in a folder, also behind links. Args: None: there is no such folder."""
    if folder is None:
        return _nowhere
    return partial(_within, folder)


def blob(path: Path, name: str) -> Blob:
    """A file. Raises Refused: it may not be read."""
    try:
        return _blob(path, name)
    except OSError as exc:
        raise unreadable(f"{path} cannot be read: {exc}") from exc


def _blob(path: Path, name: str) -> Blob:
    state = path.stat()
    return Blob(
        name=name,
        size=state.st_size,
        mark=_mark(path, state.st_size),
        time_ms=state.st_mtime_ns // 1_000_000,
        open=partial(_opened, path),
        continues=partial(_continues, path, state.st_size),
    )


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _nowhere(pattern: str) -> list[Path]:
    raise unreadable(
        f"{pattern}: this hub reads no files of its machine. Name a folder that it may read in HUB_IMPORTS__FOLDER, "
        "put the file there, and start the API and the workers again; or use `hub import`, S3 or a database"
    )


def _within(folder: Path, pattern: str) -> list[Path]:
    root = folder.resolve()
    names = glob.glob(pattern, root_dir=root) if glob.has_magic(pattern) else [pattern]  # noqa: PTH207 - not above root
    try:
        found = [(root / name, (root / name).resolve()) for name in names]
        files = sorted(path for path, _ in found if path.is_file())
    except (OSError, ValueError) as exc:
        raise unreadable(f"{pattern[:200]!r} is no name of a file: {exc}") from exc
    # resolved: `..` and links lead out of the folder
    if Path(pattern).is_absolute() or any(not place.is_relative_to(root) for _, place in found):
        raise unreadable(f"{pattern} is not in the folder of HUB_IMPORTS__FOLDER: write it as it is called in there")
    if not files:
        raise unreadable(f"there is no file {pattern} in the folder of HUB_IMPORTS__FOLDER")
    return files


def _file(path: Path, as_told: str) -> Path:
    if path.is_dir():
        raise unreadable(f"{as_told} is a folder: name its files, such as '{as_told.rstrip('/')}/*.csv'")
    if not path.is_file():
        raise unreadable(f"there is no file {as_told}")
    return path


def _mark(path: Path, size: int) -> str:
    """Size and first bytes: what a file has that was added to is found in the larger one."""
    head = min(size, HEAD_BYTES)
    return f"{size} {head} {_digest(path, head)}"


def _continues(path: Path, size: int, mark: str) -> bool:
    """Whether a file is the one of a mark, or that one with more behind it."""
    before, head, digest = [*mark.split(), "", "", ""][:3]
    if not before.isdigit() or not head.isdigit() or size < int(before):
        return False
    return _digest(path, int(head)) == digest


def _digest(path: Path, size: int) -> str:
    with path.open("rb") as file:
        return hashlib.sha256(file.read(size)).hexdigest()[:32]
