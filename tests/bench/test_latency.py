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
HOW = (
    f"API and collector as processes, an embedded Kafka, SQLite; {RATE:,} single events of about 550 bytes a second "
    f"for {SECONDS} s, sent by the clock (an open loop), one mapping of four fields. Every twentieth event is asked "
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
        HOW,
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
        f"{HOW} 100 of each 101 events belong to one profile.",
        [
            row(runs, "the others, p50, ms", "visible", "p50", 100),
            row(runs, "the others, p99, ms", "visible", "p99", 250),
            row(runs, "the hot profile, p50, ms", "hot", "p50", 100),
            row(runs, "the hot profile, p99, ms", "hot", "p99", 250),
        ],
        bench.began,
    )
