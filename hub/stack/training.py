"""Makes what hub/stack/classes.py tells of: runs Kafka once in a folder of its own; Java notes what it loads."""

from __future__ import annotations

import fcntl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from hub.errors import HubError, Unavailable
from hub.stack import kafka, ports
from hub.stack.process import Child, Program

READY_S: Final = 60.0
WRITE_S: Final = 60.0


def ensure(class_path: Sequence[Path], about_to: Callable[[], None], failed: Callable[[str], None]) -> None:
    """
    Make the cache unless it is there: some 10 s, once a version. Whoever comes meanwhile waits. On the main thread.

    Args:
        about_to: Called before it is made.
        failed: Told why there is none now. That is no reason not to start: see hub/stack/classes.py.
    """
    kept = kafka.kept(class_path)
    if kept.exists():
        return
    try:
        with kept.with_suffix(".lock").open("w") as mutex:
            fcntl.flock(mutex, fcntl.LOCK_EX)
            if kept.exists():
                return
            about_to()
            with tempfile.TemporaryDirectory(prefix="training-", dir=kept.parent) as folder:
                _made(class_path, Path(folder)).replace(kept)
    except (HubError, OSError, subprocess.SubprocessError) as exc:
        failed(str(exc))


def _made(class_path: Sequence[Path], folder: Path) -> Path:
    """In `folder`, from one start and stop."""
    listeners = kafka.Listeners(ports.free_port(), ports.free_port())
    broker = kafka.Broker(folder, class_path, listeners)
    kafka.prepare(broker)
    program = kafka.program(broker)
    java, *arguments = program.argv
    noted = folder / "noted"
    _run_once(replace(program, argv=(java, "-XX:AOTMode=record", f"-XX:AOTConfiguration={noted}", *arguments)))
    draft = folder / "classes.aot"
    done = subprocess.run(
        [java, "-XX:AOTMode=create", f"-XX:AOTConfiguration={noted}", f"-XX:AOTCache={draft}", *arguments],
        env=program.env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WRITE_S,
        check=False,
    )
    if done.returncode != 0 or not draft.exists():
        raise Unavailable("java", f"has made no cache of Kafka's classes: {(done.stdout + done.stderr)[-500:]}")
    return draft


def _run_once(program: Program) -> None:
    changed = threading.Event()
    child = Child(program, lambda *_: None, changed.set)
    try:
        while not child.ready:
            if not changed.wait(READY_S) or child.code is not None:
                raise Unavailable("kafka", child.last_words())
            changed.clear()
    finally:
        child.stop()
