"""From accepted to queryable at 1,000 events/s, and beside one profile that has nearly all of the traffic."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from tests.bench import payloads, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write

RATE = 1_000
SECONDS = 8
QUIET_RATE = 100
"""Low enough for what an acknowledgement takes to show, not what the processors do."""


def how(rate: int, each: str = "twentieth") -> str:
    """The conditions."""
    return (
        f"API and collector as processes, an embedded Kafka, SQLite; {rate:,} single events of 550 bytes a second "
        f"for {SECONDS} s, sent by the clock (an open loop), one mapping of four fields. Every {each} event is asked "
        "for with GET /events/{id} every 3 ms from its answer on, until it is there: that is the latency. Loader, API, "
        "collector and Kafka share the cores."
    )


def seen(bench: Bench, hot: int) -> list[dict[str, Any]]:
    """Runs with `hot` of each 101 events on one profile; the first is warm-up."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    with ExitStack() as stack:
        bench.open_store().close()
        stack.enter_context(processes.hub("collector", bench.folder, bench.variables()))
        api = stack.enter_context(processes.api(bench.folder, bench.variables()))
        return [processes.ask("visibility", api.port, RATE, SECONDS, hot, 20) for _ in range(RUNS + 1)][1:]


def beside(bench: Bench, variables: dict[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Runs with these settings and without, in turns, each in a namespace of its own; the first of each is warm-up."""
    without = f"{bench.namespace}without"
    bench.prepare(without)
    with ExitStack() as stack:
        ports = []
        for namespace, more in ((bench.namespace, variables), (without, {})):
            bench.define("mapping", "spending", dict(payloads.MAPPING), namespace)
            folder = bench.folder / namespace
            folder.mkdir()
            settings = {**bench.variables(namespace, f"sqlite:///{folder / 'hub.sqlite'}"), **more}
            stack.enter_context(processes.hub("collector", folder, settings))
            ports.append(stack.enter_context(processes.api(folder, settings)).port)
        rounds = [
            [processes.ask("visibility", port, QUIET_RATE, SECONDS, 0, 5) for port in ports] for _ in range(RUNS + 1)
        ]
    return [one for one, _ in rounds[1:]], [other for _, other in rounds[1:]]


def row(runs: list[dict[str, Any]], what: str, of: str, quantile: str, limit: float | None = None) -> Row:
    """One quantile of each run."""
    floor = None if limit is None else Floor(limit, at_most=True)
    return Row(what, [run[of][quantile] for run in runs], (), floor)


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_latency(bench: Bench) -> None:
    """p50 under 100 ms, p99 under 250 ms."""
    runs = seen(bench, hot=0)
    write(
        "8. Accepted to queryable",
        how(RATE),
        [
            row(runs, "answer of /track, p50, ms", "accepted", "p50"),
            row(runs, "answer of /track, p99, ms", "accepted", "p99"),
            row(runs, "queryable, p50, ms", "visible", "p50", 100),
            row(runs, "queryable, p99, ms", "visible", "p99", 250),
        ],
        bench.began,
    )


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_hot_profile(bench: Bench) -> None:
    """One profile with a hundred times the traffic of all others together starves nobody."""
    runs = seen(bench, hot=100)
    write(
        "9. Accepted to queryable beside a hot profile",
        f"{how(RATE)} 100 of each 101 events belong to one profile.",
        [
            row(runs, "the others, p50, ms", "visible", "p50", 100),
            row(runs, "the others, p99, ms", "visible", "p99", 250),
            row(runs, "the hot profile, p50, ms", "hot", "p50", 100),
            row(runs, "the hot profile, p99, ms", "hot", "p99", 250),
        ],
        bench.began,
    )


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_shredding_latency(bench: Bench) -> None:
    """What it costs that the key of a record is durable before the record is sent; `bare` is without."""
    sealed, plain = beside(bench, {"HUB_PRIVACY__SHREDDING": "true", "HUB_SECRET_KEY": "of the benchmark"})
    rows = [
        Row(
            f"{what}, {quantile}, ms",
            [run[of][quantile] for run in sealed],
            [run[of][quantile] for run in plain],
        )
        for what, of in (("answer of /track", "accepted"), ("queryable", "visible"))
        for quantile in ("p50", "p99")
    ]
    beside_it = "With HUB_PRIVACY__SHREDDING; `bare` is another hub without, on the same Kafka, in turns."
    conditions = f"{how(QUIET_RATE, 'fifth')} {beside_it}"
    write("8b. Accepted to queryable, with crypto-shredding", conditions, rows, bench.began)
