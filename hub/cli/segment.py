"""`hub segment`: who is in which segment, how many were, and what a condition would give."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub

_PAGE = 200

Id = Annotated[str, typer.Argument(help="Of the segment.")]
Json = Annotated[bool, typer.Option("--json", help="As the API gives it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Segments: who is in them, and how many were.", no_args_is_help=True)
    for command in (show, preview, members, sizes, backfill):
        commands.command(command.__name__)(command)
    commands.command("list")(every)
    app.add_typer(commands, name="segment", rich_help_panel="What is in it?")


def every(as_json: Json = False, url: Url = "", data: Data = None) -> None:
    """All segments and how many profiles are in each."""
    items = hub(url, data).get("/segments").json()["items"]
    if as_json:
        typer.echo(json.dumps(items, ensure_ascii=False))
        return
    for one in items:
        typer.echo(_line(one))
    if not items:
        typer.echo("there are no segments: PUT /definitions/segment/ID makes one (docs/segments.md)")


def show(id: Id, as_json: Json = False, url: Url = "", data: Data = None) -> None:
    """One segment: its condition, its size, how far its back-fill is."""
    one = hub(url, data).get(f"/segments/{quote(id)}").json()
    if as_json:
        typer.echo(json.dumps(one, ensure_ascii=False))
        return
    typer.echo(_line(one))
    typer.echo(f"condition   {one['condition'] or 'none: lists and flows say who is in it'}")
    for flow in one["flows"]:
        typer.echo(f"flow        {flow}")
    typer.echo(f"version     {one['version']}, of {one['updated_at']}")
    fill = one["backfill"]
    if fill is not None:
        of = "" if fill["of"] is None else f", {fill['looked']:,} of {fill['of']:,} profiles looked at"
        error = f": {fill['error']}" if fill["error"] else ""
        typer.echo(f"back-fill   {fill['state']}{of}, {fill['asked']:,} asked to look again{error}")


def preview(
    condition: Annotated[str, typer.Argument(help="As of a segment (docs/segments.md).")] = "",
    segment: Annotated[
        str | None, typer.Option(help="Instead of a condition: a segment, whoever says who is in it.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Of whom to say why they are in or out.")] = None,
    size: Annotated[int, typer.Option(min=0, max=100, help="Most profiles to show.")] = 5,
    as_json: Json = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Say how many profiles a condition would give, show some, and why one is in or out. Changes nothing."""
    if bool(condition) == (segment is not None):
        raise typer.BadParameter("write either a condition or --segment")
    asked: dict[str, Any] = {"size": size, **({"condition": condition} if condition else {"segment": segment})}
    asked |= {} if profile is None else {"profile": profile}
    found = hub(url, data).post("/segments/preview", asked)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    share = 100 * found["count"] / found["total"] if found["total"] else 0
    about = "" if found["exact"] else f"about, by {found['looked']:,} that were looked at: "
    typer.echo(f"{about}{found['count']:,} of {found['total']:,} profiles ({share:.1f} %)")
    for warning in found["warnings"]:
        typer.echo(f"warning     {warning}")
    for document in found["sample"]:
        typer.echo(f"sample      {document['id']}")
    if found["profile"] is not None:
        verdict = "in" if found["profile"]["matches"] else "out"
        typer.echo(f"profile     {found['profile']['id']} is {verdict}")
        for name, value in (found["profile"]["membership"] or {}).items():
            typer.echo(f"  {name:<10}{'' if value is None else value}")
        if found["profile"]["parts"] is not None:
            for line in _parts(found["profile"]["parts"], 1):
                typer.echo(line)


def members(
    id: Id,
    size: Annotated[int, typer.Option(min=1, help="Most profiles, the newest first.")] = 20,
    add: Annotated[list[str] | None, typer.Option(help="Put this profile on the list; again for more.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="Take this profile off it; again for more.")] = None,
    url: Url = "",
    data: Data = None,
) -> None:
    """Print who is in a segment, one JSON object a line; or change who is, where lists say so."""
    rest, path = hub(url, data), f"/segments/{quote(id)}/profiles"
    if add or remove:
        answer = rest.post(path, {"add": add or [], "remove": remove or []})
        typer.echo(f"accepted: {answer['accepted']:,}")
        for one in answer["unknown"]:
            typer.echo(f"no such profile: {one}", err=True)
        return
    cursor = None
    while size > 0:
        page = rest.get(path, size=min(size, _PAGE), cursor=cursor).json()
        for document in page["items"]:
            typer.echo(json.dumps(document, ensure_ascii=False))
        size, cursor = size - len(page["items"]), page["next"]
        if cursor is None:
            return


def sizes(
    id: Id,
    begin: Annotated[str, typer.Option("--from", help="Such as now-7d. Default: 30 days ago.")] = "now-30d",
    url: Url = "",
    data: Data = None,
) -> None:
    """How many profiles were in a segment at the beginning of each hour."""
    for one in hub(url, data).get(f"/segments/{quote(id)}/sizes", **{"from": begin}).json()["items"]:
        typer.echo(f"{one['time']}  {one['members']:,}")


def backfill(id: Id, url: Url = "", data: Data = None) -> None:
    """Look at all profiles again for a segment, as when it was new."""
    hub(url, data).post(f"/segments/{quote(id)}/backfill", {})
    typer.echo(f"planned: `hub segment show {id}` says how far it is")


def _line(one: dict[str, Any]) -> str:
    off = "" if one["enabled"] else "  switched off"
    return f"{one['id']:<24}  {one['size']:>10,}  {one['name']}{off}".rstrip()


def _parts(part: dict[str, Any], depth: int) -> Iterator[str]:
    seen = ", ".join(f"{one['field']}: {_value(one)}" for one in part.get("seen", ()))
    yield f"{'  ' * depth}{part['verdict']:<8}{part['condition']}{f'  ({seen})' if seen else ''}"
    for inner in part.get("parts", ()):
        yield from _parts(inner, depth + 1)


def _value(seen: dict[str, Any]) -> str:
    return json.dumps(seen.get("value"), ensure_ascii=False) if seen["state"] == "there" else str(seen["state"])
