"""The collector from a cold start to the end of the log, on one core, beside its parts alone."""

from __future__ import annotations

from contextlib import closing

import pytest

from hub.store.factory import open_store
from tests.bench import payloads, preload, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course, follow

EVENTS = 200_000
CORE = 0
PARTS = ("decode", "load", "process", "memory", "encode_stored")
HOW = (
    f"{EVENTS:,} records of events.v1, a purchase of {payloads.SINGLE_BYTES} bytes of JSON in each, made by the edge's "
    f"own code; {payloads.PROFILES:,} profiles with a session each, one mapping of four fields; SQLite (WAL), "
    "stored.v1 written, offsets committed. The collector's process may use one core, on which Kafka may run too; store "
    "and caches begin empty; from the first stored batch to the last. The parts: another process on one core, a new "
    "store, the same batches, one part after the other. `bare` is the store's bulk rate; the log's is that of a bare "
    "consumer."
)


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_collector(bench: Bench) -> None:
    """At least 8,000 events/s on one core, everything included."""
    bench.define("mapping", "spending", dict(payloads.MAPPING))
    preload.events(bench.kafka, bench.namespace, EVENTS)
    courses, parts = [], []
    for run in range(RUNS):
        courses.append(collect(bench, run))
        url = f"sqlite:///{bench.folder / f'bare-{run}.sqlite'}"
        parts.append(processes.ask("bare_store", bench.kafka.bootstrap, bench.namespace, url, EVENTS, core=CORE))
    bare = [part["rate"]["store"] for part in parts]
    bare_cpu = [part["cpu_s_per_100k"]["store"] for part in parts]
    write(
        "3. Collector",
        HOW,
        [
            Row("events/s", [course.rate for course in courses], bare, Floor(8_000)),
            Row("events per CPU second", [100_000 / course.cpu_s_per_100k for course in courses]),
            Row("CPU s per 100,000 events", [course.cpu_s_per_100k for course in courses], bare_cpu),
            Row("the log alone, records/s", [part["rate"]["log"] for part in parts]),
            *(
                Row(f"{name} alone, CPU s per 100,000 events", [part["cpu_s_per_100k"][name] for part in parts])
                for name in PARTS
            ),
        ],
        bench.began,
    )


def collect(bench: Bench, run: int) -> Course:
    """One run, with a store of its own: a collector starts where its store says."""
    url = f"sqlite:///{bench.folder / f'hub-{run}.sqlite'}"
    with closing(open_store(url)) as store:
        variables = bench.variables(store_url=url)
        with processes.hub("collector", bench.folder, variables, core=CORE) as process:
            course = follow(process, lambda: sum(store.latest_progress()[1].values()), EVENTS, timeout_s=240)
        totals = [counts for _, counts in store.counters()]
        assert sum(counts.stored for counts in totals) == EVENTS
        assert store.count("profiles", "") == payloads.PROFILES
    return course
