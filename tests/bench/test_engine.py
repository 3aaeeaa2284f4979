"""The collector into a search engine, beside bare bulks of the same documents by the official client."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import pytest

from hub.log.progress import Progress
from hub.search_engine import Layout, filled_in
from hub.store.factory import open_store, remove_store
from tests.bench import payloads, preload, processes
from tests.bench.conftest import Bench
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course, follow
from tests.kafka_tools import eventually
from tests.servers.running import own

EVENTS: Final = 20_000
WARM_UP: Final = 3_000
TITLES: Final = {"elasticsearch": "24. Collector into Elasticsearch", "opensearch": "25. Collector into OpenSearch"}
HOW: Final = (
    f"As section 3, {EVENTS:,} events of {payloads.SINGLE_BYTES} bytes, into one node as the tests start it (1 GB, no "
    "copies, refreshed each second), which shares the cores with Kafka and whoever writes. Ours is a `hub collector` "
    "from an empty store and empty caches, from the first stored batch to the last: of each batch the journal, the "
    "documents and the head, synced; then stored.v1 and the commit. `bare` is `client.bulk` of the official client "
    "with the finished documents of the same batches (three an event: itself, its profile, its session), in parts of "
    "the same size, one after the other; then by two threads."
)


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", TITLES)
def test_engine(bench: Bench, name: str) -> None:
    """At least 70 % of the bare bulk rate, everything included."""
    courses, parts = [], []
    with own(name, bench.folder / name) as engine:
        for run in range(RUNS):
            namespace = f"{bench.namespace}-{run}"
            bench.prepare(namespace)
            bench.define("mapping", "spending", dict(payloads.MAPPING), namespace)
            preload.events(bench.kafka, namespace, EVENTS)
            url = filled_in(f"{name}+{engine.url}", namespace, Layout(copies=0))
            if run == 0:
                bare(bench, namespace, url, WARM_UP)
            courses.append(collect(bench, namespace, f"{name}+{engine.url}", url))
            parts.append(bare(bench, namespace, url, EVENTS))
    alone, by_two = ([part["rate"][threads] for part in parts] for threads in ("1", "2"))
    rates = [course.rate for course in courses]
    write(
        TITLES[name],
        HOW,
        [
            Row("events/s", rates, alone, Floor(0.7, of="ratio")),
            Row("events/s, beside two bare threads", rates, by_two),
            Row(
                "CPU s of the client per 100,000 events",
                [course.cpu_s_per_100k for course in courses],
                [part["cpu_s_per_100k"]["1"] for part in parts],
            ),
        ],
        bench.began,
    )


def collect(bench: Bench, namespace: str, store_url: str, url: str) -> Course:
    """All of the log into a store that is made and removed. Args: store_url: as the setting. url: the whole of it."""
    variables = {**bench.variables(namespace, store_url), "HUB_STORE__COPIES": "0"}
    with closing(Progress(bench.kafka, namespace)) as progress:
        with processes.hub("collector", bench.folder, variables) as process:
            course = follow(process, lambda: sum(progress().values()), EVENTS, timeout_s=400)
        with closing(open_store(url, readonly=True)) as store:
            assert sum(counts.stored for _, counts in store.counters()) == EVENTS
            eventually(lambda: store.count("profiles", "") == min(EVENTS, payloads.PROFILES))
    remove_store(url)
    return course


def bare(bench: Bench, namespace: str, url: str, count: int) -> dict[str, dict[str, float]]:
    """The client alone; see tests.bench.bare_bulk."""
    return processes.ask("bare_bulk", bench.kafka.bootstrap, namespace, url, count)
