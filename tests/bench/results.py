"""RESULTS.md: one section a benchmark, which a new run of that benchmark replaces."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.bench import conditions

RESULTS: Final = Path(__file__).with_name("RESULTS.md")
RUNS: Final = 3
HEAD: Final = """# Results

Written by `make bench`; docs/benchmarks.md says what is measured and how. Median of {runs} runs, the lowest and the
highest in brackets. `ratio` is ours by bare, of the medians. Compare only within one section.

{machine}
"""


class Floor(NamedTuple):
    """What must hold, of the median or of the ratio to the bare client."""

    limit: float
    of: str = "ours"
    at_most: bool = False

    def text(self) -> str:
        """As the table has it."""
        return f"{'ratio ' if self.of == 'ratio' else ''}{'<=' if self.at_most else '>='} {_short(self.limit)}"

    def met(self, ours: float, ratio: float | None) -> bool:
        """Whether it holds. A ratio needs a bare client."""
        value = ratio if self.of == "ratio" else ours
        assert value is not None
        return value <= self.limit if self.at_most else value >= self.limit


class Row(NamedTuple):
    """One line: a figure of each run, and the bare client's."""

    what: str
    ours: Sequence[float]
    bare: Sequence[float] = ()
    floor: Floor | None = None

    @property
    def ratio(self) -> float | None:
        """Ours by bare; None where there is nothing bare."""
        if not self.bare or not statistics.median(self.bare):
            return None
        return statistics.median(self.ours) / statistics.median(self.bare)

    def cells(self) -> list[str]:
        """As text."""
        ratio = self.ratio
        met = "" if self.floor is None else "yes" if self.floor.met(statistics.median(self.ours), ratio) else "**no**"
        return [
            self.what,
            _spread(self.ours),
            _spread(self.bare),
            "" if ratio is None else f"{ratio:.2f}",
            "" if self.floor is None else self.floor.text(),
            met,
        ]


def write(title: str, how: str, rows: Sequence[Row], began: str, path: Path = RESULTS) -> None:
    """
    Put a section into the file, and print it.

    Args:
        title: With its number in front, which is its place in the file.
        how: Conditions of the figures, a sentence or two.
        began: `conditions.moment()` from before the measurement.
    """
    table = [["", "ours", "bare", "ratio", "floor", "met"], ["---", "---:", "---:", "---:", "---:", "---"]]
    table += [row.cells() for row in rows]
    lines = "\n".join(f"| {' | '.join(cells)} |" for cells in table)
    section = f"## {title}\n\n{began}. {how}\n\n{lines}\n"
    print(f"\n{section}")
    old = re.split(r"^(?=## )", path.read_text(), flags=re.MULTILINE)[1:] if path.exists() else []
    kept = [one.rstrip() + "\n" for one in old if not one.startswith(f"## {title}\n")]
    head = HEAD.format(runs=RUNS, machine=conditions.machine())
    path.write_text("\n".join([head, *sorted([*kept, section])]))


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    if len(values) == 1:
        return _short(values[0])
    return f"{_short(statistics.median(values))} ({_short(min(values))} to {_short(max(values))})"


def _short(value: float) -> str:
    """Three digits that count, or whole thousands."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
