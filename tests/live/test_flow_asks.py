"""Flows that somebody asks for, over the API and by command: for whom, once for one request, and why not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.flows.run import run_id
from hub.jobs.flow_runs import RunFlow, fired
from hub.model import Profile
from hub.settings import Kafka
from schemas.jobs import SEGMENTATION
from tests.contracts.batches import batch
from tests.live.api import KEY, Running, running
from tests.servers import running as servers

NODES = {"start": {"type": "start"}}
MANUAL = {"triggers": [{"type": "manual"}], "nodes": NODES}


OFTEN = {"since": "2026-01-01T00:00:00.000Z", "event": "e1", "by": "flow", "definition": 0}


def person(id: str, **segments: Any) -> Profile:
    return Profile(id, 1, {"id": id, "traits": {}, "segments": [*segments], "metadata": {"segments": segments}})


@pytest.fixture
def redis_url(shared_folder: Path) -> Iterator[str]:
    with servers.shared("valkey", shared_folder / "valkey") as url:
        yield url


@pytest.fixture
async def api(kafka: str, namespace: str, tmp_path: Path, redis_url: str) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka, partitions=2), namespace, tmp_path, redis_url=redis_url) as made:
        made.store.write(batch(*map(person, ("ann", "bob")), person("cleo", often=OFTEN)))
        yield made


async def ask(api: Running, flow: str, status: int = 202, headers: dict[str, str] | None = None, **body: Any) -> Any:
    answer = await api.admin.post(f"/flows/{flow}/run", json=body, headers=headers or {})
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.json()


async def test_for_one_and_for_many(api: Running) -> None:
    version = (await api.define("flow", "tea", **MANUAL)).json()["version"]
    one = await ask(api, "tea", profile="ann", data={"why": "spring"}, id="r1")
    task = one["task"]
    assert (one["flow"], one["version"], task["kind"], task["queue"]) == ("tea", version, "run-flow", SEGMENTATION)
    assert one["run"] == run_id("tea", version, fired(RunFlow(**task["arguments"]), "ann"))
    assert task["arguments"] | {"at_ms": 0} == {
        "flow": "tea",
        "version": version,
        "profile": "ann",
        "query": "",
        "fired": "manual",
        "at_ms": 0,
        "cause": "r1",
        "data": {"why": "spring"},
    }
    assert task["hint"] == f"no worker does it: start `hub worker {SEGMENTATION}`"
    many = await ask(api, "tea", query="id STARTS WITH a")
    assert (many["run"], many["task"]["arguments"]["query"]) == (None, "id STARTS WITH a")
    assert (await ask(api, "tea", query=""))["task"]["id"] != many["task"]["id"]
    assert {one["id"] for one in (await api.admin.get("/tasks")).json()["items"]} >= {task["id"], many["task"]["id"]}


async def test_one_request_is_done_once(api: Running) -> None:
    await api.define("flow", "tea", **MANUAL)
    first = await ask(api, "tea", profile="ann", id="r1")
    assert await ask(api, "tea", profile="ann", headers={"Idempotency-Key": "r1"}) == first
    await api.define("flow", "tea", **MANUAL, name="Another")
    assert await ask(api, "tea", profile="ann", id="r1") == first, "it keeps its version"
    assert (await ask(api, "tea", profile="ann", id="r2"))["run"] != first["run"]
    for other in ({"profile": "bob"}, {"query": ""}, {"profile": "ann", "data": {"a": 1}}):
        found = await ask(api, "tea", 409, id="r1", **other)
        assert "asked for before, with something else" in found["detail"]
    await api.define("flow", "coffee", **MANUAL)
    assert (await ask(api, "coffee", profile="ann", id="r1"))["task"]["id"] != first["task"]["id"]


async def test_what_nobody_may_ask_for(api: Running) -> None:
    await api.define("flow", "event", nodes=NODES, triggers=[{"type": "event", "event_type": "purchase"}])
    await api.define("flow", "off", **MANUAL, enabled=False)
    await api.define("flow-draft", "draft", **MANUAL)
    await api.define("flow", "tea", **MANUAL)
    assert "put `{type: manual}` among its triggers" in (await ask(api, "event", 409, profile="ann"))["detail"]
    assert "switched off" in (await ask(api, "off", 409, profile="ann"))["detail"]
    for flow in ("draft", "none"):
        assert "no flow with this id that is deployed" in (await ask(api, flow, 404, profile="ann"))["detail"]
    assert "no profile with the id 'nobody'" in (await ask(api, "tea", 404, profile="nobody"))["detail"]
    wrongs: list[dict[str, Any]] = [
        {},
        {"profile": "ann", "query": ""},
        {"query": "traits.n >"},
        {"profile": "ann", "id": "a b"},
    ]
    for wrong in wrongs:
        await ask(api, "tea", 422, **wrong)
    large = await ask(api, "tea", 422, profile="ann", data={"text": "x" * 300_000})
    assert "data: 300,011 bytes are more than an event may have (262,144)" in large["detail"]
    odd = await api.admin.post("/flows/tea/run", content='{"profile": "ann", "data": {"a": "\\ud800"}}')
    assert odd.status_code == 422, odd.text
    assert (await api.admin.get("/tasks")).json()["items"] == []


async def test_a_segment_names_the_flows_that_decide_it(api: Running) -> None:
    """Also a preview of it, and why a profile is in it; and a flow says where it changes nothing."""
    nodes = {
        "start": {"type": "start", "to": {"out": ["by", "add", "gone", "full"]}},
        "by": {"type": "segment-by-condition", "config": {"segment": "often", "condition": "profile@traits.n > 1"}},
        "add": {"type": "add-to-segment", "config": {"segments": ["often", "listed"]}, "skip": True},
        "gone": {"type": "move-to-segment", "config": {"leave": "nowhere", "enter": "often"}},
        "full": {"type": "remove-from-segment", "config": {"segments": ["gold"]}},
    }
    for id in ("often", "listed"):
        await api.define("segment", id, name=id)
    await api.define("segment", "gold", condition="traits.plan = gold")
    await api.define("flow", "tea", nodes=nodes)
    await api.define("flow", "off", nodes=nodes, enabled=False)
    shown = {one["id"]: one["flows"] for one in (await api.admin.get("/segments")).json()["items"]}
    assert shown == {"often": ["tea"], "listed": [], "gold": []}
    assert (await api.admin.get("/segments/often")).json()["flows"] == ["tea"]
    warnings = {one["node"]: one["detail"] for one in (await api.admin.get("/flows/tea")).json()["warnings"]}
    assert warnings.keys() == {"gone", "full"}
    assert "there is no segment 'nowhere'" in warnings["gone"]
    assert "the segment 'gold' has a condition" in warnings["full"]

    await api.define("flow", "other", nodes=nodes)
    found = (await api.admin.post("/segments/preview", json={"segment": "often", "profile": "ann"})).json()
    assert (found["count"], found["total"], found["exact"], found["flows"]) == (1, 3, True, ["other", "tea"])
    assert found["profile"] == {"id": "ann", "matches": False, "parts": None, "membership": None}
    assert found["warnings"] == [
        "it has no condition: lists and the flows other, tea say who is in it, and these are those who are in it now"
    ]
    found = (await api.admin.post("/segments/preview", json={"segment": "often", "profile": "cleo"})).json()
    assert found["profile"] == {"id": "cleo", "matches": True, "parts": None, "membership": OFTEN}
    assert [one["id"] for one in found["sample"]] == ["cleo"]
    gold = (await api.admin.post("/segments/preview", json={"segment": "gold", "profile": "ann"})).json()
    assert (gold["flows"], gold["profile"]["parts"]["verdict"]) == ([], "unknown")
    for wrong, status in (({}, 422), ({"segment": "gold", "condition": "a = 1"}, 422), ({"segment": "none"}, 404)):
        assert (await api.admin.post("/segments/preview", json=wrong)).status_code == status


async def test_by_command(api: Running, tmp_path: Path) -> None:
    await api.define("flow", "tea", **MANUAL)
    await api.define("segment", "often", name="Often")
    payload = tmp_path / "payload.yaml"
    payload.write_text("why: spring\n")

    async def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "hub", *arguments, "--url", str(api.public.base_url)]
        environ = {**os.environ, "HUB_ADMIN_KEY": KEY}
        return await asyncio.to_thread(subprocess.run, whole, env=environ, capture_output=True, text=True, check=False)

    one = ("flow", "run", "tea", "--profile", "ann", "--payload", str(payload), "--id", "r1")
    found = json.loads((await command(*one, "--json")).stdout)
    assert found["task"]["arguments"]["data"] == {"why": "spring"}
    assert f"run {found['run']} of tea" in (await command(*one)).stdout
    many = await command("flow", "run", "tea", "--query", "")
    assert (many.returncode, "hub tasks show" in many.stdout) == (0, True), many.stderr
    assert (await command("flow", "run", "tea")).returncode == 2
    shown = await command("segment", "preview", "--segment", "often", "--profile", "ann")
    assert (shown.returncode, "profile     ann is out" in shown.stdout) == (0, True), shown.stderr
    assert (await command("segment", "preview")).returncode == 2
