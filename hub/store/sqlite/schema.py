"""The tables of the store, and how a file of an older version becomes one of this version."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hub.errors import Refused, Unavailable
from hub.model import OUTLIERS
from hub.store.sqlite.moved import MARK, Moved

APPLICATION_ID: Final = 0x54544842
"""`TTHB` in the file's header: this SQLite file is a hub's store."""

_PARTITION: Final = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")

# Rowid tables throughout: WITHOUT ROWID halves the rate, since every index then carries the whole text key.
# `seq` is named so that VACUUM keeps it: cursors hold it.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE epochs (number INTEGER PRIMARY KEY, topic_id TEXT NOT NULL UNIQUE) STRICT",
        """CREATE TABLE progress (epoch INTEGER NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
            PRIMARY KEY (epoch, partition)) STRICT""",
        "CREATE TABLE partitions (name TEXT PRIMARY KEY) STRICT",
        """CREATE TABLE profiles (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, version INTEGER NOT NULL,
            doc TEXT NOT NULL) STRICT""",
        """CREATE TABLE sessions (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, profile_id TEXT NOT NULL,
            version INTEGER NOT NULL, doc TEXT NOT NULL) STRICT""",
        "CREATE INDEX sessions_profile ON sessions (profile_id) WHERE profile_id <> ''",
        """CREATE TABLE dead_letters (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at_ms INTEGER NOT NULL,
            source TEXT NOT NULL, reason TEXT NOT NULL, body BLOB NOT NULL, body_sha256 TEXT,
            body_size INTEGER NOT NULL, doc TEXT NOT NULL) STRICT""",
        "CREATE INDEX dead_letters_time ON dead_letters (at_ms)",
        """CREATE TABLE counters (epoch INTEGER NOT NULL, partition INTEGER NOT NULL, source TEXT NOT NULL,
            minute INTEGER NOT NULL, received INTEGER NOT NULL, stored INTEGER NOT NULL, duplicate INTEGER NOT NULL,
            dropped INTEGER NOT NULL, dead INTEGER NOT NULL, PRIMARY KEY (epoch, partition, source, minute)) STRICT""",
        "CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL) STRICT",
    ),
    (
        # dead letters that can be replayed: all of before are open, and when they were sent is not known
        "ALTER TABLE dead_letters ADD COLUMN status TEXT NOT NULL DEFAULT 'open'",
        """UPDATE dead_letters SET doc = json_set(doc, '$.status', 'open', '$.first_at', json_extract(doc, '$.at'),
            '$.resolved_at', NULL, '$.payload_id', NULL, '$.key', NULL, '$.time_ms', NULL)""",
        "CREATE INDEX dead_letters_status ON dead_letters (status)",
    ),
    (
        # a balance sheet that costs the same however many minutes there are, and what is off in it
        """CREATE TABLE totals (source TEXT PRIMARY KEY, received INTEGER NOT NULL, stored INTEGER NOT NULL,
            duplicate INTEGER NOT NULL, dropped INTEGER NOT NULL, dead INTEGER NOT NULL) STRICT""",
        """INSERT INTO totals SELECT source, sum(received), sum(stored), sum(duplicate), sum(dropped), sum(dead)
            FROM counters GROUP BY source""",
        "CREATE INDEX counters_minute ON counters (minute, source)",
        """CREATE INDEX counters_wrong ON counters (minute, source)
            WHERE received <> stored + duplicate + dropped + dead""",
        # when each batch was written: one short row a batch and partition, none an event
        """CREATE TABLE writes (epoch INTEGER NOT NULL, partition INTEGER NOT NULL, next_offset INTEGER NOT NULL,
            first_offset INTEGER NOT NULL, at_ms INTEGER NOT NULL,
            PRIMARY KEY (epoch, partition, next_offset)) STRICT, WITHOUT ROWID""",
    ),
    (
        # who is who: who holds an identifier, where a merged profile went, what both were before
        """CREATE TABLE claims (identifier TEXT PRIMARY KEY, label TEXT NOT NULL, profile_id TEXT NOT NULL,
            event_id TEXT NOT NULL, at_ms INTEGER NOT NULL, uses INTEGER NOT NULL DEFAULT 0) STRICT""",
        """CREATE TABLE aliases (id TEXT PRIMARY KEY, into_id TEXT NOT NULL, version INTEGER NOT NULL,
            merge_id TEXT NOT NULL) STRICT""",
        """CREATE TABLE merges (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, loser_id TEXT NOT NULL,
            survivor_id TEXT NOT NULL, version INTEGER NOT NULL, at_ms INTEGER NOT NULL, reason TEXT NOT NULL,
            loser BLOB NOT NULL, survivor BLOB NOT NULL, changes TEXT NOT NULL, undone_ms INTEGER) STRICT""",
        "CREATE INDEX merges_survivor ON merges (survivor_id, version)",
        "CREATE INDEX merges_loser ON merges (loser_id)",
        # records that were handed on by another partition and are applied: none is applied twice
        "CREATE TABLE forwarded (first_at TEXT PRIMARY KEY) STRICT, WITHOUT ROWID",
        # written with a batch, sent after it: what is here may have been sent, but is never lost
        """CREATE TABLE outbox (epoch INTEGER NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
            place INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, replay BLOB,
            PRIMARY KEY (epoch, partition, "offset", place)) STRICT""",
    ),
    (
        # since when profiles are other ones than a collector may have in memory
        """CREATE TABLE promotions (number INTEGER PRIMARY KEY, origin TEXT NOT NULL,
            at_ms INTEGER NOT NULL) STRICT""",
    ),
    (
        # every version of every definition; in the key also when, as a topic that is made anew begins at 0 again
        """CREATE TABLE definition_versions (kind TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
            at_ms INTEGER NOT NULL, spec TEXT, PRIMARY KEY (kind, id, version, at_ms)) STRICT""",
    ),
    (
        # dead letters that know what their bridge knew of the message
        "UPDATE dead_letters SET doc = json_set(doc, '$.meta', json('{}'))",
    ),
    (
        # who is erased or suppressed, by marks: an id itself is kept only while something is left to remove
        """CREATE TABLE orders (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            mark TEXT NOT NULL, at_ms INTEGER NOT NULL, reason TEXT NOT NULL, is_suppressed INTEGER NOT NULL,
            until_ms INTEGER NOT NULL, done_ms INTEGER, removed TEXT NOT NULL DEFAULT '{}', person TEXT) STRICT""",
        "CREATE INDEX orders_open ON orders (seq) WHERE person IS NOT NULL",
        """CREATE TABLE voids (mark TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
            cause TEXT NOT NULL, PRIMARY KEY (mark, since_ms)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX voids_cause ON voids (cause)",
        "CREATE TABLE expired (event_type TEXT PRIMARY KEY, before_ms INTEGER NOT NULL) STRICT",
        # how often these have changed, which collectors look at before each batch; how many events were removed
        "CREATE TABLE voiding (voids INTEGER NOT NULL, expired INTEGER NOT NULL, removed INTEGER NOT NULL) STRICT",
        "INSERT INTO voiding VALUES (0, 0, 0)",
        "CREATE INDEX claims_profile ON claims (profile_id)",
        "CREATE INDEX aliases_into ON aliases (into_id)",
    ),
    (
        # in which segments a profile is, as hub.store.sqlite.segments writes it, so that members are counted quickly
        "ALTER TABLE profiles ADD COLUMN segments TEXT NOT NULL DEFAULT ''",
        "CREATE INDEX profiles_segments ON profiles (segments) WHERE segments <> ''",
        # when the segments of a profile have to be looked at again, because time alone may change them
        "CREATE TABLE due (profile_id TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX due_at ON due (at_ms, profile_id)",
        """CREATE TABLE segment_sizes (segment TEXT NOT NULL, hour INTEGER NOT NULL, members INTEGER NOT NULL,
            PRIMARY KEY (segment, hour)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX segment_sizes_hour ON segment_sizes (hour)",
    ),
    (
        # who was asked to become part of whom: an erasure has to know of merges that are on their way
        """CREATE TABLE asks (id TEXT PRIMARY KEY, asked TEXT NOT NULL, asker TEXT NOT NULL,
            cause TEXT NOT NULL DEFAULT '', is_done INTEGER NOT NULL DEFAULT 0) STRICT""",
        "CREATE INDEX asks_asked ON asks (asked) WHERE asked <> ''",
        "CREATE INDEX asks_asker ON asks (asker) WHERE asker <> ''",
    ),
    (
        # what records are sealed with; which of these were thrown away, and may still be on keys.v1
        """CREATE TABLE data_keys (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, mark TEXT NOT NULL,
            at_ms INTEGER NOT NULL, kept_ms INTEGER NOT NULL, wrapped BLOB NOT NULL) STRICT""",
        "CREATE INDEX data_keys_mark ON data_keys (mark)",
        "CREATE TABLE keys_gone (id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID",
        "CREATE TABLE keys_read (topic_id TEXT PRIMARY KEY, next_offset INTEGER NOT NULL) STRICT, WITHOUT ROWID",
    ),
    (
        # long pieces of work, and how far each part of them is
        """CREATE TABLE tasks (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
            queue TEXT NOT NULL, state TEXT NOT NULL, asked_ms INTEGER NOT NULL, doc TEXT NOT NULL) STRICT""",
        "CREATE INDEX tasks_open ON tasks (queue, seq) WHERE state IN ('waiting', 'running')",
        """CREATE TABLE slices (task TEXT NOT NULL, number INTEGER NOT NULL, state TEXT NOT NULL, step INTEGER NOT NULL,
            doc TEXT NOT NULL, PRIMARY KEY (task, number)) STRICT""",
        "CREATE INDEX slices_open ON slices (task, number) WHERE state = 'open'",
        # which lines of mappings a promotion has applied to what was stored then, and how far that was
        "ALTER TABLE promotions ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE promotions ADD COLUMN progress TEXT NOT NULL DEFAULT '{}'",
        "ALTER TABLE promotions ADD COLUMN mapped TEXT NOT NULL DEFAULT '{}'",
    ),
    (
        # runs of flows; an index that most runs are not in, or only once they are over, costs them little
        """CREATE TABLE flow_runs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, flow TEXT NOT NULL,
            state TEXT NOT NULL, profile_id TEXT NOT NULL, session_id TEXT NOT NULL, changed_ms INTEGER NOT NULL,
            due_ms INTEGER, turn INTEGER NOT NULL, doc TEXT NOT NULL) STRICT""",
        "CREATE INDEX flow_runs_flow ON flow_runs (flow, seq)",
        "CREATE INDEX flow_runs_profile ON flow_runs (profile_id, seq) WHERE profile_id <> ''",
        "CREATE INDEX flow_runs_session ON flow_runs (session_id) WHERE profile_id = '' AND session_id <> ''",
        "CREATE INDEX flow_runs_due ON flow_runs (due_ms, id) WHERE due_ms IS NOT NULL",
        "CREATE INDEX flow_runs_waiting ON flow_runs (changed_ms, id) WHERE state = 'waiting'",
        "CREATE INDEX flow_runs_state ON flow_runs (state, seq) WHERE state <> 'done'",
        """CREATE INDEX flow_runs_over ON flow_runs (changed_ms)
            WHERE state IN ('done', 'failed', 'stopped', 'cancelled')""",
        # by which events pauses end
        """CREATE TABLE flow_waits (type TEXT NOT NULL, profile_id TEXT NOT NULL, run TEXT NOT NULL,
            PRIMARY KEY (type, profile_id, run)) STRICT, WITHOUT ROWID""",
        "CREATE INDEX flow_waits_run ON flow_waits (run)",
    ),
)
"""One entry a version, each a list of statements; the version of a file is the number of entries applied to it."""


def events_table(partition: str) -> str:
    """`events_2026_11` for `2026-11`. Raises ValueError for what is no partition, since it becomes part of SQL."""
    if partition != OUTLIERS and not _PARTITION.fullmatch(partition):
        raise ValueError(f"{partition!r} is no time partition")
    return "events_" + partition.replace("-", "_")


def create_events_table(connection: sqlite3.Connection, partition: str) -> None:
    """Make the table of a time partition, inside the caller's transaction, if it is not there."""
    table = events_table(partition)
    connection.execute(
        f"""CREATE TABLE IF NOT EXISTS {table} (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
            profile_id TEXT NOT NULL, session_id TEXT NOT NULL, type TEXT NOT NULL, source TEXT NOT NULL,
            time_ms INTEGER NOT NULL, received_at_ms INTEGER NOT NULL, epoch INTEGER NOT NULL,
            partition INTEGER NOT NULL, "offset" INTEGER NOT NULL, place INTEGER NOT NULL,
            digest BLOB NOT NULL, profile_version INTEGER NOT NULL, doc TEXT NOT NULL) STRICT"""
    )
    for name, columns, where in (
        ("time", "time_ms", ""),
        ("profile", "profile_id, time_ms", "WHERE profile_id <> ''"),
        ("session", "session_id, time_ms", "WHERE session_id <> ''"),
        ("type", "type, time_ms", ""),
    ):
        connection.execute(f"CREATE INDEX IF NOT EXISTS {table}_{name} ON {table} ({columns}) {where}")
    connection.execute("INSERT INTO partitions (name) VALUES (?) ON CONFLICT DO NOTHING", (partition,))


def migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> None:
    """
    Bring the file to this version, in one transaction; a new file gets all its tables.

    Raises: Refused: made by a newer hub, or by something else.
    """
    if check_version(connection, path, migrations) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # again, now that no other process can be doing the same
        version = check_version(connection, path, migrations)
        for statements in migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(migrations)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def check_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[Sequence[str]] = MIGRATIONS) -> int:
    """
    The version of the file, at most this hub's.

    Raises: Refused: it is newer, or not a hub's file. Moved: another file has taken its place.
    """
    # in this order: a writer may be making the file just now, and what is looked at first must not be its alone
    used = connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
    version = _pragma(connection, "user_version")
    is_ours = _pragma(connection, "application_id") == APPLICATION_ID
    if not is_ours and (used or version):
        raise Refused("store", f"{path} is an SQLite file of another program; set HUB_STORE__URL to another file")
    if version >= MARK:
        raise Moved("store", f"{path} was upgraded into another file just now: try again")
    if version > len(migrations):
        raise Refused(
            "store",
            f"{path} has schema {version}, made by a newer hub; this one knows up to {len(migrations)}: "
            "install that version again, or restore the backup from before the upgrade",
        )
    return version


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raises Unavailable for a reader of a file that no writer has brought to this version yet."""
    version = check_version(connection, path)
    if version < len(MIGRATIONS):
        raise Unavailable(
            "store", f"{path} has schema {version}, not yet {len(MIGRATIONS)}: start the collector, it upgrades"
        )


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
