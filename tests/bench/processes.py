"""Starts, watches and stops what is measured: each in a process of its own, the hub's as `hub up` would start them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psutil

from hub.stack.plan import says_ok
from tests.waiting import wait_for

ROOT: Final = Path(__file__).parents[2]
START_S: Final = 60.0


class Usage(NamedTuple):
    """Processor time of a process so far, in seconds."""

    cpu_s: float

    @classmethod
    def of(cls, process: psutil.Process) -> Usage:
        """User and system time, all threads."""
        used = process.cpu_times()
        return cls(used.user + used.system)


class Server(NamedTuple):
    """A server that answers on a port of this machine."""

    process: psutil.Process
    port: int


def log_of(command: str, folder: Path) -> Path:
    """Where the next process that runs this command writes its lines."""
    number = len(list(folder.glob(f"{command}-*.log")))
    return folder / f"{command}-{number}.log"


@contextmanager
def hub(
    command: str, folder: Path, variables: Mapping[str, str], core: int | None = None, arguments: Sequence[str] = ()
) -> Iterator[psutil.Process]:
    """
    A process of the hub while the block runs; it has to end with 0 when it is told to stop.

    Args:
        command: `api`, `collector` or `bridges`.
        folder: For its log, COMMAND-NUMBER.log.
        variables: Its settings; those of the caller's environment do not count.
        core: The one processor that it may use.
        arguments: Of the command.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    path = log_of(command, folder)
    with path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "hub", command, *arguments],
            cwd=ROOT,
            env={**environment, "HUB_LOG__JSON_LINES": "true", **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # before it has threads, which inherit it
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            code = process.wait(30)
        finally:
            process.kill()
    assert code == 0, f"hub {command} ended with {code}: {path.read_text()[-2000:]}"


@contextmanager
def api(folder: Path, variables: Mapping[str, str]) -> Iterator[Server]:
    """A ready API on a free port."""
    lines = log_of("api", folder)
    with hub("api", folder, {**variables, "HUB_API__PORT": "0", "HUB_ADMIN_KEY": "bench"}) as process:

        def port() -> int:
            assert process.status() != psutil.STATUS_ZOMBIE, lines.read_text()
            for line in lines.read_bytes().splitlines():
                if b'"api.listening"' in line:
                    return int(msgspec.json.decode(line)["url"].rpartition(":")[2])
            return 0

        server = Server(process, wait_for("the API listens", port, START_S))
        wait_for("the API is ready", lambda: says_ok("127.0.0.1", server.port, "/ready"), START_S)
        yield server


@contextmanager
def bare_edge(folder: Path, bootstrap: str, topic: str, linger_ms: float) -> Iterator[Server]:
    """The bare edge."""
    with (folder / "bare_edge.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.bare_edge", bootstrap, topic, str(linger_ms)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        yield Server(psutil.Process(process.pid), int(process.stdout.readline()))
    finally:
        process.stdout.close()
        process.kill()
        process.wait()


def ask(module: str, *arguments: str | int | Path, core: int | None = None) -> dict[str, Any]:
    """Run a module of this package to its end; what it prints is one JSON object."""
    command = [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        if core is not None:
            os.sched_setaffinity(process.pid, {core})
        try:
            output, _ = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 0, f"{module} ended with {process.returncode}"
    answer: dict[str, Any] = msgspec.json.decode(output)
    return answer


def load(server: Server, shape: str, **options: float) -> dict[str, Any]:
    """Load a server; see tests.bench.loader. A request that is not answered with 200 fails the benchmark."""
    arguments = [word for name, value in options.items() for word in (f"--{name}", f"{value:g}")]
    seen = ask("loader", "--port", server.port, "--pid", server.process.pid, "--shape", shape, *arguments)
    assert not seen["failed"], f"{seen['failed']} requests failed, the first: {seen['first_failure']}"
    return seen
