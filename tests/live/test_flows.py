"""Flows over the API: drafts, what is wrong with them, deployed, tried on what is stored."""

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
import yaml

from hub.settings import Kafka
from tests.live.api import KEY, Running, running
from tests.live.collector import collector

NODES: dict[str, Any] = {
    "start": {"type": "start", "to": {"out": "big"}},
    "big": {"type": "if", "config": {"condition": "event@properties.amount > 10"}, "to": {"then": "thank"}},
    "thank": {"type": "increment", "config": {"field": "stats.thanks"}},
}
FLOW: dict[str, Any] = {"triggers": [{"type": "event", "event_type": "purchase"}], "nodes": NODES}


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as made:
        yield made


async def test_a_draft_is_worked_on_and_deployed(hub: Running) -> None:
    wrong = {**FLOW, "nodes": {**NODES, "big": {**NODES["big"], "to": {"then": "thnk"}}}}
    refused = await hub.define("flow", "tea", **wrong)
    assert refused.status_code == 422
    assert "nodes.big.to.then[0]: there is no node 'thnk'; is it 'thank'?" in refused.json()["detail"]
    draft = await hub.define("flow-draft", "tea", **wrong)
    assert draft.status_code == 201

    shown = (await hub.admin.get("/flows/tea")).json()
    assert (shown["state"], shown["version"], shown["draft"]) == ("draft", None, draft.json()["version"])
    assert [problem["node"] for problem in shown["problems"]] == ["big", "thank"]
    assert (await hub.admin.post("/flows/tea/deploy")).status_code == 422
    assert (await hub.admin.post("/flows/check", json=wrong)).json()["problems"] == shown["problems"]

    old = draft.headers["etag"]
    assert (await hub.define("flow-draft", "tea", **FLOW)).status_code == 200
    assert (await hub.admin.post("/flows/tea/deploy", headers={"If-Match": old})).status_code == 409
    deployed = await hub.admin.post("/flows/tea/deploy")
    assert deployed.status_code == 201
    assert deployed.json()["spec"]["nodes"]["big"]["to"] == {"then": ["thank"]}
    (listed,) = (await hub.admin.get("/flows")).json()["items"]
    assert (listed["state"], listed["draft_differs"], listed["nodes"]) == ("enabled", False, 3)
    assert (await hub.define("flow-draft", "tea", **{**FLOW, "name": "Tea"})).status_code == 200
    (listed,) = (await hub.admin.get("/flows")).json()["items"]
    assert (listed["draft_differs"], listed["version"]) == (True, deployed.json()["version"])
    assert (await hub.admin.get("/flows/none")).status_code == 404
    assert (await hub.admin.post("/flows/none/deploy")).status_code == 404


async def test_a_flow_is_tried_on_what_is_stored(hub: Running, kafka: str, namespace: str, tmp_path: Path) -> None:
    """Nothing is written: the profile is as before."""
    await hub.define("source", "shop")
    await hub.define("flow", "tea", **FLOW)
    event = {"type": "purchase", "properties": {"amount": 12}}
    with collector(kafka, namespace, tmp_path):
        sent = await hub.public.post("/track", json={"source": "shop", "profile": {"id": "ann"}, "events": [event]})
        assert sent.status_code == 200
        async with asyncio.timeout(30):
            while not (found := (await hub.admin.get("/events")).json()["items"]):  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)
    before = (await hub.admin.get("/profiles/ann")).json()
    tried = (await hub.admin.post("/flows/tea/test", json={"event": found[0]["id"]})).json()
    assert (tried["state"], tried["triggered"], tried["error"]) == ("done", True, "")
    (leg,) = tried["legs"]
    assert [(step["node"], step["port"]) for step in leg["steps"]] == [
        ("start", "out"),
        ("big", "then"),
        ("thank", "out"),
    ]
    assert leg["effects"] == [
        {
            "node": "thank",
            "effect": "change-field",
            "op": "increment",
            "field": "stats.thanks",
            "value": 1,
            "merge": None,
        }
    ]
    assert (await hub.admin.get("/profiles/ann")).json() == before

    look = {
        "nodes": {
            "start": {"type": "start", "to": {"out": "before"}},
            "before": {
                "type": "look-up",
                "config": {"query": "type = {{ event@type }} AND profile.id = {{ profile@id }}", "into": "events"},
                "to": {"out": "answer"},
            },
            "answer": {"type": "respond", "config": {"body": {"n": "=length(payload.events)"}}},
        }
    }
    tried = (await hub.admin.post("/flows/x/test", json={"event": found[0]["id"], "definition": look})).json()
    assert (tried["state"], tried["response"], tried["assumed"]) == ("done", {"n": 1}, [])

    given = {"event": {"type": "purchase", "properties": {"amount": 1}}, "profile": "ann"}
    tried = (await hub.admin.post("/flows/tea/test", json=given)).json()
    assert [step["port"] for step in tried["legs"][0]["steps"]] == ["out", "else"]
    tried = (await hub.admin.post("/flows/other/test", json={**given, "definition": FLOW})).json()
    assert tried["state"] == "done"
    for wrong, status in (
        ({"event": "none"}, 404),
        ({"draft": True}, 404),
        ({"profile": "nobody"}, 404),
        ({"event": {"type": "x", "properties": 3}}, 422),
        ({"definition": {"nodes": {"a": {"type": "if"}}}}, 422),
    ):
        assert (await hub.admin.post("/flows/tea/test", json=wrong)).status_code == status


