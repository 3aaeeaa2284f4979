"""`hub bridge`: how the bridges are doing, and what to do with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.settings import load

if TYPE_CHECKING:
    from hub.cli.rest import Rest

Url = Annotated[str, typer.Option(help="The hub. Default: the one that runs here, else its usual port.")]
Data = Annotated[Path | None, typer.Option(help="Data folder of the hub, for its key. Default: HUB_DATA.")]
Id = Annotated[str, typer.Argument(help="Of the bridge.")]
AsJson = Annotated[bool, typer.Option("--json", help="As the API gives it.")]

COLUMNS: Final = ("id", "type", "state", "lag", "rate", "forwarded", "refused", "last_message_at", "last_error")
CUT: Final = 200
"""Characters of a message's body that are shown."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Queues that the hub pulls from: see, try, start, pause, rewind.", no_args_is_help=True)
    commands.command("list")(list_)
    commands.command("show")(show)
    commands.command("test")(try_)
    commands.command("start")(start)
    commands.command("pause")(pause)
    commands.command("resume")(start)
    commands.command("rewind")(rewind)
    commands.command("versions")(versions)
    commands.command("rollback")(rollback)
    app.add_typer(commands, name="bridge", rich_help_panel="Data in and out")


def list_(as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """List all bridges with their state and lag."""
    found = _hub(url, data).get("/bridges").json()["items"]
    if as_json:
        typer.echo(json.dumps(found))
    else:
        _table(found, COLUMNS)


def show(id: Id, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """Show how one bridge is doing, each partition or queue of it as well."""
    _show(_hub(url, data).get(_path(id)).json(), as_json)


def try_(
    id: Id,
    definition: Annotated[
        Path | None, typer.Option(help="JSON or YAML file: a definition to try instead of the saved one.")
    ] = None,
    messages: Annotated[int, typer.Option(min=1, max=100, help="Most messages to look at.")] = 5,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Connect, look at some messages without taking them, and show what would become of each.

    Exits with 1 when the bridge cannot connect or a message would be refused.
    """
    wanted: dict[str, Any] = {"messages": messages}
    if definition is not None:
        wanted["definition"] = _document(definition)
    tried = _hub(url, data).post(f"{_path(id)}/test", wanted)
    if as_json:
        typer.echo(json.dumps(tried))
    else:
        for line in _trial(tried):
            typer.echo(line)
    if not tried["ok"] or any("refused" in message for message in tried["messages"]):
        raise typer.Exit(1)


def start(id: Id, url: Url = "", data: Data = None) -> None:
    """Start a bridge, or go on with it; one that is broken is tried again at once."""
    _show(_hub(url, data).post(f"{_path(id)}/start", {}), False)


def pause(id: Id, url: Url = "", data: Data = None) -> None:
    """Stop a bridge until it is started again; its messages stay in the queue."""
    _show(_hub(url, data).post(f"{_path(id)}/pause", {}), False)


def rewind(
    id: Id,
    to: Annotated[str, typer.Option(help="`beginning`, a time such as 2026-11-25T09:30:00Z, or an offset.")],
    url: Url = "",
    data: Data = None,
) -> None:
    """Let a bridge read again from there. What is stored already stays stored once."""
    _show(_hub(url, data).post(f"{_path(id)}/rewind", {"to": to}), False)


def versions(
    id: Id,
    size: Annotated[int, typer.Option(min=1, max=1_000, help="Most of them, newest first.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """List the versions of a bridge's definition, newest first."""
    found = _hub(url, data).get(f"/definitions{_path(id, 'bridge')}/versions", size=size).json()["items"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    rows = [
        {
            "version": row["version"],
            "at": _at(row["updated_at_ms"]),
            "current": "yes" if row["current"] else "",
            "what": "deleted" if row["spec"] is None else _what(row["spec"]),
        }
        for row in found
    ]
    _table(rows, ("version", "at", "current", "what"))


def rollback(
    id: Id,
    version: Annotated[int, typer.Argument(help="One of `hub bridge versions`.")],
    url: Url = "",
    data: Data = None,
) -> None:
    """Publish an earlier version of a bridge's definition as the newest one."""
    back = _hub(url, data).post(f"/definitions{_path(id, 'bridge')}/rollback", {"version": version})
    typer.echo(f"{id} is as in version {version} again; this is version {back['version']}")


def _hub(url: str, data: Path | None) -> Rest:
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from hub.cli.rest import Rest

    return Rest(load(), url, data)


def _path(id: str, folder: str = "bridges") -> str:
    return f"/{folder}/{quote(id)}"


def _show(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if name != "parts" and value not in (None, "", []):
            typer.echo(f"{name:<16} {', '.join(map(str, value)) if isinstance(value, list) else value}")
    for part in found["parts"]:
        lag = "not known" if part["lag"] is None else part["lag"]
        typer.echo(f"  {part['name']}: lag {lag}" + (f", read up to {part['position']}" if part["position"] else ""))


def _trial(tried: dict[str, Any]) -> list[str]:
    if not tried["ok"]:
        error = tried["error"]
        return [f"{error['state']}: {error['cause']}", f"what to do: {error['mend']}"]
    lines = []
    for message in tried["messages"]:
        body = message["body"] if len(message["body"]) <= CUT else f"{message['body'][:CUT]}…"
        lines += [f"{message['position']} {message['time'] or ''}".rstrip(), f"  message: {body}"]
        if "refused" in message:
            refused = message["refused"]
            where = f" (at {refused['where']})" if refused["where"] else ""
            lines.append(f"  refused: {refused['reason']}: {refused['detail']}{where}")
        else:
            mark = "dropped, as it has no events" if message.get("dropped") else "payload"
            lines.append(f"  {mark}: {json.dumps(message['payload'], ensure_ascii=False)}")
    return lines or ["connected; there is no message to look at"]


def _what(spec: dict[str, Any]) -> str:
    words = [spec["type"], spec["name"], "" if spec["enabled"] else "paused"]
    return ", ".join(word for word in words if word)


def _at(at_ms: int) -> str:
    from hub.pipeline.documents import iso

    return iso(at_ms)


def _document(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"{path}: {exc}", param_hint="--definition") from exc
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path}: expected an object with `type` and `source`", param_hint="--definition")
    return document


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    import rich
    import rich.table
    from rich.markup import escape

    table = rich.table.Table(*columns)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*(escape("" if row[name] is None else str(row[name])) for name in columns))
    rich.print(table)
