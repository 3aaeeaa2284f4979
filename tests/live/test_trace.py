"""The story of one event, from a real API, collector, store and Kafka; and the commands that show it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from hub.log.config import admin_config
from hub.log.reader import LogReader
from hub.settings import Kafka
from schemas.topics import EVENTS
from tests.kafka_tools import eventually, write
from tests.live.api import KEY, Running, running
from tests.live.collector import collector
from tests.live.test_api_admin import is_problem
from tests.live.whole_hub import HUB, ROOT, environment

SPENDING = [
    {"event": "properties.amount", "profile": "traits.spent", "op": "add"},
    {"event": "properties.item", "profile": "traits.items", "op": "append-unique"},
    {"event": "properties.note", "profile": "traits.spent", "op": "max"},
]


@pytest.fixture
async def hub(kafka: str, namespace: str, tmp_path: Path) -> AsyncIterator[Running]:
    """An API and a collector on one store."""
    settings = Kafka(bootstrap=kafka, partitions=4)
    async with running(settings, namespace, tmp_path) as hub:
        await hub.define("source", "shop")
        await hub.define("source", "app")
        await hub.define("mapping", "spending", event_type="purchase", fields=SPENDING)
        with collector(kafka, namespace, tmp_path):
            yield hub


async def send(hub: Running, *events: dict[str, Any], **more: Any) -> dict[str, Any]:
    sent = {"source": "shop", "profile": {"id": "ann"}, "session": {"id": "s-1"}, "events": events, **more}
    answer = await hub.public.post("/track", json=sent)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def stored(hub: Running, number: int) -> list[dict[str, Any]]:
    """All events, oldest first, once there are so many."""
    await asyncio.to_thread(eventually, lambda: hub.store.count("events", "") == number)
    return [*reversed((await hub.admin.get("/events")).json()["items"])]


async def trace(hub: Running, id: str) -> dict[str, Any]:
    answer = await hub.admin.get(f"/events/{id}/trace")
    assert answer.status_code == 200, answer.text
    return answer.json()


def command(hub: Running, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = str(hub.admin.base_url)
    variables = environment(HUB_ADMIN_KEY=KEY, HUB_DATA=str(folder))
    call = [*HUB, *arguments, "--url", url]
    return subprocess.run(call, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def at(hub: Running, event: Mapping[str, Any]) -> TopicPartition:
    place = event["metadata"]["position"]
    return TopicPartition(EVENTS.name(hub.namespace), place["partition"], place["offset"])


async def test_an_event_is_told_from_its_sender_to_the_store(hub: Running, tmp_path: Path) -> None:
    await send(
        hub,
        {"type": "purchase", "time": {"create": "2026-11-20T10:00:00Z"}, "properties": {"amount": 10, "item": "tea"}},
    )
    await stored(hub, 1)
    await send(
        hub,
        {
            "id": "order-7",
            "type": "purchase",
            "time": {"create": "2026-11-20T11:00:00Z"},
            "properties": {"amount": 2.5, "item": "cup", "note": "a gift"},
        },
        {"type": "view", "time": {"create": "2026-11-20T12:00:00Z"}},
        id="payload-7",
    )
    first, event, view = await stored(hub, 3)
    story = await trace(hub, event["id"].upper())

    assert (story["id"], story["kind"], story["type"]) == (event["id"], "event", "purchase")
    assert story["edge"] == {
        "source": "shop",
        "door": "rest",
        "bridge": None,
        "coordinates": None,
        "payload_id": "payload-7",
        "client_id": "order-7",
        "received_at": event["metadata"]["time"]["insert"],
    }
    place = event["metadata"]["position"]
    log = story["log"]
    assert {name: log[name] for name in place} == place
    assert (log["topic"], log["record"]["key"], log["record"]["readable"]) == (EVENTS.name(hub.namespace), "ann", True)
    assert story["mappings"]["changes"] == [
        {
            "field": "traits.spent",
            "op": "add",
            "before": 10,
            "after": 12.5,
            "mappings": [{"id": "spending", "version": story["mappings"]["definitions"], "changed_since": False}],
        },
        {
            "field": "traits.items",
            "op": "append-unique",
            "appended": ["cup"],
            "mappings": [{"id": "spending", "version": story["mappings"]["definitions"], "changed_since": False}],
        },
    ]
    (problem,) = story["mappings"]["problems"]
    assert (problem["mapping"], problem["field"]) == ("spending", "traits.spent")
    version = event["outcome"]["profile_version"]
    assert story["profile"] == {"id": "ann", "version": version, "created": False, "version_now": version}
    assert (await trace(hub, first["id"]))["profile"]["created"]
    assert story["session"]["profile"] == "ann"
    assert [(one["place"], one["id"]) for one in story["payload_events"]] == [(0, event["id"]), (1, view["id"])]
    assert [(one["id"], one["same_payload"]) for one in story["neighbours"]["before"]] == [(first["id"], False)]
    assert [(one["id"], one["same_payload"]) for one in story["neighbours"]["after"]] == [(view["id"], True)]

    assert [one["step"] for one in story["times"]] == ["happened", "received", "logged", "stored"]
    assert [one["at"] for one in story["times"]] == sorted(one["at"] for one in story["times"])
    assert story["times"][0]["after_ms"] is None
    assert all(one["after_ms"] >= 0 for one in story["times"][1:])

    shown = await asyncio.to_thread(command, hub, tmp_path, "trace", event["id"])
    assert shown.returncode == 0, shown.stderr
    for words in ("traits.spent: 10 -> 12.5 (add, mapping spending)", "payload payload-7, client id order-7"):
        assert words in shown.stdout
    as_json = await asyncio.to_thread(command, hub, tmp_path, "trace", event["id"], "--json")
    assert json.loads(as_json.stdout) == story


async def test_a_trace_knows_which_mapping_has_changed_since(hub: Running) -> None:
    await send(hub, {"type": "purchase", "properties": {"amount": 1}})
    (event,) = await stored(hub, 1)
    await hub.define("mapping", "spending", event_type="purchase", fields=SPENDING[:1])
    (change,) = (await trace(hub, event["id"]))["mappings"]["changes"]
    assert [one["changed_since"] for one in change["mappings"]] == [True]
    await hub.admin.delete("/definitions/mapping/spending")
    (change,) = (await trace(hub, event["id"]))["mappings"]["changes"]
    assert (change["before"], change["after"], change["mappings"]) == (None, 1, [])


async def test_a_trace_goes_on_without_the_record(hub: Running) -> None:
    """Kafka keeps records for a week, the store keeps events."""
    await send(hub, {"type": "view"})
    (event,) = await stored(hub, 1)
    place = at(hub, event)
    place.offset += 1
    admin = AdminClient(admin_config(hub.kafka))
    (deleted,) = admin.delete_records([place]).values()
    await asyncio.to_thread(deleted.result, 20)
    story = await trace(hub, event["id"])
    assert story["log"]["record"] is None
    assert "deleted" in story["log"]["note"]
    assert story["payload_events"] is None
    assert [one["step"] for one in story["times"]] == ["received", "stored"]


async def test_a_dead_letter_is_traced_by_its_own_id(hub: Running, tmp_path: Path) -> None:
    """A record that is none of ours has coordinates and a time, and nothing else."""
    await asyncio.to_thread(write_bytes, hub, b"not ours")
    await asyncio.to_thread(eventually, lambda: hub.store.count("dead-letters", "") == 1)
    (letter,) = hub.store.search("dead-letters", "", 1, None).items
    story = await trace(hub, letter["id"])
    assert (story["kind"], story["dead_letter"]["reason"]) == ("dead-letter", "undecodable_record")
    assert story["log"]["record"]["readable"] is False
    assert story["payload_events"] is None
    assert [one["step"] for one in story["times"]] == ["received", "logged", "stored"]
    shown = await asyncio.to_thread(command, hub, tmp_path, "trace", letter["id"])
    assert "refused   by the collector: undecodable_record" in shown.stdout


def write_bytes(hub: Running, value: bytes) -> None:
    write(hub.kafka, EVENTS.name(hub.namespace), [(b"key", value)])


async def test_what_is_not_there_is_told_with_where_to_look(hub: Running, tmp_path: Path) -> None:
    await send(hub, {"id": "order-7", "type": "view"})
    (event,) = await stored(hub, 1)
    problem = is_problem(await hub.admin.get("/events/order-7/trace"), 404, "not_found")
    assert problem["events_with_this_client_id"] == [event["id"]]
    assert event["id"] in problem["detail"]
    problem = is_problem(await hub.admin.get("/events/1f0e3dad-9990-8345-b743-9f8ffabdffc4/trace"), 404, "not_found")
    assert (problem["in_flight"], problem["dead_letters"], problem["events_with_this_client_id"]) == (0, 0, [])
    assert "Nothing is in flight" in problem["detail"]
    assert any("/dead-letters" in look for look in problem["look"])
    shown = await asyncio.to_thread(command, hub, tmp_path, "trace", "order-7")
    assert shown.returncode == 2
    assert event["id"] in shown.stderr


async def test_what_is_in_flight_is_told(kafka: str, namespace: str, tmp_path: Path) -> None:
    async with running(Kafka(bootstrap=kafka), namespace, tmp_path) as hub:
        await hub.define("source", "shop")
        await send(hub, {"type": "view"})
        problem = is_problem(await hub.admin.get("/events/x/trace"), 404, "not_found")
        assert problem["in_flight"] == 1
        assert "1 records are in flight" in problem["detail"]


async def test_one_record_is_read_by_its_coordinates(kafka: str, namespace: str, tmp_path: Path) -> None:
    """And what Kafka does not have, or not yet, is no record rather than a wait."""
    async with running(Kafka(bootstrap=kafka, partitions=1), namespace, tmp_path) as hub:
        await hub.define("source", "shop")
        for profile in ("ann", "bob"):
            await send(hub, {"type": "view"}, profile={"id": profile})
        reader = LogReader(hub.kafka, namespace)
        found = [await asyncio.to_thread(reader.record, 0, offset) for offset in range(3)]
        assert [record and record.key for record in found] == [b"ann", b"bob", None]
        assert found[0] is not None
        assert not found[0].by_broker
