"""A store of an older schema becomes one of this: beside the old one, all of it or nothing, and back again."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.errors import Fenced, Refused, Unavailable
from hub.store import open_store
from hub.store.port import Kind
from hub.store.sqlite import SqliteStore, beside, moved, rollback, schema, steps, verify
from hub.store.upgrading import due
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, whole

ROOT = Path(__file__).parents[2]
THEN = schema.MIGRATIONS[:6]
"""A schema that is so old that its upgrade changes rows: dead letters get a member."""


def now() -> int:
    return NOW_MS


class OldStore:
    """A file of schema 6, with what a hub of that time has written: as this hub writes it, with the columns of then."""

    def __init__(self, path: Path, batches: int = 3) -> None:
        self.path = path
        scratch = path.with_name("scratch.sqlite")
        with closing(SqliteStore(scratch)) as store:
            for number in range(batches):
                store.write(whole(number, 20))
            store.write(batch(event("e-old", time_ms=NOW_MS - 3 * MONTH_MS), progress={1: (0, 1)}))
            store.put_blob(b"long message")
        with closing(sqlite3.connect(path, isolation_level=None)) as old:
            old.execute("PRAGMA journal_mode = WAL")
            schema.migrate(old, path, THEN)
            old.execute("ATTACH ? AS new", (str(scratch),))
            for (name,) in old.execute("SELECT name FROM new.partitions").fetchall():
                schema.create_events_table(old, name)
            for table in moved.tables(old):
                columns = ", ".join(f'"{row[1]}"' for row in old.execute(f"PRAGMA main.table_info({table})"))
                old.execute(f"INSERT OR IGNORE INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")
            old.execute("UPDATE dead_letters SET doc = json_remove(doc, '$.meta')")
        beside.remove(scratch)

    def rows(self) -> dict[str, list[Any]]:
        return rows_of(self.path)


def rows_of(path: Path) -> dict[str, list[Any]]:
    """Every row of every table, and the tables' own SQL."""
    with closing(sqlite3.connect(path)) as connection:
        found = {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in moved.tables(connection)}
        found["sqlite_master"] = sorted(connection.execute("SELECT type, name, sql FROM sqlite_master"), key=repr)
        found["versions"] = [
            connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "application_id")
        ]
    return found


def documents(store: SqliteStore) -> dict[str, list[dict[str, Any]]]:
    return {kind: store.search(kind, "", 1_000, None).items for kind in get_args(Kind)}


@pytest.fixture
def old(tmp_path: Path) -> OldStore:
    return OldStore(tmp_path / "hub.sqlite")


def upgrade(path: Path, **options: Any) -> beside.Upgraded:
    done = beside.upgrade(path, now_ms=now, **options)
    assert done is not None
    return done


def test_an_upgrade_makes_a_file_of_its_own_that_every_process_finds(old: OldStore) -> None:
    """The URL stays as it is; all that was stored is there, and the next batch goes on behind it."""
    done = upgrade(old.path)
    assert (done.from_schema, done.to_schema) == (6, len(schema.MIGRATIONS))
    assert done.new == old.path.with_name(f"hub.schema-{len(schema.MIGRATIONS)}.sqlite")
    with closing(SqliteStore(old.path)) as store, closing(SqliteStore(old.path, readonly=True)) as reading:
        assert {kind: len(found) for kind, found in documents(reading).items()} == {
            "profiles": 20,
            "events": 61,
            "sessions": 1,
            "dead-letters": 3,
        }
        assert all(letter["meta"] == {} for letter in documents(reading)["dead-letters"])
        assert store.progress(1) == {0: 60, 1: 1}
        store.write(whole(3, 20))
        assert reading.count("events", "") == 81
        assert reading.get_blob(store.put_blob(b"long message")) == b"long message"
    assert [one.role for one in rollback.files(old.path)] == ["kept", "in force"]
    assert beside.upgrade(old.path, now_ms=now) is None


