"""What the SQLite store promises beyond the port: crashes, full disks, several processes, versions of the file."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from hub.errors import Fenced, Refused, Unavailable
from hub.model import EventKey, Wanted
from hub.store import open_store
from hub.store.sqlite import SqliteStore, database, schema
from tests.contracts.batches import MONTH_MS, NOW_MS, batch, event, profile, whole

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a folder #1%20?" / "hub.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    path.parent.mkdir()
    opened = SqliteStore(path)
    yield opened
    opened.close()


def start(path: Path, what: str, argument: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.contracts.store_process", str(path), what, argument]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def assert_whole(store: SqliteStore, batches: int, events: int) -> None:
    """Exactly this many batches are there, each with all that it brought."""
    total = batches * events
    assert store.progress(1) == {0: total}
    assert store.count("events", "") == total
    assert store.count("profiles", f"traits.batch = {batches - 1}") == events
    assert store.get("sessions", "s1")["context"] == {"batch": batches - 1}  # type: ignore[index]
    assert store.count("dead-letters", "") == batches
    assert [(counts.received, counts.stored) for _, counts in store.counters()] == [(total, total)]
    with store._db.reading() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_kill_between_any_two_statements_leaves_nothing_of_the_batch(tmp_path: Path) -> None:
    """kill -9 at each step of a write: after it the store has the batches before, and takes the same batch again."""
    steps = ("BEGIN", "INSERT INTO events", "INSERT INTO profiles", "INSERT INTO sessions", "INSERT INTO dead_letters")
    steps += ("INSERT INTO counters", "INSERT INTO progress", "COMMIT")
    processes: dict[Path, subprocess.Popen[str]] = {}
    for step in steps:
        path = tmp_path / f"{step}.sqlite"
        store = SqliteStore(path)
        store.write(whole(0, 50))
        store.close()
        processes[path] = start(path, "die_before", step)
    for path, process in processes.items():
        process.communicate(timeout=60)
        assert process.returncode == -9, path.stem
        store = SqliteStore(path)
        assert_whole(store, 1, 50)
        store.write(whole(1, 50))
        assert_whole(store, 2, 50)
        store.close()


def test_a_kill_at_any_moment_leaves_whole_batches(store: SqliteStore, path: Path) -> None:
    """kill -9 during large writes, over and over on one file: what was reported is there, nothing is half there."""
    for delay_s in (0.0, 0.01, 0.03, 0.06):
        process = start(path, "write_on", "3000")
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        reported = [next(lines).split() for _ in range(3)]
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(delay_s)
        process.kill()
        reported += [line.split() for line in lines]
        process.wait()
        process.stdout.close()
        done = 1 + max(int(number) for word, number in reported if word == "written")
        batches = store.progress(1)[0] // 3_000
        assert batches - done in (0, 1)  # the last one may be there without its report
        assert_whole(store, batches, 3_000)


def test_a_full_disk_is_unavailable_and_leaves_nothing_of_the_batch(store: SqliteStore, path: Path) -> None:
    """The collector backs off; when there is space again, the same batch goes in."""
    store.write(whole(0, 500))
    with store._db.exclusive() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(Unavailable, match=r"disk is full: free space in .*a folder"):
        store.write(whole(1, 500))
    with pytest.raises(Unavailable, match="disk is full"):
        store.put_blob(bytes(1_000_000))
    assert_whole(store, 1, 500)
    with store._db.exclusive() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    store.write(whole(1, 500))
    assert_whole(store, 2, 500)


def test_a_limit_of_the_system_is_unavailable_and_leaves_nothing_of_the_batch(store: SqliteStore, path: Path) -> None:
    """The same when the system itself refuses a write."""
    process = start(path, "fill_up", "2000000")
    out, _ = process.communicate(timeout=60)
    number, _, words = out.partition(" ")
    assert int(number) > 0
    assert "store:" in words
    assert_whole(store, int(number), 100)


def test_two_processes_number_epochs_alike(path: Path) -> None:
    """Four processes make one new file and number the same topics, each in its own order."""
    path.parent.mkdir()
    orders = ("a,b,c,d", "d,c,b,a", "b,d,a,c", "c,a,d,b")
    processes = [start(path, "number_epochs", order) for order in orders]
    answers = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(answers[0]) == ["1", "2", "3", "4"]
    assert answers == [answers[0]] * 4


def test_two_writers_on_one_file(store: SqliteStore, path: Path) -> None:
    """Each partition has one owner; two owners share the file, and a former owner is fenced."""
    other = SqliteStore(path)
    store.write(batch(event("e1"), profile("p1", 1), progress={0: (0, 1)}))
    other.write(batch(event("e2"), profile("p1", 2, city="Rome"), progress={1: (0, 1)}))
    store.write(batch(event("e3", time_ms=NOW_MS - MONTH_MS), progress={0: (1, 2)}))
    other.write(batch(event("e4", time_ms=NOW_MS - MONTH_MS), progress={1: (1, 2)}))
    with pytest.raises(Fenced):
        other.write(batch(event("e5"), progress={0: (1, 2)}))
    other.close()
    assert store.progress(1) == {0: 2, 1: 2}
    assert store.count("events", "") == 4
    known = store.known(Wanted(["p1"], [], [EventKey("e2", ("2025-11",))]))
    assert (known.profiles["p1"].version, set(known.events)) == (2, {"e2"})


def test_many_writers_at_once_lose_nothing(store: SqliteStore, path: Path) -> None:
    """Collectors that share the partitions take turns on the file."""

    def work(partition: int) -> None:
        mine = SqliteStore(path)
        for step in range(20):
            mine.write(batch(event(f"e{partition}-{step}"), progress={partition: (step, step + 1)}))
        mine.close()

    threads = [threading.Thread(target=work, args=(partition,)) for partition in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.progress(1) == dict.fromkeys(range(4), 20)
    assert store.count("events", "") == 80


def test_a_reader_never_blocks_a_writer(store: SqliteStore) -> None:
    """A read that is under way keeps its view; the write goes through at once."""
    store.write(whole(0, 50))
    with store._db.reading() as connection:
        rows = connection.execute("SELECT id FROM profiles")
        seen = [next(rows)]
        with store._db.exclusive() as writing:
            writing.execute("PRAGMA busy_timeout = 0")
        store.write(batch(profile("new"), progress={0: (50, 51)}))
        seen += rows
    assert len(seen) == 50
    assert store.count("profiles", "") == 51


def test_a_writer_never_blocks_a_reader(store: SqliteStore) -> None:
    """While a batch is being written the API reads what was there before it."""
    store.write(batch(profile("p1")))
    with store._db.transaction() as connection:
        connection.execute("DELETE FROM profiles")
        assert store.count("profiles", "") == 1
    assert store.count("profiles", "") == 0


def test_a_writer_that_waits_too_long_is_unavailable(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that never goes away becomes an error that names the file, and the next try may work."""
    monkeypatch.setattr(database, "BUSY_S", 0.05)
    other = SqliteStore(path)
    with store._db.transaction(), pytest.raises(Unavailable, match=r"hub\.sqlite is locked by another process"):
        other.write(batch(profile("p1")))
    other.write(batch(profile("p1")))
    other.close()