async def test_nodes_have_forms(hub: Running) -> None:
    items = (await hub.admin.get("/flows/nodes")).json()["items"]
    pause = next(one for one in items if one["type"] == "pause")
    assert (pause["ports"], pause["error_port"]) == (["out", "timeout", "late"], "error")
    assert pause["config"]["properties"]["event_type"]["maxLength"] == 256


@pytest.mark.slow
async def test_by_command(hub: Running, tmp_path: Path) -> None:
    file = tmp_path / "tea.yaml"
    file.write_text(yaml.safe_dump({**FLOW, "nodes": {**NODES, "lost": {"type": "end"}}}))

    async def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "hub", "flow", *arguments, "--url", str(hub.public.base_url)]
        environ = {**os.environ, "HUB_ADMIN_KEY": KEY}
        return await asyncio.to_thread(subprocess.run, whole, env=environ, capture_output=True, text=True, check=False)

    put = await command("put", "tea", str(file), "--draft")
    assert (put.returncode, "tea is saved as a draft" in put.stdout) == (0, True), put.stderr
    assert "problem        nodes.lost: it is never reached" in (await command("show", "tea")).stdout
    refused = await command("deploy", "tea")
    assert (refused.returncode, "nodes.lost: it is never reached" in refused.stderr) == (2, True)
    file.write_text(yaml.safe_dump(FLOW))
    for arguments in (("put", "tea", str(file), "--draft"), ("deploy", "tea")):
        done = await command(*arguments)
        assert done.returncode == 0, done.stderr
    (one,) = json.loads((await command("list", "--json")).stdout)
    assert (one["id"], one["state"], one["draft_differs"]) == ("tea", "enabled", False)


async def test_what_a_flow_names_and_is_not_there_is_said(hub: Running, tmp_path: Path) -> None:
    """It does not keep the flow from being saved: what it names may be defined later."""
    nodes = {
        "start": {"type": "start", "to": {"out": ["mail", "tell", "vip"]}},
        "mail": {"type": "send-mail", "config": {"destination": "crm", "to": "a@b.c", "subject": "x", "text": "x"}},
        "tell": {"type": "send", "config": {"destination": "nowhere"}},
        "vip": {"type": "has-segment", "config": {"segments": ["vip", "regulars"]}, "to": {"then": "in"}},
        "in": {"type": "add-to-segment", "config": {"segments": ["vip"]}},
    }
    triggers = [
        {"type": "segment-entered", "segment": "none"},
        {"type": "heartbeat", "heartbeat": "none"},
        {"type": "heartbeat", "heartbeat": "visit-ended"},
        {"type": "event", "event_type": "purchase", "source": "none"},
        {"type": "event", "event_type": "purchase", "source": "@flow"},
        {"type": "event", "event_type": "purchase", "condition": "count(purchase) > 1"},
    ]
    flow = {"triggers": triggers, "nodes": nodes}
    settings = {"url": "http://127.0.0.1:1/"}
    assert (await hub.define("destination", "crm", type="http", settings=settings)).status_code == 201
    assert (await hub.define("segment", "regulars")).status_code == 201
    saved = await hub.define("flow-draft", "tea", **flow)
    deployed = await hub.admin.post("/flows/tea/deploy")
    assert (saved.status_code, deployed.status_code) == (201, 201)
    warnings = deployed.json()["warnings"]
    assert [one["where"] for one in warnings] == [
        "triggers[0].segment",
        "triggers[1].heartbeat",
        "triggers[3].source",
        "nodes.mail.config.destination",
        "nodes.tell.config.destination",
        "nodes.vip.config.segments",
        "nodes.in",
        "triggers[5].condition",
    ]
    assert "is of type http" in warnings[3]["detail"]
    assert "there is no destination 'nowhere'" in warnings[4]["detail"]
    assert "profiles do not keep count(purchase)" in warnings[-1]["detail"]
    same = [saved.json(), (await hub.admin.get("/flows/tea")).json(), (await hub.define("flow", "b", **flow)).json()]
    same.append((await hub.admin.post("/flows/check", json=flow)).json())
    assert all(one["warnings"] == warnings for one in same)
    (tmp_path / "tea.yaml").write_text(yaml.safe_dump(flow))
    command = [sys.executable, "-m", "hub", "flow", "check", str(tmp_path / "tea.yaml")]
    alone = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
    assert "warning" not in alone.stdout
    url = str(hub.admin.base_url)
    asked = await asyncio.to_thread(
        subprocess.run,
        [*command, "--url", url],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HUB_ADMIN_KEY": KEY},
    )
    assert asked.stdout.count("warning: ") == 8
    assert f"{tmp_path / 'tea.yaml'}:" in asked.stdout
