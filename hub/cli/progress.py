"""How far a command is: a bar on a terminal, a line every five seconds elsewhere; both on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

SHOW_EVERY_S: Final = 0.1
LINE_EVERY_S: Final = 5.0


class Step(Protocol):
    """What is being done, and how much of it. `total`: 0 while nobody knows."""

    @property
    def what(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...


@contextmanager
def shown(figures: Callable[[Step], str]) -> Iterator[Callable[[Step], None]]:
    """To be called with each step. Args: figures: of a step, in words; "": none."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    every_s = SHOW_EVERY_S if console.is_terminal else LINE_EVERY_S
    columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None, figures="")
        told_at, told = time.monotonic(), ""

        def show(step: Step) -> None:
            nonlocal told_at, told
            now = time.monotonic()
            if now - told_at < every_s and (step.what == told or not console.is_terminal):
                return
            told_at, told = now, step.what
            said = figures(step)
            if console.is_terminal:
                bar.update(task, description=step.what, total=step.total or None, completed=step.done, figures=said)
            else:
                sys.stderr.write(f"{step.what}: {said}\n" if said else f"{step.what}\n")

        yield show
