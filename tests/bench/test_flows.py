"""What a run of a flow costs: five nodes, on one core, without what its effects cost."""

from __future__ import annotations

import pytest

from tests.bench import processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.test_collector import CORE

FLOWS = 20_000
CONDITIONS = (
    f"`run` alone, one process on one core, {FLOWS:,} runs of a flow of five nodes that all run (start, if, compute, "
    "update-profile, raise-event), compiled once, each run for an event and profile of its own; traced, with a clock. "
    "`bare` is the same five steps as a Python function."
)


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_flow_runs(bench: Bench) -> None:
    """At least 500 runs/s on one core."""
    runs = [processes.ask("flow_runs", FLOWS, core=CORE) for _ in range(RUNS)]
    rows = [
        Row("runs/s", [run["runs_per_s"] for run in runs], [run["bare_per_s"] for run in runs], Floor(500)),
        Row("CPU s per 100,000 runs", [run["cpu_s_per_100k"] for run in runs]),
    ]
    write("18. Runs of flows", CONDITIONS, rows, bench.began)
