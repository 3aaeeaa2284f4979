"""A supervisor of stand-in programs, for tests: `python -m tests.live.supervised FOLDER PROGRAM…`.

PROGRAM is `works` (runs until it is stopped; has a child of its own), `alone` (the same without one), `broken` (ends
with 1 before it is ready), `misconfigured` (ends with 78) or `stubborn` (does not mind SIGTERM).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from hub.errors import HubError
from hub.stack import state
from hub.stack.lines import Lines
from hub.stack.process import Program
from hub.stack.supervisor import Stage, Supervisor

BODIES = {
    "works": "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); ready(); signal.pause()",
    "alone": "ready(); signal.pause()",
    "broken": "sys.exit('cannot find the thing')",
    "misconfigured": "print('setting HUB_X is wrong', flush=True); sys.exit(78)",
    "stubborn": "signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True)); ready(); wait_for_ever()",
}
HEAD = """
import os, pathlib, signal, subprocess, sys
def ready():
    pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
def wait_for_ever():
    while True:
        signal.pause()
"""


def stand_in(folder: Path, name: str) -> Program:
    """A program that is ready once it has written its process id into a file of its own."""
    mark = folder / f"{name}.pid"

    def ready() -> bool:
        return mark.exists() and Path(f"/proc/{mark.read_text() or 0}").exists()

    argv = (sys.executable, "-c", HEAD + BODIES[name], str(mark))
    return Program(name=name, argv=argv, ready=ready, env=dict(os.environ), stop_s=1.0)


def main(folder: Path, names: list[str]) -> None:
    """Keeps the states in FOLDER/run.json."""
    lines = Lines(folder / "logs", sys.stdout)
    started_at_ms = int(time.time() * 1000)

    def keep(processes: object) -> None:
        run = state.RunState(
            pid=os.getpid(),
            ready=False,
            url="",
            namespace="",
            kafka="",
            redis="",
            started_at_ms=started_at_ms,
            processes=list(processes),  # type: ignore[call-overload]
        )
        state.write(folder, run)

    supervisor = Supervisor([Stage([stand_in(folder, name)]) for name in names], lines, keep)
    try:
        with state.lock(folder):
            supervisor.run(lambda: lines.plain("ready"))
    except HubError as exc:
        sys.exit(str(exc))
    finally:
        lines.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
