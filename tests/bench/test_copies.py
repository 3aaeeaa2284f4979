"""How fast stored events are copied: into their profiles by way of the log, and into their own index fields."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from typing import Final

import psutil
import pytest

from hub.jobs.queue import Call, JobQueue
from hub.redis import client
from hub.store.port import Store
from hub.task import OVER, Task, summed
from schemas.jobs import DO, EVENT_TO_PROFILE, PLAN, PROPERTIES_TO_TRAITS
from tests.bench import payloads, preload, processes
from tests.bench.conftest import Bench
from tests.bench.processes import Usage
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course
from tests.waiting import wait_for

EVENTS: Final = 200_000
HOW: Final = (
    f"{EVENTS:,} stored events of 800 bytes, of {payloads.PROFILES:,} profiles. One worker and one collector as "
    "processes, an embedded Kafka, SQLite; from the question until the task is done, which is when the collector has "
    "stored all of it. Each run is by a new mapping of five lines, or by a new version of the event type."
)
LINES: Final = (
    ("properties.price", "total", "add"),
    ("properties.price", "most", "max"),
    ("properties.product", "last", "set"),
    ("properties.product", "first", "set-if-empty"),
    ("properties.price", "least", "min"),
)


@pytest.mark.bench
@pytest.mark.timeout(1_500)
def test_copies(bench: Bench, valkey: str) -> None:
    """At least 5,000 events/s each."""
    preload.events(bench.kafka, bench.namespace, EVENTS)
    variables = {**bench.variables(), "HUB_REDIS__URL": valkey}
    with ExitStack() as stack:
        redis = stack.enter_context(closing(client(valkey)))

        def ask(id: str, kind: str, queue: str) -> None:
            """As the API does it."""
            assert store.add_task(Task(id=id, kind=kind, queue=queue, arguments={}, asked_ms=0))
            JobQueue(redis, bench.namespace, queue).enqueue([Call(DO, id, PLAN)])

        store = stack.enter_context(closing(bench.open_store()))
        collector = stack.enter_context(processes.hub("collector", bench.folder, variables))
        wait_for("all is stored", lambda: store.count("events", "") == EVENTS, 400)
        type = store.search("events", "", 1, None).items[0]["type"]
        copies, owners = [], []
        with processes.hub("worker", bench.folder, variables, arguments=[EVENT_TO_PROFILE]) as worker:
            for run in range(RUNS):
                fields = [{"event": event, "profile": f"traits.r{run}.{to}", "op": op} for event, to, op in LINES]
                bench.define("mapping", f"late-{run}", {"event_type": type, "fields": fields})
                used = Usage.of(collector)
                kind, id = "copy-events-to-profiles", f"copy-{run}"
                copies.append(_run(store, worker, id, partial(ask, id, kind, EVENT_TO_PROFILE)))
                owners.append((Usage.of(collector).cpu_s - used.cpu_s) / EVENTS * 100_000)
        indexed = []
        with processes.hub("worker", bench.folder, variables, arguments=[PROPERTIES_TO_TRAITS]) as worker:
            for run in range(RUNS):
                copied = {f"traits.r{run}": "properties.product", f"traits.price{run}": "properties.price"}
                bench.define("event-type", type, {"copied": copied})
                kind, id = "copy-properties-to-traits", f"index-{run}"
                indexed.append(_run(store, worker, id, partial(ask, id, kind, PROPERTIES_TO_TRAITS)))
    write(
        "19. Copies of stored events",
        HOW,
        [
            Row("into profiles, events/s", [one.rate for one in copies], (), Floor(5_000)),
            Row("CPU s of the worker per 100,000 events", [one.cpu_s_per_100k for one in copies]),
            Row("CPU s of the collector per 100,000 events", owners),
            Row("into index fields, events/s", [one.rate for one in indexed], (), Floor(5_000)),
            Row("CPU s of that worker per 100,000 events", [one.cpu_s_per_100k for one in indexed]),
        ],
        bench.began,
    )


def _run(store: Store, worker: psutil.Process, id: str, ask: Callable[[], None]) -> Course:
    used, began = Usage.of(worker), time.monotonic()
    ask()
    wait_for(f"{id} has ended", lambda: (task := store.task(id)) is not None and task.state in OVER, 400)
    took_s = time.monotonic() - began
    task = store.task(id)
    assert task is not None
    assert task.state == "done", task.error
    counts = summed(store.slices(id)).counts
    assert sum(counts.values()) == EVENTS, counts
    return Course(EVENTS, took_s, Usage.of(worker).cpu_s - used.cpu_s)
