"""`hub send`: the rows of a file into the hub, over REST or through a Kafka topic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from hub.cli.settings import load

DEFAULT_TOPIC_PARTITIONS: Final = 6


class Via(StrEnum):
    """The way into the hub."""

    rest = "rest"
    kafka = "kafka"


class Priority(StrEnum):
    """Who goes first."""

    bulk = "bulk"
    live = "live"


class Format(StrEnum):
    """How the file is written."""

    auto = "auto"
    csv = "csv"
    jsonl = "jsonl"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("send", rich_help_panel="Data in and out")(send)


def send(
    file: Annotated[
        Path, typer.Argument(help="CSV with a header line, or JSON lines; either may be gzip. `-`: stdin.")
    ],
    via: Annotated[Via, typer.Option(help="rest: POST /track. kafka: a topic that a bridge pulls.")] = Via.rest,
    mapping: Annotated[
        str | None,
        typer.Option(
            help="Row to /track payload (docs/mapping.md): a YAML or JSON file, or a ready-made one's name. "
            "Without: rows as they are."
        ),
    ] = None,
    source: Annotated[str, typer.Option(help="Event source id of rows that name none.")] = "",
    url: Annotated[str, typer.Option(help="rest: the hub. Default: the one that runs here, else its usual port.")] = "",
    bootstrap: Annotated[
        str, typer.Option(help="kafka: brokers. Default: HUB_KAFKA__BOOTSTRAP, else those of the hub that runs here.")
    ] = "",
    topic: Annotated[str, typer.Option(help="kafka: the topic.")] = "",
    key: Annotated[str | None, typer.Option(help="kafka, without a mapping: JMESPath of the message's key.")] = None,
    make_topic: Annotated[bool, typer.Option("--make-topic", help="kafka: make the topic if it is missing.")] = False,
    data: Annotated[Path | None, typer.Option(help="Data folder of the hub that runs here. Default: HUB_DATA.")] = None,
    name: Annotated[
        str, typer.Option(help="What the file is called in the ids. Default: its file name. Needed for stdin.")
    ] = "",
    format: Annotated[Format, typer.Option(help="auto: seen from the first bytes.")] = Format.auto,
    delimiter: Annotated[
        str | None, typer.Option(help="CSV: one character, or `space` for any white space. Default: from the header.")
    ] = None,
    from_line: Annotated[int, typer.Option(min=1, help="First line of the file to send.")] = 1,
    lines: Annotated[str | None, typer.Option(help="Only lines A to B of the file, as A:B.")] = None,
    every: Annotated[
        str | None, typer.Option(help="N/K: of the data rows only each Nth, beginning with row K, counted from 0.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option("--resume", help="Keep progress in this file, and go on from there.")
    ] = None,
    batch: Annotated[
        bool, typer.Option("--batch", help="Rows of one profile that follow each other share a payload. Same events.")
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, max=1024, help="rest: connections.")] = 32,
    priority: Annotated[
        Priority, typer.Option(help="rest: bulk waits so that live events are not delayed; live does not.")
    ] = Priority.bulk,
    give_up_after: Annotated[
        float | None, typer.Option(min=0, help="Seconds without success until it gives up. Default: never.")
    ] = None,
) -> None:
    """
    Send the rows of a file as events: `hub send sales.csv --mapping sales.yaml --source shop`.

    Line N of the same file is the same event, however often and whichever way it is sent. Exits with 1 when rows were
    refused; the others are sent all the same.
    """
    # here, not above: every process of the hub is `hub …`, and need not import what this does
    from hub.cli.mapping_file import mapping_document
    from hub.cli.sending import run, where
    from hub.send import Options
    from hub.send.rows import SPACES

    settings = load()
    first, last = _line_range(lines)
    if str(file) == "-" and not name:
        raise typer.BadParameter("stdin needs a name: the ids of the events are made from it", param_hint="--name")
    if delimiter not in (None, "space") and len(delimiter) != 1:
        raise typer.BadParameter("expected one character, or `space`", param_hint="--delimiter")
    options = Options(
        file=file,
        via=via.value,
        mapping=None if mapping is None else mapping_document(mapping),
        source=source,
        name=name,
        format=format.value,
        delimiter=SPACES if delimiter == "space" else delimiter,
        first_line=max(first, from_line),
        last_line=last,
        every=_step(every),
        checkpoint=checkpoint,
        batch=batch,
        give_up_after_s=give_up_after,
        concurrency=concurrency,
        priority=priority.value,
        key=key,
        topic=topic,
        make_topic=DEFAULT_TOPIC_PARTITIONS if make_topic else 0,
    )
    if not run(where(options, settings, data, url, bootstrap)):
        raise typer.Exit(1)


def _line_range(text: str | None) -> tuple[int, int | None]:
    if text is None:
        return 1, None
    first, _, last = text.partition(":")
    try:
        return int(first or 1), int(last) if last else None
    except ValueError as exc:
        raise typer.BadParameter("expected A:B, such as 2:1000", param_hint="--lines") from exc


def _step(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 0
    step, _, start = text.partition("/")
    try:
        found = int(step), int(start or 0)
    except ValueError as exc:
        raise typer.BadParameter("expected N/K, such as 2/0", param_hint="--every") from exc
    if not 0 <= found[1] < found[0]:
        raise typer.BadParameter("N/K: K goes from 0 to N - 1", param_hint="--every")
    return found
