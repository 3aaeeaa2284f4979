"""The next version of a store, made beside it: copied, changed, verified, and then in its place, in one transaction."""

from __future__ import annotations

import glob
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from hub.errors import Unavailable
from hub.store.sqlite import SqliteStore, moved, schema, steps, verify
from hub.store.sqlite.failures import translated

HOLD_TRY_S: Final = 5.0
"""How long one try to keep other writers away waits; between two tries it is told who is waited for."""
ROOM: Final = 1.5
"""So many times the size of the old file is what the new one may need while it is made: indexes, longer documents."""
ROOM_BYTES: Final = 16 * 1024 * 1024
_PAGES: Final = 4_096  # copied at a time: 32 MiB

Point: TypeAlias = Literal["held", "copied", "changed", "verified", "kept", "marked", "flipped"]
POINTS: Final[tuple[Point, ...]] = (
    "held",  # nobody else writes the old file any more
    "copied",  # the new file has all of it
    "changed",  # and is of the new schema
    "verified",  # and is the same store
    "kept",  # and is on disk, under its own name
    "marked",  # the old file names the new one, not committed yet
    "flipped",  # done
)


class Step(NamedTuple):
    """How far an upgrade is. `done` of `total`: pages that are copied; 0: no count."""

    what: str
    done: int = 0
    total: int = 0


class Upgraded(NamedTuple):
    """
    What an upgrade has done.

    `old`, `new`: the files; equal when it was done in place. `rows`: by table, of the new one. `bytes`: its size.
    `held_s`: how long writers had to wait, seconds.
    """

    old: Path
    new: Path
    from_schema: int
    to_schema: int
    rows: dict[str, int]
    bytes: int
    took_s: float
    held_s: float


class Outlook(NamedTuple):
    """
    What an upgrade would be about.

    `path`: the file in force. `schema`, `wanted`: its version and the hub's. `is_instant`: whether the hub does it by
    itself, in place, when it starts. `needs_bytes`, `free_bytes`: on disk, beside the old file.
    """

    path: Path
    schema: int
    wanted: int
    is_instant: bool
    bytes: int
    needs_bytes: int
    free_bytes: int


Tell: TypeAlias = Callable[[Step], None]


def look(path: Path, migrations: Sequence[Sequence[str]] = schema.MIGRATIONS) -> Outlook:
    """
    What there is to do. Changes nothing.

    Raises: Unavailable: there is no file. Refused: it is newer than this hub, or no store.
    """
    with translated(path):
        live = moved.chain(path.absolute())[-1]
    with translated(live):
        if not live.exists():
            raise Unavailable("store", f"{live} is not there yet: the collector makes it when it starts")
        with closing(_connect(live, "ro")) as connection:
            version = schema.check_version(connection, live, migrations)
            size = _size(connection)
    return Outlook(
        path=live,
        schema=version,
        wanted=len(migrations),
        is_instant=steps.is_instant(migrations[version:]),
        bytes=size,
        needs_bytes=int(size * ROOM) + ROOM_BYTES,
        free_bytes=shutil.disk_usage(live.parent).free,
    )


def upgrade(
    path: Path,
    *,
    now_ms: Callable[[], int],
    tell: Tell = lambda _: None,
    migrations: Sequence[Sequence[str]] = schema.MIGRATIONS,
    is_trial: bool = False,
    at: Callable[[Point], None] = lambda _: None,
) -> Upgraded | None:
    """
    Bring the store to this version, in a file of its own beside the old one.

    Whoever else writes the store waits from the beginning to the end, and can write it no more after it; whoever reads
    it does so all along. Until the last step, which is one transaction, nothing has changed: a process that dies
    leaves a file that nobody names, and the next one begins again. Several at once: one does it, the others wait.

    Args:
        path: as in the store's URL. is_trial: do all but the last step, keep nobody waiting, and remove the new file.
        now_ms: the clock. at: called at each of POINTS.

    Returns: None: there was nothing to do.

    Raises:
        Unavailable: no file, no room on the disk.
        Refused: newer than this hub, no store; or the new file was not the same.
    """
    before = look(path, migrations)
    if before.schema in (0, before.wanted):  # 0: empty, whoever opens it makes the tables
        return None
    with translated(before.path), closing(_connect(before.path, "rw")) as old:
        began = time.monotonic()
        if not is_trial:
            _hold(old, before.path, tell)
        try:
            # again, now that nobody else can be doing the same
            version = schema.check_version(old, before.path, migrations)
            if version == len(migrations):
                return None
            at("held")
            making = _Making(old, before._replace(schema=version), migrations, tell, at)
            making.make(now_ms, is_trial=is_trial)
        except moved.Moved:  # somebody else was quicker
            return None
        finally:
            if old.in_transaction:
                old.execute("ROLLBACK")
    took_s = time.monotonic() - began
    return Upgraded(
        old=before.path,
        new=making.target,
        from_schema=version,
        to_schema=before.wanted,
        rows=making.rows,
        bytes=making.bytes,
        took_s=took_s,
        held_s=0.0 if is_trial else took_s,
    )


