"""`hub chaos`: load, faults, and a checker that says what was lost."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer

PANEL = "The whole hub on this machine"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("chaos", rich_help_panel=PANEL)(chaos)
    app.command("chaos-hub", hidden=True)(chaos_hub)


def chaos(
    seconds: Annotated[float, typer.Option(min=5, help="How long the load lasts.")] = 300,
    faults: Annotated[int, typer.Option(min=0, help="How many, spread over that time.")] = 80,
    seed: Annotated[int, typer.Option(help="Of load and faults: the same seed does the same again.")] = 1,
    seeds: Annotated[int, typer.Option(min=1, help="So many runs, from --seed upwards.")] = 1,
    rate: Annotated[float, typer.Option(min=0.01, help="Times the usual load of some 130 events/s.")] = 1.0,
    report: Annotated[Path | None, typer.Option(help="Also write the report there, as JSON.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Empty folder for the hub, ledger, logs. Default: a new one.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep ledger and logs when all is well, too.")] = False,
    url: Annotated[str, typer.Option(help="Of a hub of yours (http://…), instead of one of the kit's own.")] = "",
    bootstrap: Annotated[str, typer.Option(help="With --url: a Kafka for a bridge's topic. Empty: REST alone.")] = "",
    command: Annotated[
        list[str] | None, typer.Option(help="One more fault, as a shell command. May be given again.")
    ] = None,
    store: Annotated[
        str, typer.Option(help="Search engine (elasticsearch+http://…, opensearch+…) for the data of the kit's hub.")
    ] = "",
    store_pid: Annotated[
        Path | None, typer.Option(help="File with its process id: it is killed and stopped. Somebody starts it again.")
    ] = None,
) -> None:
    """
    Load a hub while everything is killed, stopped, cut off and confused; then check every event and profile.

    Starts a hub of its own. With --url it is yours (its admin key: HUB_ADMIN_KEY): only the connection to it is
    disturbed, and the commands run that you name. With --store its data is in a search engine, which is hurt, too.
    Exits with 1 if a promise was broken, 2 if it could not be tried.
    """
    import httpx

    from hub.chaos.show import Wanted, show
    from hub.cli.settings import load
    from hub.errors import HubError
    from hub.logs import configure
    from hub.search_engine import HOW, is_engine

    settings = load()
    # that the kit's own producer cannot reach Kafka is what was done to it; how often is in the report
    configure(settings.log.model_copy(update={"level": "error"}))
    key = settings.admin_key.get_secret_value() if settings.admin_key else ""
    if url and not key:
        typer.echo("no admin key: set HUB_ADMIN_KEY to that of the hub", err=True)
        raise typer.Exit(2)
    if (store and (url or not is_engine(store))) or (store_pid and not store):
        typer.echo(f"--store is for the kit's own hub, without --url: write {HOW}; --store-pid is of that", err=True)
        raise typer.Exit(2)
    wanted = Wanted(
        seconds=seconds,
        faults=faults,
        seeds=range(seed, seed + seeds),
        rate=rate,
        report=report,
        data=data,
        keep=keep,
        url=url,
        key=key,
        bootstrap=bootstrap,
        commands=tuple(command or ()),
        # user, password and the rest are in the settings: a command line is seen by all
        store=settings.store.model_copy(update={"url": store}) if store else None,
        store_pid=store_pid,
    )
    try:
        good = show(wanted, os.environ, typer.echo)
    except (HubError, httpx.HTTPError, OSError) as exc:
        typer.echo(f"stopped: {exc}", err=True)
        raise typer.Exit(2) from exc
    except asyncio.CancelledError as exc:
        raise typer.Exit(128 + signal.SIGTERM) from exc
    if not good:
        raise typer.Exit(1)


def chaos_hub(data: Annotated[Path, typer.Option()], port: Annotated[int, typer.Option()]) -> None:
    """The kit's own hub, in the foreground: `hub up` with what hub/chaos/rig.py changes."""
    from dataclasses import replace
    from functools import partial

    from hub.chaos import rig
    from hub.cli.settings import load
    from hub.cli.stack import cache
    from hub.cli.up import site
    from hub.stack import up
    from hub.stack.lines import Lines

    settings = load()
    api = settings.api.model_copy(update={"port": port})
    settings = settings.model_copy(update={"data": data, "api": api})
    lines = Lines(data / "logs", None)
    try:
        where = replace(site(settings, cache(), os.environ), late=rig.LATE)
        up.run(where, lines, lambda _url: None, rig.OURS, partial(rig.rebuilt, data=data))
    finally:
        lines.close()
