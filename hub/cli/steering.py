"""What `hub bridge` and `hub destination` have in common: see how they are doing, start, pause, set back, versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.settings import load

if TYPE_CHECKING:
    from hub.cli.rest import Rest

Url = Annotated[str, typer.Option(help="The hub. Default: the one that runs here, else its usual port.")]
Data = Annotated[Path | None, typer.Option(help="Data folder of the hub, for its key. Default: HUB_DATA.")]
Id = Annotated[str, typer.Argument(help="Its id.")]
AsJson = Annotated[bool, typer.Option("--json", help="As the API gives it.")]
Tried = Annotated[
    str,
    typer.Option("--definition", metavar="FILE", help="JSON or YAML: a definition to try instead of the saved one."),
]
CUT: Final = 200
"""Characters of a message's body that are shown."""


class Commands:
    """Of one kind of definition that is kept running."""

    def __init__(self, kind: str, columns: tuple[str, ...]) -> None:
        """Args: kind: of definition, such as `bridge`. columns: of the list."""
        self._kind = kind
        self._columns = columns

    def register(self, app: typer.Typer, summary: str, try_: Callable[..., None], *, pause: str, rewind: str) -> None:
        """
        Add them.

        Args:
            summary: Of all of them, for `--help`.
            try_: The command `test`, which each kind has its own of; its docstring is its help.
            pause, rewind: What these do, for `--help`.
        """
        kind = self._kind
        commands = typer.Typer(help=summary, no_args_is_help=True)
        start = f"Start a {kind}, or go on with it; one that is broken is tried again at once."
        commands.command("list", help=f"List all {kind}s with their state and lag.")(self.list_)
        commands.command("show", help=f"Show how one {kind} is doing, each part of it as well.")(self.show)
        commands.command("put", help=f"Save a {kind}'s definition; it is in force at once.")(self.put)
        commands.command("test")(try_)
        commands.command("start", help=start)(self.start)
        commands.command("pause", help=pause)(self.pause)
        commands.command("resume", help=start)(self.start)
        commands.command("rewind", help=rewind)(self.rewind)
        commands.command("versions", help=f"List the versions of a {kind}'s definition, newest first.")(self.versions)
        commands.command("rollback", help=f"Publish an earlier version of a {kind}'s definition as the newest one.")(
            self.rollback
        )
        app.add_typer(commands, name=kind, rich_help_panel="Data in and out")

    def list_(self, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
        """See `register`, as of all commands."""
        found = hub(url, data).get(f"/{self._kind}s").json()["items"]
        if as_json:
            typer.echo(json.dumps(found))
            return
        if not found:
            typer.echo(f"no {self._kind}s yet: `hub {self._kind} put ID FILE` saves one")
            return
        table(found, self._columns)
        for one in found:
            if one["hint"]:
                typer.echo(f"{one['id']}: {one['hint']}")
            if one["last_error"]:  # too long for a cell
                typer.echo(f"{one['id']}, {one['last_error_at']}: {one['last_error']}")

    def show(self, id: Id, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
        """How it is doing."""
        _show(hub(url, data).get(self.path(id)).json(), as_json)

    def put(
        self,
        id: Id,
        definition: Annotated[str, typer.Argument(metavar="FILE", help="The definition, JSON or YAML; `-`: stdin.")],
        url: Url = "",
        data: Data = None,
    ) -> None:
        """Save it."""
        saved = hub(url, data).put(self._definition(id), document(definition, "FILE"))
        typer.echo(f"{id} is saved; this is version {saved['version']}")
        warn(saved)

    def start(self, id: Id, url: Url = "", data: Data = None) -> None:
        """Start it."""
        _show(hub(url, data).post(f"{self.path(id)}/start", {}), False)

    def pause(self, id: Id, url: Url = "", data: Data = None) -> None:
        """Stop it."""
        _show(hub(url, data).post(f"{self.path(id)}/pause", {}), False)

    def rewind(
        self,
        id: Id,
        to: Annotated[str, typer.Option(help="`beginning`, a time such as 2026-11-25T09:30:00Z, or an offset.")],
        url: Url = "",
        data: Data = None,
    ) -> None:
        """Set it back."""
        _show(hub(url, data).post(f"{self.path(id)}/rewind", {"to": to}), False)

    def versions(
        self,
        id: Id,
        size: Annotated[int, typer.Option(min=1, max=1_000, help="Most of them, newest first.")] = 20,
        as_json: AsJson = False,
        url: Url = "",
        data: Data = None,
    ) -> None:
        """Its versions."""
        found = hub(url, data).get(f"{self._definition(id)}/versions", size=size).json()["items"]
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
        table(rows, ("version", "at", "current", "what"))

    def rollback(
        self,
        id: Id,
        version: Annotated[int, typer.Argument(help="One of `versions`.")],
        url: Url = "",
        data: Data = None,
    ) -> None:
        """Have a version back."""
        back = hub(url, data).post(f"{self._definition(id)}/rollback", {"version": version})
        typer.echo(f"{id} is as in version {version} again; this is version {back['version']}")

    def path(self, id: str) -> str:
        """Of one of them, as a resource."""
        return f"/{self._kind}s/{quote(id)}"

    def _definition(self, id: str) -> str:
        return f"/definitions/{self._kind}/{quote(id)}"


def hub(url: str, data: Path | None) -> Rest:
    """The hub that is asked."""
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from hub.cli.rest import Rest

    return Rest(load(), url, data)


def warn(saved: dict[str, Any], before: str = "") -> None:
    """Say what is odd about a definition that was saved. Args: before: of each line, such as its file."""
    for one in saved.get("warnings", ()):
        words = f"{one['where']}: {one['detail']}" if isinstance(one, dict) else one
        typer.echo(f"{before}warning: {words}", err=True)


def document(given: str, named: str) -> dict[str, Any]:
    """A definition in a file; `-`: standard input. Args: named: as the command line has it. Raises BadParameter."""
    from hub.cli.mapping_file import read
    from hub.edge.mapping.places import Unreadable

    try:
        found = read(given).source.value
    except (OSError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"{given}: {exc}", param_hint=named) from exc
    except Unreadable as exc:
        raise typer.BadParameter(f"{given}:{exc.place.line}:{exc.place.column}: {exc}", param_hint=named) from exc
    if not isinstance(found, dict):
        raise typer.BadParameter(f"{given}: expected an object with `type` and `settings`", param_hint=named)
    return found


def cut(text: str) -> str:
    """As much of a message as a person reads."""
    return text if len(text) <= CUT else f"{text[:CUT]}…"


def refusal(refused: dict[str, Any]) -> str:
    """Why a message would be refused, in a line."""
    where = f" (at {refused['where']})" if refused["where"] else ""
    return f"  refused: {refused['reason']}: {refused['detail']}{where}"


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


def _what(spec: dict[str, Any]) -> str:
    words = [spec["type"], spec["name"], "" if spec["enabled"] else "paused"]
    return ", ".join(word for word in words if word)


def _at(at_ms: int) -> str:
    from hub.pipeline.documents import iso

    return iso(at_ms)


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print these columns of rows."""
    import rich
    import rich.table
    from rich.markup import escape

    table = rich.table.Table(*columns)
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(*(escape("" if row[name] is None else str(row[name])) for name in columns))
    rich.print(table)
