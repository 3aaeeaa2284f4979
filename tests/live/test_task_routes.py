"""What the API says of tasks, and the commands that ask it; with a real API, Kafka, Valkey, worker and collector."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from hub.segments.runs import Runs
from hub.settings import Kafka, Redis, Settings
from schemas.jobs import EVENT_TO_PROFILE
from tests.kafka_tools import eventually
from tests.live.api import KEY, Running, running
from tests.live.collector import collector
from tests.live.segment_site import Site, worker
from tests.servers import running as servers

COPY = "copy-events-to-profiles"
LATE = {"event_type": "purchase", "fields": [{"event": "properties.n", "profile": "traits.total", "op": "add"}]}


@pytest.fixture
def redis_url(shared_folder: Path) -> Any:
    with servers.shared("valkey", shared_folder / "valkey") as url:
        yield url


@pytest.fixture
async def api(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, tmp_path, redis_url=redis_url) as api:
        yield api


async def ask(api: Running, kind: str = COPY, **body: Any) -> Any:
    answer = await api.admin.post("/tasks", json={"kind": kind, **body})
    assert answer.status_code == 202, answer.text
    return answer.json()


async def one(api: Running, id: str) -> Any:
    answer = await api.admin.get(f"/tasks/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_asked_for_twice_it_is_one_task(api: Running) -> None:
    first = await ask(api, id="nightly", arguments={"where": "type = purchase"}, by="ann")
    assert await ask(api, id="nightly") == first
    assert (first["id"], first["state"], first["by"]) == ("nightly", "waiting", "ann")
    assert first["arguments"] == {"where": "type = purchase", "dry_run": False, "mappings": []}
    assert first["hint"] == f"no worker does it: start `hub worker {EVENT_TO_PROFILE}`"
    assert first["progress"] == {
        "done": 0,
        "total": 0,
        "exact": False,
        "slices": 0,
        "slices_done": 0,
        "slices_failed": 0,
    }
    assert (await one(api, "nightly"))["id"] == "nightly"


async def test_tasks_page_by_page(api: Running) -> None:
    for number in range(5):
        await ask(api, id=f"t{number}")
    await api.admin.post("/tasks/t1/cancel")
    first = (await api.admin.get("/tasks", params={"size": 3})).json()
    assert [found["id"] for found in first["items"]] == ["t4", "t3", "t2"]
    rest = (await api.admin.get("/tasks", params={"size": 3, "cursor": first["next"]})).json()
    assert [(found["id"], found["state"]) for found in rest["items"]] == [("t1", "cancelled"), ("t0", "waiting")]
    assert rest["next"] is None
    waiting = (await api.admin.get("/tasks", params={"state": "cancelled"})).json()
    assert [found["id"] for found in waiting["items"]] == ["t1"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"kind": "juggle"}, 404, "known: copy-events-to-profiles, copy-properties-to-traits"),
        ({"kind": COPY, "arguments": {"wher": ""}}, 422, "arguments.wher"),
        ({"kind": COPY, "arguments": {"dry_run": "perhaps"}}, 422, "arguments.dry_run"),
        ({"kind": COPY, "arguments": {"where": "type ="}}, 422, "bad_query"),
        ({"kind": COPY, "id": "a b"}, 422, "body.id"),
        ({"kind": COPY, "more": 1}, 422, "body.more"),
    ],
)
async def test_what_nobody_can_ask_for(api: Running, body: dict[str, Any], status: int, words: str) -> None:
    answer = await api.admin.post("/tasks", json=body)
    assert answer.status_code == status
    assert words in answer.text
    assert (await api.admin.get("/tasks")).json() == {"items": [], "next": None}


async def test_one_that_is_not_there(api: Running) -> None:
    assert (await api.admin.get("/tasks/nope")).status_code == 404
    assert (await api.admin.post("/tasks/nope/cancel")).status_code == 404
    assert (await api.admin.get("/tasks", params={"cursor": "nope"})).status_code == 422
    assert (await api.public.get("/tasks")).status_code == 401


@pytest.mark.slow
async def test_the_commands(api: Running, kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> None:
    await api.define("source", "shop")

    def hub(*command: str, code: int = 0) -> str:
        environment = {**os.environ, "HUB_ADMIN_KEY": KEY, "HUB_DATA": str(tmp_path), "COLUMNS": "200"}
        line = [sys.executable, "-m", "hub", *command, "--url", str(api.admin.base_url)]
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    settings = Settings(namespace=namespace, data=tmp_path, kafka=Kafka(bootstrap=kafka), redis=Redis(url=redis_url))
    at = Site(settings, api.store, Runs(None, namespace))  # type: ignore[arg-type]
    with collector(kafka, namespace, tmp_path), worker(at, queue=EVENT_TO_PROFILE):
        body = {"source": {"id": "shop"}, "profile": {"id": "ann"}}
        events = [{"type": "purchase", "properties": {"n": n}} for n in range(5)]
        assert (await api.public.post("/track", json={**body, "events": events})).status_code == 200
        await asyncio.to_thread(eventually, lambda: api.store.count("events", "") == 5)
        await api.define("mapping", "late", **LATE)
        dry = await asyncio.to_thread(hub, "copy", "events-to-profiles", "--where", "properties.n > 1", "--dry-run")
        assert "to_copy      3" in dry
        assert '"field": "traits.total", "before": 5, "after": 9' in dry
        told = await asyncio.to_thread(hub, "copy", "events-to-profiles", "--mapping", "late")
        assert "state        done" in told
        profile = api.store.get("profiles", "ann")
        assert profile is not None
        assert profile["traits"]["total"] == 10
        asked = await asyncio.to_thread(hub, "copy", "properties-to-traits", "--background")
        id = next(line.split()[1] for line in asked.splitlines() if line.startswith("id "))
        listed = await asyncio.to_thread(hub, "tasks")
        assert id in listed
        assert "no worker does it" in listed
        assert "cancelled" in await asyncio.to_thread(hub, "tasks", "cancel", id)
        shown = json.loads(await asyncio.to_thread(hub, "tasks", "show", id, "--json"))
        assert shown["state"] == "cancelled"
        assert json.loads(await asyncio.to_thread(hub, "tasks", "--json", "--state", "cancelled"))[0]["id"] == id
        await asyncio.to_thread(hub, "copy", "events-to-profiles", "--mapping", "gone", code=1)
