"""What `hub bridge` and `hub destination` have in common: see how they are doing, start, pause, set back, versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hub.cli.asking import AsJson, Data, Id, Url, document, hub, table, warn

Tried = Annotated[
    str,
    typer.Option("--definition", metavar="FILE", help="JSON or YAML: a definition to try instead of the saved one."),
]


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
