"""`hub identity`: who a profile is, two that are one, and one that is two after all."""

from __future__ import annotations

import json
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub

Id = Annotated[str, typer.Argument(help="Any id that was ever given out for the profile.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Who a profile is: identifiers, merges, merges undone.", no_args_is_help=True)
    commands.command("show")(show)
    commands.command("merge")(merge)
    commands.command("undo")(undo)
    app.add_typer(commands, name="identity", rich_help_panel="Data in and out")


def show(
    id: Id,
    as_json: Annotated[bool, typer.Option("--json", help="As the API gives it.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Show the ids, identifiers and merges of a profile."""
    found = hub(url, data).get(f"/profiles/{quote(id)}/identity").json()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for line in _lines(found):
        typer.echo(line)


def merge(
    id: Id,
    other: Annotated[str, typer.Argument(help="The profile that is the same person.")],
    url: Url = "",
    data: Data = None,
) -> None:
    """Merge two profiles: the smaller id survives, the other one answers with it from then on."""
    hub(url, data).post(f"/profiles/{quote(id)}/merge", {"profile": other})
    typer.echo(f"accepted: `hub identity show {id}` shows the merge in a moment")


def undo(
    merge_id: Annotated[str, typer.Argument(help="Of the merge, as `hub identity show` gives it.")],
    url: Url = "",
    data: Data = None,
) -> None:
    """Undo a merge: both profiles are as if it had not happened, and no identifier merges them again."""
    hub(url, data).post(f"/merges/{quote(merge_id)}/undo", {})
    typer.echo("accepted: both profiles are back in a moment")


def _lines(found: dict[str, Any]) -> list[str]:
    lines = [f"profile     {found['id']}"]
    lines += [f"also        {id}" for id in found["ids"] if id != found["id"]]
    for one in found["identifiers"]:
        lines.append(f"identifier  {one['label']} {one['identifier']} since {one['at']} by event {one['event_id']}")
        if one["shared"]:
            lines.append(f"            {one['profiles']:,} profiles have come with it, so it joins nobody any more")
    for one in found["merges"]:
        because = one["because"]
        label = because.get("label")
        asked = f"on request of {label}" if label else "on request"
        why = asked if because["kind"] == "request" else f"by {label} of event {because['event_id']}"
        undone = f", undone {one['undone_at']}" if one["undone_at"] else ""
        lines.append(f"merge       {one['id']} {one['at']}: {one['loser_id']} into {one['survivor_id']} {why}{undone}")
    return lines + [f"apart from  {id}" for id in found["apart"]]
