"""`hub query`: documents that match, one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from hub.cli.settings import load

_PAGE = 200

Url = Annotated[str, typer.Option(help="The hub. Default: the one that runs here, else its usual port.")]
Data = Annotated[Path | None, typer.Option(help="Data folder of the hub, for its key. Default: HUB_DATA.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("query", rich_help_panel="What is in it?")(query)


def query(
    kind: Annotated[str, typer.Argument(help="profiles, events, sessions or dead-letters.")],
    q: Annotated[str, typer.Argument(help="What to look for (docs/query.md); nothing for all.")] = "",
    size: Annotated[int, typer.Option(min=1, help="Most documents, the newest first.")] = 20,
    count: Annotated[bool, typer.Option("--count", help="Only how many there are.")] = False,
    url: Url = "",
    data: Data = None,
) -> None:
    """Print documents that match, newest first, one JSON object a line."""
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from hub.cli.rest import Rest

    if kind not in {"profiles", "events", "sessions", "dead-letters"}:
        raise typer.BadParameter(f"{kind!r} is none of profiles, events, sessions, dead-letters")
    rest = Rest(load(), url, data)
    if count:
        typer.echo(rest.get(f"/{kind}/count", q=q).json()["count"])
        return
    cursor = None
    while size > 0:
        page = rest.get(f"/{kind}", q=q, size=min(size, _PAGE), cursor=cursor).json()
        for document in page["items"]:
            typer.echo(json.dumps(document, ensure_ascii=False))
        size, cursor = size - len(page["items"]), page["next"]
        if cursor is None:
            return
