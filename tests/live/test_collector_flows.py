"""A collector that is killed between two I/O steps tells of each flow that an event lets run, and of no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hub.collector.crash import CrashPoint
from hub.log.admin import ensure_topics
from hub.pipeline.flow_triggers import trigger_id
from hub.settings import Kafka
from hub.store.factory import open_store
from schemas.codec import decode_trigger
from schemas.flows import KIND, WAIT_KIND, decode_order
from schemas.records import Trigger
from schemas.topics import TRIGGERS
from tests import stores
from tests.factories import event, track
from tests.kafka_tools import define, eventually, read, write_events

EVENTS_SENT = 400
PROFILES = 40
ENOUGH = 500
SUM, WAITS, ENTERED = 2, 3, 4
"""Versions of the flows: their offsets."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("point", "shredding"),
    [("processed", False), ("written", False), ("produced", True), ("flushed", False)],
)
def test_kill_at(point: CrashPoint, shredding: bool, kafka: str, namespace: str, tmp_path: Path) -> None:
    settings = Kafka(bootstrap=kafka, partitions=2)
    ensure_topics(settings, namespace)
    mapping = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}
    define(settings, namespace, "mapping", "sum", mapping)
    define(settings, namespace, "segment", "rich", {"condition": f"traits.n > {ENOUGH}"})
    purchase = {"type": "event", "event_type": "purchase"}
    define_flow(settings, namespace, "sum", {**purchase, "condition": f"profile@traits.n > {ENOUGH}"})
    define_flow(settings, namespace, "waits", {**purchase, "condition": "event@properties.n < 0"}, wait="purchase")
    define_flow(settings, namespace, "entered", {"type": "segment-entered", "segment": "rich"})
    sent = [
        track(f"p{n % PROFILES}", event(f"e{n}", n=n), session_id=f"s{n % PROFILES}", definitions_offset=ENTERED)
        for n in range(EVENTS_SENT)
    ]
    write_events(settings, namespace, [*sent, *sent[:20]])
    store_url = stores.store_url(tmp_path, namespace)
    command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url]
    environment = {**os.environ, "HUB_PRIVACY__SHREDDING": str(shredding).lower()}

    died = subprocess.run([*command, point, "3"], timeout=60, check=False, env=environment)
    assert died.returncode == -signal.SIGKILL
    survivor = subprocess.Popen(command, env=environment)
    try:
        store = open_store(store_url, readonly=True)
        eventually(lambda: sum(store.latest_progress()[1].values()) == EVENTS_SENT + 20)
    finally:
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(30) == 0

    told: dict[str, Trigger] = {}
    for message in read(settings, namespace, TRIGGERS):
        one = decode_trigger(message.value() or b"")
        assert (message.key() or b"").decode() == one["profile_id"]
        assert told.setdefault(one["id"], one) == one, "told twice, but not the same"
    rich = [n for n in range(EVENTS_SENT) if sum(range(n % PROFILES, n + 1, PROFILES)) > ENOUGH]
    expected = {trigger_id(KIND, "sum", SUM, f"e{n}") for n in rich}
    expected |= {trigger_id(WAIT_KIND, "purchase", 0, f"e{n}") for n in range(EVENTS_SENT)}
    crossed = store.search("events", 'type = "segment-entered"', 1_000, None).items
    assert {one["profile"]["id"] for one in crossed} == {f"p{n % PROFILES}" for n in rich}
    expected |= {trigger_id(KIND, "entered", ENTERED, one["id"]) for one in crossed}
    assert told.keys() == expected
    orders = {one["kind"]: decode_order(one["data"]) for one in told.values() if one["event_id"] == f"e{rich[0]}"}
    assert (orders[KIND].version, orders[WAIT_KIND].version) == (SUM, 0)
    assert orders[KIND].session_id == f"s{rich[0] % PROFILES}"
    assert orders[KIND].partition in store.event_partitions()
    store.close()


def define_flow(kafka: Kafka, namespace: str, id: str, trigger: dict[str, str], wait: str = "") -> None:
    pause = {"type": "pause", "config": {"wait": "1d", "event_type": wait}}
    nodes = {"start": {"type": "start", "to": {"out": "pause"}}, "pause": pause}
    define(kafka, namespace, "flow", id, {"nodes": nodes, "triggers": [trigger]})
