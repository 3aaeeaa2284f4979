"""`hub up` on a data folder that it knows, until it says that it is ready."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from hub.stack import state
from tests.bench import conditions
from tests.bench.processes import ROOT
from tests.bench.results import RUNS, Floor, Row, write

HOW = (
    "From the start of the command to its line `ready`, on a data folder on which a hub has run before; the jars are "
    "there. `bare` is the part of the servers that are not ours, Kafka and Valkey: from their start to that of our "
    "processes."
)
STOP_S = 60


class Start(NamedTuple):
    """Seconds that a start took, in all and until the servers were there."""

    whole_s: float
    servers_s: float


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_start(tmp_path: Path) -> None:
    """Under 10 seconds."""
    began = conditions.moment()
    start(tmp_path)
    starts = [start(tmp_path) for _ in range(RUNS)]
    row = Row(
        "seconds until ready", [s.whole_s for s in starts], [s.servers_s for s in starts], Floor(10, at_most=True)
    )
    write("6. hub up, warm", HOW, [row], began)


def start(data: Path) -> Start:
    """Start, and stop again."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HUB_")}
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "hub", "up", "--data", str(data), "--port", "0"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if re.match(r"ready http://", line):
                    break
            whole_s = time.perf_counter() - began
            run = state.read(data)
        finally:
            process.terminate()
            process.communicate(timeout=STOP_S)
    assert process.returncode == 0, "".join(lines)
    assert run is not None
    assert run.ready, "".join(lines)
    started = {one.name: one.started_at_ms for one in run.processes}
    return Start(whole_s, (started["api"] - started["kafka"]) / 1000)
