"""Agents that end or hang in the middle: `python -m tests.crashing_agents kill|hang POINT HIT`, set as `hub agents`."""

from __future__ import annotations

import os
import signal
import sys
import threading

from hub.cli.settings import load
from hub.logs import configure
from workers.agents.run import run
from workers.agents.slices import Point

how, wanted, hit = sys.argv[1:]
hits = 0


def at(point: Point) -> None:
    """SIGKILL at the wanted hit of the wanted point: no handler runs, no buffer is flushed; or wait for ever."""
    global hits  # noqa: PLW0603 - one counter a process
    if point == wanted:
        hits += 1
        if hits == int(hit):
            if how == "hang":
                threading.Event().wait()
            os.kill(os.getpid(), signal.SIGKILL)


settings = load()
configure(settings.log)
run(settings, at=at)
