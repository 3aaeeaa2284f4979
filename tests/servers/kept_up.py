"""
A server of the tests that is started again whenever it ends, as an operator's machine does it.

`python -m tests.servers.kept_up NAME FOLDER` runs until SIGTERM, or until its parent ends. FOLDER/pid has the process
id, as `elasticsearch --pidfile` writes it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from hub.errors import Unavailable
from hub.stack.process import LEASH
from tests.servers.running import ROOT, Own

_END_S: Final = 40.0


class KeptUp(NamedTuple):
    """`url`: how a client reaches it. `pid_file`: has the process id of the one that runs."""

    url: str
    pid_file: Path


@contextmanager
def kept_up(name: str, folder: Path) -> Iterator[KeptUp]:
    """A running server of one test. Raises Unavailable: it does not start."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "keeping.log").open("ab") as log:
        keeping = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(LEASH), str(os.getpid())),
                *(sys.executable, "-m", "tests.servers.kept_up", name, str(folder)),
            ],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    try:
        assert keeping.stdout is not None
        with keeping.stdout as lines:
            words = lines.readline().decode().split()
        if words[:1] != ["ready"]:
            raise Unavailable(name, f"the tests' server does not start: see {folder / 'keeping.log'}")
        yield KeptUp(words[1], folder / "pid")
    finally:
        keeping.terminate()
        keeping.wait(_END_S)


def keep(name: str, folder: Path) -> None:
    """Call it on the main thread."""
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    server = Own(name, folder / "home")
    is_first = True
    while not over.is_set():
        server.start()
        (folder / "pid").write_text(str(server.pid))
        if is_first:
            print(f"ready {server.url}", flush=True)
            is_first = False
        while server.runs and not over.wait(0.1):
            pass
    server.stop()


if __name__ == "__main__":
    keep(sys.argv[1], Path(sys.argv[2]))
