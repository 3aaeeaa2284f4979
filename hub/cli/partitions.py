"""`hub partitions`: how many events.v1 has, and how it gets more."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.cli.settings import load

FAILED: Final = 2
"""Exit code: the command could not do its work."""

partitions = typer.Typer(help="Partitions of events.v1: how many, and more of them.", no_args_is_help=True)

Bootstrap = Annotated[str, typer.Option(help="Kafka. Default: that of the hub that runs here.")]
Data = Annotated[Path | None, typer.Option(help="Data folder of the hub. Default: HUB_DATA.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.add_typer(partitions, name="partitions", rich_help_panel="The whole hub on this machine")


@partitions.command("grow")
def grow(
    to: Annotated[int, typer.Option("--to", min=1, max=10_000, help="How many there are to be.")],
    within_s: Annotated[
        float, typer.Option("--within", min=1, help="How long collectors may need for what lies on the log, seconds.")
    ] = 60.0,
    bootstrap: Bootstrap = "",
    data: Data = None,
) -> None:
    """
    Give events.v1 more partitions, so that more collectors can share it. The hub runs on.

    For some ten seconds nothing is taken in: clients are answered 503 with Retry-After, bridges hold back. Nothing is
    lost, and each profile's events stay in order.

    Exits with 2 when it had to stop; the same command may be given again.
    """
    _run(bootstrap, data, to, within_s)


@partitions.command("release")
def release(bootstrap: Bootstrap = "", data: Data = None) -> None:
    """Let events.v1 take records again, after a `grow` that was killed and is not to be given again."""
    _run(bootstrap, data, None, 0.0)


def _run(bootstrap: str, data: Path | None, to: int | None, within_s: float) -> None:
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from contextlib import closing

    from hub.cli.brokers import kafka_of
    from hub.collector.growing import Growing
    from hub.errors import HubError
    from hub.logs import configure
    from hub.stack import state
    from hub.store.factory import open_store

    settings = load()
    configure(settings.log.model_copy(update={"level": "error"}))  # what it says is said by the steps
    folder = (data or settings.data).absolute()
    running = state.read(folder) if folder.is_dir() else None
    kafka = kafka_of(settings.kafka, running, bootstrap)
    namespace = running.namespace if running else settings.namespace
    store_url = settings.model_copy(update={"data": folder, "namespace": namespace}).store_url
    try:
        with closing(open_store(store_url)) as store:
            growing = Growing(
                kafka,
                namespace,
                store,
                lambda: time.time_ns() // 1_000_000,
                lambda step: typer.echo(step, err=True),
            )
            if to is None:
                growing.release()
                typer.echo("events.v1 takes records")
                return
            grown = growing.grow(to, within_s)
    except HubError as exc:
        typer.echo(f"hub partitions: {exc}", err=True)
        raise typer.Exit(FAILED) from exc
    if grown.held_s:
        typer.echo(f"events.v1 has {grown.partitions} partitions; nothing was taken in for {grown.held_s:.1f} s")
    else:
        typer.echo(f"events.v1 has {grown.partitions} partitions already")
