"""`hub demo`: real purchases through a real hub, checked to the cent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub.cli.settings import load
from hub.errors import HubError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", rich_help_panel="The whole hub on this machine")(demo)


def demo(
    data: Annotated[Path | None, typer.Option(help="Data folder. Default: HUB_DATA, else hub-data.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the API. Default: HUB_API__PORT.")] = None,
) -> None:
    """
    Send 69,659 real purchases, half over REST, half through Kafka, and check every customer's total.

    Starts a hub on the data folder, unless one runs there, and stops it afterwards. Exits with 1 if one cent is off.
    """
    # here, not above: every process of the hub is `hub …`, and need not import what the demo does
    from hub.demo.show import show
    from hub.send import SendError

    settings = load()
    try:
        exact = show(settings, data or settings.data, port if port is not None else settings.api.port)
    except (HubError, SendError) as exc:
        typer.echo(f"stopped: {exc}", err=True)
        raise typer.Exit(2) from exc
    if not exact:
        raise typer.Exit(1)
