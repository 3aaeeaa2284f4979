"""`hub up`, `hub down`, `hub status`, `hub doctor`: the whole hub on one machine."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Final

import psutil
import rich
import rich.console
import rich.table
import typer

from hub.cli.detach import Report, start_detached
from hub.cli.download import class_path
from hub.cli.settings import load
from hub.errors import HubError
from hub.settings import Settings
from hub.stack import doctor, jars, keys, plan, state, up
from hub.stack.lines import Lines

EXIT_NOT_RUNNING: Final = 3
"""As `systemctl status` and init scripts answer. Source: LSB 3.1, section 20.2."""
STOP_TIMEOUT_S: Final = 120.0

Data = Annotated[Path | None, typer.Option(help="Folder of data and logs. Default: HUB_DATA, else ./hub-data.")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the API; 0 takes a free one. Default: 8686.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "The whole hub on this machine"
    app.command("up", rich_help_panel=panel)(start)
    app.command("down", rich_help_panel=panel)(stop)
    app.command("status", rich_help_panel=panel)(status)
    app.command("doctor", rich_help_panel=panel)(examine)


def start(
    data: Data = None,
    port: Port = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready, and leave it running.")] = False,
    report_fd: Annotated[int, typer.Option(hidden=True, help="Where a detached hub says how its start went.")] = 0,
) -> None:
    """Start the hub: Kafka, Valkey and our processes. Ctrl-C stops it. Prints `ready http://…` when it is ready."""
    settings = _settings(data, port)
    report = Report(report_fd)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        site = _site(settings)
        if detach:
            typer.echo(start_detached(settings.data, settings.api.port))
        else:
            _run(settings, site, report)
    except (HubError, OSError) as exc:
        report.say(str(exc))
        typer.echo(f"hub up: {exc}", err=True)
        raise typer.Exit(1) from exc


def stop(data: Data = None) -> None:
    """Stop the hub that runs on the data folder, and wait until it has."""
    settings = _settings(data)
    pid = state.holder(settings.data)
    if pid is None:
        typer.echo(f"No hub runs on {settings.data}.")
        return
    process = psutil.Process(pid)
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except psutil.TimeoutExpired as exc:
        typer.echo(f"process {pid} has not stopped within {STOP_TIMEOUT_S:.0f} s: see {settings.data}/logs", err=True)
        raise typer.Exit(1) from exc
    typer.echo(f"Stopped the hub on {settings.data}.")


def status(data: Data = None, json_: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """What runs on the data folder, and how it is. Exits with 3 when nothing does."""
    settings = _settings(data)
    pid = state.holder(settings.data)
    if pid is None:
        typer.echo(json.dumps({"running": False}) if json_ else f"No hub runs on {settings.data}.")
        raise typer.Exit(EXIT_NOT_RUNNING)
    run = state.read(settings.data)
    if run is None:
        starting = {"running": True, "ready": False, "pid": pid, "processes": []}
        typer.echo(json.dumps(starting) if json_ else f"The hub on {settings.data} (process {pid}) is starting.")
        return
    rows = [{**_plain(process), **_usage(process)} for process in run.processes]
    if json_:
        typer.echo(json.dumps({"running": True, **_plain(run), "processes": rows}, indent=2))
        return
    typer.echo(f"{run.url}  {'ready' if run.ready else 'starting'}, process {run.pid}, data in {settings.data}")
    rich.print(_table(rows))


def examine(data: Data = None, port: Port = None) -> None:
    """Check everything that the hub needs; says what is wrong and how to mend it. Exits with 1 if something is."""
    settings = _settings(data, port)
    needs = doctor.Needs(settings.data, _cache(), settings.namespace, settings.kafka, settings.redis, settings.api)
    good = True
    for finding in doctor.examine(needs):
        good = good and finding.ok
        typer.echo(f"{'ok   ' if finding.ok else 'WRONG'}  {finding.subject}: {finding.detail}")
        if finding.mend:
            typer.echo(f"         {finding.mend}.")
    if not good:
        raise typer.Exit(1)


def _run(settings: Settings, site: plan.Site, report: Report) -> None:
    # a detached hub has its lines in files only
    lines = Lines(settings.data / "logs", None if report.wanted else sys.stdout, json_lines=settings.log.json_lines)

    def tell(url: str) -> None:
        lines.plain(f"ready {url}")
        report.say(f"ready {url}")

    try:
        up.run(site, lines, tell)
    finally:
        lines.close()


def _site(settings: Settings) -> plan.Site:
    return plan.Site(
        data=settings.data,
        namespace=settings.namespace,
        kafka=settings.kafka,
        redis=settings.redis,
        api=settings.api,
        admin_key=keys.admin_key(settings.admin_key, settings.data),
        environment=dict(os.environ),
        class_path=[] if settings.kafka.bootstrap else class_path(_cache()),
    )


def _settings(data: Path | None, port: int | None = None) -> Settings:
    settings = load()
    api = settings.api if port is None else settings.api.model_copy(update={"port": port})
    return settings.model_copy(update={"data": (data or settings.data).absolute(), "api": api})


def _cache() -> Path:
    return jars.default_cache(os.environ.get("XDG_CACHE_HOME"))


def _plain(value: state.RunState | state.ProcessState) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _usage(process: state.ProcessState) -> dict[str, object]:
    """Resident memory in bytes and age in seconds, both None when it does not run."""
    try:
        memory = psutil.Process(process.pid).memory_info().rss if process.pid else None
    except psutil.NoSuchProcess:
        memory = None
    age_s = None if memory is None else max(0, int(time.time() - process.started_at_ms / 1000))
    return {"memory_bytes": memory, "uptime_s": age_s}


def _table(rows: list[dict[str, object]]) -> rich.table.Table:
    table = rich.table.Table("process", "state", "pid", "port", "restarts", "uptime", "memory", "last exit")
    for row in rows:
        memory = row["memory_bytes"]
        table.add_row(
            str(row["name"]),
            str(row["state"]),
            str(row["pid"] or ""),
            str(row["port"] or ""),
            str(row["restarts"]),
            "" if row["uptime_s"] is None else f"{row['uptime_s']} s",
            f"{memory / 1e6:.0f} MB" if isinstance(memory, int) else "",
            str(row["last_exit"]),
        )
    return table
