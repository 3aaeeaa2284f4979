"""`hub up`, `hub down`, `hub status`: the whole hub on one machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.cli.settings import load
from hub.settings import Settings

EXIT_NOT_RUNNING: Final = 3
"""As `systemctl status` and init scripts answer. Source: LSB 3.1, section 20.2."""
STOP_TIMEOUT_S: Final = 120.0

Data = Annotated[Path | None, typer.Option(help="Folder of data and logs. Default: HUB_DATA, else ./hub-data.")]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port of the API; 0: a free one. Default: HUB_API__PORT, else 8686."),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "The whole hub on this machine"
    app.command("up", rich_help_panel=panel)(start)
    app.command("down", rich_help_panel=panel)(stop)
    app.command("status", rich_help_panel=panel)(status)


def start(
    data: Data = None,
    port: Port = None,
    detach: Annotated[bool, typer.Option("--detach", help="Return once it is ready, and leave it running.")] = False,
    report_fd: Annotated[int, typer.Option(hidden=True, help="Where a detached hub says how its start went.")] = 0,
) -> None:
    """Start the hub: Kafka, Valkey and our processes. Ctrl-C stops it. Prints `ready http://…` when it is ready."""
    from hub.cli.detach import Report, start_detached
    from hub.cli.up import console_at, run, site
    from hub.errors import HubError

    settings = settings_with(data, port)
    report = Report(report_fd)
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        where = site(settings, cache(), os.environ)
        if detach:
            ready = start_detached(settings.data, settings.api.port)
            typer.echo(ready)
            typer.echo(console_at(ready.removeprefix("ready "), settings.data), err=True)
        else:
            run(settings, where, report)
    except (HubError, OSError) as exc:
        report.say(str(exc))
        typer.echo(f"hub up: {exc}", err=True)
        raise typer.Exit(1) from exc


def stop(data: Data = None) -> None:
    """Stop the hub that runs on the data folder, and wait until it has."""
    import psutil

    from hub.stack import state

    settings = settings_with(data)
    pid = state.holder(settings.data)
    if pid is None:
        typer.echo(f"No hub runs on {settings.data}.")
        return
    try:
        process = psutil.Process(pid)
        process.terminate()
        process.wait(STOP_TIMEOUT_S)
    except psutil.NoSuchProcess:
        pass  # it has stopped by itself meanwhile
    except psutil.TimeoutExpired as exc:
        typer.echo(f"process {pid} has not stopped within {STOP_TIMEOUT_S:.0f} s: see {settings.data}/logs", err=True)
        raise typer.Exit(1) from exc
    typer.echo(f"Stopped the hub on {settings.data}.")


def status(data: Data = None, json_: Annotated[bool, typer.Option("--json", help="For machines.")] = False) -> None:
    """What runs on the data folder, and how it is. Exits with 3 when nothing does."""
    from hub.cli import status as view

    settings = settings_with(data)
    running = view.as_json(settings.data) if json_ else view.as_text(settings.data)
    if not running:
        raise typer.Exit(EXIT_NOT_RUNNING)


def cache() -> Path:
    """Where downloads are kept, for all data folders of this user."""
    from hub.stack import jars

    return jars.default_cache(os.environ.get("XDG_CACHE_HOME"))


def settings_with(data: Path | None, port: int | None = None) -> Settings:
    settings = load()
    api = settings.api if port is None else settings.api.model_copy(update={"port": port})
    return settings.model_copy(update={"data": (data or settings.data).absolute(), "api": api})
