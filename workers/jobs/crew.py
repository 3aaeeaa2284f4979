"""Several worker processes on one queue, watched: whoever dies is started again."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from hub.health import serve_health
from hub.settings import Settings
from hub.stack.lines import Lines
from hub.stack.process import Program
from hub.stack.state import ProcessState
from hub.stack.supervisor import Stage, Supervisor


def run_many(settings: Settings, queue: str, processes: int) -> None:
    """
    Run so many `hub worker QUEUE` until SIGTERM or SIGINT; each then stops after its page. Call it from the main
    thread.

    Raises: Refused: one cannot be started.
    """
    states: list[ProcessState] = []

    def changed(now: Sequence[ProcessState]) -> None:
        states[:] = now

    def health() -> dict[str, Any]:
        running = sum(one.pid is not None for one in states)
        return {"ready": running == processes, "processes": processes, "running": running}

    environment = {**os.environ, "HUB_HEALTH__PORT": "0"}  # the port is that of all of them
    programs = [
        Program(
            name=f"worker-{number}",
            argv=(sys.executable, "-m", "hub", "worker", queue),
            env=environment,
            ready=lambda: True,
        )
        for number in range(1, processes + 1)
    ]
    folder = settings.data / "logs" / queue.replace(":", "-")
    with (
        closing(Lines(folder, sys.stdout, json_lines=settings.log.json_lines)) as lines,
        serve_health(settings.health, health),
    ):
        supervisor = Supervisor([Stage(programs, is_late=True)], lines, changed)
        supervisor.run(supervisor.publish)
