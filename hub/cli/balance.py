"""`hub balance`: what was received and what became of it, and the cause of every difference."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.cli.asking import Data, Url, hub

if TYPE_CHECKING:
    from rich.console import RenderableType

EVERY_S: Final = 2.0
OUTCOMES: Final = ("received", "stored", "duplicate", "dropped", "dead")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("balance", rich_help_panel="Was anything lost?")(balance)


def balance(
    minutes: Annotated[
        int, typer.Option(min=0, max=44_640, help="Also the rows of so many minutes up to now, at most a month.")
    ] = 0,
    verify: Annotated[bool, typer.Option("--verify", help="Also count the stored events, which takes longer.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every two seconds, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a look, for machines.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Show the balance sheet: received = stored + duplicate + dropped + dead + in flight.

    Exits with 1 when it does not add up (with --watch: when it did not at the last look), with 2 without an answer.
    """
    rest = hub(url, data)

    def look() -> dict[str, Any]:
        since = datetime.now(UTC) - timedelta(minutes=minutes)
        verified = "true" if verify else None
        sheet: dict[str, Any] = rest.get("/balance", verify=verified, **{"from": since.isoformat()}).json()
        if not minutes:
            sheet["rows"] = []
        return sheet

    sheet = _watched(look, as_json=as_json) if watch else look()
    if not watch:
        _print(sheet, as_json=as_json)
    if not sheet["balanced"]:
        raise typer.Exit(1)


def _watched(look: Any, *, as_json: bool) -> dict[str, Any]:
    """Show every look until SIGINT (Ctrl-C) or SIGTERM. Returns the last."""
    from rich.console import Console
    from rich.live import Live

    # a shell starts what is in the background with SIGINT ignored; whoever sends it all the same means it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sheet: dict[str, Any] = look()
    try:
        if as_json or not sys.stdout.isatty():
            while True:
                _print(sheet, as_json=as_json)
                time.sleep(EVERY_S)
                sheet = look()
        with Live(_view(sheet), console=Console(), auto_refresh=False) as live:
            while True:
                time.sleep(EVERY_S)
                sheet = look()
                live.update(_view(sheet), refresh=True)
    except KeyboardInterrupt:
        return sheet


def _print(sheet: dict[str, Any], *, as_json: bool) -> None:
    import rich

    if as_json:
        sys.stdout.write(json.dumps(sheet) + "\n")
        sys.stdout.flush()
    else:
        rich.print(_view(sheet))


def _view(sheet: dict[str, Any]) -> RenderableType:
    from rich.console import Group

    return Group(*_parts(sheet))


def _parts(sheet: dict[str, Any]) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table("source", *_right(*OUTCOMES, "in flight"), show_footer=False)
    for row in sheet["sources"]:
        table.add_row(Text(row["source"]), *_figures(row), "")
    table.add_section()
    table.add_row("total", *_figures(sheet["totals"]), f"{sheet['totals']['in_flight']:,}")
    yield table
    if sheet["rows"]:
        table = Table("minute", "source", *_right(*OUTCOMES))
        for row in sheet["rows"]:
            table.add_row(row["minute"], Text(row["source"]), *_figures(row))
        yield table
    if "verified" in sheet:
        yield Text(f"{sheet['verified']['stored_events']:,} events counted in the store.")
    if sheet["balanced"]:
        yield Text("It adds up.")
        return
    yield Text("IT DOES NOT ADD UP:", style="bold red")
    for cause in sheet["causes"]:
        yield Text(f"- {cause}")


def _figures(row: dict[str, Any]) -> list[str]:
    return [f"{row[name]:,}" for name in OUTCOMES]


def _right(*names: str) -> list[Any]:
    from rich.table import Column

    return [Column(name, justify="right") for name in names]
