"""`hub heartbeat`: when heartbeats are due, how their runs went; run now, pause, resume."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.asking import AsJson, Data, Id, Url, document, hub, table

COLUMNS: Final = ("id", "event_type", "state", "when", "next_at", "last run", "events")
ODD: Final = {"left_out": "left out", "missed": "due times before it missed", "slices_failed": "slices failed"}
"""Of a run, shown if there are any."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Events of all profiles, or of some, whenever they are due.", no_args_is_help=True)
    commands.command("list")(list_)
    commands.command("show")(show)
    commands.command("put")(put)
    commands.command("run")(run)
    commands.command("pause")(pause)
    commands.command("resume")(resume)
    app.add_typer(commands, name="heartbeat", rich_help_panel="Data in and out")


def list_(as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """List all heartbeats: when they are due next, and how the last run went."""
    found = hub(url, data).get("/heartbeats").json()["items"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    table([_row(one) for one in found], COLUMNS)


def show(id: Id, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """Show one heartbeat and its last runs."""
    _show(hub(url, data).get(_path(id)).json(), as_json)


def put(
    id: Id,
    definition: Annotated[str, typer.Argument(metavar="FILE", help="The definition, JSON or YAML; `-`: stdin.")],
    url: Url = "",
    data: Data = None,
) -> None:
    """Save a heartbeat's definition; it is in force at once."""
    saved = hub(url, data).put(f"/definitions/heartbeat/{quote(id)}", document(definition, "FILE"))
    typer.echo(f"{id} is saved; this is version {saved['version']}")


def run(id: Id, url: Url = "", data: Data = None) -> None:
    """Run a heartbeat now, besides its due times."""
    asked = hub(url, data).post(f"{_path(id)}/run", {})
    typer.echo(f"run {asked['run']} of {id} begins; `hub heartbeat show {id}` tells how far it is")


def pause(id: Id, url: Url = "", data: Data = None) -> None:
    """Stop a heartbeat and its run until it is resumed; what is due meanwhile is not made up."""
    _show(hub(url, data).post(f"{_path(id)}/pause", {}), False)


def resume(id: Id, url: Url = "", data: Data = None) -> None:
    """Go on with a heartbeat, and with its run where that was left."""
    _show(hub(url, data).post(f"{_path(id)}/resume", {}), False)


def _path(id: str) -> str:
    return f"/heartbeats/{quote(id)}"


def _row(one: dict[str, Any]) -> dict[str, Any]:
    last = one["last_run"] or {}
    return {
        **one,
        "when": _when(one),
        "last run": " ".join(str(last[name]) for name in ("state", "due_at") if name in last),
        "events": last.get("events"),
    }


def _when(one: dict[str, Any]) -> str:
    return f"every {one['every']}" if one["every"] else f"{one['cron']} ({one['time_zone']})"


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if name not in ("runs", "last_run") and value not in (None, ""):
            typer.echo(f"{name:<16} {value}")
    for run in found["runs"]:
        typer.echo(line(run))


def line(run: dict[str, Any]) -> str:
    """A run, how far it is, and what is odd about it."""
    done = f"{run['events']:,} events, {run['profiles_done']:,} of {run['profiles']:,} profiles"
    if not run["all_slices_known"]:
        done += " or more"
    odd = "".join(f", {run[name]:,} {words}" for name, words in ODD.items() if run[name])
    return f"run {run['due_at']:<25} by {run['by']:<9} {run['state']:<8} {done}{odd}"
