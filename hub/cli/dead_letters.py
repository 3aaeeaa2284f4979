"""`hub dead-letters`: what could not be taken, and the way back for it."""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub, table

if TYPE_CHECKING:
    from hub.cli.rest import Rest

COLUMNS: Final = ("id", "at", "status", "attempts", "source", "reason", "detail")
CHUNK: Final = 500
"""Letters in one request of a bulk replay, so that there is something to show in between."""

Q = Annotated[str, typer.Option(help="Which ones, such as `reason = mapping_failed` (docs/query.md). Default: all.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON lines, for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="What could not be taken, and the way back for it.", no_args_is_help=True)
    commands.command("list")(list_)
    commands.command("show")(show)
    commands.command("replay")(replay)
    app.add_typer(commands, name="dead-letters", rich_help_panel="Data in and out")


def list_(
    q: Q = "",
    size: Annotated[int, typer.Option(min=1, max=1_000, help="Most of them, newest first.")] = 20,
    as_json: AsJson = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """List dead letters, newest first."""
    rest = hub(url, data)
    found = rest.get("/dead-letters", q=q, size=size).json()
    if as_json:
        for letter in found["items"]:
            typer.echo(json.dumps(letter))
        return
    if not found["items"]:
        typer.echo("no dead letters match" if q else "there are no dead letters")
        return
    table(found["items"], COLUMNS)
    total = rest.get("/dead-letters/count", q=q).json()["count"]
    typer.echo(f"{len(found['items']):,} of {total:,} dead letters")


def show(
    id: Annotated[str, typer.Argument(help="Of the dead letter.")],
    body: Annotated[bool, typer.Option("--body", help="Only the original bytes, as they came.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Show one dead letter with its headers and its original."""
    rest = hub(url, data)
    path = f"/dead-letters/{quote(id, safe='')}"
    if body:
        sys.stdout.buffer.write(rest.get(f"{path}/body").content)
    else:
        typer.echo(json.dumps(rest.get(path).json(), indent=2, ensure_ascii=False))


def replay(
    id: Annotated[str | None, typer.Argument(help="One dead letter, open or resolved. Without: see --q.")] = None,
    q: Annotated[
        str | None, typer.Option(help="All open ones that match (docs/query.md); an empty text: all open ones.")
    ] = None,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="A message mapping to repair them with, instead of the bridge's: a YAML or JSON file, or a "
            "ready-made one's name."
        ),
    ] = None,
    body: Annotated[Path | None, typer.Option(help="File with an edited body for the one letter. `-`: stdin.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many match.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Send dead letters again, each the way that its message would go today.

    Exits with 1 when some were refused again or skipped, with 2 when it could not be done. What is stored stays stored
    once, so the same command may be given again.
    """
    if (id is None) == (q is None):
        raise typer.BadParameter("name one dead letter, or give --q", param_hint="--q")
    if id is None and body is not None:
        raise typer.BadParameter("only one dead letter can be edited: name it", param_hint="--body")
    if id is not None and dry_run:
        raise typer.BadParameter("of --q only", param_hint="--dry-run")
    document: dict[str, Any] = {} if mapping is None else {"mapping": _mapping(mapping)}
    if body is not None:
        document["body_base64"] = base64.b64encode(_bytes(body)).decode()
    rest = hub(url, data)
    if id is not None:
        _report([rest.post(f"/dead-letters/{quote(id, safe='')}/replay", document)])
        return
    document["q"] = q
    matched = rest.post("/dead-letters/replay", {**document, "dry_run": True})["matched"]
    if dry_run:
        typer.echo(f"{matched:,} open dead letters match")
        return
    _report(_chunks(rest, document, matched))


def _chunks(rest: Rest, document: dict[str, Any], matched: int) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import Progress

    answers: list[dict[str, Any]] = []
    after: int | None = 0
    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("replay", total=matched)
        while after is not None:
            answer = rest.post("/dead-letters/replay", {**document, "size": CHUNK, "after": after})
            answers.append(answer)
            bar.advance(task, answer["matched"])
            after = answer["next"]
    return answers


def _report(answers: list[dict[str, Any]]) -> None:
    """Print the sums and what went wrong; exits with 1 when something did."""
    total: Counter[str] = Counter()
    for answer in answers:
        total.update({name: answer[name] for name in ("matched", "sent", "refused", "skipped")})
        for problem in answer["problems"]:
            what = f"refused again: {problem['reason']}" if problem["reason"] else "skipped"
            typer.echo(f"{problem['id']} {what}: {problem['detail']}", err=True)
    typer.echo(
        f"{total['matched']:,} dead letters: {total['sent']:,} sent, {total['refused']:,} refused again, "
        f"{total['skipped']:,} skipped"
    )
    if total["refused"] or total["skipped"]:
        raise typer.Exit(1)


def _bytes(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as exc:
        raise typer.BadParameter(f"{path}: {exc}", param_hint="--body") from exc


def _mapping(given: str) -> dict[str, Any] | str:
    from hub.cli.mapping_file import mapping_document

    return mapping_document(given)
