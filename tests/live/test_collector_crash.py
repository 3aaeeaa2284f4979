"""Kill the collector at every named point between two I/O steps: the figures are the same."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from hub.collector.crash import CRASH_POINTS, CrashPoint
from hub.log.admin import ensure_topics
from hub.settings import Kafka
from hub.store.factory import open_store
from schemas.codec import decode_dead_letter, decode_stored
from schemas.topics import DEAD, STORED
from tests import stores
from tests.factories import event, track
from tests.kafka_tools import define, eventually, read, write, write_events

EVENTS_SENT = 400
PROFILES = 40


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_kill_at(point: CrashPoint, kafka: str, namespace: str, tmp_path: Path) -> None:
    settings = Kafka(bootstrap=kafka, partitions=2)
    ensure_topics(settings, namespace)
    mapping = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}
    define(settings, namespace, "mapping", "sum", mapping)
    sent = [
        track(f"p{n % PROFILES}", event(f"e{n}", n=n), session_id=f"s{n % PROFILES}", definitions_offset=0)
        for n in range(EVENTS_SENT)
    ]
    write_events(settings, namespace, sent[:200])
    write(settings, f"{namespace}.events.v1", [(b"p1", b"rubbish")])
    write_events(settings, namespace, sent[200:])
    write_events(settings, namespace, sent[:20])  # duplicates
    store_url = stores.store_url(tmp_path, namespace)
    command = [sys.executable, "-m", "tests.crashing_collector", kafka, namespace, store_url]

    assert subprocess.run([*command, point, "3"], timeout=60, check=False).returncode == -signal.SIGKILL

    survivor = subprocess.Popen(command)
    try:
        store = open_store(store_url, readonly=True)
        eventually(lambda: sum(store.latest_progress()[1].values()) == EVENTS_SENT + 21)
    finally:
        survivor.send_signal(signal.SIGTERM)
        assert survivor.wait(30) == 0

    totals: Counter[str] = Counter()
    for _, counts in store.counters():
        totals.update({name: getattr(counts, name) for name in ("received", "stored", "duplicate", "dropped", "dead")})
    assert totals == {
        "received": EVENTS_SENT + 21,
        "stored": EVENTS_SENT,
        "duplicate": 20,
        "dropped": 0,
        "dead": 1,
    }
    assert store.count("events", "") == EVENTS_SENT
    for n in range(PROFILES):
        profile = store.get("profiles", f"p{n}")
        assert profile is not None
        assert profile["traits"]["n"] == sum(range(n, EVENTS_SENT, PROFILES))
        assert profile["stats"] == {"events": EVENTS_SENT // PROFILES, "visits": 1}
    told = [decode_stored(message.value() or b"") for message in read(settings, namespace, STORED)]
    assert {record["id"] for record in told} == {f"e{n}" for n in range(EVENTS_SENT)}
    same = {record["id"]: record for record in told}
    assert all(same[record["id"]] == record for record in told), "told twice, but not the same"
    letters = {decode_dead_letter(message.value() or b"")["id"] for message in read(settings, namespace, DEAD)}
    assert len(letters) == 1
    store.close()
