"""`hub tail`: what is stored, live, a line an event."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.cli.asking import Data, Url, hub

if TYPE_CHECKING:
    from rich.console import Console

SHORT: Final = 80
"""Characters of an event's properties in a line."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tail", rich_help_panel="What is in it?")(tail)


def tail(
    q: Annotated[str, typer.Option(help="Only events that match (docs/query.md).")] = "",
    rate: Annotated[int, typer.Option(min=1, max=200, help="Most events a second; of more, a sample.")] = 50,
    events: Annotated[int, typer.Option(min=0, help="End after so many; 0: go on until Ctrl-C.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object an event, for machines.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Show what is stored from now on, one line an event.

    On standard error: how things stand, and once a second how many events of how many are shown, if it is not all of
    them.
    """
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from rich.console import Console

    # a shell starts what is in the background with SIGINT ignored; whoever sends it all the same means it
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    out, aside = Console(soft_wrap=True, highlight=False), Console(stderr=True, highlight=False)
    shown = 0
    try:
        for event, told in hub(url, data).told("/tail", q=q, rate=rate):
            if event == "message":
                _show(out, told, as_json=as_json)
                shown += 1
                if shown == events:
                    return
            elif event == "summary":
                _sum_up(aside, told)
            else:
                _say(aside, told)
    except KeyboardInterrupt:
        return


def _show(out: Console, row: dict[str, Any], *, as_json: bool) -> None:
    from rich.text import Text

    if as_json:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    properties = json.dumps(row["properties"], ensure_ascii=False)
    line = Text.assemble(
        (row["time"][11:23], "dim"),
        (f" {row['type']}", "bold"),
        f" {row['source']} {row['profile_id'] or '-'} ",
        (properties if len(properties) <= SHORT else properties[: SHORT - 1] + "…", "dim"),
        *((f" +{segment}", "green") for segment in row["segments_entered"]),
        *((f" -{segment}", "red") for segment in row["segments_left"]),
    )
    # what a customer sends shall not steer a terminal
    line.plain = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in line.plain)
    out.print(line)


def _sum_up(aside: Console, told: dict[str, Any]) -> None:
    left_out = told["stored"] - told["looked_at"] + told["matched"] - told["shown"]
    if left_out > 0:
        per_s = 1 / max(told["seconds"], 0.001)
        aside.print(
            f"showing {told['shown'] * per_s:,.0f} of {told['matched'] * per_s:,.0f} that match, "
            f"of {told['stored'] * per_s:,.0f} stored a second"
            + (f"; {told['lost']:,} came too fast for this terminal" if told["lost"] else ""),
            style="dim",
        )


def _say(aside: Console, told: dict[str, Any]) -> None:
    if told["state"] == "ended":
        aside.print(f"the hub has ended this: {told['detail']}", style="red", markup=False)
    elif told["detail"]:
        aside.print(f"{told['state']}: {told['detail']}", style="yellow", markup=False)
