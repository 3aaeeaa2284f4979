"""The figure of how much more collectors store: docs/scaling.svg, and its table in docs/scaling.md."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = DOCS / "scaling.md"
FIGURE: Final = DOCS / "scaling.svg"
BEGIN: Final = "<!-- figure: made by the benchmark -->"
END: Final = "<!-- end of the figure -->"
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 300, 70, 40, 20


def show(
    rates: Mapping[int, Sequence[float]], bare: Sequence[float], machine: str, page: Path = PAGE, svg: Path = FIGURE
) -> None:
    """
    Draw it, and put it with its table into the page.

    Args: rates: events/s of each run by number of collectors. bare: of the store's client alone. machine: in words.
    """
    ours = {count: statistics.median(some) for count, some in rates.items()}
    alone = statistics.median(bare)
    svg.write_text(_drawn(ours, alone))
    lines = [
        "| collectors | events/s | to one | to the bare client |",
        "| ---: | ---: | ---: | ---: |",
        *(f"| {count} | {rate:,.0f} | {rate / ours[1]:.2f} | {rate / alone:.2f} |" for count, rate in ours.items()),
    ]
    text = "\n".join(
        [BEGIN, "", f"![Events a second by collectors]({svg.name})", "", *lines, "", f"{machine}.", "", END]
    )
    old = page.read_text()
    assert BEGIN in old, f"{page} has no place for the figure"
    page.write_text(re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: text, old, flags=re.DOTALL))


def _drawn(ours: Mapping[int, float], alone: float) -> str:
    most = max(*ours.values(), alone, ours[1] * max(ours)) * 1.05
    step = (WIDTH - LEFT - 20) / max(ours)

    def x(count: float) -> float:
        return LEFT + count * step

    def y(rate: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * rate / most

    def line(points: Sequence[tuple[float, float]], style: str) -> str:
        path = " ".join(f"{x(count):.1f},{y(rate):.1f}" for count, rate in points)
        return f'<polyline points="{path}" fill="none" {style}/>'

    def text(at_x: float, at_y: float, words: str, anchor: str = "start") -> str:
        return f'<text x="{at_x:.1f}" y="{at_y:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<style>text { font: 12px sans-serif }</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        line([(0, most), (0, 0), (max(ours), 0)], 'stroke="black"'),
        line([(0, 0), (max(ours), ours[1] * max(ours))], 'stroke="gray" stroke-dasharray="4"'),
        text(x(max(ours)), y(ours[1] * max(ours)) + 14, "as much more as collectors", "end"),
        line([(0, alone), (max(ours), alone)], 'stroke="darkorange" stroke-dasharray="8 3"'),
        text(LEFT + 6, y(alone) - 5, f"the store's bare client: {alone:,.0f}"),
        line(list(ours.items()), 'stroke="steelblue" stroke-width="2"'),
    ]
    for count, rate in ours.items():
        parts.append(f'<circle cx="{x(count):.1f}" cy="{y(rate):.1f}" r="4" fill="steelblue"/>')
        parts.append(text(x(count) - 6, y(rate) + 18, f"{rate:,.0f}", "end"))
        parts.append(text(x(count), HEIGHT - BOTTOM + 16, str(count), "middle"))
    parts.append(text(x(max(ours) / 2), HEIGHT - 6, "collectors", "middle"))
    parts.append(text(LEFT - 6, TOP + 4, "events/s", "end"))
    return "\n".join([*parts, "</svg>", ""])
