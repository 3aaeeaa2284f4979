"""`hub flow`: is a flow right, what would it do, which nodes are there; list, save, deploy."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli import flow_runs
from hub.cli.asking import AsJson, Data, Id, Url, document, hub, table, warn

if TYPE_CHECKING:
    from hub.cli.rest import Rest
    from hub.definitions.kinds import Flow
    from hub.edge.mapping.problems import Problem
    from hub.flows.trial import Tried

COLUMNS: Final = ("id", "name", "state", "version", "draft", "triggers", "nodes")
File = Annotated[str, typer.Argument(metavar="FILE", help="A flow, YAML or JSON; `-`: standard input.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Flows: what is done because of an event, a segment, a time.", no_args_is_help=True)
    commands.command("check")(check)
    commands.command("test")(run_test)
    commands.command("nodes")(nodes)
    commands.command("list")(list_)
    commands.command("show")(show)
    commands.command("put")(put)
    commands.command("deploy")(deploy)
    commands.command("run")(run)
    flow_runs.register(commands)
    app.add_typer(commands, name="flow", rich_help_panel="Data in and out")


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Flows, YAML or JSON.")],
    against: Annotated[
        bool, typer.Option("--hub", help="Ask the hub as well: are the destinations and segments there that they name?")
    ] = False,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Say all that is wrong with flows, each with file, line and column; it takes no hub for that.

    Exits with 1 when one of them cannot be used. Warnings are about what has to be known.
    """
    from hub.cli.flow_file import FlowFile
    from hub.flows import check as checking

    rest = hub(url, data) if against or url else None
    bad = False
    for given in files:
        file = FlowFile(given)
        spec = file.flow()
        found = checking.check(spec)
        bad = bad or bool(found.problems)
        warnings = found.warnings if rest is None else _warnings(rest, spec)
        for level, problems in (("error", found.problems), ("warning", warnings)):
            for problem in problems:
                if as_json:
                    typer.echo(
                        json.dumps({"file": given, "level": level, "where": problem.where, "detail": problem.detail})
                    )
                else:
                    typer.echo(file.line(problem, "warning: " if level == "warning" else ""))
        if not found.problems and not as_json:
            typer.echo(f"{given}: a flow of {len(found.parts)} nodes")
    if bad:
        raise typer.Exit(1)


