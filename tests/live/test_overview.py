"""GET /overview of real processes: who lives and how it is doing, through a real Redis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hub.redis import client as redis_client
from hub.settings import Kafka
from schemas.processes import Keys
from tests.kafka_tools import eventually
from tests.live.api import running
from tests.live.collector import CollectorProcess
from tests.live.test_api_admin import batch
from tests.live.test_api_process import api, client_of
from tests.servers.running import shared


def test_processes_tell_that_they_live_and_what_they_have_done(
    kafka: str, namespace: str, tmp_path: Path, shared_folder: Path, monkeypatch: Any
) -> None:
    with shared("valkey", shared_folder / "valkey") as redis_url:
        monkeypatch.setenv("HUB_REDIS__URL", redis_url)
        with api(kafka, namespace, tmp_path) as process, client_of(process) as client:

            def told() -> dict[str, Any]:
                answer = client.get("/overview")
                assert answer.status_code == 200, answer.text
                page: dict[str, Any] = answer.json()
                assert page["missing"] == {}
                return page

            def kinds() -> dict[str, Any]:
                return {one["kind"]: one for one in told()["kinds"]}

            eventually(lambda: list(kinds()) == ["api"])
            collector = CollectorProcess(kafka, namespace, tmp_path)
            try:
                eventually(lambda: list(kinds()) == ["api", "collector"])
                assert client.put("/definitions/source/shop", json={}).is_success
                sent = {"source": "shop", "profile": {"id": "ann"}, "events": [{"type": "view"}, {"type": "view"}]}
                assert client.post("/track", json=sent).is_success
                eventually(lambda: told()["totals"]["stored"] == 2)
                page = told()
                assert page["balanced"]
                assert page["rates"]["stored"] > 0
                assert page["lag"]["records"] == 0
                eventually(lambda: told()["latency"]["count"] == told()["edge_latency"]["count"] == 1)
                page = told()
                assert page["latency"]["p50"] is not None
                assert page["edge_rate"] > 0
                eventually(lambda: {one["state"] for one in told()["processes"]} == {"running", "ready"})
                assert {one["pid"] for one in told()["processes"]} == {process.pid, collector.process.pid}
                (left,) = [one["id"] for one in told()["processes"] if one["kind"] == "collector"]
            finally:
                collector.stop()
            with redis_client(redis_url) as redis:
                assert not redis.exists(Keys(namespace).of(left)), "it has said that it ends"
            eventually(lambda: list(kinds()) == ["api"])


def test_without_redis_it_says_what_is_missing(kafka: str, namespace: str, tmp_path: Path) -> None:
    with api(kafka, namespace, tmp_path) as process, client_of(process) as client:
        page = client.get("/overview").json()
    assert list(page["missing"]) == ["processes"]
    assert "HUB_REDIS__URL" in page["missing"]["processes"]
    assert (page["kinds"], page["latency"]) == (None, None)
    assert page["totals"]["stored"] == 0
    assert page["balanced"]


async def test_what_waits_for_people_and_workers_is_counted(kafka: str, namespace: str, tmp_path: Path) -> None:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        hub.store.write(batch(received=1, stored=1))
        asked = await hub.admin.post("/tasks", json={"id": "nightly", "kind": "copy-events-to-profiles"})
        assert asked.status_code == 202
        bridge = {"type": "kafka", "source": "shop", "settings": {"topics": ["t"], "bootstrap": "x:1"}}
        assert (await hub.define("bridge", "orders", **bridge)).is_success
        page = (await hub.admin.get("/overview")).json()
    assert page["dead_letters"] == {"open": 1, "reasons": {"not_json": 1}}
    assert (page["tasks"]["waiting"], page["tasks"]["running"]) == (1, 0)
    assert page["tasks"]["items"][0]["id"] == "nightly"
    assert page["bridges"] == {"states": {"unknown": 1}, "worst": []}
    # the batch was written, and nothing of it lies on this log
    assert page["totals"]["stored"] == 1
