"""`hub migrate takeover`: profiles, sessions, events and definitions of a Tracardi or ThamesThrive Elasticsearch."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote, urlsplit

import typer

from hub.cli.asking import Data, Url, hub
from hub.cli.tasks import ask, follow

if TYPE_CHECKING:
    from hub.cli.rest import Rest
    from hub.imports.elastic import Asked
    from hub.migration.definitions import Defined
    from hub.migration.installation import Installation
    from hub.migration.spec import TakeoverSpec

FAILED: Final = 2
"""Exit code: it was not done, or its report does not add up."""


class Stage(StrEnum):
    """Which of the two that an installation has."""

    production = "production"
    staging = "staging"


class What(StrEnum):
    """What may be taken over."""

    definitions = "definitions"
    events = "events"
    sessions = "sessions"
    profiles = "profiles"


def register(commands: typer.Typer) -> None:
    """Add the command. Args: commands: `hub migrate`."""
    commands.command("takeover")(takeover)


def takeover(
    location: Annotated[
        str, typer.Argument(metavar="URL", help="elasticsearch+https://host:9200, without a password.")
    ],
    username: Annotated[str, typer.Option(help="Of the cluster.")] = "",
    password: Annotated[str, typer.Option(help="Of that user: env:NAME; the worker needs the variable, too.")] = "",
    ca_file: Annotated[str, typer.Option(help="The authority to trust, a PEM file.")] = "",
    version: Annotated[str, typer.Option(help="Of the installation, such as 0.8.2, if there are several.")] = "",
    tenant: Annotated[str, typer.Option(help="Of the installation, if there are several.")] = "",
    stage: Annotated[Stage | None, typer.Option(help="Of the installation, if there are both.")] = None,
    metadata: Annotated[str, typer.Option(help="Of 0.9.0: mysql://host/database, which has the definitions.")] = "",
    metadata_username: Annotated[str, typer.Option(help="Of MySQL.")] = "",
    metadata_password: Annotated[str, typer.Option(help="Of that user: env:NAME.")] = "",
    only: Annotated[list[What] | None, typer.Option(help="Only these; may be given again. Default: all.")] = None,
    apply_events: Annotated[
        bool, typer.Option("--apply-events", help="Apply mappings to events, and take no counters of profiles.")
    ] = False,
    look: Annotated[bool, typer.Option("--look", help="Only show what there is.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of everything. Writes nothing.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Write the report, JSON, into this file.")] = None,
    url: Url = "",
    data: Data = None,
) -> None:
    """Take over an installation of the predecessor. It is only read; a second time brings what has changed since."""
    from hub.errors import PortError
    from hub.imports.elastic import Asked
    from hub.migration.spec import cluster_of

    wanted = set(only or What)
    spec = _spec(
        location=location,
        username=username,
        password=password,
        ca_file=ca_file,
        version=version,
        tenant=tenant,
        stage="" if stage is None else stage.value,
        only=sorted(one.value for one in wanted if one is not What.definitions) if only else [],
        apply_events=apply_events,
        dry_run=dry_run,
    )
    try:
        cluster = cluster_of(spec, os.environ)
        with Asked(cluster) as asked:
            one = _chosen(asked, spec)
            told = _told(asked, one)
            typer.echo(told["installation"])
            _table(told["indices"])
            if look:
                return
            defined: list[Defined] = []
            if What.definitions in wanted:
                documents = _documents(asked, one, metadata, metadata_username, metadata_password)
                defined = _defined(asked, one, documents)
    except PortError as exc:
        typer.echo(exc.detail, err=True)
        raise typer.Exit(FAILED) from exc
    rest = hub(url, data)
    rows = [_put(rest, one, dry_run=dry_run) for one in defined]
    for row in rows:
        _show(row)
    task = _done(rest, spec) if wanted - {What.definitions} else None
    made = _report(told, rows, task, dry_run=dry_run)
    if report is not None:
        report.write_text(json.dumps(made, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    typer.echo(_sum(made))
    if not made["adds_up"] or (task is not None and task["state"] != "done"):
        raise typer.Exit(FAILED)


def _spec(**given: Any) -> TakeoverSpec:
    from pydantic import ValidationError

    from hub.definitions.wording import said
    from hub.migration.spec import TakeoverSpec

    try:
        return TakeoverSpec.model_validate(given)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        raise typer.BadParameter(f"{'.'.join(map(str, first['loc']))}: {said(first)}") from exc


def _chosen(asked: Asked, spec: TakeoverSpec) -> Installation:
    from hub.migration.installation import chosen
    from hub.migration.look import found_in

    return chosen(found_in(asked), version=spec.version, tenant=spec.tenant, production=spec.production)


def _told(asked: Asked, one: Installation) -> dict[str, Any]:
    """What there is, before anything is done."""
    from hub.migration.look import count, layout, what_of

    shape = {"pii": ", profiles with pii as before 0.8.2", "data": ", profiles with data as from 0.8.2 on"}
    indices = [{"index": index.name, "documents": count(asked, index), "what": what_of(index)} for index in one.indices]
    return {"installation": f"{one.told()}{shape.get(layout(asked, one), '')}", "id": one.id, "indices": indices}


def _documents(
    asked: Asked, one: Installation, metadata: str, username: str, password: str
) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The definitions, as the predecessor has them. Raises Refused, Unavailable."""
    from hub.definitions.secrets import resolve
    from hub.imports.sql import Server
    from hub.migration.installation import DEFINED
    from hub.migration.look import documents
    from hub.migration.metadata import documents as rows_of
    from hub.migration.spec import MEND

    found = {kind: documents(asked, one.of(kind)) for kind in DEFINED}
    if metadata:
        parts = urlsplit(metadata)
        server = Server(
            host=parts.hostname or "",
            port=parts.port or 0,
            database=parts.path.strip("/"),
            username=username,
            password=resolve(password, os.environ, MEND),
            options={},
        )
        for kind, more in rows_of(server, tenant=one.tenant, production=one.production).items():
            found[kind] = [*found[kind], *more]
    elif not one.has_definitions:
        typer.echo(
            "its definitions are in MySQL: name it (--metadata mysql://host/database) to take them over", err=True
        )
    return found


