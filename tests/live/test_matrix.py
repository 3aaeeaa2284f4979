"""The kill matrix at its smallest: one broker, three kills of its bridge, one change of its password."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.live.whole_hub import left_on
from tests.matrix import page
from tests.matrix.run import Options, run

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_a_bridge_that_is_killed_and_locked_out_loses_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    options = Options(kills=3, messages=1_000, faults=("bridge", "credential"))
    result = run("redis_streams", options, tmp_path / "run", lines.append)
    assert result.good, (result, lines)
    assert (result.figures["bridge"].times, result.figures["credential"].times) == (3, 1)
    assert sum(figures.messages for figures in result.figures.values()) >= 1_000
    assert min(result.figures[fault].messages for fault in options.faults) > 50, "the load was not there"
    assert left_on(tmp_path) == []

    conditions = {"date": "2026-12-01 10:00 UTC", "commit": "abc", "machine": "2 cores"}
    page.write([result], "the command", conditions, tmp_path)
    assert json.loads((tmp_path / page.JSON).read_text())["redis_streams"]["faults"]["bridge"]["lost"] == 0
    text = (tmp_path / page.PAGE).read_text()
    assert f"| bridge | {result.figures['bridge'].messages:,} | 3 | 0 | 0 | 0 | " in text
    assert result.product in text
