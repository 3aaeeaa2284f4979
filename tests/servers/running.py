"""
Runs servers of the tests. `python -m tests.servers.running NAME FOLDER` serves until its last user has gone.

Users hold a shared lock on FOLDER/users; the kernel releases it when they end, however they end. The serving process
waits for the exclusive lock, and then stops the server.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, NoReturn

import pytest

from hub.errors import Unavailable
from hub.stack import ports
from hub.stack.process import Child
from tests.servers.kinds import Server, server_of
from tests.waiting import wait_for

ROOT: Final = Path(__file__).parents[2]
READY_S: Final = 300.0
_urls: Final[dict[Path, str]] = {}
_users: Final = ExitStack()
"""Locks of this process: between two tests a server has no other user, and some take ten seconds to start again."""
atexit.register(_users.close)


class Own:
    """A server of one test, which may kill it and start it again: ports and data stay."""

    def __init__(self, name: str, folder: Path) -> None:
        """Args: folder: of its files, made if need be."""
        self.server = server_of(name)
        if self.server.binary() is None:
            _missing(self.server)
        self.home = folder
        self.home.mkdir(parents=True, exist_ok=True)
        self._ports = ports.choose(self.home / "ports.json", self.server.ports)
        self.url = self.server.url(self._ports)
        self._child: Child | None = None

    def start(self) -> None:
        """Returns when it takes clients. From the main thread. Raises Unavailable with its last words."""
        changed = threading.Event()
        program = self.server.program(self.home, self._ports)
        if program.prepare is not None:
            program.prepare()

        def keep(_: str, line: str) -> None:
            with (self.home / "output.log").open("a") as log:
                log.write(f"{line}\n")

        child = Child(program, keep, changed.set)
        while not child.ready:
            if not changed.wait(READY_S):
                child.stop()
                raise Unavailable(self.server.name, f"not ready after {READY_S:g} s: {child.last_words()}")
            changed.clear()
            if child.code is not None:
                raise Unavailable(self.server.name, f"it has ended: {child.last_words()}")
        self._child = child

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._child is not None
        return self._child.pid

    @property
    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._child is not None and self._child.code is None

    def kill(self) -> None:
        """SIGKILL, with all that it started."""
        if self._child is not None:
            self._child.kill()
            self._child = None

    def stop(self) -> None:
        """As an operator would."""
        if self._child is not None:
            self._child.stop()
            self._child = None


@contextmanager
def own(name: str, folder: Path) -> Iterator[Own]:
    """A running server of one test."""
    server = Own(name, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def shared(name: str, folder: Path) -> Iterator[str]:
    """
    The URL of a server that all tests of a run share; it runs until the last process of the run ends.

    `HUB_TEST_<NAME>_URL`, else a program of this machine, else a container.

    Skips the test when there is none, and says what to install; under CI that is a failure.
    """
    server = server_of(name)
    external = os.environ.get(f"HUB_TEST_{name.upper()}_URL")
    if external:
        yield external
    elif server.binary() is not None:
        if folder not in _urls:
            _urls[folder], users = _attach(server, folder)
            _users.enter_context(users)
        yield _urls[folder]
    elif server.image is not None and _docker():
        with _container(server) as url:
            yield url
    else:
        _missing(server)


def _missing(server: Server) -> NoReturn:
    words = (
        f"there is no {server.name} here: set HUB_TEST_{server.name.upper()}_URL, install {server.package} "
        f"(as root: apt-get install {server.package}), or start Docker"
    )
    if os.environ.get("CI"):
        pytest.fail(words)
    pytest.skip(words)


def _docker() -> bool:
    done = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=30) if _has_docker() else None
    return done is not None and done.returncode == 0


def _has_docker() -> bool:
    return any(Path(place, "docker").exists() for place in os.environ.get("PATH", os.defpath).split(os.pathsep))


@contextmanager
def _container(server: Server) -> Iterator[str]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415 - asks for an engine when imported

    assert server.image is not None
    container = DockerContainer(server.image.name).with_exposed_ports(server.image.port)
    for name, value in server.image.env.items():
        container = container.with_env(name, value)
    if server.image.command:
        container = container.with_command(server.image.command)
    with container as running:
        port = int(running.get_exposed_port(server.image.port))
        host = running.get_container_host_ip()
        wait_for(f"{server.name} in its container takes connections", lambda: ports.answers(port, host), READY_S)
        yield server.image_url(host, port)


def _attach(server: Server, folder: Path) -> tuple[str, IO[bytes]]:
    """Its URL, started if need be; and the lock to hold while it is used."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start").open("wb") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        users = (folder / "users").open("wb")
        fcntl.flock(users, fcntl.LOCK_SH)  # one that is stopping has it, and lets go when it has stopped
        address = folder / "url"
        if not address.exists():
            _start(server, folder)
        return address.read_text(), users


def _start(server: Server, folder: Path) -> None:
    with (folder / "serving.log").open("ab") as log:
        serving = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.running", server.name, str(folder)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert serving.stdout is not None
    with serving.stdout as lines:
        if lines.readline() != b"ready\n":
            raise Unavailable(server.name, f"the tests' server does not start: see {folder / 'serving.log'}")
    serving.returncode = 0  # it outlives us on purpose; it is the last user's lock that ends it


def serve(name: str, folder: Path) -> None:
    """Run it until nobody holds a lock on `users`."""
    with own(name, folder / "home") as server:
        (folder / "url").write_text(server.url)
        print("ready", flush=True)
        with (folder / "users").open("wb") as users:
            fcntl.flock(users, fcntl.LOCK_EX)
            (folder / "url").unlink()


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
