"""The documentation lists what the code has, no more and no less."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from hub.settings import Settings
from tests.architecture.tables import DOCS, TABLES, insert
from workers.jobs.kinds import kinds

BENCH: Final = Path(__file__).parents[1] / "bench"


@pytest.mark.parametrize("name", TABLES)
def test_table_is_what_the_code_says(name: str) -> None:
    """If this fails: `.venv/bin/python -m tests.architecture.tables` writes the tables anew."""
    page, make = TABLES[name]
    text = (DOCS / page).read_text()
    assert insert(text, name, make()) == text


def test_every_benchmark_is_listed() -> None:
    """In docs/benchmarks.md, by the name that `python -m tests.bench` takes."""
    sources = (path.read_text() for path in BENCH.glob("test_*.py"))
    there = {name for source in sources for name in re.findall(r"^def test_(\w+)", source, re.MULTILINE)}
    rows = re.findall(r"^\| (`.*?) \|", (DOCS / "benchmarks.md").read_text(), re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row)) == sorted(there)


def test_what_processes_cost_is_what_was_measured() -> None:
    """In docs/sizing.md: cores for 1,000 a second are CPU seconds per 100,000, divided by 100."""
    results = {part.partition(".")[0]: part for part in (BENCH / "RESULTS.md").read_text().split("\n## ")}
    rows = re.findall(
        r"^\|.* \| ([\d.]+) \|.*\| sections? (\w+)(.*`bare`)?", (DOCS / "sizing.md").read_text(), re.MULTILINE
    )
    looked = 0
    for cores, section, is_bare in rows:
        found = re.search(r"^\| CPU s per 100,000[^|]*\| ([\d.]+)[^|]*\| ([\d.]*)", results[section], re.MULTILINE)
        if found:
            looked += 1
            assert cores == f"{float(found[2 if is_bare else 1]) / 100:.2f}", f"section {section}"
    assert looked >= 8


def test_every_kind_of_task_is_listed_with_its_queue() -> None:
    """In docs/tasks.md."""
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w:]+)` \|", (DOCS / "tasks.md").read_text(), re.MULTILINE)
    assert dict(rows) == {kind.name: kind.queue for kind in kinds(Settings()).values()}
