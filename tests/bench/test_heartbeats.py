"""How fast a heartbeat over many profiles is sent: to a collector that only commits, and beside a real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import httpx
import psutil
import pytest
from confluent_kafka import Consumer, TopicPartition

from hub.log.admin import LogAdmin
from hub.log.config import consumer_config
from hub.log.progress import collector_group
from hub.store.port import ended_ms
from schemas.topics import EVENTS
from tests.bench import crowd, processes
from tests.bench.conftest import Bench
from tests.bench.processes import Usage
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course
from tests.waiting import wait_for

PROFILES: Final = 1_000_000
FEW: Final = 100_000
COMMIT_EVERY_S: Final = 0.02
HOW: Final = (
    f"One heartbeat, run by hand, over {PROFILES:,} profiles of some 700 bytes in SQLite, with two properties and no "
    "condition. API and agents as processes, an embedded Kafka; from the beginning of a run to its end, as the run "
    "itself has them. A heartbeat waits for the collector, as all bulk does. So that the agents are measured, that is "
    "here a thread that commits what has come and stores nothing; `beside a collector` is the rate that the real one "
    f"allows, over {FEW:,} of the profiles, with all of them on the same cores."
)


@pytest.mark.bench
@pytest.mark.timeout(1_500)
def test_heartbeats(bench: Bench, valkey: str) -> None:
    """At least 15,000 events/s, one for each profile."""
    crowd.fill(bench, PROFILES)
    spec = {"event_type": "was-checked", "properties": {"why": "yearly", "level": 3}, "every": "52w"}
    bench.define("heartbeat", "all", spec)
    bench.define("heartbeat", "few", {**spec, "condition": f"traits.n < {FEW}"})
    variables = {**bench.variables(), "HUB_REDIS__URL": valkey}
    with ExitStack() as stack:
        api = stack.enter_context(processes.api(bench.folder, variables))
        agents = stack.enter_context(processes.hub("agents", bench.folder, variables))
        http = stack.enter_context(
            httpx.Client(base_url=f"http://127.0.0.1:{api.port}", headers={"Authorization": "Bearer bench"}, timeout=30)
        )
        with processes.hub("collector", bench.folder, variables):
            beside = _measured(bench, http, agents, "few", FEW)
        with _committing(bench):
            runs = [_measured(bench, http, agents, "all", PROFILES) for _ in range(RUNS)]
    rows = [
        Row("events/s", [run.rate for run in runs], (), Floor(15_000)),
        Row("CPU s of the agents per 100,000 events", [run.cpu_s_per_100k for run in runs]),
        Row("events/s beside a collector", [beside.rate]),
    ]
    write("16. Heartbeat", HOW, rows, bench.began)


def _measured(bench: Bench, http: httpx.Client, agents: psutil.Process, heartbeat: str, profiles: int) -> Course:
    before, used = bench.records(EVENTS), Usage.of(agents).cpu_s
    run = _run(http, heartbeat)
    assert (run["state"], run["events"]) == ("done", profiles), run
    assert bench.records(EVENTS) - before == profiles
    took_s = (ended_ms(run["ended_at"]) - ended_ms(run["started_at"])) / 1_000
    return Course(profiles, took_s, Usage.of(agents).cpu_s - used)


@contextmanager
def _committing(bench: Bench) -> Iterator[None]:
    """A collector that is never late: it commits all that has come, without a look at it."""
    over, log = threading.Event(), LogAdmin(bench.kafka, bench.namespace)
    consumer = Consumer(consumer_config(bench.kafka, collector_group(bench.namespace)))

    def run() -> None:
        while not over.wait(COMMIT_EVERY_S):
            ends = log.end_offsets(EVENTS)
            places = [TopicPartition(EVENTS.name(bench.namespace), number, end) for number, end in ends.items()]
            consumer.commit(offsets=places, asynchronous=False)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        consumer.close()


def _run(http: httpx.Client, heartbeat: str) -> dict[str, Any]:
    """Run it now; returns the run when it has ended."""
    asked = wait_for("agents are there", lambda: http.post(f"/heartbeats/{heartbeat}/run").json().get("run"), 60)

    def ended() -> dict[str, Any] | None:
        answer = http.get(f"/heartbeats/{heartbeat}")
        assert answer.status_code == 200, answer.text
        return next((one for one in answer.json()["runs"] if one["id"] == asked and one["ended_at"]), None)

    run = wait_for("the run has ended", ended, 400)
    assert run is not None
    return run
