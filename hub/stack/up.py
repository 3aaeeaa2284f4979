"""Run a hub on a data folder, from lock to unlock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from hub.stack import plan, state
from hub.stack.lines import Lines
from hub.stack.supervisor import Supervisor


def run(
    site: plan.Site,
    lines: Lines,
    on_ready: Callable[[str], None],
    ours: Sequence[str] = plan.OURS,
    change: Callable[[plan.Plan], plan.Plan] = lambda what: what,
) -> None:
    """
    Start everything, call `on_ready` with the URL, run until a signal says stop. Call it on the main thread.

    Args: change: what is run instead of the plan; the chaos kit has proxies and clocks in it.

    Raises:
        Refused: Another hub runs on the folder, a port is taken, or a process does not start. Nothing is left running.
        Unavailable: A server that is not ours does not answer.
    """
    with state.lock(site.data):
        what = change(plan.make(site, ours, lines.say))
        started_at_ms = int(time.time() * 1000)
        ready = False

        def keep(processes: Sequence[state.ProcessState]) -> None:
            now = state.RunState(
                pid=os.getpid(),
                ready=ready,
                url=what.url,
                namespace=site.namespace,
                kafka=what.kafka,
                redis=what.redis,
                started_at_ms=started_at_ms,
                processes=list(processes),
            )
            try:
                state.write(site.data, now)
            except OSError as exc:
                # a full disk, say: no reason to stop what runs. The next change writes it again
                lines.say(f"cannot write {site.data / state.STATE}, so `hub status` is out of date: {exc}")

        supervisor = Supervisor(what.stages, lines, keep)

        def tell() -> None:
            nonlocal ready
            ready = True
            supervisor.publish()
            on_ready(what.url)

        for server in ("kafka", "valkey"):
            lines.to_file_only(server)
        supervisor.run(tell)
