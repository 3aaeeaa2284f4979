"""A whole hub as a user runs it, `hub up --detach` on a folder, for tests that kill parts of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from hub.stack import state
from tests import stores
from tests.kafka_tools import eventually
from tests.plain_http import NO_TLS

HUB: Final = (sys.executable, "-m", "hub")
ROOT: Final = Path(__file__).parents[2]


def environment(**variables: str) -> dict[str, str]:
    """Ours without HUB_ variables but those of the store, and these: a test decides itself."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    return own | stores.settings() | variables


def hub(*arguments: str | Path, timeout_s: float = 120, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a `hub` command to its end. Args: variables: of its environment."""
    return subprocess.run(
        [*HUB, *map(str, arguments)],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


class WholeHub:
    """One that runs. Questions are asked again while the API is away; a refusal fails the test."""

    def __init__(self, data: Path) -> None:
        """Args: data: the folder that it runs on."""
        self.data = data
        self.kafka = self.state().kafka
        self.url = self.state().url
        key = (data / "admin-key").read_text().strip()
        self.http = httpx.Client(
            base_url=self.url, headers={"Authorization": f"Bearer {key}"}, timeout=30, verify=NO_TLS
        )

    def state(self) -> state.RunState:
        """As `hub status` reads it."""
        run = state.read(self.data)
        assert run is not None, f"no hub runs on {self.data}"
        return run

    def processes(self) -> dict[str, state.ProcessState]:
        """By name."""
        return {process.name: process for process in self.state().processes}

    def kill(self, name: str) -> None:
        """`kill -9`, and wait until the supervisor has started it again and it is ready."""
        before = self.processes()[name]
        assert before.pid is not None, f"{name} is not running: {before}"
        os.kill(before.pid, signal.SIGKILL)

        def is_back() -> bool:
            now = self.processes()[name]
            return now.restarts > before.restarts and now.state == "ready"

        eventually(is_back, 60)

    def ask(self, path: str, **query: Any) -> httpx.Response:
        """GET."""

        def answer() -> httpx.Response | None:
            try:
                response = self.http.get(path, params=query)
            except httpx.TransportError:  # killed, and not back yet
                return None
            return None if response.status_code == 503 else response

        response = eventually(answer)
        assert response is not None
        assert response.status_code == 200, response.text
        return response

    def get(self, path: str, **query: Any) -> Any:
        """GET JSON."""
        return self.ask(path, **query).json()

    def totals(self) -> dict[str, int]:
        """Of the balance sheet."""
        totals: dict[str, int] = self.get("/balance")["totals"]
        return totals

    def define(self, kind: str, id: str, **spec: Any) -> None:
        """PUT a definition."""
        answer = self.http.put(f"/definitions/{kind}/{id}", json=spec)
        assert answer.is_success, answer.text

    def logs(self, lines: int = 20) -> str:
        """The end of each log of our own processes, for whoever reads a failure."""
        return "\n".join(
            f"--- {log.name}\n" + "\n".join(log.read_text().splitlines()[-lines:])
            for log in sorted((self.data / "logs").glob("*.log"))
            if log.stem not in ("kafka", "valkey")
        )


@contextmanager
def whole_hub(data: Path, *, agents: bool = False) -> Iterator[WholeHub]:
    """
    Start one, stop it after the block; fails if anything of it is left then.

    Args: agents: whether agents and a worker run, too.
    """
    started = hub("up", "--detach", "--data", data, "--port", "0", HUB_AGENTS__UP=str(agents), **_namespace(data))
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        running = WholeHub(data)
        assert running.processes().keys() >= {"agents", "worker"} if agents else "agents" not in running.processes()
        with running.http:
            try:
                yield running
            except BaseException:
                print(running.logs())
                raise
    finally:
        stopped = hub("down", "--data", data)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert left_on(data) == []


def _namespace(data: Path) -> dict[str, str]:
    """With files it is the default one."""
    return {"HUB_NAMESPACE": stores.namespace_of(data)} if stores.settings() else {}


def left_on(data: Path) -> list[str]:
    """Command lines of processes that belong to a hub on this folder, however they were started."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            ours = any(str(data) in part for part in command) or process.environ().get("HUB_DATA") == str(data)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue  # gone, or somebody else's
        if ours and process.pid != os.getpid():
            found.append(f"{process.pid} {' '.join(command)}")
    return found
