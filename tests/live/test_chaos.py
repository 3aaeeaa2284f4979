"""`hub chaos` as its user runs it, for half a minute; and on a hub of theirs, where somebody deletes what is stored."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from tests.live.whole_hub import HUB, ROOT, WholeHub, environment, hub, left_on, whole_hub

pytestmark = pytest.mark.timeout(300)

SEED: Final = "660"
"""Agents are restarted, the scheduler is killed, the worker is frozen in the short run of this one."""

KILL: Final = """
import os, sys
from pathlib import Path
from hub.stack import state
os.kill(next(one.pid for one in state.read(Path(sys.argv[1])).processes if one.name == "collector"), 9)
"""
DELETE: Final = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1] + "/hub.sqlite", timeout=20)
(table,) = [name for (name,) in file.execute("SELECT name FROM sqlite_master WHERE type = 'table'") if "20" in name]
# one that was sent: what flows, segments and the heartbeat make of it lies beside it
one = f"SELECT seq FROM {table} WHERE type LIKE 'chaos-step-%' ORDER BY seq DESC LIMIT 1 OFFSET 20"
assert file.execute(f"DELETE FROM {table} WHERE seq = ({one})").rowcount == 1
file.commit()
"""


@pytest.mark.slow
@pytest.mark.first
def test_a_short_run_keeps_every_promise(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    data = tmp_path / "data"
    done = hub(
        *("chaos", "--seconds", "25", "--faults", "9", "--seed", SEED),
        *("--data", data, "--report", report),
        timeout_s=280,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(report.read_text())
    assert result["good"]
    assert not any(result["violations"].values())
    assert len(result["faults"]) == 9
    assert {fault["target"] for fault in result["faults"]} >= {"agents", "worker", "scheduler"}
    assert all(fault["stored_s"] is not None for fault in result["faults"])
    figures = result["figures"]
    assert figures["events_acknowledged"] > 1_000
    assert figures["profiles_merged"] > 10, "merges were not under fire"
    assert figures["left_as_time_passed"] > 10
    assert figures["members"] > 10
    assert figures["segments_left"] > figures["left_as_time_passed"], "nobody has left what was changed in mid-run"
    assert figures["heartbeat_due_times"] > 3
    assert figures["flow_changes"] > 100
    assert figures["pauses_ended_by_an_event"] > 3
    assert figures["pauses_without_an_event"] > 3
    assert result["balance"]["verified"]["agrees"]
    assert left_on(data) == []


def chaos_on(running: WholeHub, script: str, folder: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, report and lines of a run on somebody's hub, with `script` as their command."""
    folder.mkdir()
    file, report = folder / "command.py", folder / "report.json"
    file.write_text(script)
    command = ("--command", f"{sys.executable} {file} {running.data}", "--url", running.url, *options)
    done = subprocess.run(
        [*HUB, "chaos", "--seconds", "8", "--faults", "4", "--report", report, "--data", folder / "kit", *command],
        cwd=ROOT,
        env=environment(HUB_ADMIN_KEY=(running.data / "admin-key").read_text().strip(), PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=250,
        check=False,
    )
    print(done.stdout)
    return done.returncode, json.loads(report.read_text()), done.stdout


@pytest.mark.long
def test_on_a_hub_of_theirs(tmp_path: Path) -> None:
    """Twice on one, which takes its time to start: their collector is killed; an event is deleted from their store."""
    with whole_hub(tmp_path / "data", agents=True) as running:
        code, result, _ = chaos_on(running, KILL, tmp_path / "kill", "--bootstrap", running.kafka)
        assert code == 0
        assert result["conditions"]["segments_heartbeat_flows"]
        assert {fault["kind"] for fault in result["faults"]} == {"cut", "stall", "slow", "command"}
        assert running.processes()["collector"].restarts == 1
        for kind in ("source", "mapping", "identification-point", "bridge", "segment", "heartbeat", "flow"):
            left = running.get(f"/definitions/{kind}")["items"]
            assert all(one.get("built_in") for one in left), left

        code, result, lines = chaos_on(running, DELETE, tmp_path / "delete")
        assert code == 1
        assert result["violations"]["lost"] == 1
        assert result["violations"]["balance"] >= 1
        assert result["violations"]["doubled"] == result["violations"]["reordered"] == 0
        assert result["violations"]["merge"] == 0
        assert result["violations"]["crossing"] == result["violations"]["heartbeat"] == 0
        assert result["conditions"]["topic_messages_per_s"] == 0, "without a Kafka to send to there is no bridge"
        assert "PROMISES BROKEN" in lines
