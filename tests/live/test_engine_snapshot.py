"""A store in a search engine goes back to a snapshot, and the collector brings it up to date from the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.errors import Unavailable
from hub.settings import Kafka
from hub.store import open_store
from hub.store.factory import remove_store
from tests import stores
from tests.factories import event, track
from tests.kafka_tools import define, eventually, write_events
from tests.live.collector import collector
from tests.plain_http import NO_TLS
from tests.servers.elasticsearch import REPOSITORY
from tests.servers.running import own

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PEOPLE = 40
SUM = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.n", "op": "add"}]}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    """One of this test, that hubs have their stores in and that has a repository for snapshots."""
    with (
        own("elasticsearch", tmp_path / "engine") as server,
        httpx.Client(base_url=server.url, timeout=60, verify=NO_TLS) as http,
    ):
        values = (f"elasticsearch+{server.url}", "0", str(stores.REFRESH_MS))
        for setting, value in zip(stores.SETTINGS, values, strict=True):
            monkeypatch.setenv(setting, value)
        folder = tmp_path / "engine" / "node" / REPOSITORY
        asked = http.put("/_snapshot/safe", json={"type": "fs", "settings": {"location": str(folder)}})
        assert asked.is_success, asked.text
        yield http


def test_a_snapshot_and_the_log_are_all_that_is_needed(
    cluster: httpx.Client, ours: Kafka, namespace: str, tmp_path: Path
) -> None:
    define(ours, namespace, "mapping", "sum", SUM)
    url = stores.store_url(tmp_path, namespace)
    only_ours = {"indices": f"{namespace}-*", "include_global_state": False}

    send(ours, namespace, range(400))
    with collector(ours.bootstrap, namespace, tmp_path):
        eventually(stored(url, 400))
    asked = cluster.put("/_snapshot/safe/one?wait_for_completion=true", json=only_ours)
    assert asked.json()["snapshot"]["state"] == "SUCCESS", asked.text

    send(ours, namespace, range(300, 900))  # some of it again
    with collector(ours.bootstrap, namespace, tmp_path):
        eventually(stored(url, 900))
    before = content(url)
    assert sum(profile["traits"]["n"] for profile in before["profiles"]) == sum(range(900))

    remove_store(url)
    asked = cluster.post("/_snapshot/safe/one/_restore?wait_for_completion=true", json=only_ours)
    assert asked.json()["snapshot"]["shards"]["failed"] == 0, asked.text
    assert stored(url, 400)()
    with collector(ours.bootstrap, namespace, tmp_path, name="restored"):
        eventually(stored(url, 900))
    assert content(url) == before
    with closing(open_store(url, readonly=True)) as store:
        books = store.books(0, 1 << 40, count_events=True)
        assert books.wrong == []
        assert sum(counts.duplicate for counts in books.totals.values()) == 100


def send(kafka: Kafka, namespace: str, numbers: range) -> None:
    records = [track(f"p{n % PEOPLE}", event(f"e{n}", n=n), definitions_offset=0) for n in numbers]
    write_events(kafka, namespace, records)


def stored(url: str, count: int) -> Callable[[], bool]:
    def look() -> bool:
        with closing(open_store(url, readonly=True)) as store:
            try:
                return sum(counts.stored for counts in store.books(0, 1 << 40).totals.values()) == count
            except Unavailable:
                return False  # the collector is about to make it

    return look


def content(url: str) -> dict[str, list[Any]]:
    """All profiles and events."""
    with closing(open_store(url, readonly=True)) as store:
        found: dict[str, list[Any]] = {}
        for kind in ("profiles", "events"):
            items, cursor = [], None
            while True:
                page = store.search(kind, "", 1_000, cursor)
                items += page.items
                cursor = page.next
                if cursor is None:
                    break
            found[kind] = sorted(items, key=lambda one: one["id"])
        return found
