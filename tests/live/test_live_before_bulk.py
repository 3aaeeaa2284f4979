"""Live before bulk, with real processes: who sends much waits for the collector, who sends live does not."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import msgspec
import psutil
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from hub.log.admin import LogAdmin
from hub.log.config import admin_config
from hub.log.pace import MEASURING_EVENTS
from hub.send import Options, send_file
from hub.settings import Kafka
from hub.store import open_store
from hub.store.port import Store
from tests import stores
from tests.bench import processes
from tests.kafka_tools import define, eventually, write
from tests.plain_http import NO_TLS

pytestmark = pytest.mark.slow

ROWS: Final = 1_500
PROFILES: Final = 7
SUM: Final = {"event_type": "row", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}
LIVE: Final = {"source": "shop", "profile": {"id": "live"}, "events": [{"type": "row", "properties": {"n": 1}}]}


class Hub(NamedTuple):
    """An API and a collector, with what a test asks them."""

    kafka: Kafka
    namespace: str
    folder: Path
    variables: dict[str, str]
    url: str
    collector: psutil.Process
    store: Store
    log: LogAdmin

    def live(self) -> None:
        """A live event: accepted at once."""
        answer = httpx.post(f"{self.url}/track", json=LIVE, timeout=20, verify=NO_TLS)
        assert answer.status_code == 200, answer.text

    def on_log(self) -> int:
        """Records of events.v1."""
        return sum(self.log.end_offsets().values())

    def stored(self) -> int:
        return sum(counts.stored for _, counts in self.store.counters())


@pytest.fixture
def hub(kafka: str, namespace: str, tmp_path: Path) -> Iterator[Hub]:
    with running(kafka, namespace, tmp_path, patience_s=600) as made:
        yield made


@contextmanager
def running(kafka: str, namespace: str, folder: Path, patience_s: float) -> Iterator[Hub]:
    """With one live event stored, so that the collector is known to be under way."""
    settings = Kafka(bootstrap=kafka, partitions=4)
    log = LogAdmin(settings, namespace)
    log.ensure_topics()
    define(settings, namespace, "source", "shop", {})
    define(settings, namespace, "mapping", "sum", SUM)
    url = stores.store_url(folder, namespace)
    open_store(url).close()
    variables = {
        "HUB_KAFKA__BOOTSTRAP": kafka,
        "HUB_NAMESPACE": namespace,
        "HUB_DATA": str(folder),
        "HUB_BULK__PATIENCE_S": str(patience_s),
    }
    with processes.hub("collector", folder, variables) as collector, processes.api(folder, variables) as api:
        store = open_store(url, readonly=True)
        made = Hub(settings, namespace, folder, variables, f"http://127.0.0.1:{api.port}", collector, store, log)
        try:
            made.live()
            eventually(lambda: made.stored() == 1)
            yield made
        finally:
            collector.send_signal(signal.SIGCONT)  # it has to be able to stop
            store.close()


def row(number: int) -> dict[str, Any]:
    return {
        "source": "shop",
        "profile": {"id": f"p{number % PROFILES}"},
        "events": [{"type": "row", "properties": {"n": number}}],
    }


def check_all_is_stored(hub: Hub, live: int) -> None:
    """Every row once, and nothing twice."""
    eventually(lambda: hub.stored() == ROWS + live)
    assert sum(counts.received for _, counts in hub.store.counters()) == ROWS + live
    for p in range(PROFILES):
        profile = hub.store.get("profiles", f"p{p}")
        assert profile is not None
        assert profile["traits"]["n"] == sum(n for n in range(ROWS) if n % PROFILES == p)


def in_flight(hub: Hub) -> float:
    text = httpx.get(f"{hub.url}/metrics", verify=NO_TLS).text
    found = re.search(r"^hub_bulk_in_flight_events (\S+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_a_file_waits_for_a_collector_that_stands_still_and_live_events_do_not(hub: Hub, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"\n".join(msgspec.json.encode(row(n)) for n in range(ROWS)))
    hub.collector.suspend()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send_file, Options(file=file, via="rest", url=hub.url, concurrency=8, give_up_after_s=90))
        eventually(lambda: in_flight(hub) == MEASURING_EVENTS)
        for _ in range(5):
            hub.live()
        assert not sending.done()
        assert hub.on_log() == 1 + MEASURING_EVENTS + 5, "bulk stays within its window"
        hub.collector.resume()
        summary = sending.result(90)
    assert summary.sent == ROWS
    assert summary.refused == []
    check_all_is_stored(hub, live=6)


def _backlog(hub: Hub) -> None:
    topic = f"{hub.namespace}.source"
    client = AdminClient(admin_config(hub.kafka))  # the answer comes only as long as somebody holds it
    client.create_topics([NewTopic(topic, 3, 1)])[topic].result()
    write(
        hub.kafka,
        topic,
        ((b"%d" % (n % PROFILES), msgspec.json.encode(row(n))) for n in range(ROWS)),
    )


def _bridge(hub: Hub, **more: Any) -> None:
    settings = {"bootstrap": hub.kafka.bootstrap, "topics": f"{hub.namespace}.source", "protocol": "consumer"}
    define(
        hub.kafka, hub.namespace, "bridge", "backlog", {"type": "kafka", "source": "shop", "settings": settings, **more}
    )


def test_a_bridges_backlog_stays_in_its_source_while_nothing_is_stored(hub: Hub) -> None:
    _backlog(hub)
    hub.collector.suspend()
    with processes.hub("bridges", hub.folder, hub.variables):
        _bridge(hub)
        eventually(lambda: hub.on_log() == 1 + MEASURING_EVENTS)
        for _ in range(5):
            hub.live()
        assert hub.on_log() == 1 + MEASURING_EVENTS + 5
        hub.collector.resume()
        check_all_is_stored(hub, live=6)


def test_a_bridge_of_live_priority_does_not_wait(hub: Hub) -> None:
    _backlog(hub)
    hub.collector.suspend()
    with processes.hub("bridges", hub.folder, hub.variables):
        _bridge(hub, priority="live")
        eventually(lambda: hub.on_log() == 1 + ROWS)
        hub.collector.resume()
        check_all_is_stored(hub, live=1)


def test_a_bridge_does_not_leave_messages_in_its_source_for_ever(kafka: str, namespace: str, tmp_path: Path) -> None:
    """A source may forget them; the log keeps them, whatever the collector does."""
    with running(kafka, namespace, tmp_path, patience_s=0.5) as hub:
        _backlog(hub)
        hub.collector.suspend()
        with processes.hub("bridges", hub.folder, hub.variables):
            _bridge(hub)
            eventually(lambda: hub.on_log() == 1 + ROWS)
            hub.collector.resume()
            check_all_is_stored(hub, live=1)


def test_a_bridge_that_is_stopped_while_it_waits_leaves_no_doubles(hub: Hub) -> None:
    _backlog(hub)
    hub.collector.suspend()
    with processes.hub("bridges", hub.folder, hub.variables):
        _bridge(hub)
        eventually(lambda: hub.on_log() == 1 + MEASURING_EVENTS)
    hub.collector.resume()
    with processes.hub("bridges", hub.folder, hub.variables):
        check_all_is_stored(hub, live=1)


def test_a_priority_that_is_none_is_refused(hub: Hub) -> None:
    answer = httpx.post(f"{hub.url}/track", json=LIVE, headers={"Hub-Priority": "urgent"}, timeout=20, verify=NO_TLS)
    assert answer.status_code == 422
    assert answer.json()["where"] == "Hub-Priority"