def _defined(asked: Asked, one: Installation, documents: Mapping[str, Any]) -> list[Defined]:
    from hub.migration.definitions import converted
    from hub.migration.look import values

    return converted(documents, values(asked, one.of("profile"), "segments"))


def _put(rest: Rest, one: Defined, *, dry_run: bool) -> dict[str, Any]:
    """Define it here, unless there is one of this id. Returns the row of the report."""
    row = {"from": one.origin, "kind": one.kind, "id": one.id, "changed": list(one.changed), "why": one.left}
    if one.left:
        return {**row, "what": "left"}
    path = f"/definitions/{one.kind}/{quote(one.id, safe='')}"
    there = rest.tried("GET", path)
    if there.is_success:
        return {**row, "what": "duplicate", "why": "there is one of this id; it stays as it is"}
    if not dry_run:
        answer = rest.tried("PUT", path, json=dict(one.spec), headers={"If-None-Match": "*"})
        if not answer.is_success:
            return {**row, "what": "left", "why": f"it cannot be one here: {_detail(answer.text)}"}
    return {**row, "what": "taken"}


def _detail(text: str) -> str:
    try:
        return str(json.loads(text).get("detail", text))
    except (ValueError, AttributeError):
        return text[:500]


def _done(rest: Rest, spec: TakeoverSpec) -> dict[str, Any]:
    """The task, once it is over, whatever has become of it."""
    asked = ask(rest, "take-over", spec.model_dump(mode="json"))
    try:
        return follow(rest, asked["id"])[0]
    except typer.Exit:
        return dict(rest.get(f"/tasks/{asked['id']}").json())


def _report(
    told: Mapping[str, Any], rows: list[dict[str, Any]], task: Mapping[str, Any] | None, *, dry_run: bool
) -> dict[str, Any]:
    """All of it: what was found, what became of it, and whether that adds up."""
    from hub.migration.installation import DEFINED, index_of

    # their documents are among the rows, if definitions were wanted
    elsewhere = {index for index in DEFINED if rows}
    indices = [
        _of_index(part)
        for part in ([] if task is None else task["slices"])
        if (index := index_of(part["what"])) is None or index.kind not in elsewhere
    ]
    totals = {name: sum(one[name] for one in indices) for name in ("documents", "read", "taken", "duplicate", "left")}
    for name in ("taken", "duplicate", "left"):
        totals[name] += sum(row["what"] == name for row in rows)
    totals["read"] += len(rows)
    totals["documents"] += len(rows)
    return {
        "installation": told["installation"],
        "id": told["id"],
        "dry_run": dry_run,
        "indices": told["indices"],
        "definitions": rows,
        "documents": indices,
        "samples": [] if task is None else task["sample"],
        "task": None if task is None else task["id"],
        "totals": totals,
        "adds_up": totals["read"] == totals["taken"] + totals["duplicate"] + totals["left"]
        and all(one["adds_up"] for one in indices),
    }


def _of_index(part: Mapping[str, Any]) -> dict[str, Any]:
    """A slice of the task."""
    found: dict[str, int] = dict.fromkeys(("read", "taken", "duplicate", "left"), 0)
    why: dict[str, int] = {}
    for name, number in part["counts"].items():
        _, _, what = name.partition(" ")
        if what in found:
            found[what] += number
        else:
            why[what] = number
    adds_up = found["read"] == found["taken"] + found["duplicate"] + found["left"] and found["read"] >= part["total"]
    return {"index": part["what"], "documents": part["total"], **found, "why": why, "adds_up": adds_up}


def _show(row: Mapping[str, Any]) -> None:
    to = f" -> {row['kind']} {row['id']}" if row["kind"] else ""
    typer.echo(f"{row['what']:<10}{row['from']}{to}")
    for line in (*row["changed"], *([row["why"]] if row["why"] else [])):
        typer.echo(f"          {line}")


def _sum(made: Mapping[str, Any]) -> str:
    totals = made["totals"]
    end = "it adds up" if made["adds_up"] else "it does not add up: something was changed meanwhile, or was not read"
    would = "would be " if made["dry_run"] else ""
    return (
        f"of {totals['documents']:,}: {totals['taken']:,} {would}taken, {totals['duplicate']:,} there already, "
        f"{totals['left']:,} left; {end}"
    )


def _table(indices: Iterable[Mapping[str, Any]]) -> None:
    for one in indices:
        typer.echo(f"  {one['index']}  {one['documents']:,}  {one['what']}")