def test_an_upgraded_file_is_as_one_that_is_made_anew(old: OldStore, tmp_path: Path) -> None:
    """Same columns, same indexes: no difference between old customers and new ones."""
    done = upgrade(old.path)
    fresh = tmp_path / "fresh.sqlite"
    with closing(SqliteStore(fresh)) as store:
        store.write(whole(0, 20))
    with closing(sqlite3.connect(fresh)) as one, closing(sqlite3.connect(done.new)) as other:
        for table in moved.tables(one):
            assert verify._shape(one, table) == verify._shape(other, table)
        assert dict(verify._indexes(one)).items() <= dict(verify._indexes(other)).items()


@pytest.mark.parametrize("point", beside.POINTS[:-1])
@pytest.mark.parametrize("kind", [OSError, KeyboardInterrupt, RuntimeError])
def test_an_upgrade_that_fails_leaves_the_store_as_it_was(
    old: OldStore, point: beside.Point, kind: type[BaseException]
) -> None:
    """Whatever goes wrong, and wherever: no row has changed, nothing is left over, and the next one works."""
    before = old.rows()

    def fail(here: beside.Point) -> None:
        if here == point:
            raise kind("as planned")

    with pytest.raises((kind, Unavailable)):
        beside.upgrade(old.path, now_ms=now, at=fail)
    assert old.rows() == before
    assert [path.name for path in old.path.parent.iterdir()] == ["hub.sqlite"]
    upgrade(old.path)


@pytest.mark.parametrize("point", beside.POINTS)
def test_an_upgrade_that_is_killed_is_begun_again(old: OldStore, point: beside.Point) -> None:
    """kill -9 at each step: the store is the old one or the new one, and the next process goes on with it."""
    before = old.rows()
    process = start(old.path, "upgrade", point)
    process.communicate(timeout=60)
    assert process.returncode == -9
    with closing(sqlite3.connect(old.path)) as connection:
        is_done = moved.is_moved(connection)
    assert is_done == (point == "flipped")
    if not is_done:
        assert old.rows() == before
        upgrade(old.path)
    assert not list(old.path.parent.glob("*.part*"))
    with closing(SqliteStore(old.path)) as store:
        assert store.count("events", "") == 61
        store.write(whole(3, 20))


def test_what_was_left_over_is_removed_and_nothing_else(old: OldStore) -> None:
    """Of upgrades that were killed, to whatever schema; not somebody else's files."""
    gone = ("hub.schema-7.sqlite.part", "hub.schema-7.sqlite.part-journal", "hub.schema-13.sqlite.trial-77")
    kept = ("hub.schema-7.sqlite", "hub.part", "other.schema-7.sqlite.part", "hub.sqlite.bak")
    for name in (*gone, *kept):
        old.path.with_name(name).write_bytes(b"")
    upgrade(old.path)
    names = {path.name for path in old.path.parent.iterdir()}
    assert not names & set(gone)
    assert names >= set(kept)


