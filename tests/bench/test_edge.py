"""POST /track, answered after Kafka's acknowledgement: one API process beside the bare edge, in turn."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import mean
from typing import Any, NamedTuple

import pytest

from hub.settings import Kafka
from tests.bench import payloads, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write

HOW = (
    "One server process, 64 kept-alive connections, a request at a time on each, {body}; profile and session of "
    "15,000. Loader (a Python process), server and Kafka share the cores; acks=all on one broker, so an "
    "acknowledgement is its page cache. {seconds:g} s a run after 1 s of warm-up; ours and the bare edge in turn, both "
    "with the default linger of {linger:g} ms. Server {ours:.2f} (bare {bare:.2f}) cores busy, loader {loader:.1f} "
    "CPU s per 100,000 requests."
)
SECONDS = 5.0

Seen = list[dict[str, Any]]


class Loaded(NamedTuple):
    """What the loader has seen, run by run."""

    ours: Seen
    bare: Seen

    def row(self, what: str, name: str, times: float = 1.0, floor: Floor | None = None) -> Row:
        """A figure of ours beside the bare edge's."""
        return Row(what, column(self.ours, name, times), column(self.bare, name, times), floor)

    def how(self, body: str) -> str:
        """The conditions, with how busy who was."""
        return HOW.format(
            body=body,
            seconds=SECONDS,
            linger=Kafka().linger_ms,
            ours=mean(column(self.ours, "server_cores")),
            bare=mean(column(self.bare, "server_cores")),
            loader=mean(column(self.ours, "loader_cpu_s_per_100k")),
        )


def measure(bench: Bench, shape: str, **options: float) -> Loaded:
    """Two servers in turn."""
    bench.open_store().close()  # or the API would not be ready
    topic = f"{bench.namespace}bare"
    bench.prepare(topic)
    loaded = Loaded([], [])
    with ExitStack() as stack:
        servers = (
            stack.enter_context(processes.api(bench.folder, bench.variables())),
            stack.enter_context(
                processes.bare_edge(bench.folder, bench.kafka.bootstrap, f"{topic}.events.v1", Kafka().linger_ms)
            ),
        )
        for _ in range(RUNS):
            for server, seen in zip(servers, loaded, strict=True):
                seen.append(processes.load(server, shape, seconds=SECONDS, **options))
    return loaded


def column(seen: Seen, name: str, times: float = 1.0) -> list[float]:
    """One figure of each run."""
    return [times * run[name] for run in seen]


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_edge_one_event(bench: Bench) -> None:
    """At least 60 % of the bare edge's rate."""
    seen = measure(bench, "single")
    write(
        "1. POST /track, one event of 800 bytes",
        seen.how(f"{payloads.SINGLE_BYTES} bytes of JSON"),
        [
            seen.row("requests/s", "rate", floor=Floor(0.60, "ratio")),
            seen.row("p50, ms", "p50_ms"),
            seen.row("p99, ms", "p99_ms"),
            seen.row("CPU s per 100,000 requests", "cpu_s_per_100k"),
        ],
        bench.began,
    )


@pytest.mark.bench
@pytest.mark.timeout(300)
def test_edge_fifty_events(bench: Bench) -> None:
    """At least 50,000 events/s from one process."""
    seen = measure(bench, "many", different=2_000)
    each, size = payloads.EVENTS, len(payloads.many(0))
    write(
        "2. POST /track, 50 events in a payload",
        seen.how(f"{each} events of about {payloads.EVENT_BYTES} bytes ({size:,} bytes of JSON)"),
        [
            seen.row("events/s", "rate", each, Floor(50_000)),
            seen.row("p50, ms", "p50_ms"),
            seen.row("p99, ms", "p99_ms"),
            seen.row("CPU s per 100,000 events", "cpu_s_per_100k", 1 / each),
        ],
        bench.began,
    )
