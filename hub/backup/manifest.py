"""What a backup says of itself: the last thing that is written into it, the first that is read."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

import msgspec

from hub.errors import Refused
from hub.stack import kafka
from hub.store.sqlite.schema import MIGRATIONS

NAME: Final = "manifest.json"
FORMAT: Final = 1
STORE: Final = "hub.sqlite"
"""The store's file in a backup, and in the folder that is made of it."""


class Entry(msgspec.Struct, frozen=True):
    """One file. `name`: where it lies in the data folder. `sha256`: 64 hex digits, of the file as it lies there."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """
    One backup.

    Attributes:
        format: Of the archive. hub, kafka: versions that made it. schema: of the store.
        made_at: RFC 3339, UTC: its moment. was_running: whether the hub ran then.
        rows: Of the store, by table.
        keys: Of the hub's own, as files in the data folder; those that are not here were given by the environment.
        left_out: Servers that the hub used and that were not its own.
    """

    format: int
    hub: str
    kafka: str
    schema: int
    made_at: str
    namespace: str
    was_running: bool
    rows: dict[str, int]
    keys: list[str]
    left_out: list[str]
    files: list[Entry]

    @property
    def bytes(self) -> int:
        """Of all files as they lie in the data folder."""
        return sum(file.bytes for file in self.files)

    def events(self) -> int:
        """How many the store has."""
        return sum(rows for table, rows in self.rows.items() if table.startswith("events_"))


def encode(manifest: Manifest) -> bytes:
    """JSON, for people as well."""
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def decode(data: bytes, place: str) -> Manifest:
    """
    Args: place: where it was found, for the error.

    Raises: Refused: it is none, or of a newer hub than this one, or names a file that is not below the data folder.
    """
    try:
        # first what tells versions apart: of a later format nothing else may be as here
        number = msgspec.json.decode(data, type=dict)["format"]
        if isinstance(number, int) and number > FORMAT:
            raise Refused(
                "backup", f"{place} has format {number}, of a newer hub; this one reads {FORMAT}: install that"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, KeyError, TypeError) as exc:
        raise Refused(
            "backup", f"{place} is no backup of a hub, or damaged: its manifest cannot be read ({exc})"
        ) from exc
    _require_not_newer(manifest, place)
    for file in manifest.files:
        path = PurePosixPath(file.name)
        if path.is_absolute() or ".." in path.parts or not path.parts or "\\" in file.name or "\0" in file.name:
            raise Refused("backup", f"{place} names a file outside of the data folder: {file.name!r}")
    if STORE not in {file.name for file in manifest.files}:
        raise Refused("backup", f"{place} has no store in it")
    return manifest


def _require_not_newer(manifest: Manifest, place: str) -> None:
    if manifest.schema > len(MIGRATIONS):
        raise Refused(
            "backup",
            f"{place} has a store of schema {manifest.schema}, made by hub {manifest.hub}; this one knows up to "
            f"{len(MIGRATIONS)}: install that version or a later one, and restore with it",
        )
    if _numbers(manifest.kafka) > _numbers(kafka.VERSION):
        raise Refused(
            "backup",
            f"{place} has the log of Kafka {manifest.kafka}, made by hub {manifest.hub}; this one runs {kafka.VERSION}:"
            " install that version or a later one, and restore with it",
        )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"[0-9]+", version)))
