"""How many runs of a flow a process of agents makes, from triggers on Kafka to what the runs want done, on Kafka."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import msgspec
import pytest

from hub.log.admin import LogAdmin
from hub.model import Batch, Position, Profile, StoredEvent, partition_of
from hub.pipeline.documents import iso, new_profile
from schemas.codec import encode_trigger
from schemas.flows import KIND, FlowOrder, encode_order
from schemas.records import Trigger
from schemas.topics import DEFINITIONS, EVENTS, TRIGGERS
from tests.bench import processes
from tests.bench.conftest import Bench
from tests.bench.flow_runs import FLOW
from tests.bench.processes import Usage
from tests.bench.results import RUNS, Floor, Row, write
from tests.bench.test_collector import CORE
from tests.bench.tracking import Course
from tests.kafka_tools import write as put
from tests.waiting import wait_for

TRIGGERED: Final = 10_000
BATCH: Final = 1_000
EACH: Final = 2
"""Records on events.v1 of one run: what it changes, and an event that it raises."""
HOW: Final = (
    f"`hub agents`, one process on one core, {TRIGGERED:,} triggers on Kafka, each for an event and a profile of its "
    "own in SQLite. The flow of section 18: a trigger is taken, documents are read, a run is made and saved, its two "
    "records are acknowledged by Kafka, and it is saved with its trace. Until the last record is there; no collector."
)


@pytest.mark.bench
@pytest.mark.timeout(900)
def test_flow_triggers(bench: Bench, valkey: str) -> None:
    """At least 500 runs/s of a process on one core."""
    bench.define("flow", "points", {**FLOW, "triggers": [{"type": "event", "event_type": "purchase"}]})
    version = bench.records(DEFINITIONS) - 1
    variables = {**bench.variables(), "HUB_REDIS__URL": valkey}
    courses = []
    for number in range(RUNS):
        triggers = list(_filled(bench, number * TRIGGERED, version))
        with processes.hub("agents", bench.folder, variables, core=CORE) as agents:
            courses.append(_measured(bench, agents, triggers))
    rows = [
        Row("runs/s", [course.rate for course in courses], (), Floor(500)),
        Row("CPU s of the agents per 100,000 runs", [course.cpu_s_per_100k for course in courses]),
    ]
    write("20. Flows, from trigger to effects", HOW, rows, bench.began)


def _measured(bench: Bench, agents: Any, triggers: list[tuple[bytes, bytes]]) -> Course:
    before = bench.records(EVENTS)
    # the first ones are not counted: flows are compiled with them, and the store is opened
    put(bench.kafka, TRIGGERS.name(bench.namespace), triggers[:BATCH])
    wait_for("the first are done", lambda: bench.records(EVENTS) == before + BATCH * EACH, 120)
    used, began = Usage.of(agents).cpu_s, time.monotonic()
    put(bench.kafka, TRIGGERS.name(bench.namespace), triggers[BATCH:])
    wait_for("all are done", lambda: bench.records(EVENTS) == before + len(triggers) * EACH, 400)
    return Course(len(triggers) - BATCH, time.monotonic() - began, Usage.of(agents).cpu_s - used)


def _filled(bench: Bench, begin: int, version: int) -> Iterator[tuple[bytes, bytes]]:
    """Profiles and events, in the store; the triggers of these events."""
    now_ms = time.time_ns() // 1_000_000
    partition = partition_of(now_ms, now_ms)
    order = encode_order(FlowOrder(version, partition))
    with closing(bench.open_store()) as store:
        epoch = store.epoch(LogAdmin(bench.kafka, bench.namespace).topic_id(EVENTS))
        for start in range(begin, begin + TRIGGERED, BATCH):
            numbers = range(start, start + BATCH)
            profiles = [_profile(number, now_ms) for number in numbers]
            events = [_event(number, now_ms, partition, epoch) for number in numbers]
            store.write(
                Batch(
                    epoch=epoch,
                    progress={},
                    events=events,
                    profiles=profiles,
                    sessions=[],
                    dead_letters=[],
                    counters={},
                )
            )
            for event in events:
                trigger: Trigger = {
                    "id": f"t-{event.id}",
                    "kind": KIND,
                    "target": "points",
                    "profile_id": event.profile_id,
                    "event_id": event.id,
                    "at_ms": now_ms,
                    "data": order,
                }
                yield event.profile_id.encode(), encode_trigger(trigger)


def _profile(number: int, now_ms: int) -> Profile:
    document = new_profile(f"customer-{number:07d}", iso(now_ms))
    document["traits"] = {"name": f"Customer {number}", "plan": "gold", "country": "GB", "age": 18 + number % 60}
    document["stats"] = {**document["stats"], "points": number}
    return Profile(document["id"], 0, document)


def _event(number: int, now_ms: int, partition: str, epoch: int) -> StoredEvent:
    document = {
        "id": f"event-{number:07d}",
        "type": "purchase",
        "source": {"id": "shop"},
        "profile": {"id": f"customer-{number:07d}"},
        "session": None,
        "properties": {"amount": 11 + number % 7, "city": "Leeds", "items": [{"n": "tea", "price": 3}] * 3},
        "context": {},
        "metadata": {"origin": "rest", "time": {"insert": iso(now_ms), "create": iso(now_ms)}},
    }
    return StoredEvent(
        id=f"event-{number:07d}",
        partition=partition,
        profile_id=f"customer-{number:07d}",
        session_id="",
        type="purchase",
        source="shop",
        time_ms=now_ms,
        received_at_ms=now_ms,
        position=Position(epoch, 0, number, 0),
        digest=b"0123456789abcdef",
        profile_version=number,
        doc=msgspec.json.encode(document),
    )
