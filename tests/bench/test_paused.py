"""How long it takes until all have gone on whose pauses end in the same second."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from typing import Final

import msgspec
import psutil
import pytest

from hub.definitions.catalogue import Catalogue
from hub.flows.kept import Order
from hub.flows.trace import Fired
from hub.log.follower import Follower
from hub.pipeline.documents import iso
from hub.redis import client
from hub.settings import Redis, Settings
from hub.store.port import DefinitionVersion, Store
from schemas.topics import EVENTS
from tests.bench import crowd, processes
from tests.bench.conftest import Bench
from tests.bench.processes import Usage
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.tracking import Course
from tests.unit.flow_cases import spec
from tests.waiting import wait_for
from workers import flow_runner
from workers.agents.outbox import Outbox
from workers.jobs.run import now_ms

PROFILES: Final = 20_000
PAGE: Final = 100
AHEAD_S: Final = 60
HOW: Final = (
    f"{PROFILES:,} runs of a flow of five nodes (start, pause, if, update-profile, raise-event) that pause until the "
    "same second, on SQLite, an embedded Kafka and Valkey, with one `hub scheduler` and nothing else. From that second "
    "to when the last run is done: saved, and its two events acknowledged by Kafka."
)


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_paused_runs(bench: Bench, valkey: str) -> None:
    """20,000 that are due at once have gone on within a minute."""
    crowd.fill(bench, PROFILES)
    variables = {**bench.variables(), "HUB_REDIS__URL": valkey}
    with (
        processes.hub("scheduler", bench.folder, variables) as worker,
        closing(bench.open_store()) as store,
    ):
        runs = [_measured(bench, valkey, store, worker, f"f{number}") for number in range(RUNS)]
    rows = [
        Row("s until all have gone on", [PROFILES / run.rate for run in runs], (), Floor(60, at_most=True)),
        Row("runs/s of one worker", [run.rate for run in runs]),
        Row("CPU s of the worker per 100,000 runs", [run.cpu_s_per_100k for run in runs]),
    ]
    write("21. Flows that go on after a pause", HOW, rows, bench.began)


def _measured(bench: Bench, valkey: str, store: Store, worker: psutil.Process, id: str) -> Course:
    due_ms = (now_ms() // 1_000 + AHEAD_S) * 1_000
    _begin(bench, valkey, store, id, due_ms)
    before, used = bench.records(EVENTS), Usage.of(worker).cpu_s
    assert now_ms() < due_ms, f"it takes longer than {AHEAD_S} s to begin {PROFILES:,} runs"
    time.sleep((due_ms - now_ms()) / 1_000)
    wait_for("all have gone on", lambda: not store.due_seconds(1) and not store.left_flow_runs(now_ms(), 1), 300)
    took_s = (now_ms() - due_ms) / 1_000
    wait_for("all is on the log", lambda: bench.records(EVENTS) - before == 2 * PROFILES, 30)
    return Course(PROFILES, took_s, Usage.of(worker).cpu_s - used)


def _begin(bench: Bench, valkey: str, store: Store, id: str, due_ms: int) -> None:
    """Runs of everybody, that pause until then."""
    nodes = {
        "start": ("start", {}, "wait"),
        "wait": ("pause", {"until": iso(due_ms)}, "rich"),
        "rich": ("if", {"condition": "profile@traits.age >= 18"}, {"then": "save"}),
        "save": ("update-profile", {"fields": {"traits.hello": "Hello {{ profile@traits.name }}"}}, "tell"),
        "tell": ("raise-event", {"event_type": "told", "properties": {"plan": "profile@traits.plan"}}),
    }
    flow = spec(nodes).model_dump(mode="json")
    bench.define("flow", id, flow)
    settings = Settings(namespace=bench.namespace, data=bench.folder, kafka=bench.kafka, redis=Redis(url=valkey))
    with ExitStack() as stack:
        catalogue, redis = Catalogue(), stack.enter_context(closing(client(valkey)))
        stack.enter_context(Follower(bench.kafka, bench.namespace, catalogue))
        entry = catalogue.entry("flow", id)
        assert entry is not None
        text = msgspec.json.encode(flow).decode()
        store.keep_versions([DefinitionVersion("flow", id, entry.version, now_ms(), text)])
        outbox = stack.enter_context(closing(Outbox(bench.kafka)))
        runner = flow_runner.made(settings, catalogue, store, redis, outbox, now_ms=now_ms)
        ids, at_ms = [f"customer-{number:07d}" for number in range(PROFILES)], now_ms()
        for begin in range(0, PROFILES, PAGE):
            orders = [
                Order(id, entry.version, Fired(f"{id}-{one}", "manual", at_ms, {}), one)
                for one in ids[begin : begin + PAGE]
            ]
            assert {run.state for run in runner.begin(orders)} == {"paused"}
