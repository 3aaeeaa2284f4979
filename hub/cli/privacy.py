"""`hub privacy`: people who want to be erased, exported, or left alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub

Id = Annotated[str, typer.Argument(help="Any id that was ever given out for the profile.")]
Reason = Annotated[str, typer.Option(help="For the report, such as a ticket's number. No personal data.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="People who want to be erased, exported, or left alone.", no_args_is_help=True)
    commands.command("erase")(erase)
    commands.command("export")(export)
    commands.command("suppress")(suppress)
    commands.command("report")(report)
    app.add_typer(commands, name="privacy", rich_help_panel="Data in and out")


def erase(
    id: Id,
    reason: Reason = "",
    suppress: Annotated[bool, typer.Option("--suppress", help="Take nothing of this person any more.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Erase a person: everything in the store, and whatever was received until now stays away for ever."""
    asked = hub(url, data).post(f"/profiles/{quote(id)}/erase", {"reason": reason, "suppress": suppress})
    typer.echo(f"accepted: `hub privacy report {asked['id']}` says what was removed")


def export(
    id: Id,
    to: Annotated[Path, typer.Option(help="The ZIP file to write. Default: ID.zip here.", show_default=False)] = Path(),
    url: Url = "",
    data: Data = None,
) -> None:
    """Write all that the hub knows of a person to a ZIP file."""
    file = Path(f"{quote(id, safe='')}.zip") if to == Path() else to
    size = hub(url, data).download(f"/profiles/{quote(id)}/export", file)
    typer.echo(f"{file}: {size:,} bytes")


def suppress(
    id: Id,
    reason: Reason = "",
    lift: Annotated[bool, typer.Option("--lift", help="Take what comes from this person again.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Take nothing of this person from now on; what is stored stays."""
    rest = hub(url, data)
    if lift:
        rest.delete(f"/profiles/{quote(id)}/suppress")
        typer.echo("accepted: what comes from now on is taken again")
    else:
        rest.post(f"/profiles/{quote(id)}/suppress", {"reason": reason})
        typer.echo("accepted: what comes from now on is dropped")


def report(
    id: Annotated[str, typer.Argument(help="Of the erasure; empty: the newest twenty.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As the API gives it.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Say what an erasure has removed, and when Kafka's copies are gone."""
    rest = hub(url, data)
    found = rest.get(f"/erasures/{quote(id)}" if id else "/erasures").json()
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not id and not found["items"]:
        typer.echo("nobody was erased or suppressed")
    for line in report_lines(found) if id else map(_line, found["items"]):
        typer.echo(line)


def _line(one: dict[str, Any]) -> str:
    suppressed = ", suppressed" if one["suppressed"] else ""
    return f"{one['id']}  {one['asked_at']}  {one['kind']}{suppressed}  {one['state']}  {one['reason']}".rstrip()


def report_lines(one: dict[str, Any]) -> list[str]:
    """A report as people read it. Args: one: as the API gives it."""
    lines = [_line(one), f"person      {one['person']}"]
    if one["done_at"]:
        lines.append(f"done        {one['done_at']}")
    if one["void_until"]:
        lines.append(f"void        what was received up to {one['void_until']}")
    lines += [f"removed     {number:,} {name.replace('_', ' ')}" for name, number in one["removed"].items()]
    kafka = one["kafka"]
    if kafka is not None:
        if kafka["keys_gone_at"]:
            lines.append(f"on Kafka    keys of what was sealed: gone by {kafka['keys_gone_at']}")
        lines += [f"on Kafka    {topic}: gone by {at or 'no date'}" for topic, at in kafka["topics"].items()]
        if kafka["note"]:
            lines.append(f"            {kafka['note']}")
    return lines
