"""`hub up`, `down`, `status`, `doctor` as users run them: the whole hub, real servers."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from hub.stack import ports, state
from tests.waiting import wait_for

HUB = (sys.executable, "-m", "hub")
ROOT = Path(__file__).parents[2]
SERVERS = {"kafka", "valkey"}
LATE = {"agents", "worker"}
OURS = {"collector", "api", "bridges"} | LATE

Up = Callable[..., "subprocess.Popen[str]"]


def environment() -> dict[str, str]:
    """Ours without HUB_ variables: a test decides itself."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}


def hub(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a `hub` command to its end."""
    return subprocess.run(
        [*HUB, *map(str, arguments)],
        cwd=ROOT,
        env={**environment(), **variables},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder; no hub is left on it after the test."""
    folder = tmp_path / "data"
    yield folder
    if folder.exists() and (pid := state.holder(folder)):
        process = psutil.Process(pid)
        process.terminate()
        process.wait(60)


@pytest.fixture
def up(data: Path) -> Iterator[Up]:
    """`hub up` in the foreground, on a free port."""
    started: list[subprocess.Popen[str]] = []

    def up(port: int = 0, **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*HUB, "up", "--data", str(data), "--port", str(port)],
            cwd=ROOT,
            env={**environment(), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield up
    for process in started:
        if process.poll() is None:
            process.terminate()
            process.communicate()
        elif process.stdout is not None:
            process.stdout.close()


def url_when_ready(process: subprocess.Popen[str]) -> str:
    """From its `ready` line."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if match := re.fullmatch(r"ready (http://\S+)\n", line):
            return match[1]
    raise AssertionError("".join(lines))


def running(data: Path) -> dict[str, psutil.Process]:
    """The processes of the hub, as `hub status` tells them."""
    run = state.read(data)
    assert run is not None
    return {process.name: psutil.Process(process.pid) for process in run.processes if process.pid}


def states(data: Path) -> set[str]:
    """Of all processes."""
    run = state.read(data)
    return {process.state for process in run.processes} if run else set()


def is_gone(process: psutil.Process) -> bool:
    """Ended; a zombie counts, when there is no init process that collects orphans."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_up_is_ready_when_it_says_so_and_a_stop_leaves_nothing(up: Up, data: Path) -> None:
    """The line comes when `/ready` is 200, not before; Ctrl-C stops all of it."""
    process = up()
    url = url_when_ready(process)
    with urllib.request.urlopen(f"{url}/ready", timeout=5) as answer:
        assert answer.status == 200
    assert process.stdout is not None
    assert process.stdout.readline().startswith(f"console: {url}/console, log in with ")
    processes = running(data)
    assert set(processes) == SERVERS | OURS
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert all(map(is_gone, processes.values()))
    logs = {path.stem for path in data.glob("logs/*.log")}
    assert logs | LATE == SERVERS | OURS | {"hub"}, "those that start late may have had nothing to say yet"
    assert not re.search(r"Traceback|ERROR|\[error", output), output


@pytest.mark.long
def test_up_killed_leaves_nothing_and_starts_again_on_the_same_data(up: Up, data: Path) -> None:
    """`kill -9` of the supervisor: the kernel ends its processes, and the lock with them."""
    process = up()
    url_when_ready(process)
    processes = running(data)
    kafka_port = {p.name: p.port for p in state.read(data).processes}["kafka"]  # type: ignore[union-attr]
    process.kill()
    process.communicate()
    wait_for("all processes are gone", lambda: all(map(is_gone, processes.values())), 5)
    assert hub("status", "--data", data).returncode == 3
    url_when_ready(up())
    assert {p.name: p.port for p in state.read(data).processes}["kafka"] == kafka_port  # type: ignore[union-attr]


@pytest.mark.slow
def test_detach_status_and_down(data: Path) -> None:
    """The life of a hub without a terminal."""
    started = hub("up", "--data", data, "--port", "0", "--detach")
    assert started.returncode == 0, started.stderr
    match = re.fullmatch(r"ready (http://\S+)\n", started.stdout)
    assert match is not None, started.stdout
    console = f"console: {match[1]}/console, log in with the key in {data / 'admin-key'} or HUB_ADMIN_KEY\n"
    assert started.stderr == console

    second = hub("up", "--data", data, "--port", "0", "--detach")
    assert second.returncode == 1
    assert f"in use by a hub that runs as process {state.holder(data)}" in second.stderr
    assert "hub down --data" in second.stderr

    told = hub("status", "--data", data, "--json")
    assert told.returncode == 0
    status = json.loads(told.stdout)
    assert status["running"] is status["ready"] is True
    assert status["url"] == match[1]
    rows = {row["name"]: row for row in status["processes"]}
    assert set(rows) == SERVERS | OURS
    assert {row["state"] for row in rows.values() if row["name"] not in LATE} == {"ready"}
    wait_for("agents and worker are ready", lambda: states(data) == {"ready"})
    assert all(row["memory_bytes"] > 1_000_000 for row in rows.values())
    table = hub("status", "--data", data).stdout
    assert match[1] in table
    assert console in table
    assert all(name in table for name in rows)

    processes = running(data)
    stopped = hub("down", "--data", data)
    assert stopped.returncode == 0
    assert "Stopped" in stopped.stdout
    assert all(map(is_gone, processes.values()))
    assert hub("status", "--data", data).returncode == 3
    again = hub("down", "--data", data)
    assert again.returncode == 0
    assert "No hub runs" in again.stdout


@pytest.mark.long
def test_killed_processes_are_back_and_counted(up: Up, data: Path) -> None:
    """Ours in a few seconds; Kafka too, with everybody ready again behind it."""
    url_when_ready(up())
    for name in ("collector", "api", "kafka"):
        before = running(data)[name].pid
        os.kill(before, signal.SIGKILL)
        began = time.monotonic()

        def is_back(name: str = name, before: int = before) -> bool:
            run = state.read(data)
            rows = {row.name: row for row in run.processes} if run else {}
            return rows[name].pid != before and all(row.state == "ready" for row in rows.values())

        wait_for(f"{name} is back", is_back, 30)
        print(f"{name} is back after {time.monotonic() - began:.1f} s")
    rows = json.loads(hub("status", "--data", data, "--json").stdout)["processes"]
    # agents may have been started again with Kafka
    assert {row["name"]: row["restarts"] for row in rows if row["name"] not in LATE} == {
        "kafka": 1, "valkey": 0, "collector": 1, "api": 1, "bridges": 0
    }  # fmt: skip


@pytest.mark.parametrize("detach", [(), ("--detach",)])
def test_a_taken_port_is_named_before_anything_starts(data: Path, detach: tuple[str, ...]) -> None:
    """With its owner, and the flag and setting that change it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        result = hub("up", "--data", data, "--port", str(port), *detach)
    assert result.returncode == 1
    for part in (f"port {port} on 127.0.0.1 is taken", f"process {os.getpid()}", "--port", "HUB_API__PORT"):
        assert part in result.stderr
    assert not (data / "kafka").exists()


def test_external_servers_are_checked_and_named(data: Path) -> None:
    """A Kafka that is not there ends the start; no Kafka of our own is started instead."""
    port = ports.free_port()
    result = hub("up", "--data", data, "--port", "0", HUB_REDIS__URL=f"redis://127.0.0.1:{port}/0")
    assert result.returncode == 1
    assert f"redis://127.0.0.1:{port}/0 does not answer" in result.stdout + result.stderr


def test_up_uses_the_servers_it_is_given(up: Up, data: Path, kafka: str, namespace: str) -> None:
    """With HUB_KAFKA__BOOTSTRAP there is no Kafka of our own."""
    process = up(HUB_KAFKA__BOOTSTRAP=kafka, HUB_NAMESPACE=namespace)
    url_when_ready(process)
    assert set(running(data)) == OURS | {"valkey"}
    assert not (data / "kafka").exists()


def test_doctor_says_what_is_wrong_and_how_to_mend_it(data: Path) -> None:
    """All well; then a port that is taken, and an external server that does not answer."""
    well = hub("doctor", "--data", data, "--port", str(ports.free_port()))
    assert well.returncode == 0, well.stdout
    assert "\nfail" not in well.stdout
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ill = hub("doctor", "--data", data, "--port", str(port), HUB_REDIS__URL="redis://127.0.0.1:1/0")
    assert ill.returncode == 1
    wrong = [line for line in ill.stdout.splitlines() if line.startswith("fail")]
    assert len(wrong) == 2
    assert f"port {port}" in wrong[0]
    assert "HUB_REDIS__URL" in ill.stdout
