"""`hub tasks`: long pieces of work that workers do; how far they are, and how to end one."""

from __future__ import annotations

import getpass
import json
import socket
import time
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.asking import AsJson, Data, Id, Url, hub, table

if TYPE_CHECKING:
    from rich.progress import Progress

    from hub.cli.rest import Rest

LOOK_S: Final = 0.5
"""Between two looks at what is watched."""
OVER: Final = frozenset({"done", "failed", "cancelled"})
COLUMNS: Final = ("id", "kind", "state", "done", "asked_at")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Long pieces of work that workers do.", invoke_without_command=True)
    commands.callback()(every)
    commands.command("show")(show)
    commands.command("cancel")(cancel)
    app.add_typer(commands, name="tasks", rich_help_panel="Data in and out")


def every(
    context: typer.Context,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show how far those are that are under way, until none is.")
    ] = (False),
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    state: Annotated[str | None, typer.Option(help="waiting, running, done, failed or cancelled.")] = None,
    size: Annotated[int, typer.Option(min=1, max=1_000, help="Most of them, newest first.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """List tasks, newest first; or watch those that are under way."""
    if context.invoked_subcommand:
        return
    rest = hub(url, data)
    found = rest.get("/tasks", kind=kind, state=state, size=size).json()["items"]
    if watch and (open_ := [one["id"] for one in found if one["state"] not in OVER]):
        follow(rest, *open_)
    elif watch:
        typer.echo("none is under way")
    elif as_json:
        typer.echo(json.dumps(found))
    elif found:
        _table(found)
    elif kind or state:
        typer.echo("no tasks match")
    else:
        typer.echo("there are no tasks: POST /tasks, `hub copy` and others ask for some (docs/tasks.md)")


def show(id: Id, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """Show one task: how far it is, what became of what it goes through, its slices."""
    tell(hub(url, data).get(_path(id)).json(), as_json=as_json)


def cancel(id: Id, url: Url = "", data: Data = None) -> None:
    """End a task after the page that is being done; what is done stays done."""
    found = hub(url, data).post(f"{_path(id)}/cancel", {})
    typer.echo(f"{found['id']} is {found['state']}; {_counts(found['counts']) or 'nothing was done'}")


def ask(rest: Rest, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A new task, asked for by whoever runs the command."""
    by = f"{getpass.getuser()}@{socket.gethostname()}"[:200]
    return dict(rest.post("/tasks", {"kind": kind, "arguments": arguments, "by": by}))


def follow(rest: Rest, *ids: str) -> list[dict[str, Any]]:
    """Show how far tasks are until all are over. Returns what became of them. Exits with 1 unless all are done."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[what]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as progress:
        bars: dict[str, Any] = {id: progress.add_task(id, total=None, what="") for id in ids}
        while True:
            found = [rest.get(_path(id)).json() for id in ids]
            for one in found:
                _move(progress, bars[one["id"]], one)
            if all(one["state"] in OVER for one in found):
                break
            time.sleep(LOOK_S)
    for one in found:
        tell(one)
    if any(one["state"] != "done" for one in found):
        raise typer.Exit(1)
    return found


def tell(found: dict[str, Any], *, as_json: bool = False) -> None:
    """A task in words."""
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name in ("id", "kind", "state", "by", "asked_at", "started_at", "ended_at", "error", "hint"):
        if found[name]:
            typer.echo(f"{name:<12} {found[name]}")
    typer.echo(f"{'arguments':<12} {json.dumps(found['arguments'], ensure_ascii=False)}")
    typer.echo(f"{'progress':<12} {_progress(found)}")
    for name, number in found["counts"].items():
        typer.echo(f"{name:<12} {number:,}")
    for part in found["slices"]:
        if part["error"]:
            typer.echo(f"slice {part['number']}: {part['state']}: {part['error']}")
    for one in found["sample"]:
        typer.echo(f"  {json.dumps(one, ensure_ascii=False)}")


def _move(progress: Progress, bar: Any, found: dict[str, Any]) -> None:
    state = found["state"]
    total = found["progress"]["total"] if found["progress"]["exact"] else None
    what = found["hint"] or f"{state} {_counts(found['counts'])}"
    kind = f"{found['kind']} {found['id']}"
    progress.update(bar, description=kind, completed=found["progress"]["done"], total=total, what=what)


def _path(id: str) -> str:
    return f"/tasks/{quote(id)}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in counts.items())


def _progress(found: dict[str, Any]) -> str:
    of = found["progress"]
    total = f" of {of['total']:,}" if of["exact"] else ""
    return f"{of['done']:,}{total}, {of['slices_done']} of {of['slices']} slices"


def _table(rows: list[dict[str, Any]]) -> None:
    of = [row["progress"] for row in rows]
    done = [f"{one['done']:,} of {one['total']:,}" if one["exact"] else f"{one['done']:,}" for one in of]
    table([{**row, "done": words} for row, words in zip(rows, done, strict=True)], COLUMNS)
    for hint in dict.fromkeys(row["hint"] for row in rows if row["hint"]):
        typer.echo(hint)
