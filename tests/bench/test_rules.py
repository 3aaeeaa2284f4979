"""What rules cost: the collector with everything on, each step by itself, and the edge, which must not notice them."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.bench import payloads, preload, processes, rules
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.test_collector import CORE, EVENTS, collect
from tests.bench.test_edge import SECONDS, Loaded

COSTS = 40_000
ALL_ON = (
    f"As section 3, but the {EVENTS:,} records come from 40 different browsers, and ten rules (three filters, one of "
    "them robots; two validators; two of data-compliance, one hashes; three reshapers, one fits) and ten mappings of a "
    "line each are in force (tests/bench/rules.py). `bare` is the same log with none of them. Sessions are on in both."
)
STEPS = (
    f"`process` alone, one process on one core, {COSTS:,} events in batches of 500; CPU seconds per 100,000 events. "
    "Beside those of an event of a program with no rule in force: what each step adds, for events of 40 browsers."
)
EDGE = (
    f"As section 1 ({payloads.SINGLE_BYTES} bytes), {SECONDS:g} s a run; `bare` is an API in whose namespace there are "
    "no rules."
)


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_rules_collector(bench: Bench) -> None:
    """At least 6,000 events/s on one core with everything on."""
    preload.events(bench.kafka, bench.namespace, EVENTS, browsers=True)
    without = [collect(bench, run) for run in range(RUNS)]
    for definition in (*rules.RULES, *rules.MAPPINGS):
        bench.define(definition.kind, definition.id, dict(definition.spec))
    courses = [collect(bench, RUNS + run) for run in range(RUNS)]
    rates, bare = [course.rate for course in courses], [course.rate for course in without]
    cpu = [course.cpu_s_per_100k for course in courses]
    rows = [
        Row("events/s", rates, bare, Floor(6_000)),
        Row("CPU s per 100,000 events", cpu, [course.cpu_s_per_100k for course in without]),
    ]
    write("3b. Collector, everything on", ALL_ON, rows, bench.began)


@pytest.mark.bench
@pytest.mark.timeout(600)
def test_rules_steps(bench: Bench) -> None:
    """A figure for each."""
    runs = [processes.ask("step_costs", COSTS, core=CORE) for _ in range(RUNS)]
    rows = [Row(name, [run[name] for run in runs]) for name in runs[0]]
    write("3c. What each step costs", STEPS, rows, bench.began)


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_rules_edge(bench: Bench, tmp_path: Path) -> None:
    """At least 80 % of the edge's rate without rules."""
    bench.open_store().close()
    for definition in (*rules.RULES, *rules.MAPPINGS):
        bench.define(definition.kind, definition.id, dict(definition.spec))
    without = f"{bench.namespace}none"
    bench.prepare(without)
    seen = Loaded([], [])
    with ExitStack() as stack:
        servers = []
        for namespace in (bench.namespace, without):
            folder = tmp_path / namespace
            folder.mkdir()
            servers.append(stack.enter_context(processes.api(folder, bench.variables(namespace))))
        for _ in range(RUNS):
            for server, runs in zip(servers, seen, strict=True):
                runs.append(processes.load(server, "single", seconds=SECONDS))
    rows = [
        seen.row("requests/s", "rate", floor=Floor(0.8, "ratio")),
        seen.row("CPU s per 100,000 requests", "cpu_s_per_100k"),
    ]
    write("1b. POST /track, ten rules in force", EDGE, rows, bench.began)
