"""`hub replay`: events of the log and of the store through the pipeline again."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.cli.settings import load

FAILED: Final = 2
"""Exit code: the command could not do its work."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay", rich_help_panel="Data in and out")(replay)


def replay(
    since: Annotated[
        str,
        typer.Option(
            "--from",
            help="Since when: `beginning`, a time (2026-11-24T15:21:00Z, 2h), an offset, or PARTITION:OFFSET,…",
        ),
    ],
    until: Annotated[str | None, typer.Option(help="Up to, not including: a time or offsets. Default: now.")] = None,
    q: Annotated[str, typer.Option(help="Only events that match (docs/query.md).")] = "",
    into: Annotated[
        str | None,
        typer.Option(help="A shadow namespace, made if need be and emptied; then compared. Default: the live one."),
    ] = None,
    definitions: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Folder of KIND/ID.json that replace live's in the shadow; with --into."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=0, max=1_000, help="Samples of each difference.")] = 3,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be sent.")] = False,
    promote: Annotated[
        bool, typer.Option("--promote", help="Then put the shadow in live's place: its profiles, its definitions.")
    ] = False,
    most_pause_s: Annotated[
        float, typer.Option("--pause", min=0.1, help="Longest time that live's collectors may wait for that, seconds.")
    ] = 8.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
    bootstrap: Annotated[str, typer.Option(help="Kafka. Default: that of the hub that runs here.")] = "",
    data: Annotated[Path | None, typer.Option(help="Data folder of the hub. Default: HUB_DATA.")] = None,
) -> None:
    """
    Send events again, under the ids that they have: `hub replay --from 2h --dry-run`.

    Into the live hub this changes nothing: what is stored counts as a duplicate. Into a shadow with other
    definitions it shows what they would change; with --promote they change it.

    Exits with 2 when it had to stop; the same command may be given again.
    """
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from hub.cli import replaying
    from hub.errors import HubError
    from hub.logs import configure
    from hub.replay.bounds import BoundError, parse_bound
    from hub.replay.definitions import DefinitionError
    from hub.store.query import QueryError

    if into is None and definitions is not None:
        raise typer.BadParameter("live has its own: name a shadow with --into", param_hint="--definitions")
    settings = load()
    configure(settings.log.model_copy(update={"level": "error"}))  # the report says it all
    now_ms = time.time_ns() // 1_000_000
    try:
        options = replaying.options(
            settings,
            data,
            bootstrap,
            os.environ,
            since=parse_bound(since, now_ms),
            until=None if until is None else parse_bound(until, now_ms),
            query=q,
            into=into,
            definitions=definitions,
            samples=samples,
            dry_run=dry_run,
            promote=promote,
            most_pause_s=most_pause_s,
        )
        report = replaying.run(options, now_ms, as_json=as_json)
        if report.not_promoted:
            typer.echo(f"hub replay: not promoted: {report.not_promoted}", err=True)
            raise typer.Exit(FAILED)
    except (BoundError, DefinitionError, QueryError, HubError, OSError) as exc:
        typer.echo(f"hub replay: {exc}", err=True)
        raise typer.Exit(FAILED) from exc