class _Making:
    """One new file. `target`: its name once it is whole."""

    def __init__(
        self,
        old: sqlite3.Connection,
        before: Outlook,
        migrations: Sequence[Sequence[str]],
        tell: Tell,
        at: Callable[[Point], None],
    ) -> None:
        self._old = old
        self._before = before
        self._migrations = migrations
        self._pending = migrations[before.schema :]
        self._tell = tell
        self._at = at
        self.target = _final_name(before)
        self.rows: dict[str, int] = {}
        self.bytes = 0

    def make(self, now_ms: Callable[[], int], *, is_trial: bool) -> None:
        """Raises as `upgrade` does; then nothing is left of it."""
        if not is_trial:
            remove_parts(self._before.path)
        _require_room(self._before)
        # a trial may be under way at the same time
        part = self.target.with_name(f"{self.target.name}.{f'trial-{os.getpid()}' if is_trial else 'part'}")
        is_done = False
        try:
            self._fill(part)
            self.bytes = part.stat().st_size
            if not is_trial:
                _to_disk(part)
                part.rename(self.target)  # nobody has it open, and in this mode there is nothing beside it
                _to_disk(self.target.parent)
                self._at("kept")
                self._flip(now_ms())
                is_done = True
                self._at("flipped")
        except OSError as exc:
            raise Unavailable("store", f"{self.target} cannot be made: {exc}. Nothing was changed") from exc
        finally:
            remove(part)
            if not is_done and not is_trial:
                remove(self.target)

    def _fill(self, part: Path) -> None:
        with closing(_connect(self._before.path, "ro")) as source, closing(_connect(part, "rwc")) as new:
            source.execute("BEGIN")
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees this moment alone
            _copy(source, new, self._tell)
            self._at("copied")
            _change(new, self._pending, len(self._migrations), self._tell)
            self._at("changed")
            try:
                self._verify(source, new, part)
            except verify.Differs as exc:
                raise verify.as_refused(exc, self._before.path) from exc
            new.execute("PRAGMA journal_mode = WAL")  # as all that the hub has open
            self._at("verified")

    def _verify(self, source: sqlite3.Connection, new: sqlite3.Connection, part: Path) -> None:
        self.rows = verify.compare(source, new, self._pending, lambda table: self._tell(Step(f"comparing {table}")))
        self._tell(Step("checking the new file"))
        verify.check_file(new, self._migrations)
        if self._migrations is schema.MIGRATIONS:  # else it is none of the hub's
            self._tell(Step("asking the new file"))
            with closing(SqliteStore(part, readonly=True)) as store:
                verify.check_answers(store)

    def _flip(self, at_ms: int) -> None:
        moved.mark(self._old, moved.Mark(self.target.name, self._before.schema, at_ms))
        self._at("marked")
        self._old.execute("COMMIT")


def _hold(old: sqlite3.Connection, path: Path, tell: Tell) -> None:
    """Keep other writers away. Waits for as long as somebody else writes: that may be an upgrade under way."""
    # the last transaction on the old file has to be on disk before anybody uses the new one
    old.execute("PRAGMA synchronous = FULL")
    while True:
        try:
            old.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as exc:
            if not getattr(exc, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise
            tell(Step(f"another process is writing {path.name}, or upgrades it: waiting"))
        else:
            return


def _copy(source: sqlite3.Connection, new: sqlite3.Connection, tell: Tell) -> None:
    new.execute("PRAGMA synchronous = OFF")  # until it is verified a power cut may take it
    # what it sees does not change, so it is one pass, in parts only to tell how far it is
    source.backup(new, pages=_PAGES, progress=lambda _status, left, total: tell(Step("copying", total - left, total)))
    new.execute("PRAGMA journal_mode = DELETE")  # it was copied as being in WAL mode
    new.execute("PRAGMA journal_mode = OFF")


def _change(new: sqlite3.Connection, pending: Sequence[Sequence[str]], version: int, tell: Tell) -> None:
    statements = [one for step in pending for one in step]
    for number, statement in enumerate(statements):
        tell(Step("changing", number, len(statements)))
        new.execute(statement)
    new.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    new.execute(f"PRAGMA user_version = {version}")


def _require_room(before: Outlook) -> None:
    free = shutil.disk_usage(before.path.parent).free
    if free < before.needs_bytes:
        raise Unavailable(
            "store",
            f"{before.path} has schema {before.schema}; its next version is made beside it, which may need "
            f"{gigabytes(before.needs_bytes)}, and {gigabytes(free)} are free in {before.path.parent}: free "
            f"{gigabytes(before.needs_bytes - free)}, or move the folder to a larger disk. Nothing was changed",
        )


def _final_name(before: Outlook) -> Path:
    """`hub.schema-13.sqlite` for `hub.sqlite` and all that come of it; one that is not there yet."""
    number = 1
    while True:
        more = f"-{number}" if number > 1 else ""
        path = before.path.with_name(f"{_stem(before.path)}.schema-{before.wanted}{more}{before.path.suffix}")
        if not path.exists():
            return path
        number += 1


def relatives(path: Path) -> list[Path]:
    """All files that upgrades of this one have made, finished ones alone, whatever has become of them."""
    pattern = f"{glob.escape(_stem(path))}.schema-*{glob.escape(path.suffix)}"
    return sorted(one for one in path.parent.glob(pattern) if one != path)


def remove_parts(path: Path) -> None:
    """What upgrades have left that were cut off."""
    for kind in ("part", "trial-"):
        for one in path.parent.glob(f"{glob.escape(_stem(path))}.schema-*{glob.escape(path.suffix)}.{kind}*"):
            one.unlink(missing_ok=True)


def _stem(path: Path) -> str:
    return path.stem.partition(".schema-")[0]


def remove(path: Path) -> None:
    """The file and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def gigabytes(count: int) -> str:
    """For people; rounded up, so that what is asked for is enough."""
    return f"{-(-count // 10_000_000) / 100:,.2f} GB"


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(connection: sqlite3.Connection) -> int:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (each,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages) * int(each)


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode={mode}", uri=True, timeout=HOLD_TRY_S, isolation_level=None, check_same_thread=False
    )
