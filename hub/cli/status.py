"""What `hub status` shows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import rich
import rich.table
import typer

from hub.cli.up import console_at
from hub.stack import state


class Usage(NamedTuple):
    """Resident memory, and age; None when it does not run."""

    memory_bytes: int | None
    uptime_s: int | None


def as_json(data: Path) -> bool:
    """Print one JSON object. Returns whether a hub runs on `data`."""
    pid = state.holder(data)
    run = state.read(data)
    if pid is None:
        typer.echo(json.dumps({"running": False}))
    elif run is None:
        typer.echo(json.dumps({"running": True, "ready": False, "pid": pid, "processes": []}))
    else:
        rows = [{**msgspec.structs.asdict(process), **usage(process)._asdict()} for process in run.processes]
        typer.echo(json.dumps({"running": True, **msgspec.structs.asdict(run), "processes": rows}, indent=2))
    return pid is not None


def as_text(data: Path) -> bool:
    """Print a table. Returns whether a hub runs on `data`."""
    pid = state.holder(data)
    run = state.read(data)
    if pid is None:
        typer.echo(f"No hub runs on {data}.")
    elif run is None:
        typer.echo(f"The hub on {data} (process {pid}) is starting.")
    else:
        typer.echo(f"{run.url}  {'ready' if run.ready else 'starting'}, process {run.pid}, data in {data}")
        typer.echo(console_at(run.url, data))
        rich.print(_table(run))
    return pid is not None


def usage(process: state.ProcessState) -> Usage:
    """What the system says of a process."""
    if process.pid is None:
        return Usage(None, None)
    try:
        memory = psutil.Process(process.pid).memory_info().rss
    except psutil.NoSuchProcess:
        return Usage(None, None)
    return Usage(memory, max(0, int(time.time() - process.started_at_ms / 1000)))


def _table(run: state.RunState) -> rich.table.Table:
    table = rich.table.Table("process", "state", "pid", "port", "restarts", "uptime", "memory", "last exit")
    table.columns[0].no_wrap = True
    for process in run.processes:
        used = usage(process)
        table.add_row(
            process.name,
            process.state,
            str(process.pid or ""),
            str(process.port or ""),
            str(process.restarts),
            "" if used.uptime_s is None else f"{used.uptime_s} s",
            "" if used.memory_bytes is None else f"{used.memory_bytes / 1e6:.0f} MB",
            process.last_exit,
        )
    return table
