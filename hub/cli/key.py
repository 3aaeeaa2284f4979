"""`hub key`: who may call the API, and what for."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.asking import AsJson, Data, Id, Url, hub, table

COLUMNS: Final = ("id", "roles", "state", "expires_at", "also_until", "name")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Keys of the API, and what each may do.", no_args_is_help=True)
    commands.command("add")(add)
    commands.command("list")(list_)
    commands.command("rotate")(rotate)
    commands.command("remove")(remove)
    app.add_typer(commands, name="key", rich_help_panel="Data in and out")


def add(
    id: Annotated[str, typer.Argument(help="Its name in the audit log, such as shop-backend.")],
    role: Annotated[list[str], typer.Option(help="collect, read, operate or admin; may be given several times.")],
    expires: Annotated[str, typer.Option(help="After how long it opens nothing, such as 90d. Default: never.")] = "",
    name: Annotated[str, typer.Option(help="For people.")] = "",
    url: Url = "",
    data: Data = None,
) -> None:
    """Make a key and print it: it is shown this once."""
    wanted: dict[str, Any] = {"id": id, "roles": role, "name": name, "expires_at": _end(expires)}
    _show(hub(url, data).post("/api-keys", wanted))


def list_(as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """List all keys, without what opens anything."""
    found = hub(url, data).get("/api-keys").json()["items"]
    if as_json:
        typer.echo(json.dumps(found))
    elif not found:
        typer.echo("no keys yet, so the admin key alone opens the API: `hub key add ID --role ROLE` makes one")
    else:
        table([{**one, "roles": ", ".join(one["roles"])} for one in found], COLUMNS)


def rotate(
    id: Id,
    keep: Annotated[str, typer.Option(help="How long the key of before is still good; 0: not at all.")] = "1d",
    url: Url = "",
    data: Data = None,
) -> None:
    """Change a key for another one and print that: it is shown this once."""
    _show(hub(url, data).post(f"{_path(id)}/rotate", {"keep": "" if keep == "0" else keep}))


def remove(id: Id, url: Url = "", data: Data = None) -> None:
    """Remove a key: within a second it opens nothing."""
    hub(url, data).delete(_path(id))
    typer.echo(f"{id} opens nothing any more")


def _show(made: dict[str, Any]) -> None:
    """The key alone on standard output, so that a script can take it; all else beside it."""
    typer.echo(f"{made['id']}: {', '.join(made['roles'])}", err=True)
    if made["expires_at"]:
        typer.echo(f"until {made['expires_at']}", err=True)
    if made["also_until"]:
        typer.echo(f"the key of before is good until {made['also_until']}", err=True)
    typer.echo(made["key"])


def _end(expires: str) -> str | None:
    from re import fullmatch

    from hub.definitions.schedule import DURATION, duration_ms

    if not expires:
        return None
    if not fullmatch(DURATION, expires):
        raise typer.BadParameter(f"{expires!r} is no duration such as 90d or 12h", param_hint="--expires")
    return datetime.fromtimestamp(time.time() + duration_ms(expires) / 1000, UTC).isoformat(timespec="seconds")


def _path(id: str) -> str:
    return f"/api-keys/{quote(id, safe='')}"
