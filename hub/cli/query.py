"""`hub query`: documents that match, one JSON object a line."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from hub.cli.asking import Data, Url, hub

_PAGE = 200


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
    """
    Print documents that match, newest first, one JSON object a line.

    For example `hub query events "type = purchase AND properties.amount > 10"`.
    """
    if kind not in {"profiles", "events", "sessions", "dead-letters"}:
        raise typer.BadParameter(f"{kind!r} is none of profiles, events, sessions, dead-letters")
    rest = hub(url, data)
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
