"""`hub flow runs`, `trace`, `cancel`: what flows have done, step by step, and an end to what is not over."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.asking import AsJson, Data, Url, hub, table

COLUMNS: Final = ("id", "flow", "state", "profile", "trigger", "began_at", "due_at", "error")
_SHORT: Final = 60
Run = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, as `hub flow runs` lists it.")]


def register(commands: typer.Typer) -> None:
    """Add the commands."""
    commands.command("runs")(runs)
    commands.command("trace")(trace)
    commands.command("cancel")(cancel)


def runs(
    flow: Annotated[str, typer.Argument(metavar="ID", help="Only of this flow. Empty: of all.")] = "",
    state: Annotated[
        str, typer.Option(help="Only those that are done, failed, stopped, paused, waiting or cancelled.")
    ] = "",
    profile: Annotated[str, typer.Option(help="Only of this person: any id that was ever theirs.")] = "",
    size: Annotated[int, typer.Option(min=1, max=1_000, help="Most of them.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """List runs of flows, the newest first."""
    asked = {"flow": flow or None, "state": state or None, "profile": profile or None}
    found = hub(url, data).get("/runs", **asked, size=size).json()["items"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("no runs match" if flow or state or profile else "no flow has run yet")
        return
    rows = [{**one, "trigger": one["trigger"]["kind"], "error": one["error"][:_SHORT]} for one in found]
    table(rows, COLUMNS)


def trace(run: Run, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """Show what a run has done: its nodes in their order, where each went on, what each wanted done."""
    found = hub(url, data).get(f"/runs/{quote(run, safe='')}").json()
    typer.echo(json.dumps(found) if as_json else shown(found))


def cancel(run: Run, url: Url = "", data: Data = None) -> None:
    """End a run where it is: what it has done stays done."""
    found = hub(url, data).post(f"/runs/{quote(run, safe='')}/cancel", {})
    typer.echo(f"{run} is {found['state']}")


def shown(run: dict[str, Any]) -> str:
    """For people."""
    lines = [f"{run['flow']} (version {run['version']}), {run['state']}{_because(run)}"]
    for leg in run["legs"]:
        lines.append(f"at {leg['at']}")
        for step in leg["steps"]:
            words = " ".join(filter(None, (step["port"] or step["state"], step["note"], step["error"])))
            lines.append(f"  {step['node']:<20} {step['type']:<20} → {words}")
            lines += (f"    {_effect(effect)}" for effect in step["effects"])
    lines += (f"{pause['node']} pauses until {pause['until']}{_or(pause)}" for pause in run["pauses"])
    if run["response"]:
        lines.append(f"response {json.dumps(run['response'], ensure_ascii=False)}")
    if run["error"]:
        lines.append(f"error: {run['error']}")
    return "\n".join(lines)


def _because(run: dict[str, Any]) -> str:
    whom = f", for {run['profile']}" if run["profile"] else ""
    return f"{whom}, because of {run['trigger']['kind']} {run['trigger']['id']}"


def _or(pause: dict[str, Any]) -> str:
    return f", or an event {pause['event_type']}" if pause["event_type"] else ""


def _effect(effect: dict[str, Any]) -> str:
    rest = {name: value for name, value in effect.items() if name not in ("effect", "id") and value not in (None, "")}
    return f"{effect['effect']} {json.dumps(rest, ensure_ascii=False)}"
