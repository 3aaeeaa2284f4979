"""The embedded store: one SQLite file, in WAL mode, that every process opens for itself.

What a power cut can cost: nothing that Kafka still has. `synchronous=NORMAL` does not force each commit to disk, so
the last commits may be gone after a power cut (never after a crash of a process). But a commit holds the data *and* the
progress on the log, so what is gone is read again, provided that the collector starts at the store's progress and not
at the group's committed offset. Blobs have no second copy on the log: they are on disk before `put_blob` returns.
"""

from __future__ import annotations

from pathlib import Path

from hub.store.sqlite.blobs import BlobSide
from hub.store.sqlite.books import BooksSide
from hub.store.sqlite.copies import CopySide
from hub.store.sqlite.database import Database
from hub.store.sqlite.figures import FigureSide
from hub.store.sqlite.flow_runs import FlowRunSide
from hub.store.sqlite.identity import IdentitySide
from hub.store.sqlite.keys import KeySide
from hub.store.sqlite.privacy import PrivacySide
from hub.store.sqlite.promotion import PromotionSide
from hub.store.sqlite.read import ReadSide
from hub.store.sqlite.scan import ScanSide
from hub.store.sqlite.segments import SegmentSide
from hub.store.sqlite.tasks import TaskSide
from hub.store.sqlite.traces import TraceSide
from hub.store.sqlite.versions import VersionSide
from hub.store.sqlite.walk import WalkSide
from hub.store.sqlite.write import WriteSide


class SqliteStore(
    WriteSide,
    IdentitySide,
    PrivacySide,
    KeySide,
    ReadSide,
    FigureSide,
    SegmentSide,
    ScanSide,
    BooksSide,
    TraceSide,
    WalkSide,
    PromotionSide,
    VersionSide,
    CopySide,
    TaskSide,
    FlowRunSide,
    BlobSide,
):
    """The whole port on one file. Writes take turns; reads have connections of their own, from any thread."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        """
        Open the file; made, or brought up to this version, when it is not read-only.

        Raises: Refused: it is no store, or of a newer version. Unavailable: it cannot be opened now.
        """
        self._db = Database(path, readonly=readonly)
        self._generation = 0 if readonly else self.generation()

    def close(self) -> None:
        """Close every connection."""
        self._db.close()
