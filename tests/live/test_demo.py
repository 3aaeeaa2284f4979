"""`hub demo` as a new user runs it: 69,659 real purchases through a real hub, twice."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.live.whole_hub import hub, left_on

FIGURES = ("23,570 customers", "69,659 purchases", "167,881 CDs", "2,500,315.63 dollars")


def sheet(output: str) -> dict[str, str]:
    """The balance sheet that it prints."""
    names = "received|stored|duplicate|dropped|dead|in flight|balanced"
    return {match[1]: match[2] for match in re.finditer(rf"^  ({names}) +(\S+)$", output, re.MULTILINE)}


def demo(data: Path) -> str:
    """What it prints; it has stopped its hub again."""
    result: subprocess.CompletedProcess[str] = hub("demo", "--data", data, "--port", "0", timeout_s=240)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WRONG" not in result.stdout
    assert left_on(data) == []
    return result.stdout


@pytest.mark.timeout(600)
def test_every_cent_is_there_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"

    first = demo(data)
    print(first)
    for figure in FIGURES:
        assert figure in first
    assert "nothing changed" not in first
    assert sheet(first) == {
        "received": "69,659", "stored": "69,659", "duplicate": "0", "dropped": "0", "dead": "0", "in flight": "0",
        "balanced": "yes",
    }  # fmt: skip

    second = demo(data)
    print(second)
    for figure in FIGURES:
        assert figure in second
    assert "nothing changed: all 69,659 purchases were here already" in second
    assert sheet(second) == {
        "received": "139,318", "stored": "69,659", "duplicate": "69,659", "dropped": "0", "dead": "0", "in flight": "0",
        "balanced": "yes",
    }  # fmt: skip
