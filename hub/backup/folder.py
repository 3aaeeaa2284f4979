"""What of a data folder belongs into a backup; files as they are at one moment, however they grow after it."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from hub.errors import Refused, Unavailable
from hub.stack import keys

KEYS: Final = (keys.NAME, keys.IDENTITY, keys.SECRET)
KAFKA: Final = "kafka"
VALKEY: Final = "valkey"
KAFKA_LOG: Final = f"{KAFKA}/log"
SMALL_BYTES: Final = 65_536
"""Up to here a file is read at once: what Kafka replaces now and then. Longer ones are only ever appended to."""
_CHUNK: Final = 1 << 20
_MOST_OPEN: Final = 65_536

_NOT_OF_KAFKA: Final = (
    ".index",  # these three are made anew of the log; they are changed in place, and would not be of the moment
    ".timeindex",
    ".txnindex",
    ".deleted",
    ".lock",
    ".kafka_cleanshutdown",  # it was not: so Kafka looks through its log when it starts
)


class Part(NamedTuple):
    """One file. `name`: in the data folder. `content`: its bytes, or a descriptor to read `size` bytes of."""

    name: str
    size: int
    content: bytes | int

    def chunks(self) -> Iterator[bytes]:
        """Its bytes, in parts. Raises Unavailable: it became shorter."""
        if isinstance(self.content, bytes):
            yield self.content
            return
        place = 0
        while place < self.size:
            chunk = os.pread(self.content, min(_CHUNK, self.size - place), place)
            if not chunk:
                raise Unavailable("backup", f"{self.name} became shorter while it was copied: try again")
            place += len(chunk)
            yield chunk


class Parts:
    """Files of one moment. A context manager, which closes them."""

    def __init__(self) -> None:
        """None yet."""
        self.all: list[Part] = []

    def take(self, data: Path, folders: Sequence[str]) -> None:
        """
        Open all that there is, in these folders of the data folder, and the keys. To be called while nobody writes.

        Raises: Unavailable: more files than this process may open. OSError.
        """
        for name in KEYS:
            with suppress(FileNotFoundError):
                self._take(data, name)
        for folder in folders:
            for path in sorted(_files(data / folder)):
                self._take(data, str(path.relative_to(data)))

    def _take(self, data: Path, name: str) -> None:
        try:
            descriptor = os.open(data / name, os.O_RDONLY)
        except OSError as exc:
            if exc.errno != 24:  # EMFILE
                raise
            raise Unavailable(
                "backup", f"more than {len(self.all):,} files have to be open at a time: raise `ulimit -n`"
            ) from exc
        size = os.fstat(descriptor).st_size
        if size > SMALL_BYTES or name.endswith((".log", ".aof")):
            self.all.append(Part(name, size, descriptor))
            return
        try:
            content = os.pread(descriptor, size, 0)
        finally:
            os.close(descriptor)
        self.all.append(Part(name, len(content), content))

    def __enter__(self) -> Parts:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close what is open."""
        self.clear()

    def clear(self) -> None:
        """Forget them."""
        for part in self.all:
            if isinstance(part.content, int):
                os.close(part.content)
        self.all = []


def require_kafka(data: Path) -> None:
    """Raises Refused: the data folder has no Kafka of its own."""
    if not (data / KAFKA_LOG / "meta.properties").exists():
        raise Refused(
            "backup",
            f"{data} has no Kafka of its own. `hub backup` is for the hub of one machine that `hub up` runs; a Kafka, "
            "Redis or store of yours is backed up by its own means (docs/operations.md)",
        )


def raise_limit() -> None:
    """Of files that this process may have open, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, _MOST_OPEN)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.name.endswith(_NOT_OF_KAFKA) or path.name.startswith("temp-"):  # temp-: Valkey's drafts
            continue
        if path.parent.name.endswith("-delete") or not path.is_file():  # a topic that is being deleted
            continue
        yield path
