"""One embedded Kafka for a whole test run: `python tests/broker.py FOLDER` serves until its last user has gone.

Users hold a shared lock on FOLDER/users; the kernel releases it when they end, however they end. This process waits for
the exclusive lock, and then stops Kafka.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from hub.errors import Unavailable
from hub.stack import jars, kafka, ports, training
from hub.stack.process import Child
from tests.waiting import wait_for


def attach(folder: Path, cache: Path) -> tuple[str, IO[bytes]]:
    """The bootstrap address of the run's broker, started if need be; and the lock to hold while it is used."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "start").open("wb") as mutex:
        fcntl.flock(mutex, fcntl.LOCK_EX)
        users = (folder / "users").open("wb")
        fcntl.flock(users, fcntl.LOCK_SH)  # a broker that is stopping has it, and lets go when it has stopped
        address = folder / "bootstrap"
        if not (address.exists() and kafka.Probe(address.read_text()).is_ready()):
            _start(folder, cache)
        return address.read_text(), users


def wait_for_end(folder: Path) -> None:
    """Until Kafka has stopped, and writes nothing more here: after the last user has gone."""
    wait_for("the broker is stopping", lambda: not (folder / "bootstrap").exists(), 60)
    with (folder / "users").open("wb") as users:
        fcntl.flock(users, fcntl.LOCK_EX)


def _start(folder: Path, cache: Path) -> None:
    with (folder / "kafka.log").open("ab") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.broker", str(folder), str(cache)],
            cwd=Path(__file__).parent.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert server.stdout is not None
    with server.stdout as lines:
        if lines.readline() != b"ready\n":
            raise Unavailable("kafka", f"the tests' broker does not start: see {folder / 'kafka.log'}")
    server.returncode = 0  # it outlives us on purpose; it is the last user's lock that ends it


def serve(folder: Path, cache: Path) -> None:
    """Run Kafka until nobody holds a lock on `users`."""
    home = folder / "kafka"
    home.mkdir(exist_ok=True)
    listeners = kafka.Listeners(**ports.choose(home / "ports.json", kafka.Listeners._fields))
    class_path = jars.resolve(cache)
    training.ensure(class_path, lambda: None, lambda why: print(why, file=sys.stderr))
    broker = kafka.Broker(home, class_path, listeners)
    program = kafka.program(broker)
    kafka.prepare(broker)
    changed = threading.Event()
    with (folder / "kafka.log").open("a", buffering=1) as log:
        child = Child(program, lambda name, line: print(name, line, file=log), changed.set)
        try:
            while not child.ready:
                changed.wait()
                changed.clear()
                if child.code is not None:
                    raise Unavailable("kafka", child.last_words())
            (folder / "bootstrap").write_text(broker.bootstrap)
            print("ready", flush=True)
            with (folder / "users").open("wb") as users:
                fcntl.flock(users, fcntl.LOCK_EX)
                (folder / "bootstrap").unlink()
                child.stop()
        finally:
            child.stop()


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]))
