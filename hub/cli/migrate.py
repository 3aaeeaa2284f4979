"""`hub migrate`: the store of an older release for this one, and back; data of other systems."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from hub.cli import takeover
from hub.cli.settings import load

if TYPE_CHECKING:
    from hub.store.upgrading import Outlook, Step

FAILED: Final = 2
"""Exit code: the command could not do its work; nothing was changed."""
LINE_EVERY_S: Final = 5.0

Data = Annotated[Path | None, typer.Option(help="Data folder of the hub. Default: HUB_DATA.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    commands = typer.Typer(help="Stores of older releases, and the data of the predecessor.", no_args_is_help=True)
    commands.command("status")(status)
    commands.command("store")(store)
    commands.command("rollback")(rollback)
    commands.command("discard")(discard)
    takeover.register(commands)
    app.add_typer(commands, name="migrate", rich_help_panel="Data in and out")


def status(data: Data = None, as_json: AsJson = False) -> None:
    """Show the store's files, or generations of indices: which one is in force, of which schema, which are kept."""
    from hub.store.upgrading import files, gigabytes, look

    with _told():
        url = _url(data)
        outlook, listed = look(url), files(url)
    if as_json:
        found = {
            "schema": outlook.schema,
            "wanted": outlook.wanted,
            "at_start": outlook.schema < outlook.wanted and outlook.is_instant,
            "needs_bytes": outlook.needs_bytes if outlook.schema < outlook.wanted else 0,
            "free_bytes": outlook.free_bytes,
            "files": [{**one._asdict(), "path": str(one.path), "out_of_force_at": _time(one.at_ms)} for one in listed],
        }
        typer.echo(json.dumps(found))
        return
    typer.echo(f"schema {outlook.schema}, of this release {outlook.wanted}: {_what_next(outlook)}")
    for one in listed:
        when = f", since {_time(one.at_ms)}" if one.at_ms else ""
        typer.echo(f"{one.role:<10} {one.path}  schema {one.schema}, {gigabytes(one.bytes)}{when}")
    if any(one.role == "kept" for one in listed):
        typer.echo("`hub migrate rollback` goes back to the last one that is kept, `hub migrate discard` removes them")


def store(
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Make the new store, compare it and remove it again; keeps nobody waiting meanwhile."
        ),
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """
    Bring the store to this release's schema, in a new file or new indices beside the old ones, which are kept.

    The hub may run meanwhile: events come in and wait on the log, queries are answered. A hub of the release before
    stores nothing after it and has to be replaced by this one.

    Exits with 2 when it was not done; then the store is as it was.
    """
    from hub.store.upgrading import gigabytes, now_ms, upgrade

    with _told(), _shown() as show:
        done = upgrade(_url(data), now_ms=now_ms, tell=show, is_trial=dry_run)
    if as_json:
        found: dict[str, Any] = {"done": done is not None and not dry_run, "dry_run": dry_run}
        found |= {} if done is None else {**done._asdict(), "old": str(done.old), "new": str(done.new)}
        typer.echo(json.dumps(found))
        return
    if done is None:
        typer.echo("the store is of this release's schema: there is nothing to do")
        return
    rows = sum(done.rows.values())
    typer.echo(
        f"{'tried' if dry_run else 'made'} schema {done.to_schema} of schema {done.from_schema}: {rows:,} rows in "
        f"{len(done.rows)} tables, {gigabytes(done.bytes)}, in {done.took_s:,.1f} s; all is the same"
    )
    if dry_run:
        typer.echo(f"it would be in {done.new}; nothing was changed")
    else:
        typer.echo(f"in force: {done.new}; {done.old} is kept: `hub migrate rollback` goes back to it")


def rollback(
    force: Annotated[
        bool, typer.Option("--force", help="Also if Kafka may no longer have all that was stored since.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """
    Go back to what was there before the last upgrade. The hub has to be stopped; then start the release before.

    What was stored since then is applied again from Kafka. What is on no topic is copied here: tasks, runs of flows,
    long messages.
    """
    from hub.store.upgrading import now_ms, roll_back

    with _told():
        done = roll_back(_url(data), now_ms=now_ms, is_forced=force)
    if as_json:
        typer.echo(json.dumps({**done._asdict(), "path": str(done.path), "left": str(done.left)}))
        return
    carried = ", ".join(f"{rows:,} {table}" for table, rows in done.carried.items())
    typer.echo(
        f"in force again: {done.path}, schema {done.schema}" + (f"; copied into it: {carried}" if carried else "")
    )
    typer.echo(
        f"{done.left} is left as it was. Start the release before: this one would upgrade the store again. "
        "`hub migrate discard` removes what is not needed any more"
    )


def discard(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Remove files or indices of before upgrades, and what rollbacks have left. There is no way back after it."""
    from hub.store.upgrading import discard as remove
    from hub.store.upgrading import files, gigabytes

    with _told():
        url = _url(data)
        going = [one for one in files(url) if one.role not in ("in force", "emptied")]
        if going and not yes:
            for one in going:
                typer.echo(f"{one.role:<10} {one.path}  {gigabytes(one.bytes)}")
            typer.confirm("Remove these? There is no way back after it.", abort=True)
        gone = remove(url)
    if as_json:
        typer.echo(json.dumps({"removed": [str(one.path) for one in gone], "bytes": sum(one.bytes for one in gone)}))
    elif gone:
        names = ", ".join(str(one.path) for one in gone)
        typer.echo(f"removed {names}: {gigabytes(sum(one.bytes for one in gone))}")
    else:
        typer.echo("there is nothing to remove")


def _url(data: Path | None) -> str:
    """The store's."""
    settings = load()
    if data is not None:
        settings = settings.model_copy(update={"data": data.absolute()})
    return settings.store_url


def _what_next(outlook: Outlook) -> str:
    from hub.store.upgrading import gigabytes

    if outlook.schema == outlook.wanted:
        return "nothing to do"
    if outlook.is_instant:
        return (
            "the collector changes it in place when it starts, at once; "
            "with `hub migrate store` before that there is a way back"
        )
    return (
        "the collector upgrades it when it starts, or `hub migrate store` does; it needs up to "
        f"{gigabytes(outlook.needs_bytes)} beside the old one, {gigabytes(outlook.free_bytes)} are free"
    )


def _time(at_ms: int) -> str | None:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else None


@contextmanager
def _told() -> Iterator[None]:
    """Errors as one line, and the exit code."""
    from hub.errors import HubError

    try:
        yield
    except (HubError, OSError) as exc:
        typer.echo(f"hub migrate: {exc}", err=True)
        raise typer.Exit(FAILED) from exc


@contextmanager
def _shown() -> Iterator[Callable[[Step], None]]:
    """What is being done: on a terminal one line that changes, elsewhere a line every five seconds; on stderr."""
    is_terminal = sys.stderr.isatty()
    told_at, told = 0.0, ""

    def show(step: Step) -> None:
        nonlocal told_at, told
        line = f"{step.what} {100 * step.done // step.total} %" if step.total else step.what
        if line == told or (not is_terminal and time.monotonic() - told_at < LINE_EVERY_S):
            return
        told_at, told = time.monotonic(), line
        sys.stderr.write(f"\r\x1b[K{line}" if is_terminal else f"{line}\n")
        sys.stderr.flush()

    yield show
    if is_terminal and told:
        sys.stderr.write("\r\x1b[K")
