"""`hub apply`, `hub diff`, `hub export`: all definitions as files, to be kept in git."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple
from urllib.parse import quote

import typer

from hub.cli.asking import Data, Url, hub, warn

if TYPE_CHECKING:
    from hub.cli.definition_files import Named, Wanted
    from hub.cli.rest import Rest

FAILED: Final = 2
Files = Annotated[
    list[Path],
    typer.Option("--file", "-f", help="A file, or a folder with KIND/ID.yaml files. Several times."),
]
Prune = Annotated[
    bool,
    typer.Option("--prune", help="Delete what the hub has of the same kinds and the files have not."),
]


class _There(NamedTuple):
    """A definition of the hub. `spec`: as it is shown, without secrets."""

    spec: dict[str, Any]
    version: int
    is_built_in: bool


class _Change(NamedTuple):
    """One definition that is another one. `wanted` None: it is deleted; `there` None: it is new."""

    named: Named
    wanted: Wanted | None
    there: _There | None

    @property
    def verb(self) -> str:
        """What is done."""
        return "delete" if self.wanted is None else "create" if self.there is None else "change"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    panel = "Definitions as files"
    app.command("apply", rich_help_panel=panel)(apply)
    app.command("diff", rich_help_panel=panel)(diff)
    app.command("export", rich_help_panel=panel)(export)


def apply(file: Files, prune: Prune = False, url: Url = "", data: Data = None) -> None:
    """
    Bring the hub's definitions to what files say; what is the same stays as it is.

    No file is applied if one of them cannot be read. Exits with 1 if the hub has refused one; the others are in force.
    """
    rest, wanted = hub(url, data), _read(file)
    refused = changed = 0
    for one in _changes(rest, wanted, prune):
        words = _done(rest, one)
        if words is None:
            changed += 1
        else:
            refused += 1
            typer.echo(f"{one.wanted.file if one.wanted else one.named}: {words}", err=True)
    same = f"{len(wanted)} read, {changed} changed" + (f", {refused} refused" if refused else "")
    typer.echo(same)
    if refused:
        raise typer.Exit(1)


def diff(file: Files, prune: Prune = False, url: Url = "", data: Data = None) -> None:
    """
    Show what `hub apply` would change. Exits with 1 when that is anything.

    Secrets are not compared: where a file has one in plain words, it is shown as a change each time.
    """
    from hub.cli.definition_files import text_of

    changes = list(_changes(hub(url, data), _read(file), prune))
    for one in changes:
        before = text_of(one.named.kind, one.there.spec) if one.there else ""
        after = text_of(one.named.kind, one.wanted.spec) if one.wanted else ""
        typer.echo(f"{one.verb} {one.named}")
        lines = difflib.unified_diff(
            before.splitlines(), after.splitlines(), "hub", str(one.wanted.file) if one.wanted else "", lineterm=""
        )
        for line in lines:
            typer.echo(f"  {line}")
    if not changes:
        typer.echo("no difference")
        return
    raise typer.Exit(1)


def export(
    folder: Annotated[Path, typer.Argument(help="Where KIND/ID.yaml are written; such files are replaced.")],
    kind: Annotated[list[str] | None, typer.Option(help="Only of this kind. Several times.")] = None,
    url: Url = "",
    data: Data = None,
) -> None:
    """
    Write all definitions into files, as `hub apply` reads them; API keys and what comes with the hub are left out.

    Secrets that the hub has sealed are written as `sealed`: this hub keeps them, another one needs them anew.
    """
    from hub.cli.definition_files import HERE_ALONE, Named, place_of, text_of
    from hub.definitions.kinds import KINDS

    unknown = set(kind or ()) - KINDS.keys()
    if unknown:
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: the kinds are {', '.join(KINDS)}", param_hint="--kind")
    rest, count = hub(url, data), 0
    for each in kind or [one for one in KINDS if one != HERE_ALONE]:
        for id, there in _there(rest, each).items():
            if there.is_built_in:
                continue
            path = folder / place_of(Named(each, id))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text_of(each, there.spec), encoding="utf-8")
            except OSError as exc:
                typer.echo(f"{path}: {exc}", err=True)
                raise typer.Exit(FAILED) from exc
            count += 1
    typer.echo(f"{count} definitions in {folder}")


def _read(paths: list[Path]) -> dict[Named, Wanted]:
    """All that files say. Ends the command with 1 if one of them is wrong."""
    from hub.cli.definition_files import Unusable, files_in, read

    wanted: dict[Named, Wanted] = {}
    bad = False
    try:
        found = list(files_in(paths))
    except Unusable as exc:
        typer.echo(str(exc), err=True)
        raise typer.Exit(FAILED) from exc
    for path, within in found:
        try:
            named, one = read(path, within)
        except Unusable as exc:
            typer.echo(str(exc), err=True)
            bad = True
            continue
        if named in wanted:
            typer.echo(f"{path}: {named} is in {wanted[named].file}, too", err=True)
            bad = True
        wanted[named] = one
    if bad:
        typer.echo("nothing was changed", err=True)
        raise typer.Exit(1)
    return wanted


def _changes(rest: Rest, wanted: Mapping[Named, Wanted], prune: bool) -> Iterator[_Change]:
    """In the order of kinds, sources first: who names another definition comes after it."""
    from hub.cli.definition_files import Named
    from hub.definitions.kinds import KINDS

    for kind in KINDS:
        of_kind = {named.id: one for named, one in wanted.items() if named.kind == kind}
        if not of_kind:
            continue
        there = _there(rest, kind)
        for id, one in of_kind.items():
            now = there.get(id)
            if now is None or now.spec != one.spec:
                yield _Change(Named(kind, id), one, now)
        if prune:
            left = {id: now for id, now in there.items() if id not in of_kind and not now.is_built_in}
            yield from (_Change(Named(kind, id), None, now) for id, now in left.items())


def _there(rest: Rest, kind: str) -> dict[str, _There]:
    items = rest.get(f"/definitions/{kind}").json()["items"]
    return {one["id"]: _There(one["spec"], one["version"], one.get("built_in", False)) for one in items}


def _done(rest: Rest, change: _Change) -> str | None:
    """Do it. Returns why it was refused, if so: somebody else may have changed the definition since it was read."""
    from hub.cli.rest import detail

    path = f"/definitions/{change.named.kind}/{quote(change.named.id)}"
    headers = {"If-None-Match": "*"} if change.there is None else {"If-Match": f'"{change.there.version}"'}
    if change.wanted is None:
        answer = rest.tried("DELETE", path, headers=headers)
    else:
        answer = rest.tried("PUT", path, headers=headers, json=change.wanted.spec)
    if not answer.is_success:
        return f"{answer.status_code}: {detail(answer)}"
    version = f"; this is version {answer.json()['version']}" if change.wanted is not None else ""
    typer.echo(f"{change.verb}d {change.named}{version}")
    if change.wanted is not None:
        warn(answer.json(), f"{change.wanted.file}: ")
    return None
