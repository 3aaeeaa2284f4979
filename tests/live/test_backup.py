"""A backup of a hub that runs and is sent events, and the hub that goes on from it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis

from hub.backup.make import POINTS
from tests.kafka_tools import eventually
from tests.live.whole_hub import ROOT, WholeHub, hub, whole_hub
from tests.plain_http import NO_TLS

pytestmark = [pytest.mark.timeout(600), pytest.mark.long]

PEOPLE = 7
LISTED = ("/definitions/source", "/definitions/mapping", "/api-keys", "/tasks")


class Sender:
    """Sends numbered events one after the other. `sent`: how many were tried. `taken`: those that were acknowledged."""

    def __init__(self, running: WholeHub) -> None:
        self._running = running
        self.sent = 0
        self.taken: list[int] = []
        self._over = threading.Event()

    @contextmanager
    def sending(self) -> Iterator[None]:
        thread = threading.Thread(target=self._send)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def more(self, count: int = 30) -> None:
        """Wait until so many more are taken."""
        now = len(self.taken)
        eventually(lambda: len(self.taken) >= now + count)

    def _send(self) -> None:
        while not self._over.is_set():
            number, self.sent = self.sent, self.sent + 1
            if track(self._running, number).is_success:
                self.taken.append(number)


def track(running: WholeHub, number: int) -> httpx.Response:
    event = {"type": "order", "properties": {"number": number, "total": 1}}
    body = {
        "source": {"id": "shop"},
        "profile": {"id": f"p{number % PEOPLE}"},
        "session": {"id": f"s{number % PEOPLE}"},
        "events": [event],
    }
    return running.http.post("/track", json=body)


def check(running: WholeHub, least: list[int], most: int) -> None:
    """All of `least`, and others up to `most`, are stored once each, in the books and in the profiles as well."""
    eventually(lambda: running.totals()["in_flight"] == 0, 60)
    stored = Counter[int]()
    cursor = ""
    while True:
        page = running.get("/events", q="type = order", size=1_000, **({"cursor": cursor} if cursor else {}))
        stored.update(one["properties"]["number"] for one in page["items"])
        cursor = page["next"]
        if not cursor:
            break
    assert set(least) <= stored.keys()
    assert max(stored) <= most
    assert set(stored.values()) == {1}
    spent = Counter(f"p{number % PEOPLE}" for number in stored)
    assert {one["id"]: one["traits"]["spent"] for one in running.get("/profiles", size=100)["items"]} == spent
    assert running.get("/balance", verify=True)["balanced"]
    assert running.totals()["stored"] == len(stored)


def test_a_hub_goes_on_from_a_backup_that_was_taken_under_load(tmp_path: Path) -> None:
    """All that was acknowledged before it, once each; what the log alone has; and what comes next. Backups may die."""
    target = tmp_path / "hub.backup"
    data, new = tmp_path / "data", tmp_path / "new"
    with whole_hub(data) as running:
        running.define("source", "shop", name="Shop")
        lines = [{"profile": "traits.spent", "event": "properties.total", "op": "add"}]
        running.define("mapping", "orders", event_type="order", fields=lines)
        made_key = running.http.post("/api-keys", json={"id": "reader", "roles": ["read"]}).json()["key"]
        running.http.post("/tasks", json={"id": "nightly", "kind": "copy-events-to-profiles"}).raise_for_status()
        sender = Sender(running)
        with redis.Redis.from_url(running.state().redis) as valkey, sender.sending():
            sender.more()
            for point in POINTS:
                command = [sys.executable, "-m", "tests.backup_process", "back_up", str(data), str(target), point]
                assert subprocess.run(command, cwd=ROOT, timeout=120, check=False).returncode == -signal.SIGKILL
                assert not target.exists()
                sender.more()  # Kafka goes on, also after the one that was killed while it stood still
            running.kill("collector")
            valkey.set("of the test", "before")
            before, listed = list(sender.taken), {path: running.get(path)["items"] for path in LISTED}
            audited = [one["id"] for one in running.get("/audit", size=1_000)["items"]]
            done = hub("backup", target, "--data", data, "--json")
            assert done.returncode == 0, done.stderr
            most = sender.sent
            valkey.set("of the test", "after")
            sender.more()
        assert json.loads(done.stdout)["was_running"]
        check(running, sender.taken, sender.sent)

    restored = hub("restore", target, "--data", new)
    assert restored.returncode == 0, restored.stderr
    with whole_hub(new) as running:
        check(running, before, most)
        assert {path: running.get(path)["items"] for path in LISTED} == listed
        assert [one["id"] for one in running.get("/audit", size=1_000)["items"]] == audited
        headers = {"Authorization": f"Bearer {made_key}"}
        assert httpx.get(f"{running.url}/profiles/p1", headers=headers, verify=NO_TLS).is_success
        with redis.Redis.from_url(running.state().redis) as valkey:
            assert valkey.get("of the test") == b"before"
        for number in range(most + 1, most + 30):
            track(running, number).raise_for_status()
        check(running, [*before, *range(most + 1, most + 30)], most + 30)
