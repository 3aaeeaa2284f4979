"""Backups: of one moment, whole or none, and never restored over something or from something damaged."""

from __future__ import annotations

import collections
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app
from hub.backup import manifest, place
from hub.backup.make import POINTS, Site, back_up
from hub.backup.moment import still
from hub.backup.restore import DRAFT, look, restore
from hub.errors import Refused, Unavailable
from hub.stack import state
from hub.store.sqlite import SqliteStore, schema
from tests.contracts.batches import NOW_MS, whole
from tests.kafka_tools import eventually

ROOT = Path(__file__).parents[2]
LONG = os.urandom(200_000)
FILES = {
    "admin-key": b"the admin key\n",
    "identity-key": b"the identity key\n",
    "kafka/cluster-id": b"hAAAAAAAAAAAAAAAAAAAAA",
    "kafka/log/meta.properties": b"cluster.id=hAAAAAAAAAAAAAAAAAAAAA\n",
    "kafka/log/hub.events.v1-0/00000000000000000000.log": LONG,
    "kafka/log/hub.events.v1-0/00000000000000001000.log": b"",
    "kafka/log/hub.events.v1-0/leader-epoch-checkpoint": b"0\n1\n0 0\n",
    "valkey/appendonlydir/appendonly.aof.1.incr.aof": LONG[:70_000],
    "valkey/appendonlydir/appendonly.aof.manifest": b"file appendonly.aof.1.incr.aof seq 1 type i\n",
}
"""What a backup has besides the store."""
OTHERS = {
    "kafka/log/hub.events.v1-0/00000000000000000000.index": b"made anew",
    "kafka/log/.kafka_cleanshutdown": b"{}",
    "kafka/log/hub.old.v1-0.0123-delete/00000000000000000000.log": b"gone",
    "valkey/temp-rewriteaof-7.aof": b"half",
    "logs/api.log": b"lines\n",
    "ports.json": b"{}",
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder of a hub that was stopped."""
    folder = tmp_path / "data"
    for name, content in (FILES | OTHERS).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    with closing(SqliteStore(folder / "hub.sqlite")) as store:
        store.write(whole(0, 500))
    return folder


def site(data: Path) -> Site:
    return Site(data, f"sqlite:///{data}/hub.sqlite", "hub")


@pytest.fixture
def made(data: Path, tmp_path: Path) -> Path:
    """A backup of it."""
    return back_up(site(data), tmp_path / "made.backup", now_ms=lambda: NOW_MS).path


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def content(folder: Path) -> dict[str, bytes]:
    """Of all files but the store's."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("hub.sqlite")
    }


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def ends_killed(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "tests.backup_process", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, timeout=60, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@contextmanager
def process(*arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "tests.backup_process", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def test_all_is_as_it_was(data: Path, tmp_path: Path) -> None:
    """Every file, every row; and nothing that is of no use or of another moment."""
    (tmp_path / "backups").mkdir()
    done = run("backup", tmp_path / "backups", "--data", data, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    path = Path(found["path"])
    assert path.parent == tmp_path / "backups"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (found["events"], found["was_running"], found["schema"]) == (500, False, len(schema.MIGRATIONS))
    assert "HUB_SECRET_KEY" in run("restore", path, "--dry-run").stderr  # there was no such file
    restored = run("restore", path, "--data", tmp_path / "new" / "data")
    assert restored.exit_code == 0, restored.output
    new = tmp_path / "new" / "data"
    assert content(new) == FILES
    assert dump(new / "hub.sqlite") == dump(data / "hub.sqlite")
    assert stat.S_IMODE((new / "admin-key").stat().st_mode) == 0o600
    assert [one.name for one in new.parent.iterdir()] == ["data"]
    with closing(SqliteStore(new / "hub.sqlite")) as store:
        assert (store.count("events", ""), store.progress(1)) == (500, {0: 500})
        store.write(whole(1, 500))


def test_a_backup_is_not_lost_by_accident(data: Path, made: Path) -> None:
    """Nothing is overwritten unless somebody says so; a full folder is not, either."""
    before = made.read_bytes()
    again = run("backup", made, "--data", data)
    assert (again.exit_code, "--force" in again.stderr) == (2, True)
    assert made.read_bytes() == before
    full = content(data)
    refused = run("restore", made, "--data", data)
    assert (refused.exit_code, "is not empty" in refused.stderr) == (2, True)
    assert content(data) == full
    assert run("restore", made, "--data", data, "--force").exit_code == 0
    assert content(data) == FILES
    assert run("backup", made, "--data", data, "--force").exit_code == 0


def test_what_is_damaged_is_refused(data: Path, made: Path, tmp_path: Path) -> None:
    """A byte of any member, the manifest, an end that is missing: told as such, and the folder stays as it was."""
    with zipfile.ZipFile(made) as archive:
        places = {one.filename: one.header_offset + 30 + len(one.filename) for one in archive.infolist()}
        sizes = {one.filename: one.compress_size for one in archive.infolist()}
    whole_file = made.read_bytes()
    before = content(data)

    def refused(damaged: bytes, words: str) -> None:
        made.write_bytes(damaged)
        for again in (lambda: look(made), lambda: restore(made, data, replace=True)):
            with pytest.raises(Refused, match=words):
                again()
        assert content(data) == before

    for name, begin in places.items():
        if sizes[name]:
            at = begin + 20 + sizes[name] // 2  # 20: what a header of a long file has more
            refused(whole_file[:at] + bytes([whole_file[at] ^ 1]) + whole_file[at + 1 :], "damaged|no backup")
    refused(whole_file[: len(whole_file) // 2], "cut off")
    refused(b"", "no backup")
    refused(b"any other file" * 100, "no backup")
    assert [one for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def changed(path: Path, **fields: object) -> Path:
    """The same backup with another manifest."""
    other = path.with_name("changed.backup")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(other, "w") as new:
        for name in old.namelist():
            body = old.read(name)
            if name == manifest.NAME:
                body = msgspec.json.encode(msgspec.json.decode(body) | fields)
            new.writestr(name, body)
    return other


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": 2, "files": None}, "of a newer hub"),
        ({"schema": len(schema.MIGRATIONS) + 1}, "install that version or a later one"),
        ({"kafka": "99.0.1"}, "Kafka 99.0.1"),
        ({"files": [{"name": "../stranger", "bytes": 0, "sha256": ""}]}, "outside of the data folder"),
        ({"files": [{"name": "/etc/stranger", "bytes": 0, "sha256": ""}]}, "outside of the data folder"),
        ({"files": []}, "no store in it"),
        ({"rows": {"profiles": 7}}, "another store than it says"),
        ({"hub": 7}, "cannot be read"),
    ],
)
def test_what_this_hub_cannot_use_is_refused(fields: dict[str, object], words: str, made: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=words):
        restore(changed(made, **fields), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_store_of_a_newer_hub_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / "hub.sqlite")) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    with pytest.raises(Refused, match="made by a newer hub"):
        back_up(site(data), tmp_path / "made", now_ms=lambda: NOW_MS)
    assert not (tmp_path / "made").exists()


def test_a_damaged_store_is_not_backed_up(data: Path, tmp_path: Path) -> None:
    """Else a good backup would be replaced by a bad one, and nobody would know until it is needed."""
    path = data / "hub.sqlite"
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * 20_000)
    with pytest.raises(Refused, match="damaged"):
        back_up(site(data), tmp_path / "made", now_ms=lambda: NOW_MS)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"store_url": "https://search:9200"}, "snapshots of the search engine"),
        ({"bootstrap": "kafka:9092"}, "not the hub's own"),
        ({"data": Path("/nowhere")}, "no data folder"),
    ],
)
def test_what_is_not_the_hubs_own_is_backed_up_elsewhere(
    change: dict[str, object], words: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match=words):
        back_up(site(data)._replace(**change), tmp_path / "made", now_ms=lambda: NOW_MS)


