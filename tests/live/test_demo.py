"""`hub demo`: real purchases through a real hub, twice: a part of them; and, as a new user runs it, all."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
from pathlib import Path

import pytest

from hub.demo.run import FILE
from hub.demo.show import show
from hub.settings import Settings
from tests.live.whole_hub import environment, hub, left_on

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


def part_of_it(path: Path) -> int:
    """Every hundredth customer's purchases, to a file of their own. Returns how many."""
    with gzip.open(FILE, "rt") as whole, gzip.open(path, "wt") as part:
        head, *rows = whole
        kept = [row for row in rows if int(row.split()[0]) % 100 == 7]
        part.writelines([head, *kept])
    return len(kept)


@pytest.mark.slow
@pytest.mark.first
@pytest.mark.timeout(300)
def test_every_cent_is_there_and_a_second_run_changes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in os.environ.keys() - environment().keys():
        monkeypatch.delenv(name)
    file, data = tmp_path / "purchases.txt.gz", tmp_path / "data"
    count = f"{part_of_it(file):,}"
    once = {
        "received": count, "stored": count, "duplicate": "0", "dropped": "0", "dead": "0", "in flight": "0",
        "balanced": "yes",
    }  # fmt: skip

    assert show(Settings(), data, 0, file)
    first = capfd.readouterr().out
    assert f"{count} purchases" in first
    assert "nothing changed" not in first
    assert sheet(first) == once
    assert left_on(data) == []

    assert show(Settings(), data, 0, file)
    second = capfd.readouterr().out
    assert f"nothing changed: all {count} purchases were here already" in second
    assert sheet(second) == once | {"received": f"{2 * int(count.replace(',', '')):,}", "duplicate": count}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_all_of_it_as_a_new_user_runs_it(tmp_path: Path) -> None:
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