def run_test(
    file: File,
    event: Annotated[
        str, typer.Option(metavar="FILE", help="An event, JSON or YAML, or as much as the flow asks for.")
    ] = "",
    profile: Annotated[str, typer.Option(metavar="FILE", help="A profile.")] = "",
    session: Annotated[str, typer.Option(metavar="FILE", help="A session.")] = "",
    answers: Annotated[
        str,
        typer.Option(metavar="FILE", help="What is answered to calls: by node, `status`, `headers`, `body`, `error`."),
    ] = "",
    now: Annotated[str, typer.Option(help="What now is, RFC 3339. Default: now.")] = "",
    stop: Annotated[bool, typer.Option("--stop", help="Stop at pauses, instead of passing them.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Show what a flow would do, without a hub. Nothing is written and nobody is called.

    Exits with 1 when the flow cannot be used, or its run fails.
    """
    import msgspec

    from hub.cli.flow_file import FlowFile, fail
    from hub.cli.flow_file import document as read
    from hub.flows.check import FlowError
    from hub.flows.compiled import compile_flow
    from hub.flows.effects import Answer
    from hub.flows.run import Documents
    from hub.flows.trial import TrialError, try_flow

    given = FlowFile(file)
    spec = given.flow()
    try:
        flow = compile_flow("test", spec, 0)
    except FlowError as exc:
        for problem in exc.problems:
            typer.echo(given.line(problem), err=True)
        raise typer.Exit(1) from exc
    documents = Documents(
        read(event, "--event") if event else {},
        read(profile, "--profile") if profile else {},
        read(session, "--session") if session else {},
    )
    try:
        tried = try_flow(
            spec,
            flow,
            documents,
            now_ms=_now_ms(now),
            answers=msgspec.convert(read(answers, "--answers") if answers else {}, dict[str, Answer]),
            pauses="stop" if stop else "pass",
            clock_ns=time.perf_counter_ns,
        )
    except (TrialError, msgspec.ValidationError) as exc:
        fail(str(exc))
    typer.echo(json.dumps(msgspec.to_builtins(tried), ensure_ascii=False) if as_json else _shown(tried))
    if tried.state in ("failed", "stopped"):
        raise typer.Exit(1)


def nodes(
    type: Annotated[str, typer.Argument(help="Of one node: what it is configured with. Empty: all.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the types of node, those of installed packages among them."""
    from hub.cli.flow_file import fail
    from hub.flows.registry import described

    found = [one for one in described() if type in ("", one["type"])]
    if not found:
        fail(f"there is no node of type {type!r}; `hub flow nodes` lists all of them")
    if as_json:
        typer.echo(json.dumps(found))
    elif type:
        typer.echo(json.dumps(found[0], indent=2))
    else:
        for one in found:
            typer.echo(f"{one['type']:<22} {one.get('summary', one.get('error'))}")


def list_(as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """List all flows, those that are drafts among them."""
    found = hub(url, data).get("/flows").json()["items"]
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("no flows yet: `hub flow put ID FILE` saves one (docs/flows.md)")
        return
    table([{**one, "triggers": ", ".join(map(_trigger, one["triggers"]))} for one in found], COLUMNS)


def show(id: Id, as_json: AsJson = False, url: Url = "", data: Data = None) -> None:
    """Show one flow, and what is wrong with its draft."""
    found = hub(url, data).get(f"/flows/{quote(id)}").json()
    if as_json:
        typer.echo(json.dumps(found))
        return
    for name, value in found.items():
        if name not in ("problems", "warnings", "triggers"):
            typer.echo(f"{name:<14} {'' if value is None else value}")
    for trigger in found["triggers"]:
        typer.echo(f"{'trigger':<14} {_trigger(trigger)}")
    for level in ("problems", "warnings"):
        for problem in found[level]:
            typer.echo(f"{level[:-1]:<14} {problem['where']}: {problem['detail']}")


def put(
    id: Id,
    definition: File,
    draft: Annotated[bool, typer.Option("--draft", help="As a draft: it may be wrong, and does not run.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Save a flow; it is in force at once, unless it is a draft."""
    kind = "flow-draft" if draft else "flow"
    saved = hub(url, data).put(f"/definitions/{kind}/{quote(id)}", document(definition, "FILE"))
    typer.echo(f"{id} is saved{' as a draft' if draft else ''}; this is version {saved['version']}")
    warn(saved)


def deploy(id: Id, url: Url = "", data: Data = None) -> None:
    """Let the draft of a flow come into force."""
    saved = hub(url, data).post(f"/flows/{quote(id)}/deploy", {})
    typer.echo(f"{id} is deployed; this is version {saved['version']}")
    warn(saved)


def run(
    id: Id,
    profile: Annotated[str | None, typer.Option(help="For this one: any id that was ever theirs.")] = None,
    query: Annotated[str | None, typer.Option(help="For all profiles that match (docs/query.md); '': for all.")] = None,
    payload: Annotated[
        str, typer.Option(metavar="FILE", help="What its nodes begin with, a JSON or YAML object.")
    ] = "",
    request: Annotated[
        str | None, typer.Option("--id", help="Asked for twice under one id of yours, it is done once.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show how far it is, until it is over.")] = False,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Run a flow that has a `manual` trigger, for one profile or for all that match."""
    if (profile is None) == (query is None):
        raise typer.BadParameter("write either --profile, for one, or --query, for all that match ('': for all)")
    from hub.cli.flow_file import document as read
    from hub.cli.tasks import follow

    rest = hub(url, data)
    wanted: dict[str, Any] = {"query": query} if profile is None else {"profile": profile}
    wanted |= {"data": read(payload, "--payload")} if payload else {}
    wanted |= {} if request is None else {"id": request}
    found = rest.post(f"/flows/{quote(id)}/run", wanted)
    task = found["task"]["id"]
    if as_json:
        typer.echo(json.dumps(found))
    elif found["run"]:
        typer.echo(f"run {found['run']} of {id}, version {found['version']}, by task {task}")
    else:
        typer.echo(f"{id}, version {found['version']}, runs by task {task}; `hub tasks show {task}` says how far it is")
    if watch:
        follow(rest, task)


def _warnings(rest: Rest, spec: Flow) -> list[Problem]:
    """What the hub has to say of it; the same as without it, and of what it knows."""
    from hub.edge.mapping.problems import Problem

    found = rest.post("/flows/check", spec.model_dump(mode="json"))["warnings"]
    return [Problem(tuple(one["path"]), one["detail"], one["column"], one["expression"] or "") for one in found]


def _now_ms(text: str) -> int:
    if not text:
        return time.time_ns() // 1_000_000
    from hub.edge.times import time_ms
    from hub.errors import InvalidPayload

    try:
        return time_ms(text, "now")
    except InvalidPayload as exc:
        raise typer.BadParameter(exc.detail, param_hint="--now") from exc


def _trigger(trigger: dict[str, Any]) -> str:
    names = ("event_type", "segment", "heartbeat", "cron", "every")
    return " ".join([trigger["type"], *(str(trigger[name]) for name in names if trigger.get(name))])


def _shown(tried: Tried) -> str:
    lines = [f"{tried.state}{'' if tried.triggered else ' (no trigger of it fits the event)'}"]
    for leg in tried.legs:
        if len(tried.legs) > 1:
            lines.append(f"at {_time(leg.at_ms)}")
        for step in leg.steps:
            what = step["port"] or step["state"] if step["state"] != "ran" or step["port"] else "end"
            if step["until_ms"] is not None:
                what = f"paused until {_time(step['until_ms'])}"
            words = " ".join(filter(None, (f"→ {what}", step["note"], step["error"])))
            lines.append(f"  {step['node']:<20} {step['type']:<20} {words}")
        lines += (f"  {_effect(effect)}" for effect in leg.effects)
    if tried.response:
        lines.append(f"response {json.dumps(tried.response, ensure_ascii=False)}")
    words = "it was taken to be answered with 200 and {}, nothing to be found, or a profile to be there"
    lines += (f"{node}: {words}" for node in tried.assumed)
    if tried.error:
        lines.append(f"error: {tried.error}")
    return "\n".join(lines)


def _effect(effect: dict[str, Any]) -> str:
    rest = {
        name: value
        for name, value in effect.items()
        if name not in ("node", "effect", "id") and value not in (None, "")
    }
    return f"{effect['effect']:<20} {json.dumps(rest, ensure_ascii=False)}"


def _time(ms: int) -> str:
    from hub.pipeline.documents import iso

    return iso(ms)
