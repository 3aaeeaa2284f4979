"""Kafka's jars, with a progress bar on a terminal and plain lines elsewhere; and its first run, for faster ones."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import typer

from hub.stack import jars, training

STEP: Final = 10


def class_path(cache: Path) -> list[Path]:
    """Kafka's class path; downloads what is missing, runs Kafka once if it never was. Raises Unavailable, Refused."""
    found = _downloaded(cache)
    training.ensure(
        found,
        lambda: typer.echo("First start: running Kafka once, so that it starts in half the time from now on", err=True),
        lambda why: typer.echo(f"Kafka will start more slowly, at its next start this is tried again: {why}", err=True),
    )
    return found


def _downloaded(cache: Path) -> list[Path]:
    missing = len(jars.missing(cache))
    if not missing:
        return jars.resolve(cache)
    typer.echo(f"First start: downloading Kafka ({missing} jars, about 45 MB in all) to {cache}", err=True)
    if not sys.stderr.isatty():
        return jars.resolve(cache, _say)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # only a first start needs it

    columns = TextColumn("Kafka"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}")
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("", total=missing)
        return jars.resolve(cache, lambda jar, done, _: bar.update(task, completed=done, description=jar))


def _say(jar: str, done: int, total: int) -> None:
    if done % STEP == 0 or done == total:
        typer.echo(f"  {done} of {total} jars ({jar})", err=True)
