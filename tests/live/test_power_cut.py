"""Kafka's log ends before what the store has of it, as a power cut may leave them: what comes next is stored."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition

from hub.log.admin import LogAdmin
from hub.log.config import consumer_config
from hub.log.progress import collector_group
from hub.settings import Kafka
from hub.stack.level import level
from hub.store.sqlite import SqliteStore
from schemas.topics import DEAD, EVENTS, KEYS
from tests.contracts.batches import NOW_MS, batch
from tests.factories import event, track
from tests.kafka_tools import define, eventually, read, write_events
from tests.live.collector import collector
from tests.live.whole_hub import whole_hub

HAS = 10
"""So many records of the log were applied; the last of them are not there any more."""


def test_the_log_is_filled_up_to_where_the_store_is(ours: Kafka, namespace: str, tmp_path: Path) -> None:
    """Else what comes next would have the offsets of what is gone, and be taken for known."""
    path = tmp_path / "hub.sqlite"
    url = f"sqlite:///{path}"
    admin = LogAdmin(ours, namespace)
    assert level(ours, namespace, url) == {}  # there is no store yet
    with closing(SqliteStore(path)) as store:
        assert store.epoch(admin.topic_id(EVENTS)) == 1
        store.write(batch(progress={0: (0, HAS)}))
        store.keep_keys(admin.topic_id(KEYS), 0, 3, [], [], at_ms=NOW_MS)
    define(ours, namespace, "source", "shop", {})
    write_events(ours, namespace, [track("p1", event(f"e{number}")) for number in range(4)])
    # what was told of the last ones is not known either: the collector begins before them
    with closing(Consumer(consumer_config(ours, collector_group(namespace)))) as group:
        eventually(lambda: committed(group, TopicPartition(EVENTS.name(namespace), 0, 2)))

    assert level(ours, namespace, url) == {"events.v1": HAS - 4, "keys.v1": 3}
    assert (admin.end_offsets(EVENTS), admin.end_offsets(KEYS)) == ({0: HAS}, {0: 3})
    assert level(ours, namespace, url) == {}

    write_events(ours, namespace, [track("p1", event("next"))])
    with collector(ours.bootstrap, namespace, tmp_path), closing(SqliteStore(path, readonly=True)) as store:
        eventually(lambda: store.latest_progress()[1] == {0: HAS + 1})
        assert store.get("events", "next") is not None
        assert [one for one in store.search("events", "", 10, None).items if one["id"] != "next"] == []
    assert read(ours, namespace, DEAD) == []


def committed(group: Consumer, place: TopicPartition) -> bool:
    """Whether the broker has taken it; one that has just started loads its groups first."""
    try:
        group.commit(offsets=[place], asynchronous=False)
    except KafkaException:
        return False
    return True


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_hub_after_a_power_cut_loses_no_more_than_the_end_of_the_log(tmp_path: Path) -> None:
    """What was stored stays stored, and all that is sent after it is."""

    def send(first: int) -> None:
        for number in range(first, first + 50):
            body = {
                "source": {"id": "shop"},
                "profile": {"id": f"p{number % 7}"},
                "events": [{"type": "view", "properties": {"number": number}}],
            }
            running.http.post("/track", json=body).raise_for_status()

    with whole_hub(tmp_path) as running:
        running.define("source", "shop")
        send(0)
        eventually(lambda: running.totals()["stored"] == 50)
    logs = tmp_path / "kafka" / "log"
    for path in logs.glob("hub.events.v1-*/*"):
        if path.suffix == ".log":
            with path.open("r+b") as file:
                file.truncate(path.stat().st_size // 2)
        elif path.suffix in (".index", ".timeindex", ".snapshot"):
            path.unlink()
    for name in (".kafka_cleanshutdown", "recovery-point-offset-checkpoint"):
        (logs / name).unlink()
    with whole_hub(tmp_path) as running:
        assert "a power cut has cost the last" in (tmp_path / "logs" / "hub.log").read_text()
        send(50)
        eventually(lambda: running.totals()["in_flight"] == 0)
        found = running.get("/events", q="type = view", size=1_000)["items"]
        assert sorted(one["properties"]["number"] for one in found) == list(range(100))
        assert running.get("/balance", verify=True)["balanced"]
