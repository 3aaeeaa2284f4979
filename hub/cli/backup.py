"""`hub backup`, `hub restore`: the data folder in one file, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from hub.cli.progress import Step, shown
from hub.cli.settings import load

if TYPE_CHECKING:
    from hub.backup.manifest import Manifest

FAILED: Final = 2
"""Exit code: the command could not do its work; nothing was changed."""

Data = Annotated[Path | None, typer.Option(help="Data folder of the hub. Default: HUB_DATA.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "The whole hub on this machine"
    app.command("backup", rich_help_panel=panel)(backup)
    app.command("restore", rich_help_panel=panel)(restore)


def backup(
    target: Annotated[Path, typer.Argument(help="File to write; or a folder, in which it is named after the time.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """
    Write all that the hub keeps on this machine into one file: store, log, Valkey's data, the hub's own keys.

    The hub may run; it stands still for some milliseconds. The file holds the keys, so nobody but you may read it; keep
    it as you keep them. It is read again and compared before it gets its name.

    Exits with 2 when there is no backup.
    """
    from hub.backup.make import Site, back_up
    from hub.store.upgrading import now_ms

    with _told("backup"), shown(_share) as show:
        settings = load()
        settings = settings.model_copy(update={"data": (data or settings.data).absolute()})
        site = Site(
            data=settings.data,
            store_url=settings.store_url,
            namespace=settings.namespace,
            bootstrap=settings.kafka.bootstrap,
            redis=settings.redis.url,
        )
        made = back_up(site, target, now_ms=now_ms, replace=force, tell=show)
    if as_json:
        typer.echo(json.dumps({"path": str(made.path), "bytes": made.bytes, **_figures(made.about)}))
        return
    typer.echo(f"{made.path}: {_size(made.bytes)}, {_words(made.about)}")
    _missing(made.about)


def restore(
    source: Annotated[Path, typer.Argument(help="File that `hub backup` has written.", dir_okay=False)],
    force: Annotated[bool, typer.Option("--force", help="Replace all that is in the data folder.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read all of it, say what is in it, and change nothing.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """
    Make a data folder of a backup. Then `hub up` goes on from the moment at which it was taken.

    The folder has to be empty, or not there. Each file is compared with what was written; only when all is there does
    the folder come into its place.

    Exits with 2 when nothing was restored.
    """
    from hub.backup import restore as restoring

    with _told("restore"), shown(_share) as show:
        settings = load()
        folder = (data or settings.data).absolute()
        if dry_run:
            about = restoring.look(source, show)
        else:
            about = restoring.restore(source, folder, replace=force, tell=show).about
    if as_json:
        typer.echo(json.dumps({"path": str(folder), "restored": not dry_run, **_figures(about)}))
        return
    typer.echo(f"{'good' if dry_run else folder}: {_words(about)}")
    _missing(about)
    if settings.store.url and not dry_run:
        typer.echo(f"the store is in {folder}/hub.sqlite: unset HUB_STORE__URL, which names another", err=True)


def _words(about: Manifest) -> str:
    return (
        f"of {about.made_at}, hub {about.hub}, schema {about.schema}: {about.events():,} events, "
        f"{about.rows.get('profiles', 0):,} profiles, {len(about.files):,} files of {_size(about.bytes)}"
    )


def _missing(about: Manifest) -> None:
    """What whoever restores it has to bring along."""
    from hub.backup.folder import KEYS

    absent = [name for name in KEYS if name not in about.keys]
    if absent:
        names = ", ".join(_SETTINGS.get(name, name) for name in absent)
        typer.echo(f"not in it, as they are given by settings: {names}; a hub restored of it needs the same", err=True)
    if about.left_out:
        typer.echo("not in it: your Redis. Without it, work that was under way there begins again", err=True)


_SETTINGS: Final = {
    "admin-key": "HUB_ADMIN_KEY",
    "identity-key": "HUB_IDENTITY__KEY",
    "secret-key": "HUB_SECRET_KEY",
}


def _figures(about: Manifest) -> dict[str, object]:
    return {
        "made_at": about.made_at,
        "hub": about.hub,
        "schema": about.schema,
        "was_running": about.was_running,
        "events": about.events(),
        "rows": about.rows,
        "keys": about.keys,
        "left_out": about.left_out,
        "files": len(about.files),
        "files_bytes": about.bytes,
    }


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@contextmanager
def _told(command: str) -> Iterator[None]:
    """Errors as one line, and the exit code."""
    from hub.errors import HubError, PortError

    try:
        yield
    except (HubError, OSError) as exc:
        is_ours = isinstance(exc, PortError) and exc.port == command
        typer.echo(str(exc) if is_ours else f"hub {command}: {exc}", err=True)
        raise typer.Exit(FAILED) from exc


def _share(step: Step) -> str:
    return f"{100 * step.done // step.total} %" if step.total else ""
