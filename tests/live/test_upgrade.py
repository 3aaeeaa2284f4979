"""Upgrades under a real hub: a data folder of an earlier release, and a newer release while this one takes events."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.__main__ import app
from hub.store.sqlite import beside, moved, rollback, schema
from tests import upgrades
from tests.contracts.test_sqlite_upgrade import rows_of
from tests.kafka_tools import eventually
from tests.live.whole_hub import ROOT, hub, whole_hub

pytestmark = pytest.mark.timeout(300)

NEWER = [*schema.MIGRATIONS, ("UPDATE profiles SET doc = json_set(doc, '$.newer', 1)",)]
"""A release that does not exist yet, whose upgrade changes rows."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.slow
@pytest.mark.parametrize("number", [8, *(pytest.param(one, marks=pytest.mark.long) for one in upgrades.SCHEMAS[1:])])
def test_a_hub_starts_on_the_folder_of_an_earlier_release(number: int, tmp_path: Path) -> None:
    """All that was stored is there, new events go on behind it, and there is a way back."""
    path = upgrades.unpack(number, tmp_path)
    before, answers = rows_of(path), upgrades.answers(number)
    is_beside = number == 8
    with whole_hub(tmp_path) as running:
        for kind in ("profiles", "events", "sessions", "dead-letters"):
            assert running.get(f"/{kind}", size=1_000)["items"] == answers[f"/{kind}"], kind
        payload = {
            "source": {"id": "shop"},
            "profile": {"id": "person-2"},
            "session": {"id": "after"},
            "events": [{"type": "order", "properties": {"total": 1}}],
        }
        running.define("source", "shop", name="Shop")
        running.http.post("/track", json=payload).raise_for_status()
        eventually(lambda: running.get("/events/count", q="session.id = after")["count"] == 1)
        assert running.get("/balance", verify=True)["balanced"]
        log = (tmp_path / "logs" / "collector.log").read_text()
        assert ("store.upgraded" in log) == is_beside
        if is_beside:
            refused = hub("migrate", "rollback", "--data", tmp_path)
            assert (refused.returncode, "stop the hub first" in refused.stderr) == (2, True)
    status = json.loads(hub("migrate", "status", "--json", "--data", tmp_path).stdout)
    assert [one["role"] for one in status["files"]] == (["kept", "in force"] if is_beside else ["in force"])
    assert status["schema"] == status["wanted"] == len(schema.MIGRATIONS)
    back = hub("migrate", "rollback", "--data", tmp_path)
    if is_beside:
        assert back.returncode == 0, back.stderr
        changed = {table for table, rows in rows_of(path).items() if rows != before[table]}
        assert changed <= set(rollback.ON_NO_LOG)
    else:
        assert (back.returncode, "nothing to go back to" in back.stderr) == (2, True)


def test_commands_say_what_they_do(tmp_path: Path) -> None:
    """Status, a trial, the upgrade, the way back, and the room that it takes."""
    path = upgrades.unpack(upgrades.SCHEMAS[0], tmp_path)
    before = rows_of(path)

    def run(*arguments: str, data: Path = tmp_path) -> Result:
        return CliRunner().invoke(app, ["migrate", *arguments, "--data", str(data)])

    def said(*arguments: str) -> str:
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        return done.stdout

    assert f"schema 8, of this release {len(schema.MIGRATIONS)}: the collector upgrades it" in said("status")
    assert "nothing was changed" in said("store", "--dry-run")
    assert rows_of(path) == before
    assert "hub.sqlite is kept" in said("store")
    assert "there is nothing to do" in said("store")
    assert "nothing to do\nkept" in said("status")
    assert "hub.sqlite, schema 8" in said("rollback")
    assert rows_of(path) == before
    assert "given up" in said("status")
    assert said("discard", "--yes").startswith("removed ")
    nowhere = run("status", data=tmp_path / "none")
    assert (nowhere.exit_code, "is not there yet" in nowhere.stderr) == (2, True)


def test_a_process_that_writes_during_an_upgrade_loses_nothing_that_it_was_told(tmp_path: Path) -> None:
    """Every batch whose write returned is in the new file, whole; the writer is sent away, and writes no more."""
    path = tmp_path / "hub.sqlite"
    command = [sys.executable, "-m", "tests.contracts.store_process", str(path), "write_on", "200"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(6)]
        done = beside.upgrade(path, now_ms=now_ms, migrations=NEWER)
        assert done is not None
        out, err = process.communicate(timeout=60)
        lines += out.splitlines()
    assert "Fenced" in err
    told = 1 + max(int(line.split()[1]) for line in lines if line.startswith("written"))
    with closing(sqlite3.connect(done.new)) as connection:
        (offset,) = connection.execute("SELECT next_offset FROM progress").fetchone()
        tables = [table for table in moved.tables(connection) if table.startswith("events_")]
        events = sum(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables)
    assert offset == events == told * 200


@pytest.mark.slow
def test_what_is_taken_during_an_upgrade_and_a_rollback_is_stored_once(tmp_path: Path) -> None:
    """
    A newer release upgrades the store under a hub that runs: it takes events all the same, and stores no more. After
    the way back it stores all of them.
    """
    path = tmp_path / "hub.sqlite"
    taken: list[str] = []
    over = threading.Event()

    with whole_hub(tmp_path) as running:
        running.define("source", "shop", name="Shop")

        def send() -> None:
            while not over.is_set():
                number = len(taken)
                payload = {
                    "source": {"id": "shop"},
                    "profile": {"id": f"p{number % 7}"},
                    "session": {"id": f"s{number % 7}"},
                    "events": [{"type": "view", "properties": {"number": number}}],
                }
                if running.http.post("/track", json=payload).is_success:
                    taken.append(f"p{number % 7}")

        sender = threading.Thread(target=send)
        sender.start()
        eventually(lambda: running.totals()["stored"] > 50)
        done = beside.upgrade(path, now_ms=now_ms, migrations=NEWER)
        assert done is not None
        eventually(lambda: running.processes()["collector"].state == "failed", 60)
        during = len(taken)
        eventually(lambda: len(taken) > during + 50)
        over.set()
        sender.join()
        assert "made by a newer hub" in (tmp_path / "logs" / "collector.log").read_text()
    rollback.roll_back(path, now_ms=now_ms)
    with whole_hub(tmp_path) as running:
        eventually(lambda: running.totals()["in_flight"] == 0, 60)
        totals = running.totals()
        assert (totals["received"], totals["stored"], totals["duplicate"]) == (len(taken), len(taken), 0)
        assert running.get("/events/count", q="type = view")["count"] == len(taken)
        assert running.get("/balance", verify=True)["balanced"]
