"""`hub send`: the rows of a file into the hub, over REST or through a Kafka topic."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import stamina.instrumentation
import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from hub.cli.settings import load
from hub.edge.expression import ExpressionError
from hub.edge.mapping import MappingError
from hub.send import Options, SendError, Summary, send_file
from hub.send import Progress as Sent
from hub.send.rows import SPACES, RowsError
from hub.settings import Settings
from hub.stack import state

LINE_EVERY_S: Final = 5.0
SHOWN_REFUSALS: Final = 20
DEFAULT_TOPIC_PARTITIONS: Final = 6


class Via(StrEnum):
    """The way into the hub."""

    rest = "rest"
    kafka = "kafka"


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
        Path | None, typer.Option(help="YAML file: row to /track payload (docs/mapping.md). Without: rows as they are.")
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
    lines: Annotated[str | None, typer.Option(help="A:B: only lines A to B of the file.")] = None,
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
    give_up_after: Annotated[
        float | None, typer.Option(min=0, help="Seconds without success until it gives up. Default: never.")
    ] = None,
) -> None:
    """
    Send the rows of a file as events.

    Line N of the same file is the same event, however often and whichever way it is sent. Exits with 1 when rows were
    refused; the others are sent all the same.
    """
    settings = load()
    first, last = _line_range(lines)
    if str(file) == "-" and not name:
        raise typer.BadParameter("stdin needs a name: the ids of the events are made from it", param_hint="--name")
    if delimiter not in (None, "space") and len(delimiter) != 1:
        raise typer.BadParameter("expected one character, or `space`", param_hint="--delimiter")
    options = Options(
        file=file,
        via=via.value,
        mapping=_document(mapping),
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
        key=key,
        topic=topic,
        make_topic=DEFAULT_TOPIC_PARTITIONS if make_topic else 0,
    )
    options = _where(options, settings, data, url, bootstrap)
    stamina.instrumentation.set_on_retry_hooks([])  # the count at the end says it; a line a retry would bury it
    try:
        with _shown(str(file)) as show:
            summary = send_file(options, show)
    except (SendError, RowsError, MappingError, ExpressionError, OSError) as exc:
        typer.echo(f"stopped: {exc}", err=True)
        raise typer.Exit(2) from exc
    _report(summary)
    if summary.refused:
        raise typer.Exit(1)


def _where(options: Options, settings: Settings, data: Path | None, url: str, bootstrap: str) -> Options:
    running = state.read(data or settings.data) if (data or settings.data).is_dir() else None
    if options.via == "rest":
        return replace(options, url=url or (running.url if running else f"http://127.0.0.1:{settings.api.port}"))
    brokers = bootstrap or settings.kafka.bootstrap or (running.kafka if running else "")
    if not brokers:
        raise typer.BadParameter("no hub runs here, so say where Kafka is", param_hint="--bootstrap")
    if not options.topic:
        raise typer.BadParameter("which topic?", param_hint="--topic")
    return replace(options, kafka=settings.kafka.model_copy(update={"bootstrap": brokers}))


def _document(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"{path}: {exc}", param_hint="--mapping") from exc
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path}: expected an object with `event`", param_hint="--mapping")
    return document


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


@contextmanager
def _shown(label: str) -> Iterator[Callable[[Sent], None]]:
    """A progress bar on a terminal, a line every five seconds elsewhere."""
    started = time.monotonic()
    if not sys.stderr.isatty():
        told_at = started

        def say(sent: Sent) -> None:
            nonlocal told_at
            now = time.monotonic()
            if now - told_at >= LINE_EVERY_S:
                told_at = now
                typer.echo(f"{label}: {_figures(sent, now - started)}", err=True)

        yield say
        return
    columns = TextColumn(label), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[figures]}")
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("send", total=None, figures="")

        def draw(sent: Sent) -> None:
            figures = _figures(sent, time.monotonic() - started)
            bar.update(task, total=sent.bytes_total or None, completed=sent.bytes_read, figures=figures)

        yield draw


def _figures(sent: Sent, took_s: float) -> str:
    rate = sent.sent / took_s if took_s > 0 else 0.0
    extra = "".join(
        f", {count:,} {word}" for count, word in ((sent.refused, "refused"), (sent.retried, "retries")) if count
    )
    return f"{sent.sent:,} rows, {rate:,.0f}/s{extra}"


def _report(summary: Summary) -> None:
    for line, reason in summary.refused[:SHOWN_REFUSALS]:
        typer.echo(f"line {line} refused: {reason}", err=True)
    if len(summary.refused) > SHOWN_REFUSALS:
        typer.echo(f"… and {len(summary.refused) - SHOWN_REFUSALS:,} more", err=True)
    typer.echo(
        f"sent {summary.sent:,} rows in {summary.took_s:.1f} s ({summary.rate:,.0f}/s), "
        f"refused {len(summary.refused):,}, retried {summary.retried:,}, skipped {summary.skipped:,}"
    )
