"""The file of a backup: a zip with its manifest as the last member. Written whole or not at all."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from hub.backup import manifest
from hub.backup.manifest import Entry, Manifest
from hub.errors import Refused

CHUNK: Final = 1 << 20
_LEVEL: Final = 1
"""Of compression: a third of the size at a hundred megabytes a second; more takes much longer for little."""

Done = Callable[[int], None]
"""Gets the bytes that were read since the last call."""


class Writer:
    """Adds members. `entries`: what is in it by now."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        """Of an open archive."""
        self._archive = archive
        self.entries: list[Entry] = []

    def add(self, name: str, chunks: Iterable[bytes], done: Done) -> None:
        """A file. Raises OSError."""
        info = zipfile.ZipInfo(name)
        # Kafka's records are compressed already
        info.compress_type = zipfile.ZIP_STORED if name.endswith(".log") else zipfile.ZIP_DEFLATED
        info._compresslevel = _LEVEL  # type: ignore[attr-defined]  # ZipFile.open has no argument for it
        info.external_attr = 0o600 << 16
        digest, size = sha256(), 0
        with self._archive.open(info, "w", force_zip64=True) as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
                done(len(chunk))
        self.entries.append(Entry(name, size, digest.hexdigest()))

    def end(self, about: Manifest) -> None:
        """The manifest, and nothing after it."""
        self._archive.writestr(manifest.NAME, manifest.encode(about))


@contextmanager
def writing(descriptor: int) -> Iterator[Writer]:
    """On disk after the block. Raises OSError."""
    with os.fdopen(os.dup(descriptor), "wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            yield Writer(archive)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def reading(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    """
    An archive, and its manifest.

    Raises: Refused: it is no backup, cut off, or of a newer hub. OSError.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            try:
                about = archive.read(manifest.NAME)
            except KeyError as exc:
                raise Refused("backup", f"{path} is no backup of a hub: it has no {manifest.NAME}") from exc
            yield archive, manifest.decode(about, str(path))
    except zipfile.BadZipFile as exc:
        raise Refused("backup", f"{path} is no backup, damaged or cut off: {exc}") from exc


def chunks(archive: zipfile.ZipFile, entry: Entry, done: Done) -> Iterator[bytes]:
    """A member's bytes. Raises Refused, at its end: they are not what the manifest says."""
    digest, size = sha256(), 0
    try:
        with archive.open(entry.name) as member:
            while chunk := member.read(CHUNK):
                digest.update(chunk)
                size += len(chunk)
                done(len(chunk))
                yield chunk
    except KeyError as exc:
        raise _damaged(archive, f"{entry.name} is not in it") from exc
    except (zipfile.BadZipFile, EOFError, NotImplementedError, zlib.error) as exc:
        raise _damaged(archive, f"{entry.name} cannot be read: {exc}") from exc
    if (size, digest.hexdigest()) != (entry.bytes, entry.sha256):
        raise _damaged(archive, f"{entry.name} is not what was written")


def verify(path: Path, done: Done) -> Manifest:
    """Read all of it. Returns: its manifest. Raises: as `reading` and `chunks`."""
    with reading(path) as (archive, about):
        for entry in about.files:
            for _ in chunks(archive, entry, done):
                """Looked at, and not kept."""
    return about


def _damaged(archive: zipfile.ZipFile, what: str) -> Refused:
    return Refused("backup", f"{archive.filename} is damaged: {what}. Take another backup of it")
