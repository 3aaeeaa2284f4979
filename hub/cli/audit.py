"""`hub audit`: who changed what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from hub.cli.asking import AsJson, Data, Url, cut, hub


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("audit", rich_help_panel="Data in and out")(audit)


def audit(
    key: Annotated[str | None, typer.Option(help="Only by the key with this id; @admin: by the admin key.")] = None,
    kind: Annotated[str | None, typer.Option(help="Only of definitions of this kind.")] = None,
    id: Annotated[str | None, typer.Option(help="Only of what has this id.")] = None,
    size: Annotated[int, typer.Option(min=1, max=1_000, help="Most of them, newest first.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Show who changed what, newest first: each request that may change something, and what came of it."""
    found: list[dict[str, Any]] = []
    rest, cursor = hub(url, data), None
    while len(found) < size:
        page = rest.get("/audit", key=key, kind=kind, id=id, size=size - len(found), cursor=cursor).json()
        found += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    if as_json:
        typer.echo(json.dumps(found))
        return
    for one in found:
        for line in _lines(one):
            typer.echo(line)


def _lines(one: dict[str, Any]) -> Iterator[str]:
    outcome = one["outcome"]
    came = "not known" if outcome is None else f"{outcome['status']} {outcome['reason']}".rstrip()
    yield f"{one['at']}  {one['who']['key']} from {one['address']}  {_route(one)}  {came}"
    for name, value in {**one["asked"], **(outcome or {}).get("answered", {})}.items():
        if value not in one["target"].values():
            yield f"    {name}: {cut(_text(value))}"
    for change in one["changes"]:
        yield from _changed(change)


def _route(one: dict[str, Any]) -> str:
    route: str = one["route"]
    for name, value in one["target"].items():
        route = route.replace("{id}" if name == "person" else f"{{{name}}}", value)
    return route


def _changed(change: dict[str, Any]) -> Iterator[str]:
    before, after = change["before"], change["after"]
    versions = f"version {after['version']}" + (f", was {before['version']}" if before else "")
    yield f"    {change['kind']}/{change['id']}: {'deleted, ' if change['deleted'] else ''}{versions}"
    old, new = ((state or {}).get("spec") or {} for state in (before, after))
    for name in sorted(old.keys() | new.keys()):
        is_told = old.get(name) != new.get(name) and (before or new[name])  # of a new one what it says, not all else
        if is_told and not change["deleted"]:
            yield f"        {name}: {cut(_text(old.get(name)))} -> {cut(_text(new.get(name)))}"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