def test_a_folder_without_kafka_is_none_of_a_hub(data: Path, tmp_path: Path) -> None:
    (data / "kafka/log/meta.properties").unlink()
    with pytest.raises(Refused, match="no Kafka of its own"):
        back_up(site(data), tmp_path / "made", now_ms=lambda: NOW_MS)


@pytest.mark.parametrize("point", POINTS)
def test_a_backup_that_is_killed_leaves_the_one_before(point: str, data: Path, made: Path) -> None:
    """And the next one removes what it has left."""
    before = made.read_bytes()
    ends_killed("back_up", data, made, point)
    assert made.read_bytes() == before
    back_up(site(data), made.with_name("next"), now_ms=lambda: NOW_MS)
    assert [one for one in made.parent.iterdir() if one.name.startswith(".")] == []


def test_two_at_once_do_not_meet(data: Path, tmp_path: Path) -> None:
    """Neither of one folder nor into one file."""

    def second(_: object) -> None:
        with pytest.raises(Refused, match="another backup"):
            back_up(site(data), tmp_path / "other", now_ms=lambda: NOW_MS)
        with pytest.raises(Refused, match="another process"), place.draft(tmp_path / "made", replace=True):
            """Never."""

    back_up(site(data), tmp_path / "made", now_ms=lambda: NOW_MS, at=lambda at: second(at) if at == "copied" else None)