def start(path: Path, what: str, argument: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.contracts.store_process", str(path), what, argument]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_of_several_at_once_one_upgrades_and_the_others_wait(old: OldStore) -> None:
    """Four processes start with the new release: one new file, and all of them have it."""
    processes = [start(old.path, "upgrade", "") for _ in range(4)]
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(answers) == [["61", "False"]] * 3 + [["61", "True"]]
    assert len(list(old.path.parent.glob("hub.schema-*.sqlite"))) == 1


def test_writers_wait_and_readers_do_not(old: OldStore) -> None:
    """A hub of the release before goes on answering; what it would write during the upgrade it can not write."""
    seen: list[int] = []

    def look(here: beside.Point) -> None:
        if here == "flipped":
            return
        with closing(sqlite3.connect(old.path, timeout=0, isolation_level=None)) as other:
            seen.append(other.execute("SELECT count(*) FROM profiles").fetchone()[0])
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")

    upgrade(old.path, at=look)
    assert seen == [20] * (len(beside.POINTS) - 1)


def test_whoever_has_the_old_file_open_can_write_it_no_more(old: OldStore) -> None:
    """Also a hub of a release that knows nothing of upgrades beside: a write to the old file would be lost."""
    with closing(sqlite3.connect(old.path, isolation_level=None)) as other:
        other.execute("SELECT count(*) FROM profiles").fetchone()
        upgrade(old.path)
        for statement in (
            "INSERT INTO blobs VALUES ('x', x'00')",
            "INSERT OR IGNORE INTO blobs VALUES ('x', x'00')",
            "INSERT INTO blobs VALUES ('x', x'00') ON CONFLICT DO NOTHING",
            "REPLACE INTO progress VALUES (1, 0, 99)",
            "UPDATE profiles SET version = 99",
            "UPDATE events_2025_11 SET doc = ''",
            "DELETE FROM sessions",
        ):
            with pytest.raises(sqlite3.IntegrityError, match="was upgraded"):
                other.execute(statement)


def test_a_store_that_is_open_is_fenced_and_its_reads_follow(tmp_path: Path) -> None:
    """A process of this release is told to start again when it writes, and reads the new file at once."""
    path = tmp_path / "hub.sqlite"
    newer = [*schema.MIGRATIONS, ("UPDATE profiles SET doc = json_set(doc, '$.new', 1)",)]
    with closing(SqliteStore(path)) as store, closing(SqliteStore(path, readonly=True)) as reading:
        store.write(whole(0, 20))
        assert reading.count("profiles", "") == 20
        upgrade(path, migrations=newer)
        with pytest.raises(Fenced, match="start again"):
            store.write(whole(1, 20))
        with pytest.raises(Fenced, match="start again"):
            store.put_blob(b"x")
        with pytest.raises(Refused, match="made by a newer hub"):
            reading.count("profiles", "")
    with pytest.raises(Refused, match="install that version again"):
        SqliteStore(path)


def test_a_release_of_before_refuses_the_old_file(old: OldStore) -> None:
    """It would start with what was true before the upgrade. What it says is what releases have always said of this."""
    upgrade(old.path)
    with closing(sqlite3.connect(old.path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    assert version > len(schema.MIGRATIONS)


def test_no_room_is_said_before_anything_is_done(old: OldStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much there is, how much it takes, what to do."""
    before = old.rows()
    usage = shutil.disk_usage(old.path.parent)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=3_000_000))
    with pytest.raises(Unavailable, match=r"may need 0\.02 GB, and 0\.01 GB are free .* Nothing was changed"):
        beside.upgrade(old.path, now_ms=now)
    assert old.rows() == before


def test_a_disk_that_is_full_all_the_same_changes_nothing(old: OldStore) -> None:
    """The system refuses a write in the middle of the copy."""
    before = old.rows()
    process = start(old.path, "upgrade_within", "200000")
    assert "Unavailable" in process.communicate(timeout=60)[0]
    assert old.rows() == before
    assert not list(old.path.parent.glob("hub.schema-*"))


def test_what_is_not_the_same_does_not_come_into_force(old: OldStore) -> None:
    """Rows that are lost, values that are changed, tables that are missing, a file that is damaged: thrown away."""
    before = old.rows()
    target = old.path.with_name(f"hub.schema-{len(schema.MIGRATIONS)}.sqlite.part")

    def spoil(statement: str) -> Callable[[beside.Point], None]:
        def at(here: beside.Point) -> None:
            if here == "changed":
                with closing(sqlite3.connect(target, isolation_level=None)) as connection:
                    connection.execute(statement)

        return at

    for statement, words in (
        ("DELETE FROM events_2025_11 WHERE id = 'e3'", "rows and sums of events_2025_11"),
        ("UPDATE profiles SET version = version + 1 WHERE id = 'p3'", "rows and sums of profiles"),
        ("UPDATE sessions SET doc = replace(doc, 's1', 's2')", "a row of sessions"),
        ("DROP TABLE blobs", "table blobs is gone"),
        ("DROP INDEX events_2025_11_type", "index events_2025_11_type"),
        ("DROP TABLE tasks", "columns of tasks"),
        ("UPDATE dead_letters SET doc = json_set(doc, '$.id', 'nobody')", "found by a search"),
    ):
        with pytest.raises(Refused, match=words):
            beside.upgrade(old.path, now_ms=now, at=spoil(statement))
        assert old.rows() == before, statement
    upgrade(old.path)


def test_small_changes_are_made_in_place(tmp_path: Path) -> None:
    """New tables and columns take no time, and no second file."""
    path = tmp_path / "hub.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        schema.migrate(connection, path, schema.MIGRATIONS[:9])
    assert steps.is_instant(schema.MIGRATIONS[9:])
    assert not due(f"sqlite:///{path}")
    SqliteStore(path).close()
    assert [one.role for one in rollback.files(path)] == ["in force"]
    assert not moved.mark_of(path)


def test_large_changes_are_not_made_by_whoever_comes_first(old: OldStore) -> None:
    """A reader and a writer are told who does it; a collector finds that it has to."""
    with pytest.raises(Unavailable, match=r"schema 6, not yet .*hub migrate store"):
        SqliteStore(old.path)
    with closing(SqliteStore(old.path, readonly=True)) as reading, pytest.raises(Unavailable, match="it upgrades"):
        reading.ping()
    assert due(f"sqlite:///{old.path}")
    assert not due("memory://")
    assert not due(f"sqlite:///{old.path.with_name('none.sqlite')}")


@pytest.mark.parametrize(
    ("statement", "is_instant"),
    [
        ("CREATE TABLE new (x) STRICT", True),
        ("ALTER TABLE profiles ADD COLUMN y TEXT NOT NULL DEFAULT ''", True),
        ("INSERT INTO voiding VALUES (0, 0, 0)", True),
        ("CREATE INDEX a ON profiles (version)", False),
        ("UPDATE profiles SET version = 1", False),
        ("DELETE FROM profiles", False),
        ("DROP TABLE blobs", False),
        ("ALTER TABLE profiles DROP COLUMN doc", False),
        ("INSERT INTO totals SELECT source, 1, 1, 1, 1, 1 FROM counters", False),
        ("CREATE TABLE new AS SELECT * FROM profiles", False),
    ],
)
def test_what_takes_long_is_read_off_the_statement(statement: str, is_instant: bool) -> None:
    """What is not known to be quick is made beside."""
    assert steps.is_instant([(statement,)]) == is_instant


def test_an_index_on_a_table_that_is_new_takes_no_time() -> None:
    """The table is empty."""
    assert steps.is_instant([("CREATE TABLE new (x) STRICT", "CREATE INDEX new_x ON new (x)")])


def test_what_steps_change_is_left_out_of_the_comparison() -> None:
    """Columns that get other values, tables that get other rows; commas and equals signs in values are no columns."""
    changed = steps.changes(
        [
            ("UPDATE a SET doc = json_set(doc, '$.x', 1, '$.y', (SELECT b = 2)), n = n + 1 WHERE id = 3 AND z = 4",),
            ("DELETE FROM b", "INSERT INTO c SELECT 1", "DROP TABLE d"),
        ]
    )
    assert changed == steps.Changes(frozenset({"d"}), frozenset({"b", "c"}), {"a": frozenset({"doc", "n"})})


def test_a_trial_changes_nothing_and_keeps_nobody_waiting(old: OldStore) -> None:
    """All but the last step, while others write."""
    before = old.rows()
    written: list[str] = []

    def write(here: beside.Point) -> None:
        with closing(sqlite3.connect(old.path, timeout=0, isolation_level=None)) as other:
            other.execute("INSERT INTO blobs VALUES (?, x'00')", (here,))
        written.append(here)

    done = upgrade(old.path, is_trial=True, at=write)
    assert done.rows["profiles"] == 20
    assert written == ["held", "copied", "changed", "verified"]
    with closing(sqlite3.connect(old.path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM blobs WHERE length(data) = 1")
    assert old.rows() == before
    assert not list(old.path.parent.glob("hub.schema-*"))


def test_a_rollback_puts_the_old_file_in_force(old: OldStore) -> None:
    """Row by row as it was. What was written since and is on no log is in it; the log has all else."""
    before = old.rows()
    done = upgrade(old.path)
    with closing(SqliteStore(old.path)) as store:
        store.write(whole(3, 20))
        sha256 = store.put_blob(b"another one")
    back = rollback.roll_back(old.path, now_ms=now)
    assert (back.path, back.left, back.schema, back.carried) == (old.path, done.new, 6, {"blobs": 1})
    after = old.rows()
    assert [row for row in after["blobs"] if row[0] != sha256] == before["blobs"]
    assert {**after, "blobs": []} == {**before, "blobs": []}
    assert [one.role for one in rollback.files(old.path)] == ["in force", "given up"]
    assert moved.chain(done.new) == [done.new, old.path]  # whoever comes to that one finds this one
    again = upgrade(old.path)
    assert again.new not in (done.new, old.path)
    with closing(SqliteStore(old.path)) as store:
        assert store.progress(1) == {0: 60, 1: 1}
        store.write(whole(3, 20))
        assert store.get_blob(sha256) == b"another one"


@settings(max_examples=8, deadline=None)
@given(
    batches=st.integers(0, 3),
    version=st.integers(1, len(schema.MIGRATIONS) - 1),
    rounds=st.integers(1, 2),
)
def test_there_and_back_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, batches: int, version: int, rounds: int
) -> None:
    """From any schema, however much is stored, and however often: every table and every row is what it was."""
    path = tmp_path_factory.mktemp("rounds") / "hub.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        schema.migrate(connection, path, schema.MIGRATIONS[:version])
        connection.execute("BEGIN")
        schema.create_events_table(connection, "2025-11")
        for n in range(batches * 500):
            connection.execute("INSERT INTO blobs VALUES (?, zeroblob(?))", (str(n), n % 90))
            connection.execute(
                "INSERT INTO profiles (id, version, doc) VALUES (?, ?, ?)", (f"p{n}", 2**41 + n, f'{{"id": "p{n}"}}')
            )
            connection.execute("INSERT INTO progress VALUES (1, ?, ?)", (n, n))
        connection.execute("COMMIT")
    before = rows_of(path)
    for _ in range(rounds):
        upgrade(path)
        rollback.roll_back(path, now_ms=now)
        assert rows_of(path) == before


@pytest.mark.parametrize("point", rollback.POINTS[:-1])
def test_a_rollback_that_is_killed_is_begun_again(old: OldStore, point: str) -> None:
    """kill -9 at each step: the store is still the new one, and the next try works."""
    before = old.rows()
    upgrade(old.path)
    process = start(old.path, "roll_back", point)
    process.communicate(timeout=60)
    assert process.returncode == -9
    with closing(SqliteStore(old.path)) as store:
        assert store.count("events", "") == 61
        store.write(whole(3, 20))
    rollback.roll_back(old.path, now_ms=now)
    assert old.rows() == before


def test_a_rollback_that_is_killed_after_its_end_is_done(old: OldStore) -> None:
    """Both files say so, or none."""
    before = old.rows()
    done = upgrade(old.path)
    process = start(old.path, "roll_back", "done")
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert old.rows() == before
    assert moved.chain(done.new) == [done.new, old.path]


def test_a_rollback_needs_the_files_to_itself(old: OldStore) -> None:
    """A hub that runs would go on with what it remembers. Also one that only reads."""
    done = upgrade(old.path)
    for path in (old.path, done.new):
        with closing(sqlite3.connect(path)) as other:
            other.execute("SELECT count(*) FROM profiles").fetchone()
            with pytest.raises(Refused, match="stop the hub first"):
                rollback.roll_back(old.path, now_ms=now)
    with closing(SqliteStore(old.path)), pytest.raises(Refused, match="stop the hub first"):
        rollback.roll_back(old.path, now_ms=now)
    with closing(SqliteStore(old.path)) as store:
        assert store.count("events", "") == 61


def test_a_rollback_that_the_log_cannot_make_good_is_refused(old: OldStore) -> None:
    """Kafka keeps events for seven days: after that what was stored since would be missing."""
    upgrade(old.path)
    eight_days = 8 * 86_400_000
    with pytest.raises(Refused, match=r"is of 8 days ago.*--force"):
        rollback.roll_back(old.path, now_ms=lambda: NOW_MS + eight_days)
    rollback.roll_back(old.path, now_ms=lambda: NOW_MS + eight_days, is_forced=True)


def test_without_an_upgrade_there_is_nothing_to_go_back_to(tmp_path: Path) -> None:
    """Said, and nothing is touched."""
    path = tmp_path / "hub.sqlite"
    SqliteStore(path).close()
    with pytest.raises(Refused, match="nothing to go back to"):
        rollback.roll_back(path, now_ms=now)
    assert rollback.discard(path) == []


def test_discard_leaves_the_store_and_a_small_file_that_names_it(old: OldStore) -> None:
    """After it there is no way back, the URL is as ever, and the next upgrade goes on from there."""
    upgrade(old.path)
    rollback.roll_back(old.path, now_ms=now)
    done = upgrade(old.path)
    assert [one.role for one in rollback.files(old.path)] == ["kept", "in force", "given up"]
    with closing(SqliteStore(old.path)) as store:
        assert len(rollback.discard(old.path)) == 2
        store.write(whole(3, 20))
    assert [one.role for one in rollback.files(old.path)] == ["emptied", "in force"]
    assert old.path.stat().st_size < 100_000
    with pytest.raises(Refused, match="emptied by `hub migrate discard`"):
        rollback.roll_back(old.path, now_ms=now)
    newer = [*schema.MIGRATIONS, ("UPDATE profiles SET doc = json_set(doc, '$.new', 1)",)]
    upgrade(old.path, migrations=newer)
    assert [one.role for one in rollback.files(old.path)] == ["emptied", "kept", "in force"]
    rollback.discard(old.path)
    assert [one.role for one in rollback.files(old.path)] == ["emptied", "in force"]
    assert not done.new.exists()
    with closing(sqlite3.connect(moved.chain(old.path)[-1])) as connection:
        assert connection.execute("SELECT count(*) FROM profiles WHERE doc ->> 'new' = 1").fetchone() == (20,)


def test_a_file_that_is_in_use_is_not_discarded(old: OldStore) -> None:
    """A process of the release before may still read it."""
    upgrade(old.path)
    with closing(sqlite3.connect(old.path)) as other:
        other.execute("SELECT count(*) FROM profiles").fetchone()
        with pytest.raises(Refused, match="stop the hub first"):
            rollback.discard(old.path)
    assert [one.role for one in rollback.files(old.path)] == ["kept", "in force"]


def test_a_file_that_is_missing_is_named(old: OldStore) -> None:
    """Somebody has copied hub.sqlite alone: not a new, empty store."""
    done = upgrade(old.path)
    done.new.rename(done.new.with_name("elsewhere"))
    for readonly in (True, False):
        with pytest.raises(Refused, match="which is not there"):
            SqliteStore(old.path, readonly=readonly).ping()


def test_an_upgrade_that_ends_between_two_looks_is_found(old: OldStore) -> None:
    """A process opens the old file while another one flips it: it gets the new one."""
    opened: list[int] = []

    def open_late(here: beside.Point) -> None:
        if here == "marked":
            thread.start()

    def work() -> None:
        with closing(open_store(f"sqlite:///{old.path}", readonly=True)) as store:
            while True:
                try:
                    opened.append(store.count("events", ""))
                except Unavailable:
                    continue
                return

    thread = threading.Thread(target=work)
    upgrade(old.path, at=open_late)
    thread.join(30)
    assert opened == [61]
