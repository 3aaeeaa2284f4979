"""What `hub send` does with its options: finds the hub, sends, shows how far it is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import stamina.instrumentation
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from hub.cli.brokers import kafka_of
from hub.edge.expression import ExpressionError
from hub.edge.mapping import MappingError
from hub.send import Options, SendError, Summary, send_file
from hub.send import Progress as Sent
from hub.send.rows import RowsError
from hub.settings import Settings
from hub.stack import state

LINE_EVERY_S: Final = 5.0
SHOWN_REFUSALS: Final = 20


def run(options: Options) -> bool:
    """Send, and say how it went. Returns whether no row was refused; exits with 2 when it had to stop."""
    stamina.instrumentation.set_on_retry_hooks([])  # the count at the end says it; a line a retry would bury it
    try:
        with _shown(str(options.file)) as show:
            summary = send_file(options, show)
    except (SendError, RowsError, MappingError, ExpressionError, OSError) as exc:
        typer.echo(f"stopped: {exc}", err=True)
        raise typer.Exit(2) from exc
    _report(summary)
    return not summary.refused


def where(options: Options, settings: Settings, data: Path | None, url: str, bootstrap: str) -> Options:
    """The options with the address of the hub, or of its Kafka, filled in. Raises typer.BadParameter."""
    running = state.read(data or settings.data) if (data or settings.data).is_dir() else None
    if options.via == "rest":
        return replace(
            options,
            url=url or (running.url if running else f"{settings.api.scheme}://127.0.0.1:{settings.api.port}"),
            ca_file=settings.api.ca_file,
            api_key=settings.key.get_secret_value() if settings.key else "",
        )
    kafka = kafka_of(settings.kafka, running, bootstrap)
    if not options.topic:
        raise typer.BadParameter("which topic?", param_hint="--topic")
    return replace(options, kafka=kafka)


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