def test_a_restore_that_is_killed_leaves_the_folder_as_it_was(data: Path, made: Path) -> None:
    before = content(data)
    ends_killed("restore", made, data)
    assert content(data) == before
    # as if it had been killed a moment later, between the two renames
    data.rename(data.with_name(f".{data.name}.hub-restore-old"))
    with pytest.raises(Refused, match="not empty"):
        restore(made, data)
    assert content(data) == before
    restore(made, data, replace=True)
    assert content(data) == FILES
    assert not data.with_name(f".{data.name}{DRAFT}").exists()


def test_a_folder_that_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=f"no folder {tmp_path}/none: make it"):
        back_up(site(data), tmp_path / "none" / "made.backup", now_ms=lambda: NOW_MS)


def test_a_folder_in_use_is_not_replaced(data: Path, made: Path) -> None:
    with state.lock(data), pytest.raises(Refused, match="Stop it with"):
        restore(made, data, replace=True)


def running(data: Path, *servers: tuple[str, int]) -> None:
    """As `hub up` says that it runs; the caller holds the lock."""
    processes = [
        state.ProcessState(name=name, state="ready", pid=pid, port=1, restarts=0, started_at_ms=0, last_exit="")
        for name, pid in servers
    ]
    now = state.RunState(
        pid=os.getpid(),
        ready=True,
        url="",
        namespace="hub",
        kafka="kafka:9092",
        redis="",
        started_at_ms=0,
        processes=processes,
    )
    state.write(data, now)


def has_more(log: Path, records: int) -> bool:
    """It goes on once it was looked at."""
    return log.stat().st_size // 8 > records


def test_the_store_is_never_ahead_of_the_log(data: Path, tmp_path: Path) -> None:
    """
    Of a hub that runs: a position in the store that the log does not have would be taken for known later, and what came
    to be there would be lost.
    """
    name = "kafka/log/hub.events.v1-0/00000000000000001000.log"
    (data / "hub.sqlite").unlink()
    seen = set()
    store = data / "hub.sqlite"
    with state.lock(data), process("log", data / name) as broker, process("store", data / name, store) as collector:
        running(data, ("kafka", broker.pid))
        written = threading.Thread(target=lambda: collections.deque(collector.stdout or (), maxlen=0))
        assert collector.stdout is not None
        assert collector.stdout.readline()
        written.start()  # else it would wait for a reader
        for number in range(3):
            target = tmp_path / f"{number}.backup"
            about = back_up(site(data), target, now_ms=lambda: NOW_MS).about
            assert (about.was_running, about.left_out) == (True, ["redis"])
            new = restore(target, tmp_path / f"new-{number}").data
            records, rest = divmod((new / name).stat().st_size, 8)
            assert (progress(new) <= records, rest) == (True, 0)
            seen.add(records)
            eventually(partial(has_more, data / name, records))
        assert len(seen) == 3
    written.join()


def progress(data: Path) -> int:
    with closing(sqlite3.connect(data / "hub.sqlite")) as connection:
        return sum(offset for (offset,) in connection.execute("SELECT next_offset FROM progress"))


def test_a_hub_that_is_not_ready_or_has_a_kafka_of_yours(data: Path, tmp_path: Path) -> None:
    with state.lock(data):
        with pytest.raises(Refused, match="in use by a hub"):  # it is just starting
            back_up(site(data), tmp_path / "made", now_ms=lambda: NOW_MS)
        running(data)
        with pytest.raises(Refused, match="a Kafka of yours at kafka:9092"):
            back_up(site(data), tmp_path / "made", now_ms=lambda: NOW_MS)


def test_processes_go_on_whatever_happens(tmp_path: Path) -> None:
    """After the block, after an error in it, and after three seconds at most."""
    path = tmp_path / "log"

    def moves() -> bool:
        size = path.stat().st_size
        eventually(lambda: path.stat().st_size > size)
        return True

    with process("log", path) as broker:
        eventually(path.exists)
        with still([broker.pid]):
            size = path.stat().st_size
            assert all(path.stat().st_size == size for _ in range(1_000))
        assert moves()
        with pytest.raises(ZeroDivisionError), still([broker.pid]):
            raise ZeroDivisionError
        assert moves()
        with pytest.raises(Unavailable, match="try again"), still([broker.pid], longest_s=0.1):
            assert moves()
        assert moves()


def test_a_server_goes_on_when_its_backup_is_killed(data: Path, tmp_path: Path) -> None:
    """In the very moment in which it stands still."""
    path = data / "kafka/log/hub.events.v1-0/00000000000000001000.log"
    with state.lock(data), process("log", path) as broker:
        running(data, ("kafka", broker.pid))
        eventually(path.exists)
        ends_killed("back_up", data, tmp_path / "made", "still")
        size = path.stat().st_size
        eventually(lambda: path.stat().st_size > size)
