"""What the demo shows while it works: bars on a terminal, lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from hub.send import Progress as Sent

T = TypeVar("T")


class Screen:
    """Writes to one console."""

    def __init__(self, console: Console) -> None:
        """Args: console: where to."""
        self.console = console

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def follow(self, label: str, act: Callable[[Callable[[Sent], None]], T]) -> T:
        """Run a send with a bar."""
        with self._bar() as bar:
            task = bar.add_task(label, total=None, note="")
            return act(
                lambda sent: bar.update(
                    task, total=sent.bytes_total, completed=sent.bytes_read, note=f"{sent.sent:,} sent"
                )
            )

    def wait(self, goal: int, act: Callable[[Callable[[dict[str, int]], None]], T]) -> T:
        """Run a wait for the collector with a bar. Args: goal: events that have to be counted."""
        with self._bar() as bar:
            task = bar.add_task("collector", total=goal, note="")
            return act(
                lambda totals: bar.update(
                    task, completed=totals["received"] - totals["in_flight"], note=f"{totals['in_flight']:,} in flight"
                )
            )

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