def test_a_read_that_takes_too_long_is_stopped(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search must not hold a thread of the API for ever; the connection is fit for use after it."""
    store.write(batch(*(profile(f"p{n}", text="x" * 100) for n in range(3_000))))
    monkeypatch.setattr(database, "READ_LIMIT_S", -1.0)
    monkeypatch.setattr(database, "_STEPS", 1_000)  # so that the clock is looked at in a small store
    with pytest.raises(Unavailable, match="took too long"):
        store.count("profiles", "traits.text = y")
    monkeypatch.setattr(database, "READ_LIMIT_S", 30.0)
    assert store.count("profiles", "traits.text = y") == 0


def test_many_readers_at_once_leave_a_few_connections(store: SqliteStore) -> None:
    """The API's threads come and go; connections must not pile up."""
    with ExitStack() as stack:
        lent = [stack.enter_context(store._db.reading()) for _ in range(20)]
        assert len(set(lent)) == 20
    assert len(store._db._idle) == database._IDLE_READERS
    assert store.count("profiles", "") == 0


def test_a_read_only_store_waits_for_its_file(path: Path) -> None:
    """The API may start before the collector has made the file: unavailable until then, without a restart."""
    path.parent.mkdir()
    reading = open_store(f"sqlite:///{path}", readonly=True)
    with pytest.raises(Unavailable, match="the collector makes it"):
        reading.ping()
    writing = open_store(f"sqlite:///{path}")
    writing.write(batch(profile("p1")))
    reading.ping()
    assert reading.count("profiles", "") == 1
    with pytest.raises(Refused, match="for reading only"):
        reading.write(batch(profile("p2")))
    reading.close()
    writing.close()


def test_a_read_only_store_outlives_the_writers(store: SqliteStore, path: Path) -> None:
    """The API reads while no collector runs, and sees what the next one writes."""
    store.write(batch(profile("p1")))
    store.close()
    reading = SqliteStore(path, readonly=True)
    assert reading.count("profiles", "") == 1
    writing = SqliteStore(path)
    writing.write(batch(profile("p2")))
    assert reading.count("profiles", "") == 2
    writing.close()
    assert reading.get("profiles", "p2") is not None
    reading.close()


def test_a_new_file_that_is_locked_for_a_moment_is_waited_for(path: Path) -> None:
    """Another process is at work on the file while it gets its tables: wait, do not fail."""
    path.parent.mkdir()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    holder.execute("BEGIN")
    holder.execute("SELECT * FROM sqlite_master").fetchall()
    opened: list[SqliteStore] = []
    thread = threading.Thread(target=lambda: opened.append(SqliteStore(path)))
    thread.start()
    thread.join(0.3)
    assert thread.is_alive()
    holder.execute("ROLLBACK")
    holder.close()
    thread.join()
    assert opened[0].count("profiles", "") == 0
    opened[0].close()


def test_a_relative_path_is_of_the_folder_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes: relative, as with other tools."""
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///hub.sqlite")
    store.write(batch(profile("p1")))
    store.close()
    assert (tmp_path / "hub.sqlite").exists()


def test_a_folder_that_is_not_there_is_named(path: Path) -> None:
    """What to create is in the message."""
    with pytest.raises(Unavailable, match=r"check that .*a folder #1%20\? is there"):
        SqliteStore(path)


@pytest.mark.parametrize("readonly", [True, False])
def test_a_file_of_a_newer_hub_is_refused(store: SqliteStore, path: Path, readonly: bool) -> None:
    """Never guess at a schema that this version does not know."""
    newer = len(schema.MIGRATIONS) + 1
    with store._db.exclusive() as connection:
        connection.execute(f"PRAGMA user_version = {newer}")
    with pytest.raises(Refused, match=f"schema {newer}, made by a newer hub"):
        SqliteStore(path, readonly=readonly).ping()


def test_a_file_of_another_program_is_refused_and_left_alone(path: Path) -> None:
    """A wrong path must not put our tables into somebody's database."""
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(Refused, match="another program"):
        SqliteStore(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    """Same for any other file."""
    path.parent.mkdir()
    path.write_bytes(b"these are the voyages" * 1_000)
    with pytest.raises(Refused, match="not an SQLite file"):
        SqliteStore(path)


def test_an_older_file_is_migrated_whole_or_not_at_all(tmp_path: Path) -> None:
    """Each step of a new version is applied once; one that fails leaves the file at its old version."""
    path = tmp_path / "hub.sqlite"
    connection = sqlite3.connect(path, isolation_level=None)
    first, second = ("CREATE TABLE a (x)",), ("ALTER TABLE a ADD COLUMN y DEFAULT 5", "CREATE TABLE b (x)")
    schema.migrate(connection, path, [first])
    connection.execute("INSERT INTO a VALUES (1)")
    with pytest.raises(sqlite3.OperationalError):
        schema.migrate(connection, path, [first, (*second, "nonsense")])
    assert schema.check_version(connection, path, [first, second]) == 1
    assert connection.execute("SELECT * FROM a").fetchall() == [(1,)]
    schema.migrate(connection, path, [first, second])
    schema.migrate(connection, path, [first, second])
    assert schema.check_version(connection, path, [first, second]) == 2
    assert connection.execute("SELECT * FROM a").fetchall() == [(1, 5)]
    connection.close()


def test_a_name_that_is_no_partition_never_becomes_sql(store: SqliteStore) -> None:
    """Table names cannot be bound, so they are checked."""
    for name in ("2025-13", "2025-11; DROP TABLE profiles", "", "OTHER", "٢٠٢٥-11"):
        with pytest.raises(ValueError, match="no time partition"):
            schema.events_table(name)


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("id = e1", "sqlite_autoindex_events_2025_11_1"),
        ("profile.id = p1", "events_2025_11_profile"),
        ("session.id = s1 AND properties.x = 1", "events_2025_11_session"),
        ("type = purchase", "events_2025_11_type"),
        ("properties.x = 1", "events_2025_11_time"),
    ],
)
def test_searches_use_the_indexes(store: SqliteStore, query: str, index: str) -> None:
    """The fields that people look things up by do not read the whole month, and no search sorts it."""
    store.write(batch(event("e1")))
    statements: list[str] = []
    with store._db.reading() as connection:
        connection.set_trace_callback(statements.append)
    store.search("events", query, 10, None)
    (statement,) = [one for one in statements if "FROM events_2025_11" in one]
    with store._db.reading() as connection:
        connection.set_trace_callback(None)
        plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert index in plan[0]
    assert not any("TEMP B-TREE" in step for step in plan)


class Interrupted(sqlite3.Connection):
    """Before its statement number `at`, something else happens."""

    at = 0

    def execute(self, *arguments: object) -> sqlite3.Cursor:  # type: ignore[override]
        if self.at == 0:
            self.meanwhile()
        self.at -= 1
        return super().execute(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_reader_that_comes_while_the_file_is_made_waits_for_it(tmp_path: Path, at: int) -> None:
    path = tmp_path / "hub.sqlite"

    def make() -> None:
        SqliteStore(path).close()

    reading = sqlite3.connect(path, factory=Interrupted)
    reading.at, reading.meanwhile = at, make  # type: ignore[attr-defined]
    with contextlib.closing(reading), contextlib.suppress(Unavailable):
        schema.require_current(reading, path)
