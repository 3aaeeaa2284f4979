"""`hub import`: the rows of a file, a table or another topic as events, from where it was interrupted."""

from __future__ import annotations

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from hub.cli.settings import load

FAILED: Final = 2
"""Exit code: it had to stop; `--resume` goes on."""
DEAD: Final = 1
"""Exit code: it came to the end, and some rows are dead letters."""


class Format(StrEnum):
    """How a file is written."""

    auto = "auto"
    csv = "csv"
    jsonl = "jsonl"
    parquet = "parquet"
    excel = "excel"


class Priority(StrEnum):
    """Who goes first."""

    normal = "normal"
    live = "live"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("import", rich_help_panel="Data in and out")(import_)


def import_(
    location: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URL",
            help="A file (CSV, JSON lines, Parquet, Excel), s3://…, postgresql://…, mysql://…, "
            "elasticsearch+http(s)://…, kafka://… (docs/imports.md).",
        ),
    ],
    source: Annotated[str, typer.Option(help="Event source id of rows that name none.")],
    id: Annotated[
        str, typer.Option(help="What it is called; the ids of its events are made from it. Default: from the location.")
    ] = "",
    mapping: Annotated[
        str | None, typer.Option(help="Row to payload (docs/mapping.md): a YAML or JSON file, or a ready-made name.")
    ] = None,
    event_type: Annotated[str, typer.Option(help="Instead of a mapping: each row is an event of this type.")] = "",
    profile: Annotated[str, typer.Option(help="With --event-type: the column of the profile id.")] = "",
    event_time: Annotated[str, typer.Option("--time", help="With --event-type: the column with its time.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be made of it. Sends nothing.")] = False,
    rows: Annotated[int, typer.Option(min=1, help="--dry-run: how many rows to look at.")] = 10_000,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last run under this id stopped.")] = False,
    format: Annotated[
        Format, typer.Option(help="Of files. auto: from the name, else from the first bytes.")
    ] = Format.auto,
    delimiter: Annotated[str, typer.Option(help="CSV: one character, or `tab`.")] = "",
    encoding: Annotated[str, typer.Option(help="CSV: such as cp1252.")] = "",
    columns: Annotated[str, typer.Option(help="CSV without a header line: names with commas between.")] = "",
    types: Annotated[
        list[str] | None, typer.Option("--type", help="CSV: COLUMN=integer|number|boolean|time|text. Several times.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="CSV: every cell is a text, whatever it looks like.")] = False,
    sheet: Annotated[str, typer.Option(help="Excel: the sheet. Default: the first.")] = "",
    table: Annotated[str, typer.Option(help="Database: a table or view.")] = "",
    query: Annotated[str, typer.Option(help="Database: a SELECT.")] = "",
    key: Annotated[
        str, typer.Option(help="Database: columns that tell rows apart, commas between. Default: the primary key.")
    ] = "",
    search: Annotated[str, typer.Option(help="Elasticsearch: a query as JSON.")] = "",
    username: Annotated[str, typer.Option(help="Database, Elasticsearch.")] = "",
    password: Annotated[str, typer.Option(help="env:NAME: the variable that holds it.")] = "",
    ca_file: Annotated[str, typer.Option(help="Elasticsearch: the authority to trust, a PEM file.")] = "",
    option: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE for libpq, PyMySQL or librdkafka; secrets as env:NAME.")
    ] = None,
    endpoint_url: Annotated[str, typer.Option(help="S3: of a server other than AWS.")] = "",
    region: Annotated[str, typer.Option(help="S3.")] = "",
    access_key_id: Annotated[str, typer.Option(help="S3. Default: AWS's default chain.")] = "",
    secret_access_key: Annotated[str, typer.Option(help="S3: env:NAME.")] = "",
    priority: Annotated[
        Priority, typer.Option(help="normal: live events go first. live: it takes what it can get.")
    ] = Priority.normal,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for machines.")] = False,
    bootstrap: Annotated[str, typer.Option(help="Kafka. Default: that of the hub that runs here.")] = "",
    data: Annotated[Path | None, typer.Option(help="Data folder of the hub. Default: HUB_DATA.")] = None,
) -> None:
    """
    Import rows as events, each once: the same command again, or `--resume` after a kill, stores nothing twice.

    For example `hub import orders.csv --source shop --event-type order-placed --profile customer --time placed`.

    Rows that make no payload become dead letters. Exits with 1 when there are some, with 2 when it had to stop.
    """
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from pydantic import ValidationError

    from hub.cli import imported
    from hub.cli.mapping_file import mapping_document
    from hub.definitions.wording import said
    from hub.errors import HubError, Refused
    from hub.imports.sources import default_id
    from hub.imports.spec import ImportSpec
    from hub.logs import configure

    settings = load()
    configure(settings.log.model_copy(update={"level": "error"}))  # the report says it all
    wanted: dict[str, Any] = {
        "id": id or default_id(location, table, query, sheet),
        "location": location,
        "source": source,
        "mapping": None if mapping is None else mapping_document(mapping),
        "event_type": event_type,
        "profile": profile,
        "time": event_time,
        "format": format.value,
        "delimiter": "\t" if delimiter in ("tab", "\\t") else delimiter,
        "encoding": encoding,
        "columns": _names(columns),
        "types": _pairs(types or [], "--type"),
        "all_text": text,
        "sheet": sheet,
        "table": table,
        "query": query,
        "key": _names(key),
        "search": _json(search),
        "username": username,
        "password": password,
        "ca_file": ca_file,
        "options": _pairs(option or [], "--option"),
        "endpoint_url": endpoint_url,
        "region": region,
        "access_key_id": access_key_id,
        "secret_access_key": secret_access_key,
        "priority": priority.value,
    }
    try:
        spec = ImportSpec.model_validate(wanted)
    except ValidationError as exc:
        for error in exc.errors():
            where = ".".join(map(str, error["loc"]))
            typer.echo(f"hub import: {where}: {said(error)}".replace(": : ", ": "), err=True)
        raise typer.Exit(FAILED) from exc
    try:
        place = imported.place(settings, data, bootstrap, os.environ, lambda: time.time_ns() // 1_000_000)
        if dry_run:
            bad = imported.rehearse(spec, place, rows, as_json=as_json)
        else:
            bad = imported.run(spec, place, resume=resume, as_json=as_json)
    except HubError as exc:
        again = "" if isinstance(exc, Refused) else " The same command with --resume goes on."
        typer.echo(f"hub import: {getattr(exc, 'detail', exc)}.{again}".replace("..", "."), err=True)
        raise typer.Exit(FAILED) from exc
    except KeyboardInterrupt:
        typer.echo("hub import: interrupted. The same command with --resume goes on.", err=True)
        raise typer.Exit(FAILED) from None
    if bad:
        raise typer.Exit(DEAD)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"expected NAME=VALUE, not {text!r}", param_hint=option)
        pairs[name] = value
    return pairs


def _json(text: str) -> dict[str, Any] | None:
    if not text:
        return None
    import json

    try:
        value = json.loads(text)
    except ValueError as exc:
        raise typer.BadParameter(f"not JSON: {exc}", param_hint="--search") from exc
    if not isinstance(value, dict):
        raise typer.BadParameter("expected a JSON object", param_hint="--search")
    return value
